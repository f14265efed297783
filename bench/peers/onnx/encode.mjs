// ONNX Runtime on the model that bench/encode measures, which runs this and reads what it prints, a line for each:
// precision, threads, batch, tokens (0: pictures), how many a second by the clock and by CPU time, lowest cosine to
// float32.
//   npm install --ignore-scripts && node encode.mjs MODEL_DIR [THREADS]
import ort from 'onnxruntime-node';
import { loadModel, texts, vision } from './clip.mjs';

const [dir, threads = '1'] = process.argv.slice(2);
if (!dir) {
  console.error('usage: node encode.mjs MODEL_DIR [THREADS]');
  process.exit(2);
}
const model = loadModel(dir);
const B = 32;

function open(graph) {
  return ort.InferenceSession.create(graph, { intraOpNumThreads: Number(threads), interOpNumThreads: 1,
    graphOptimizationLevel: 'all', extra: { session: { intra_op: { allow_spinning: '0' } } } });
}

// Best of some: seconds by the clock and of CPU.
async function best(session, feeds, rounds) {
  let wall = Infinity, cpu = Infinity, out;
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage(), start = performance.now();
    out = Object.values(await session.run(feeds))[0].data;
    wall = Math.min(wall, (performance.now() - start) / 1e3);
    const used = process.cpuUsage(before);
    cpu = Math.min(cpu, (used.user + used.system) / 1e6);
  }
  return { wall, cpu, out };
}

// The pictures of bench/encode, normalised.
function pictures(S) {
  const mean = [0.48145466, 0.4578275, 0.40821073], std = [0.26862954, 0.26130258, 0.27577711];
  const out = new Float32Array(B * 3 * S * S);
  let state = 7;
  for (let i = 0; i < B * S * S * 3; i++) {
    if (i % 97 === 0) state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = ((state >>> (8 + 8 * (i % 3))) + (Math.floor(i / S) % 32)) & 255;
    const c = i % 3, at = Math.floor(i / 3), b = Math.floor(at / (S * S));
    out[(b * 3 + c) * S * S + (at % (S * S))] = (value / 255 - mean[c]) / std[c];
  }
  return out;
}

function lowestCosine(a, b, dim) {
  let lowest = 1;
  for (let i = 0; i < a.length; i += dim) {
    let ab = 0, aa = 0, bb = 0;
    for (let k = i; k < i + dim; k++) {
      ab += a[k] * b[k];
      aa += a[k] * a[k];
      bb += b[k] * b[k];
    }
    lowest = Math.min(lowest, ab / Math.sqrt(aa * bb));
  }
  return lowest;
}

const S = model.config.vision_config.image_size;
const input = pictures(S);
const take = (n) => new ort.Tensor('float32', input.subarray(0, n * 3 * S * S), [n, 3, S, S]);

function print(int8, batch, tokens, { wall, cpu }, cosine) {
  console.log([int8 ? 'int8' : 'f32', threads, batch, tokens, (batch / wall).toFixed(2), (batch / cpu).toFixed(2),
    cosine.toFixed(6)].join(' '));
}

const one = threads === '1';
let exact;
for (const int8 of [false, true]) {
  for (const batch of one ? [B, 1] : [B]) {
    const session = await open(vision(model, batch, int8));
    const result = await best(session, { pixels: take(batch) }, 5);
    exact ??= Float32Array.from(result.out);
    print(int8, batch, 0, result, lowestCosine(result.out, exact, model.config.projection_dim));
    await session.release();
  }
  for (const [batch, tokens] of one ? [[1, 10], [B, 10], [1, 77]] : [[B, 10]]) {
    const session = await open(texts(model, batch, tokens, int8));
    const ids = BigInt64Array.from({ length: batch * tokens }, (_, k) => BigInt(3 + ((k * 17) % 1000)));
    print(int8, batch, tokens, await best(session, { ids: new ort.Tensor('int64', ids, [batch, tokens]) }, 10), 1);
    await session.release();
  }
}
