// ONNX Runtime on the model that bench/encode measures: pictures by the clock and by CPU second, texts in CPU
// milliseconds, and int8's lowest cosine to float32.
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

// Best of four: seconds by the clock and of CPU.
async function best(session, feeds) {
  let wall = Infinity, cpu = Infinity, out;
  for (let round = 0; round < 4; round++) {
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
const input = { pixels: new ort.Tensor('float32', pictures(S), [B, 3, S, S]) };
let exact;
console.log('prec. threads  batch  pictures/s  per CPU second  lowest cosine');
for (const int8 of [false, true]) {
  const session = await open(vision(model, B, int8));
  const { wall, cpu, out } = await best(session, input);
  exact ??= Float32Array.from(out);
  console.log(`${int8 ? 'int8 ' : 'f32  '} ${threads.padStart(7)} ${String(B).padStart(6)} ${(B / wall).toFixed(1).padStart(11)} `
    + `${(B / cpu).toFixed(1).padStart(15)} ${lowestCosine(out, exact, model.config.projection_dim).toFixed(6).padStart(14)}`);
  await session.release();
}
console.log('\nprec.  one of 10 tokens  padded to 77   (CPU ms)');
for (const int8 of [false, true]) {
  const ms = [];
  for (const T of [10, 77]) {
    const session = await open(texts(model, 1, T, int8));
    const ids = BigInt64Array.from({ length: T }, (_, k) => BigInt(3 + ((k * 17) % 1000)));
    ms.push(1e3 * (await best(session, { ids: new ort.Tensor('int64', ids, [1, T]) })).cpu);
    await session.release();
  }
  console.log(`${int8 ? 'int8 ' : 'f32  '} ${ms[0].toFixed(1).padStart(17)} ${ms[1].toFixed(1).padStart(13)}`);
}
