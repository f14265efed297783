// Pictures and texts: upload, bulk, questions in words and pictures, thumbnails, embeddings, jobs.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {request as http} from 'node:http';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {ask, model, startServer} from './server.mjs';
import {all, base64, picture} from './pictures.mjs';

const skip = existsSync(join(model, 'model.safetensors')) ? false : 'no model in models/starter';

describe('pictures', {skip}, () => {
  let server;
  const post = (path, body) => ask(server, 'POST', `/collections/shop/points${path}`, body);
  const ids = (points) => points.map((p) => p.id);

  before(async () => {
    server = await startServer();
    assert.equal((await ask(server, 'PUT', '/collections/shop', {payload_schema: {colour: 'keyword'}})).status, 200);
  });
  after(async () => { assert.equal(await server?.stop(), 0); });

  test('a form of pictures, one of them broken', async () => {
    const form = new FormData();
    for (const p of all) {
      form.append('caption', p.caption);
      form.append('payload', JSON.stringify({colour: p.colour, shape: p.shape}));
      form.append('file', new Blob([p.data]), p.name);
    }
    form.append('id', 'broken');
    form.append('file', new Blob(['not a picture']), 'broken.png');
    const reply = await fetch(`${server.url}/collections/shop/points/upload`, {method: 'POST', body: form});
    const {result} = await reply.json();
    assert.equal(reply.status, 200, JSON.stringify(result));
    assert.deepEqual(result.map((r) => r.status), [...all.map(() => 'added'), 'failed']);
    assert.deepEqual(result.map((r) => r.id), [...all.map((p) => p.name), 'broken']);
    assert.ok(result.at(-1).error.length > 5);
    const again = new FormData();
    again.append('file', new Blob([all[0].data]), all[0].name);
    const second = await (await fetch(`${server.url}/collections/shop/points/upload`, {method: 'POST', body: again})).json();
    assert.equal(second.result[0].status, 'unchanged');
  });

  test('an empty file of an upload is not the next one', async () => {
    const form = new FormData();
    const file = (data, name) => form.append('file', new Blob([data]), name);
    const [x, y] = ['red', 'blue'].map((colour) => picture('circle', colour));
    file('', 'empty-a.svg');
    file(x, 'b.svg');
    form.append('id', 'c');
    form.append('caption', 'the third');
    file('', 'same.svg');
    form.append('id', 'd');
    form.append('payload', '{"fourth":true}');
    file(y, 'same.svg');
    file('', 'empty-e.svg');
    const {result} = await (await fetch(`${server.url}/collections/shop/points/upload`, {method: 'POST', body: form})).json();
    assert.deepEqual(result.map((r) => [r.id, r.status]), [['empty-a.svg', 'failed'], ['b.svg', 'added'], ['c', 'failed'], ['d', 'added'], ['empty-e.svg', 'failed']]);
    const {body} = await ask(server, 'GET', '/collections/shop/points/d?details=1');
    assert.deepEqual(body.result.payload, {fourth: true});
    assert.equal(body.result.caption ?? null, null);
    const {body: near} = await post('/query', {query: {image: base64(x)}, limit: 2});
    assert.deepEqual(ids(near.result.points).sort(), ['b.svg', 'red-circle.svg']);
    await post('/delete', {points: ['b.svg', 'd']});
  });

  test('lines, good and bad, many more than a batch', async () => {
    const line = (i) => (i === 77 ? '{"id": 77, ' : JSON.stringify({id: 1000 + i, caption: `thing ${i % 7}`, payload: {n: i}}));
    const lines = Array.from({length: 200}, (_, i) => line(i));
    const reply = await fetch(`${server.url}/collections/shop/points/bulk`, {method: 'POST', body: lines.join('\n') + '\n\n'});
    assert.match(reply.headers.get('content-type'), /ndjson/);
    const results = (await reply.text()).trimEnd().split('\n').map((l) => JSON.parse(l));
    assert.deepEqual(results.pop(), {added: 199, updated: 0, unchanged: 0, failed: 1, untold: 0});
    assert.equal(results.length, 200);
    assert.deepEqual(results.map((r) => r.line), lines.map((_, i) => i + 1));
    assert.equal(results[77].status, 'failed');
    assert.equal(results.filter((r) => r.status === 'added').length, 199);
    const {body} = await post('/delete', {filter: {must: [{key: 'n', range: {gte: 0}}]}});
    assert.equal(body.status, 'ok');
    assert.equal((await post('/count', {})).body.result.count, all.length);
  });

  test('a body longer than the limit of memory is read in pieces', async () => {
    const filler = 'x'.repeat(30000);
    const lines = Array.from({length: 600}, (_, i) => JSON.stringify({id: `big-${i}`, payload: {big: true, filler}}));
    const reply = await fetch(`${server.url}/collections/shop/points/bulk`, {method: 'POST', body: lines.join('\n')});
    const text = await reply.text();
    assert.equal(text.match(/"status":"added"/g)?.length, 600, text.slice(0, 300));
    await post('/delete', {filter: {must: [{key: 'big', match: {value: true}}]}});
    assert.equal((await post('/count', {})).body.result.count, all.length);
  });

  test('chunks that come faster than they are put are not lost', async () => {
    const filler = 'x'.repeat(2000);
    const lines = Array.from({length: 6000}, (_, i) => JSON.stringify({id: `quick-${i}`, payload: {quick: true, filler}}) + '\n').join('');
    const request = http(`${server.url}/collections/shop/points/bulk`, {method: 'POST', headers: {'transfer-encoding': 'chunked'}});
    for (let at = 0; at < lines.length; at += 7001) request.write(lines.slice(at, at + 7001));
    request.end();
    const [reply] = await once(request, 'response');
    let text = '';
    for await (const part of reply) text += part;
    assert.equal(text.match(/"status":"added"/g)?.length, 6000, text.slice(0, 300));
    const [last, sums] = text.trimEnd().split('\n').slice(-2).map((l) => JSON.parse(l));
    assert.equal(last.line, 6000);
    assert.equal(sums.added, 6000);
    await post('/delete', {filter: {must: [{key: 'quick', match: {value: true}}]}});
    assert.equal((await post('/count', {})).body.result.count, all.length);
  });

  test('questions in pictures, words, and both with weights', async () => {
    const {body: same} = await post('/query', {query: {image: base64(picture('circle', 'red'))}, limit: 3, with_details: true});
    assert.equal(same.result.points[0].id, 'red-circle.svg');
    assert.ok(same.result.points[0].score > 0.99);
    assert.equal(same.result.points[0].caption, 'a red circle');
    const {body: words} = await post('/query', {query: {text: 'a red circle'}, limit: 12, with_payload: true});
    assert.equal(words.result.points.length, 12);
    assert.equal(words.result.points[0].payload.colour, 'red');
    const {body: filtered} = await post('/query', {query: {text: 'circle'}, filter: {must: [{key: 'colour', match: {value: 'blue'}}]}});
    assert.deepEqual(ids(filtered.result.points).sort(), ['blue-circle.svg', 'blue-square.svg', 'blue-triangle.svg']);
    const {body: mixed} = await post('/query', {query: {terms: [{id: 'red-circle.svg'}, {text: 'square', weight: -0.5}]}, limit: 3});
    assert.equal(mixed.result.points.length, 3);
    assert.ok(!ids(mixed.result.points).includes('red-circle.svg'));
    const {body: link} = await post('/query', {query: {image: 'http://example.com/a.png'}});
    assert.match(link.status.error, /not fetched/);
    assert.equal((await post('/query', {query: {image: base64('nope')}})).status, 415);
  });

  test('an item, its thumbnail, in parts and again', async () => {
    const {body} = await ask(server, 'GET', '/collections/shop/points/red-circle.svg?details=1&vector=false');
    assert.equal(body.result.caption, 'a red circle');
    assert.ok(body.result.picture.width > 0 && body.result.picture.width === body.result.picture.height);
    assert.equal(body.result.vector, undefined);
    const url = `${server.url}/collections/shop/points/red-circle.svg/thumbnail`;
    const whole = await fetch(url);
    assert.match(whole.headers.get('content-type'), /^image\//);
    const bytes = Buffer.from(await whole.arrayBuffer());
    const etag = whole.headers.get('etag');
    assert.equal((await fetch(url, {headers: {'if-none-match': etag}})).status, 304);
    const part = await fetch(url, {headers: {range: 'bytes=10-19'}});
    assert.equal(part.status, 206);
    assert.equal(part.headers.get('content-range'), `bytes 10-19/${bytes.length}`);
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(10, 20));
    const tail = await fetch(url, {headers: {range: 'bytes=-5'}});
    assert.deepEqual(Buffer.from(await tail.arrayBuffer()), bytes.subarray(-5));
    assert.equal((await fetch(url, {headers: {range: 'bytes=9999999-'}})).status, 200);
    assert.equal((await fetch(url, {method: 'HEAD'})).headers.get('content-length'), String(bytes.length));
    assert.equal((await fetch(url.replace('red-circle', 'none'))).status, 404);
  });

  test('upsert of a picture replaces, an id may hold slashes', async () => {
    const id = 'a/b c?.svg';
    const put = await ask(server, 'PUT', '/collections/shop/points', {points: [
      {id, vector: {image: base64(picture('square', 'black'))}, caption: 'tile', payload: {colour: 'black'}}]});
    assert.equal(put.body.status, 'ok');
    const path = `/collections/shop/points/${encodeURIComponent(id)}`;
    assert.equal((await ask(server, 'GET', `${path}?details`)).body.result.caption, 'tile');
    assert.equal((await fetch(server.url + path + '/thumbnail')).status, 200);
    const bad = await ask(server, 'PUT', '/collections/shop/points', {points: [{id: 'x', vector: {image: base64('?')}}]});
    assert.equal(bad.status, 415);
    assert.equal((await ask(server, 'GET', '/collections/shop/points/x')).status, 404);
    await post('/delete', {points: [id]});
  });

  test('embeddings, as programs of others ask for them', async () => {
    const embed = async (body) => (await ask(server, 'POST', '/v1/embeddings', body));
    const {body} = await embed({model: 'clip', input: ['a red circle', {image: base64(picture('circle', 'red'))}]});
    assert.deepEqual(body.data.map((d) => d.index), [0, 1]);
    assert.ok(Math.abs(Math.hypot(...body.data[0].embedding) - 1) < 1e-3);
    const {body: packed} = await embed({input: 'a red circle', encoding_format: 'base64'});
    const bytes = Buffer.from(packed.data[0].embedding, 'base64');
    const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    assert.ok(floats.every((x, i) => Math.abs(x - body.data[0].embedding[i]) < 1e-6));
    assert.equal((await embed({input: []})).status, 400);
    assert.equal((await embed({input: [3]})).status, 400);
  });

  test('jobs are started and told live', async () => {
    const events = await fetch(`${server.url}/jobs/events`);
    assert.match(events.headers.get('content-type'), /event-stream/);
    const reader = events.body.pipeThrough(new TextDecoderStream()).getReader();
    const {body} = await ask(server, 'POST', '/collections/shop/rebuild');
    assert.equal(body.result.kind, 'rebuild');
    let seen = '';
    while (!/"state":"done"/.test(seen)) {
      const {value, done} = await reader.read();
      assert.ok(!done, seen);
      seen += value;
    }
    await reader.cancel();
    assert.match(seen, /event: jobs\ndata: \[/);
    const job = (await ask(server, 'GET', `/jobs/${body.result.id}`)).body.result;
    assert.equal(job.state, 'done');
    assert.equal((await ask(server, 'GET', '/jobs')).body.result[0].id, job.id);
    assert.equal((await ask(server, 'GET', '/jobs/x')).status, 400);
    assert.equal((await ask(server, 'GET', '/jobs/999')).status, 404);
  });

  test('duplicates: paged with the evidence, told apart, thinned out', async () => {
    await ask(server, 'PUT', '/collections/twins', {});
    const red = base64(picture('circle', 'red')), blue = base64(picture('square', 'blue'));
    const points = [{id: 1, vector: {image: red}, payload: {tag: 'a'}}, {id: 'two', vector: {image: red}, caption: 'a disc', payload: {tag: 'b'}},
      {id: 3, vector: {image: blue}}, {id: 4, vector: {image: blue}}, {id: 5, vector: {image: base64(picture('triangle', 'green'))}}];
    assert.equal((await ask(server, 'PUT', '/collections/twins/points', {points})).status, 200);
    const twins = (path, body) => ask(server, 'POST', `/collections/twins/duplicates${path}`, body);
    const ids = (page) => page.groups.map((g) => g.members.map((m) => m.id));

    const first = (await twins('', {level: 'exact', limit: 1})).body.result;
    assert.deepEqual(ids(first), [[1, 'two']]);
    assert.equal(first.pending, 0);
    const [centre, other] = first.groups[0].members;
    assert.equal(first.groups[0].level, 'exact');
    assert.ok(first.groups[0].keep === 1 && centre.keep && !other.keep && first.groups[0].why);
    assert.equal(centre.beside, undefined);
    assert.deepEqual([other.beside, other.level, other.same, other.turn], [1, 'exact', 'bytes', 1]);
    assert.ok(other.width > 0 && other.cosine > 0.999, JSON.stringify(other));
    const second = (await twins('', {level: 'exact', limit: 1, cursor: first.cursor})).body.result;
    assert.deepEqual(ids(second), [[3, 4]]);
    assert.equal(second.cursor, 0);

    assert.equal((await twins('/dismiss', {points: [3, 4]})).body.result, true);
    assert.deepEqual(ids((await twins('', {})).body.result), [[1, 'two']]);
    assert.equal((await twins('/dismiss', {points: [3, 4], undo: true})).status, 200);
    assert.equal((await twins('', {})).body.result.groups.length, 2);

    assert.deepEqual((await twins('/keep', {keep: 1, points: ['two']})).body.result, {removed: 1, merged: true});
    assert.deepEqual(ids((await twins('', {})).body.result), [[3, 4]]);
    const kept = (await ask(server, 'GET', '/collections/twins/points/1?details=1')).body.result;
    assert.equal(kept.caption, 'a disc');
    assert.equal(kept.payload.tag, 'a');
    assert.deepEqual((await twins('/keep', {keep: 4, points: [3], merge: false})).body.result, {removed: 1, merged: false});
    assert.equal((await ask(server, 'POST', '/collections/twins/points/count', {})).body.result.count, 3);

    for (const [path, body, status] of [['', {level: 'odd'}, 400], ['', {limit: 0}, 400], ['/dismiss', {points: [1]}, 400], ['/dismiss', {}, 400],
      ['/dismiss', {points: [1, 'none']}, 404], ['/keep', {keep: 4, points: [4]}, 400], ['/keep', {keep: 4, points: ['none'], merge: false}, 404],
      ['/keep', {points: [1]}, 400], ['/keep', {keep: 4}, 400]])
      assert.equal((await twins(path, body)).status, status, path + JSON.stringify(body));
    assert.equal((await ask(server, 'POST', '/collections/none/duplicates', {})).status, 404);
    assert.equal((await ask(server, 'POST', '/collections/twins/points/count', {})).body.result.count, 3);
  });

  test('groups by a field', async () => {
    const {body} = await post('/query/groups', {query: {text: 'circle'}, group_by: 'colour', group_size: 2, limit: 4});
    assert.equal(body.result.groups.length, 4);
    for (const group of body.result.groups) {
      assert.equal(group.hits.length, 2);
      assert.ok(group.hits.every((h) => h.payload.colour === group.id));
    }
  });

  test('the server stops while someone listens', async () => {
    const events = await fetch(`${server.url}/jobs/events`);
    const text = events.text();
    assert.equal(await server.stop(), 0);
    assert.match(await text, /akin/);
  });
});
