// What one request may ask of the server.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {request as http} from 'node:http';
import {after, before, test} from 'node:test';
import {ask, startServer} from './server.mjs';

let server;
const point = (id) => ({id, vector: [1, id], payload: {n: id}});

before(async () => {
  server = await startServer();
  await ask(server, 'PUT', '/collections/a', {vectors: {size: 2, distance: 'Cosine'}});
  assert.equal((await ask(server, 'PUT', '/collections/a/points', {points: Array.from({length: 300}, (_, i) => point(i))})).status, 200);
});
after(async () => { assert.equal(await server?.stop(), 0); });

// Asks every 50 ms; anything but true is what to say after ten seconds.
async function until(what, is) {
  let last;
  for (let i = 0; i < 200; i++) {
    last = await is();
    if (last === true) return;
    await new Promise((r) => setTimeout(r, 50));
  }
  assert.fail(`${what}: not after ten seconds: ${last}`);
}

const query = (body, where = server) => ask(where, 'POST', '/collections/a/points/query', body);
const times = (n, one) => Array.from({length: n}, () => one);
const fused = (prefetch) => ({prefetch, query: {fusion: 'rrf'}});

test('a question is made of so many searches', async () => {
  const most = fused(times(4, fused(times(16, {query: 1}))));
  assert.equal((await query(most)).status, 200);
  const more = await query(fused([...most.prefetch, {query: 1}]));
  assert.equal(more.status, 400);
  assert.match(more.body.status.error, /at most 64 searches/);
  const batch = await ask(server, 'POST', '/collections/a/points/query/batch', {searches: times(3, most)});
  assert.equal(batch.status, 200, 'each of a batch is a question');
  const positive = Array.from({length: 64}, (_, i) => i);
  for (const strategy of ['average_vector', 'best_score']) {
    const examples = {query: {recommend: {positive, strategy}}};
    assert.equal((await query(examples)).body.result.points.length, 10);
    assert.equal((await query(fused([examples, {query: 1}]))).status, strategy === 'best_score' ? 400 : 200);
  }
});

test('the searches of a question find so much together', async () => {
  const large = {query: 1, limit: 10000};
  assert.equal((await query(fused(times(10, large)))).status, 200);
  const more = await query(fused([...times(10, large), {query: 1, limit: 1}]));
  assert.equal(more.status, 400);
  assert.match(more.body.status.error, /at most 100000 in all/);
});

test('groups are looked for as far as a question may go', async () => {
  await ask(server, 'PUT', '/collections/b', {vectors: {size: 2, distance: 'Cosine'}});
  const points = Array.from({length: 600}, (_, i) => ({...point(i), payload: {odd: i % 2}}));
  assert.equal((await ask(server, 'PUT', '/collections/b/points', {points})).status, 200);
  const groups = async (body) => {
    const reply = await ask(server, 'POST', '/collections/b/points/query/groups', {group_by: 'odd', ...body});
    assert.equal(reply.status, 200, JSON.stringify(reply.body));
    assert.equal(reply.body.result.groups.length, 2); // of the ten that are wanted
  };
  // 64 times 480 are few enough, 64 times 1,920 are not
  const positive = Array.from({length: 64}, (_, i) => i);
  for (const strategy of ['best_score', 'sum_scores']) await groups({query: {recommend: {positive, strategy}}});
  await groups(fused(times(10, {query: 1, limit: 10000})));
  await groups({query: 1, limit: 1000, offset: 5});
});

test('what a prefetch found is scored anew and shown, however deep', async () => {
  const probe = {query: [1, 0], limit: 5, with_payload: true};
  const plain = (await query(probe)).body.result;
  const leaf = {query: [1, 1], limit: 300};
  for (const prefetch of [leaf, fused([{...leaf, limit: 200}, {query: 250, limit: 100}]), {...fused([leaf]), limit: 300},
    {prefetch: {...fused([leaf]), limit: 300}, query: [0, 1], limit: 300}]) {
    const {points} = (await query({...probe, prefetch})).body.result;
    for (const [i, p] of points.entries()) assert.deepEqual(p.payload, {n: p.id}, `${i}`);
    if (prefetch.limit === 300) {
      assert.deepEqual(points.map((p) => p.id), plain.points.map((p) => p.id));
      assert.deepEqual(points.map((p) => p.score.toFixed(3)), plain.points.map((p) => p.score.toFixed(3)));
    }
  }
  const hidden = (await query({...probe, prefetch: {...leaf, with_payload: true}, with_payload: false})).body.result;
  assert.equal(hidden.points[0].payload, undefined);
});

test('all searches of a request have its time together', async () => {
  const hasty = await startServer(['--http-query-timeout', '1']);
  try {
    await ask(hasty, 'PUT', '/collections/a', {vectors: {size: 2, distance: 'Cosine'}});
    await ask(hasty, 'PUT', '/collections/a/points', {points: [point(1), point(2)]});
    // 4,096 searches in one millisecond are beyond any machine, each alone is not
    const one = fused(times(4, fused(times(16, {query: 1}))));
    const late = await ask(hasty, 'POST', '/collections/a/points/query/batch', {searches: times(64, one)});
    assert.equal(late.status, 504);
    assert.match(late.body.status.error, /more than 1 ms/);
  } finally {
    assert.equal(await hasty.stop(), 0);
  }
});

test('a question has its time while the server stops', async () => {
  const own = await startServer();
  await ask(own, 'PUT', '/collections/a', {vectors: {size: 2, distance: 'Cosine'}});
  await ask(own, 'PUT', '/collections/a/points', {points: Array.from({length: 300}, (_, i) => point(i))});
  const one = fused(times(4, fused(times(16, {query: 1, limit: 50}))));
  let answered = false;
  const long = ask(own, 'POST', '/collections/a/points/query/batch', {searches: times(64, one)});
  long.finally(() => { answered = true; }).catch(() => {});
  const both = async () => /^akin_http_in_flight 2$/m.test((await ask(own, 'GET', '/metrics')).body); // metrics is one
  while (!answered && !(await both()));
  const [reply, code] = await Promise.all([long, own.stop()]);
  assert.equal(reply.status, 200, JSON.stringify(reply.body.status));
  assert.equal(reply.body.result.length, 64);
  assert.equal(code, 0);
});

test('the reply to endless lines ends, and counts while they come', async () => {
  const small = await startServer(['--http-max-body', '64K']);
  const open = () => http(`${small.url}/collections/a/points/bulk`, {method: 'POST', headers: {'transfer-encoding': 'chunked'}});
  const reply = async (request) => {
    const [response] = await once(request, 'response');
    let text = '';
    for await (const part of response) text += part;
    return {status: response.statusCode, text};
  };
  try {
    await ask(small, 'PUT', '/collections/a', {vectors: {size: 2, distance: 'Cosine'}});
    const good = (n) => Array.from({length: n}, (_, i) => JSON.stringify(point(i))).join('\n') + '\n';
    const one = open();
    one.end(good(1000) + 'x\n'.repeat(10) + good(500) + 'x\n'.repeat(70000) + JSON.stringify(point(5000)));
    const {status, text} = await reply(one);
    assert.equal(status, 200, text);
    const lines = text.trimEnd().split('\n').map((l) => JSON.parse(l));
    const sums = lines.pop();
    assert.deepEqual(sums, {added: 1001, updated: 0, unchanged: 500, failed: 70010, untold: 71511 - lines.length});
    assert.ok(text.length > 16384 && text.length < 17000, String(text.length));
    const bad = lines.filter((l) => l.status === 'failed').map((l) => l.line);
    assert.deepEqual(bad.slice(0, 11), [...Array.from({length: 10}, (_, i) => 1001 + i), 1511], 'failures are told for longer');
    assert.deepEqual(lines.slice(0, 100).map((l) => l.line), Array.from({length: 100}, (_, i) => i + 1));

    // Sixteen times 16 KiB of outcomes are the 256 KiB that are told to all. They
    // are in nobody's way, but the next stream is only counted.
    const large = {query: [1, 1], filler: 'x'.repeat(60000)};
    const ask60 = async () => (await ask(small, 'POST', '/collections/a/points/query', large)).status;
    const many = [];
    const stream = (lines) => {
      const request = open();
      request.on('error', () => {}); // its answer says so
      const answer = reply(request);
      answer.catch(() => {}); // until it is waited for
      request.write(lines);
      return {request, answer};
    };
    while (many.length < 17) {
      many.push(stream(JSON.stringify(point(10000 + many.length)) + '\n' + 'x\n'.repeat(16600)));
      const count = async () => (await ask(small, 'POST', '/collections/a/points/count', {})).body.result.count;
      const busy = async () => !/^akin_http_in_flight 1$/m.test((await ask(small, 'GET', '/metrics')).body); // itself
      await until('the piece is done with', async () => {
        const n = await count();
        return n === 1001 + many.length && !(await busy()) || `${n} points`;
      });
    }
    assert.deepEqual(await Promise.all(times(4).map(ask60)), [200, 200, 200, 200]);

    // One fails and goes on sending: what it was told is free for another.
    many[0].request.write('y'.repeat(70000));
    await until('there is room again', async () => {
      const {request, answer} = stream('x\n');
      request.end();
      const {text} = await answer;
      return text.startsWith('{"line":1,') || text;
    });
    for (const {request} of many) request.end();
    const [failed, ...replies] = await Promise.all(many.map((m) => m.answer));
    assert.equal(failed.status, 413, failed.text);
    const untold = replies.pop();
    assert.deepEqual(JSON.parse(untold.text), {added: 1, updated: 0, unchanged: 0, failed: 16600, untold: 16601});
    for (const {status, text} of replies) {
      assert.equal(status, 200, text);
      assert.ok(text.includes('"failed":16600,') && text.length > 10000 && text.length < 17000, text.slice(-200));
    }
  } finally {
    assert.equal(await small.stop(), 0);
  }
});
