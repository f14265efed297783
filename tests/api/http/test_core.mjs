// What every request goes through: errors, limits, keys, connections, metrics.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {connect} from 'node:net';
import {after, before, describe, test} from 'node:test';
import {Validator} from '@seriousme/openapi-schema-validator';
import {ask, startServer} from './server.mjs';

const alive = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

// Raw bytes to the server; everything it says until it closes, or we do after so many ms without a word.
function raw(server, text, patience = 0) {
  return new Promise((resolve, reject) => {
    const {port} = new URL(server.url);
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let reply = '';
    if (patience) socket.setTimeout(patience, () => socket.destroy());
    socket.on('data', (d) => { reply += d; });
    socket.on('close', () => resolve(reply));
    socket.on('error', (e) => (reply ? resolve(reply) : reject(e)));
  });
}

describe('core', () => {
  // Of the impatient one no connection is used again: fetch would, at the moment when it is closed.
  let server, impatient;
  before(async () => {
    server = await startServer(['--http-max-body', '64K']);
    impatient = await startServer(['--http-idle-timeout', '2']);
  });
  after(async () => {
    assert.equal(await server?.stop(), 0);
    assert.equal(await impatient?.stop(), 0);
  });

  test('alive, ready, version', async () => {
    assert.equal((await ask(server, 'GET', '/healthz')).status, 200);
    assert.equal((await ask(server, 'GET', '/readyz')).status, 200);
    const version = (await ask(server, 'GET', '/', undefined, {accept: 'application/json'})).body;
    assert.match(version.version, /^1\./);
    const page = await ask(server, 'GET', '/', undefined, {accept: 'text/html'});
    assert.match(page.headers.get('content-type'), /text\/html/);
    assert.match(page.headers.get('content-security-policy'), /default-src 'none'/);
    const etag = page.headers.get('etag');
    assert.equal((await ask(server, 'GET', '/', undefined, {accept: 'text/html', 'if-none-match': etag})).status, 304);
  });

  test('errors come in the envelope, with the right status', async () => {
    const cases = [['GET', '/nowhere', undefined, 404], ['POST', '/healthz', undefined, 405],
      ['GET', '/collections/none', undefined, 404], ['PUT', '/collections/a', '{"vectors":', 400],
      ['PUT', '/collections/a', '[]', 400], ['PUT', '/collections/a', '{"vectors":{"size":0}}', 400],
      ['GET', '/collections/%zz', undefined, 400], ['GET', '/collections/%00', undefined, 400]];
    for (const [method, path, body, status] of cases) {
      const reply = await ask(server, method, path, body);
      assert.equal(reply.status, status, `${method} ${path}`);
      assert.equal(typeof reply.body.status.error, 'string');
      assert.equal(typeof reply.body.time, 'number');
    }
    assert.equal((await ask(server, 'POST', '/healthz')).headers.get('allow'), 'GET');
  });

  test('a body over the limit is refused, declared or not', async () => {
    const big = JSON.stringify({x: 'y'.repeat(100 * 1024)});
    assert.equal((await ask(server, 'PUT', '/collections/a', big)).status, 413);
    const chunk = '8000\r\n' + 'a'.repeat(0x8000) + '\r\n';
    const reply = await raw(server, 'PUT /collections/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n' + chunk.repeat(3) + '0\r\n\r\n');
    assert.match(reply, /^HTTP\/1.1 413/);
    const unsent = await raw(server, 'PUT /collections/a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n');
    assert.match(unsent, /^HTTP\/1.1 413/, 'refused before it is sent');
    assert.equal((await ask(server, 'GET', '/healthz')).status, 200);
  });

  test('one connection answers several requests', async () => {
    const one = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';
    const last = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
    assert.equal((await raw(server, one + one + last)).match(/HTTP\/1.1 200/g).length, 3);
    const ready = 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n';
    assert.equal((await raw(server, ready + one + ready + last)).match(/HTTP\/1.1 200/g).length, 4);
    const post = 'POST /collections/none/points/count HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}';
    assert.equal((await raw(server, post + post + last)).match(/HTTP\/1.1 404/g).length, 2);
  });

  test('requests that are no HTTP, or huge, or slow, end the connection only', async () => {
    await raw(impatient, '\x00\xff\xfe nonsense\r\n\r\n');
    assert.match(await raw(impatient, 'GET /' + 'a'.repeat(200000) + ' HTTP/1.1\r\n\r\n'), /^(HTTP\/1.1 4(14|31|13))?/);
    assert.match(await raw(impatient, 'GET / HTTP/1.1\r\n' + 'X-A: b\r\n'.repeat(20000) + '\r\n'), /^(HTTP\/1.1 4(31|13))?/);
    assert.equal(await raw(impatient, 'GET / HTTP/1.1\r\nHost:'), '', 'the silence is ended by the server');
    assert.match(await raw(impatient, alive), /^HTTP\/1.1 200/);
  });

  test('headers that come byte by byte do not hold a connection', async () => {
    const {port} = new URL(impatient.url);
    const socket = connect(port, '127.0.0.1');
    const dawdle = setInterval(() => socket.write('x'), 100);
    socket.on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nX-Slow: ');
    await once(socket, 'close'); // by the server
    clearInterval(dawdle);
    assert.match(await raw(impatient, alive), /^HTTP\/1.1 200/);
  });

  test('a client that goes away while a worker runs does no harm', async () => {
    for (let i = 0; i < 30; i++)
      await raw(server, 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n', 1);
    assert.equal((await ask(server, 'GET', '/readyz')).status, 200);
  });

  test('only so many connections are taken, the next waits until one ends', async () => {
    const few = await startServer(['--http-connections', '4']);
    try {
      const {port} = new URL(few.url);
      const request = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';
      const sockets = Array.from({length: 5}, () => connect(port, '127.0.0.1').on('error', () => {}));
      for (const socket of sockets.slice(0, 4)) {
        socket.write(request);
        await once(socket, 'data');
      }
      let answered = false;
      const fifth = once(sockets[4], 'data').then(() => { answered = true; });
      sockets[4].write(request);
      for (let i = 0; i < 20; i++) {
        sockets[0].write(request);
        await once(sockets[0], 'data');
      }
      assert.equal(answered, false);
      sockets[0].destroy();
      await fifth;
      for (const socket of sockets) socket.destroy();
    } finally {
      assert.equal(await few.stop(), 0);
    }
  });

  test('a search that takes longer than it may is ended', async () => {
    const hasty = await startServer(['--http-query-timeout', '1']);
    try {
      await ask(hasty, 'PUT', '/collections/a', {vectors: {size: 2, distance: 'Cosine'}});
      const points = Array.from({length: 3000}, (_, id) => ({id, vector: [1, id], payload: {text: 'many words '.repeat(20)}}));
      await ask(hasty, 'PUT', '/collections/a/points', {points});
      // Sixty substrings looked for in each of 3,000 texts: some 100 ms.
      const must_not = Array.from({length: 60}, (_, i) => ({key: 'text', match: {text: `word${i}`}}));
      const late = await ask(hasty, 'POST', '/collections/a/points/query', {query: [1, 1], filter: {must_not}});
      assert.equal(late.status, 504);
      assert.match(late.body.status.error, /more than 1 ms/);
      assert.equal((await ask(hasty, 'GET', '/collections/a')).body.result.points_count, 3000);
    } finally {
      assert.equal(await hasty.stop(), 0);
    }
  });

  test('only so many may listen to events', async () => {
    const listening = await Promise.all(Array.from({length: 64}, () => fetch(`${server.url}/jobs/events`)));
    assert.ok(listening.every((r) => r.status === 200));
    const one = await ask(server, 'GET', '/jobs/events');
    assert.equal(one.status, 503);
    assert.match(one.body.status.error, /already/);
    assert.equal(one.headers.get('retry-after'), '1');
    await Promise.all(listening.map((r) => r.body.cancel()));
  });

  test('pages of other sites may not change anything', async () => {
    const refused = await ask(server, 'DELETE', '/collections/a', undefined, {origin: 'http://evil.example'});
    assert.equal(refused.status, 403);
    const own = await ask(server, 'DELETE', '/collections/a', undefined, {origin: server.url});
    assert.equal(own.status, 200);
  });

  test('metrics are what Prometheus reads', async () => {
    const {body, headers} = await ask(server, 'GET', '/metrics');
    assert.match(headers.get('content-type'), /^text\/plain; version=0.0.4/);
    const types = new Map();
    for (const line of body.trimEnd().split('\n')) {
      const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
      if (type) {
        assert.ok(!types.has(type[1]), `${type[1]} twice`);
        types.set(type[1], type[2]);
      } else if (!line.startsWith('# HELP ')) {
        const sample = /^([a-z_]+)(\{([a-z]+="([^"\\\n]|\\.)*",?)*\})? (\S+)$/.exec(line);
        assert.ok(sample, line);
        assert.ok(sample[5] === '+Inf' || Number.isFinite(Number(sample[5])), line);
        const family = sample[1].replace(/_(bucket|sum|count)$/, '');
        assert.ok(types.has(family) || types.has(sample[1]), line);
      }
    }
    assert.match(body, /akin_request_seconds_count\{front="http",command="healthz"\} \d+/);
    const buckets = [...body.matchAll(/_bucket\{front="http",command="healthz",le="[^"]+"\} (\d+)/g)].map((m) => Number(m[1]));
    assert.ok(buckets.every((n, i) => !i || n >= buckets[i - 1]), 'buckets grow');
  });

  test('the description is valid OpenAPI and names every path', async () => {
    const {body} = await ask(server, 'GET', '/openapi.json');
    const result = await new Validator().validate(body);
    assert.ok(result.valid, JSON.stringify(result.errors, null, 1)?.slice(0, 2000));
    for (const path of ['/collections/{collection}/points/query', '/metrics', '/v1/embeddings'])
      assert.ok(body.paths[path], path);
    const named = JSON.stringify(body).matchAll(/#\/components\/schemas\/(\w+)/g);
    for (const [, name] of named) assert.ok(body.components.schemas[name] !== undefined, name);
  });
});

describe('with a password', () => {
  let server;
  before(async () => { server = await startServer(['--requirepass', 's3cret']); });
  after(async () => { assert.equal(await server?.stop(), 0); });

  test('only those who know it may ask', async () => {
    const status = async (headers) => (await ask(server, 'GET', '/collections', undefined, headers)).status;
    assert.equal(await status({}), 401);
    assert.equal(await status({'api-key': 's3cre'}), 401);
    assert.equal(await status({'api-key': 's3crets3cret'}), 401);
    assert.equal(await status({authorization: 'Bearer wrong'}), 401);
    assert.equal(await status({'api-key': 's3cret'}), 200);
    assert.equal(await status({authorization: 'Bearer s3cret'}), 200);
    assert.equal(await status({cookie: 'akin_key=s3cret'}), 200);
    assert.equal(await status({cookie: 'akin_key=%'}), 401);
    assert.equal((await ask(server, 'GET', '/metrics')).status, 401);
    assert.equal((await ask(server, 'GET', '/healthz')).status, 200);
  });
});
