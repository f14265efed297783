// The unmodified `redis` package does to akin what it does to Redis: its own
// vector-set methods where it has them, sendCommand for what only akin has.
// usage: node client.mjs SOCKET PICTURE
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createClient, RESP_TYPES } from 'redis';

const [, , path, picture] = process.argv;
const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-3, `${a} is not near ${b}`);

async function connection(client) {
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.echo('hello'), 'hello');
  assert.ok((await client.clientId()) > 0);
  assert.equal((await client.clientInfo()).libName, 'node-redis');
  await client.clientSetName('tester');
  assert.equal(await client.clientGetName(), 'tester');
  assert.match(await client.info(), /redis_version:/);
  const commands = await client.command();
  assert.equal(await client.commandCount(), commands.length);
  const vsim = commands.find(c => c.name === 'vsim');
  assert.equal(vsim.arity, -4);
}

async function vectorSet(client) {
  assert.equal(await client.vAdd('n', [1, 0, 0], 'a', { SETATTR: { year: 1950 } }), true);
  assert.equal(await client.vAdd('n', [0, 1, 0], 'b',
    { CAS: true, QUANT: 'NOQUANT', EF: 200, M: 16, SETATTR: { year: 1951 } }), true);
  assert.equal(await client.vAdd('n', [-1, 0, 0], 'c'), true);
  assert.equal(await client.vAdd('n', [-2, 0, 0], 'c'), false);
  assert.equal(await client.vCard('n'), 3);
  assert.equal(await client.vDim('n'), 3);
  assert.deepEqual(await client.vEmb('n', 'b'), [0, 1, 0]);
  assert.equal(await client.sendCommand(['VEMB', 'n', 'nobody']), null);
  const raw = await client.vEmbRaw('n', 'c');
  assert.equal(raw.quantization, 'fp32');
  near(raw.l2Norm, 2);
  assert.deepEqual(await client.vGetAttr('n', 'a'), { year: 1950 });
  assert.equal(await client.vSetAttr('n', 'c', { year: 1 }), true);
  assert.equal(await client.vSetAttr('n', 'nobody', { year: 1 }), false);
  assert.deepEqual(await client.vSim('n', 'a'), ['a', 'b', 'c']);
  assert.deepEqual(await client.vSim('n', [1, 0, 0], { COUNT: 1, EF: 50, TRUTH: true, NOTHREAD: true }), ['a']);
  assert.deepEqual(await client.vSim('n', 'a', { FILTER: '.year > 1950', 'FILTER-EF': 100 }), ['b']);
  const scores = await client.vSimWithScores('n', 'a');
  near(scores.a, 1);
  near(scores.b, 0.5);
  near(scores.c, 0);
  const info = await client.vInfo('n');
  assert.equal(info['vector-dim'], 3);
  assert.equal(info.size, 3);
  assert.ok(['a', 'b', 'c'].includes(await client.vRandMember('n')));
  assert.equal((await client.vRandMember('n', 2)).length, 2);
  assert.deepEqual(await client.vRange('n', '[b', '+', 10), ['b', 'c']);
  assert.equal(await client.vRem('n', 'b'), true);
  assert.equal(await client.vRem('n', 'b'), false);
  await assert.rejects(client.vDim('nothing'), /key does not exist/);
  await assert.rejects(client.vSim('n', [1, 0]), /3/);
  assert.equal(await client.sendCommand(['AKIN.DROP', 'n']), 'OK');
}

async function pictures(client) {
  const bytes = readFileSync(picture);
  assert.equal(Number(await client.sendCommand(
    ['VADD', 'p', 'IMAGE', bytes, 'one', 'CAPTION', 'a red circle', 'SETATTR', '{"x":1}'])), 1);
  assert.equal(Number(await client.sendCommand(['VADD', 'p', 'TEXT', 'a green square', 'two'])), 1);
  assert.equal((await client.sendCommand(['VSIM', 'p', 'IMAGE', bytes, 'COUNT', '1']))[0], 'one');
  assert.equal((await client.sendCommand(['VSIM', 'p', 'TEXT', 'green square', 'SPACE', 'caption']))[0], 'two');
  const embedded = await client.sendCommand(['AKIN.EMBED', 'TEXT', 'red circle']);
  assert.equal(embedded.length, await client.vDim('p'));
  assert.deepEqual(await client.vSim('p', (await client.vEmb('p', 'one')).map(Number), { COUNT: 1 }), ['one']);
  await assert.rejects(client.sendCommand(['VADD', 'p', 'IMAGE', 'not a picture', 'three']));
  assert.equal(await client.vCard('p'), 2);
  const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const thumb = await buffers.sendCommand(['AKIN.THUMB', 'p', 'one']);
  assert.ok(thumb === null || thumb.length > 100);
  assert.equal(await client.sendCommand(['AKIN.DROP', 'p']), 'OK');
}

async function pipelined(client) {
  const replies = await Promise.all(
    Array.from({ length: 2000 }, (_, i) => (i % 2 ? client.vCard('none') : client.echo(`${i}`))));
  replies.forEach((reply, i) => assert.equal(reply, i % 2 ? 0 : `${i}`));
}

for (const RESP of [2, 3]) {
  const client = createClient({ socket: { path, tls: false }, RESP });
  client.on('error', error => { throw error; });
  await client.connect();
  for (const part of [connection, vectorSet, pictures, pipelined]) {
    await part(client);
    console.log(`RESP${RESP} ${part.name}: ok`);
  }
  await client.close();
}
