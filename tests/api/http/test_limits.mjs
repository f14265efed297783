// What one request may ask of the server.
import assert from 'node:assert/strict';
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
