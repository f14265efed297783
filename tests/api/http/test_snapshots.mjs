// Snapshots by the official client; their files by range; compressed replies; ETags.
import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {get} from 'node:http';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import {gunzipSync} from 'node:zlib';
import {QdrantClient} from '@qdrant/js-client-rest';
import {ask, startServer} from './server.mjs';

let server, client;
before(async () => {
  server = await startServer();
  client = new QdrantClient({url: server.url});
  await client.createCollection('shop', {vectors: {size: 64, distance: 'Cosine'}});
  const points = Array.from({length: 3000}, (_, i) => ({id: i, payload: {n: i, text: `number ${i}`},
    vector: Array.from({length: 64}, (_, j) => Math.sin(i * 64 + j))}));
  await client.upsert('shop', {points});
});
after(async () => { assert.equal(await server?.stop(), 0); });

// The bytes as they come, nothing decoded.
async function plain(path, headers = {}) {
  const [reply] = await once(get(server.url + path, {headers}), 'response');
  const parts = [];
  for await (const part of reply) parts.push(part);
  return {status: reply.statusCode, headers: reply.headers, body: Buffer.concat(parts)};
}

test('snapshots are made, listed, fetched, deleted', async () => {
  for (const [of, make, list, drop] of [
    ['/collections/shop', () => client.createSnapshot('shop'), () => client.listSnapshots('shop'), (n) => client.deleteSnapshot('shop', n)],
    ['', () => client.createFullSnapshot(), () => client.listFullSnapshots(), (n) => client.deleteFullSnapshot(n)]]) {
    assert.deepEqual(await list(), []);
    const made = await make();
    assert.match(made.name, /^(shop|full)-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d\.snapshot$/);
    assert.match(made.creation_time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
    assert.deepEqual(await list(), [made]);
    const path = `${of}/snapshots/${made.name}`;
    const whole = await plain(path);
    assert.equal(whole.body.length, made.size);
    assert.equal(createHash('sha256').update(whole.body).digest('hex'), made.checksum);
    assert.match(whole.headers['content-disposition'], /^attachment; filename="/);
    assert.equal(whole.body.subarray(0, 7).toString(), 'akin.db');
    for (const [range, from, to] of [['bytes=0-0', 0, 0], ['bytes=300000-', 300000, made.size - 1],
      [`bytes=${made.size - 5}-${made.size + 5}`, made.size - 5, made.size - 1], ['bytes=-700', made.size - 700, made.size - 1],
      ['bytes=1000-700000', 1000, 700000]]) {
      const part = await plain(path, {range});
      assert.equal(part.status, 206, range);
      assert.equal(part.headers['content-range'], `bytes ${from}-${to}/${made.size}`);
      assert.ok(part.body.equals(whole.body.subarray(from, to + 1)), range);
    }
    assert.equal((await plain(path, {range: 'bytes=5-9', 'if-range': '"other"'})).body.length, made.size);
    assert.equal((await plain(path, {range: 'bytes=5-9', 'if-range': whole.headers.etag})).body.length, 5);
    assert.equal((await plain(path, {'if-none-match': `"x", ${whole.headers.etag}`})).status, 304);
    assert.equal((await fetch(server.url + path, {method: 'HEAD'})).headers.get('content-length'), String(made.size));
    assert.equal(await drop(made.name), true);
    assert.deepEqual(await list(), []);
    await assert.rejects(drop(made.name), {status: 404});
    assert.equal((await plain(path)).status, 404);
  }
  await assert.rejects(client.createSnapshot('none'), {status: 404});
  await assert.rejects(client.listSnapshots('none'), {status: 404});
});

test('a collection becomes what it was in a snapshot', async () => {
  const count = async (name) => (await client.count(name)).count;
  await client.createPayloadIndex('shop', {field_name: 'n', field_schema: 'float'});
  await client.updateCollectionAliases({actions: [{create_alias: {collection_name: 'shop', alias_name: 'store'}}]});
  const made = await client.createSnapshot('shop');
  await client.delete('shop', {filter: {must: [{key: 'n', range: {lt: 2900}}]}});
  await client.upsert('shop', {points: [{id: 9999, vector: Array(64).fill(1)}]});
  assert.equal(await count('shop'), 101);
  for (const name of ['shop', 'store']) {
    assert.equal(await client.recoverSnapshot(name, {location: made.name, checksum: made.checksum}), true);
    assert.equal(await count('shop'), 3000);
    assert.equal(await count('store'), 3000, 'the alias stays');
    await client.delete('shop', {points: [1, 2, 3]});
  }
  assert.deepEqual(Object.keys((await client.getCollection('shop')).payload_schema), ['n']);
  const vector = Array.from({length: 64}, (_, j) => Math.sin(77 * 64 + j));
  assert.equal((await client.query('shop', {query: vector, limit: 1})).points[0].id, 77);
  assert.equal((await client.count('shop', {filter: {must: [{key: 'n', range: {lt: 10}}]}})).count, 7);
  const file = `file://${server.data}/snapshots/collections/shop/${made.name}`;
  assert.equal(await client.recoverSnapshot('copy', {location: file}), true);
  assert.equal(await count('copy'), 3000);
  assert.equal(await count('shop'), 2997);
  await client.deleteCollection('shop');
  assert.equal(await client.recoverSnapshot('shop', {location: made.name}), true);
  assert.deepEqual((await client.getCollections()).collections.map((c) => c.name), ['copy', 'shop']);
  await server.restart();
  client = new QdrantClient({url: server.url});
  assert.equal(await count('shop'), 3000);
  assert.equal(await count('copy'), 3000);
  assert.equal((await client.query('copy', {query: vector, limit: 1})).points[0].id, 77);
  await client.deleteCollection('copy');
  await client.deleteSnapshot('shop', made.name);
});

test('what cannot be recovered is refused, and nothing changes', async () => {
  const made = await client.createSnapshot('shop'), full = await client.createFullSnapshot();
  const home = join(server.data, 'snapshots', 'collections', 'shop');
  const bytes = readFileSync(join(home, made.name));
  const put = (name, data) => writeFileSync(join(home, `${name}.snapshot`), data);
  const flipped = (at) => { const copy = Buffer.from(bytes); copy[at] ^= 0x55; return copy; };
  put('flipped', flipped(512 + 9000));
  put('header', flipped(3));
  put('short', bytes.subarray(0, 100000));
  put('empty', '');
  put('text', 'no tar '.repeat(1000));
  put('blank', Buffer.alloc(1024));
  writeFileSync(join(server.data, 'outside.snapshot'), bytes);
  symlinkSync(join(server.data, 'outside.snapshot'), join(home, 'link.snapshot'));
  const cases = [[{}, 400], [{location: 7}, 400], [{location: ''}, 404], [{location: 'none.snapshot'}, 404],
    [{location: '../../../akin.db'}, 404], [{location: `file://${server.data}/akin.db`}, 404], [{location: `file://${server.data}/outside.snapshot`}, 404],
    [{location: `file://${home}/../../../outside.snapshot`}, 404], [{location: 'link.snapshot'}, 404], [{location: 'file:///etc/passwd'}, 404],
    [{location: 'http://example.com/x.snapshot'}, 415], [{location: made.name, checksum: 'ab'.repeat(32)}, 422],
    ...['header', 'short', 'empty', 'text', 'blank'].map((n) => [{location: `${n}.snapshot`}, 422])];
  for (const [body, status] of cases) {
    const reply = await ask(server, 'PUT', '/collections/shop/snapshots/recover', body);
    assert.equal(reply.status, status, `${JSON.stringify(body)}: ${JSON.stringify(reply.body)}`);
  }
  const flip = await ask(server, 'PUT', '/collections/shop/snapshots/recover', {location: 'flipped.snapshot', checksum: made.checksum});
  assert.equal(flip.status, 422);
  await client.createCollection('second', {vectors: {size: 4, distance: 'Cosine'}});
  const two = await client.createFullSnapshot();
  const whole = await ask(server, 'PUT', '/collections/shop/snapshots/recover', {location: `file://${server.data}/snapshots/${two.name}`});
  assert.equal(whole.status, 415, JSON.stringify(whole.body));
  await client.deleteCollection('second');
  assert.equal((await client.count('shop')).count, 3000);
  assert.deepEqual((await client.getCollections()).collections.map((c) => c.name), ['shop']);
  for (const name of ['flipped', 'header', 'short', 'empty', 'text', 'blank']) await client.deleteSnapshot('shop', `${name}.snapshot`);
  await client.deleteSnapshot('shop', made.name);
  await client.deleteFullSnapshot(full.name);
  await client.deleteFullSnapshot(two.name);
});

test('names of snapshots lead nowhere else', async () => {
  await client.createFullSnapshot();
  for (const name of ['..%2f..%2fakin.db', '%2e%2e%2f%2e%2e%2fakin.db', 'akin.db', '..', '%2fetc%2fpasswd', '.making', 'x.snapshot', 'x.sha256'])
    for (const of of ['', '/collections/shop']) {
      for (const method of ['GET', 'DELETE']) {
        // Raw, because fetch resolves dots by itself.
        const [reply] = await once(get(server.url, {method, path: `${of}/snapshots/${name}`}), 'response');
        reply.resume();
        assert.equal(reply.statusCode, 404, `${method} ${of} ${name}`);
      }
    }
  assert.equal((await client.count('shop')).count, 3000);
  const [one] = await client.listFullSnapshots();
  await client.deleteFullSnapshot(one.name);
});

test('downloads that stop half way, and many at once, hold nothing up', async () => {
  const {name} = await client.createSnapshot('shop');
  const path = `/collections/shop/snapshots/${name}`;
  for (let i = 0; i < 20; i++) {
    const request = get(server.url + path);
    const [reply] = await once(request, 'response');
    if (i % 2) await once(reply, 'data');
    request.destroy();
  }
  const all = await Promise.all(Array.from({length: 12}, () => plain(path)));
  assert.ok(all.every((r) => r.body.equals(all[0].body)));
  assert.equal((await ask(server, 'GET', '/healthz')).status, 200);
  await client.deleteSnapshot('shop', name);
});

test('replies are compressed when asked for and worth it', async () => {
  const path = '/collections/shop/points/7';
  const long = '/openapi.json';
  const packed = await plain(long, {'accept-encoding': 'br;q=1.0, gzip'});
  assert.equal(packed.headers['content-encoding'], 'gzip');
  assert.equal(packed.headers.vary, 'Accept-Encoding');
  const bare = await plain(long);
  assert.equal(bare.headers['content-encoding'], undefined);
  assert.ok(gunzipSync(packed.body).equals(bare.body));
  assert.ok(packed.body.length * 3 < bare.body.length);
  for (const accept of ['identity', 'gzip;q=0', 'br', 'gzipped', ''])
    assert.equal((await plain(long, {'accept-encoding': accept})).headers['content-encoding'], undefined, accept);
  for (const accept of ['gzip', 'GZIP', '*', 'deflate, gzip;q=0.5', ' gzip '])
    assert.equal((await plain(long, {'accept-encoding': accept})).headers['content-encoding'], 'gzip', accept);
  const short = await plain('/healthz', {'accept-encoding': 'gzip'});
  assert.equal(short.headers['content-encoding'], undefined);
  assert.equal((await plain(`${path}?vector=false`, {'accept-encoding': 'gzip'})).headers['content-encoding'], undefined);
  const page = await plain('/', {accept: 'text/html', 'accept-encoding': 'gzip'});
  const again = await plain('/', {accept: 'text/html', 'accept-encoding': 'gzip'});
  assert.equal(page.headers['content-encoding'], 'gzip');
  assert.ok(again.body.equals(page.body));
  const identity = await plain('/', {accept: 'text/html'});
  assert.ok(gunzipSync(page.body).equals(identity.body));
  assert.notEqual(page.headers.etag, identity.headers.etag);
  for (const [etag, accept] of [[page.headers.etag, 'gzip'], [identity.headers.etag, 'identity']])
    assert.equal((await plain('/', {accept: 'text/html', 'accept-encoding': accept, 'if-none-match': etag})).status, 304);
  const range = await plain('/', {accept: 'text/html', 'accept-encoding': 'gzip', range: 'bytes=0-9'});
  assert.equal(range.status, 206);
  assert.ok(range.body.equals(identity.body.subarray(0, 10)));
  const scroll = await fetch(`${server.url}/collections/shop/points/scroll`, {method: 'POST', body: '{"limit": 500, "with_vector": true}'});
  assert.equal(scroll.headers.get('content-encoding'), 'gzip');
  assert.equal((await scroll.json()).result.points.length, 500);
});
