// The two towers of a Hugging Face CLIP directory (float32 weights) as ONNX graphs, in float32 or in int8 the way
// onnxruntime's quantize_dynamic makes it: weights with a scale per output, activations with one per tensor.
import { readFileSync, openSync, readSync, closeSync } from 'node:fs';
import { Graph } from './onnx.mjs';

export function loadModel(dir) {
  const fd = openSync(`${dir}/model.safetensors`);
  const head = Buffer.alloc(8);
  readSync(fd, head, 0, 8, 0);
  const length = Number(head.readBigUInt64LE());
  const json = Buffer.alloc(length);
  readSync(fd, json, 0, length, 8);
  closeSync(fd);
  const header = JSON.parse(json.toString());
  const file = readFileSync(`${dir}/model.safetensors`);
  return {
    config: JSON.parse(readFileSync(`${dir}/config.json`)),
    get(name) {
      const [from, to] = header[name].data_offsets;
      return new Float32Array(file.buffer.slice(file.byteOffset + 8 + length + from, file.byteOffset + 8 + length + to));
    },
  };
}

function transposed(w, out, inn) {
  const t = new Float32Array(w.length);
  for (let i = 0; i < out; i++) for (let j = 0; j < inn; j++) t[j * out + i] = w[i * inn + j];
  return t;
}

// x W^T + bias
function linear(g, x, w, bias, out, inn, int8) {
  let y;
  if (int8) {
    const q = new Int8Array(out * inn);
    const scales = new Float32Array(out);
    for (let i = 0; i < out; i++) {
      let most = 1e-30;
      for (let j = 0; j < inn; j++) most = Math.max(most, Math.abs(w[i * inn + j]));
      scales[i] = most / 127;
      for (let j = 0; j < inn; j++) q[j * out + i] = Math.round(w[i * inn + j] / scales[i]);
    }
    const [xq, scale, zero] = g.node('DynamicQuantizeLinear', [x], {}, 3);
    const acc = g.node('MatMulInteger', [xq, g.constant(q, [inn, out]), zero, g.constant(new Int8Array(out), [out])]);
    y = g.node('Mul', [g.node('Cast', [acc], { to: 1 }), g.node('Mul', [scale, g.constant(scales, [out])])]);
  } else {
    y = g.node('MatMul', [x, g.constant(transposed(w, out, inn), [inn, out])]);
  }
  return bias ? g.node('Add', [y, g.constant(bias, [out])]) : y;
}

function norm(g, m, x, name, width) {
  return g.node('LayerNormalization', [x, g.constant(m.get(`${name}.weight`), [width]),
    g.constant(m.get(`${name}.bias`), [width])], { axis: -1, epsilon: { f: 1e-5 } });
}

function join(arrays) {
  const all = new Float32Array(arrays.reduce((n, a) => n + a.length, 0));
  arrays.reduce((at, a) => (all.set(a, at), at + a.length), 0);
  return all;
}

function layers(g, m, x, tower, c, B, T, mask, int8) {
  const C = c.hidden_size, H = c.num_attention_heads, D = C / H, M = c.intermediate_size;
  for (let i = 0; i < c.num_hidden_layers; i++) {
    const p = `${tower}.encoder.layers.${i}`;
    const parts = (kind) => join(['q', 'k', 'v'].map((k) => m.get(`${p}.self_attn.${k}_proj.${kind}`)));
    let h = norm(g, m, x, `${p}.layer_norm1`, C);
    h = linear(g, h, parts('weight'), parts('bias'), 3 * C, C, int8);
    h = g.node('Transpose', [g.node('Reshape', [h, g.integers([B, T, 3, H, D])])], { perm: [2, 0, 3, 1, 4] });
    const [q, k, v] = [0, 1, 2].map((n) => g.node('Gather', [h, g.constant(new BigInt64Array([BigInt(n)]), [])], { axis: 0 }));
    let s = g.node('MatMul', [g.node('Mul', [q, g.scalar(D ** -0.5)]), g.node('Transpose', [k], { perm: [0, 1, 3, 2] })]);
    if (mask) s = g.node('Add', [s, mask]);
    h = g.node('MatMul', [g.node('Softmax', [s], { axis: -1 }), v]);
    h = g.node('Reshape', [g.node('Transpose', [h], { perm: [0, 2, 1, 3] }), g.integers([B, T, C])]);
    h = linear(g, h, m.get(`${p}.self_attn.out_proj.weight`), m.get(`${p}.self_attn.out_proj.bias`), C, C, int8);
    x = g.node('Add', [x, h]);
    h = linear(g, norm(g, m, x, `${p}.layer_norm2`, C), m.get(`${p}.mlp.fc1.weight`), m.get(`${p}.mlp.fc1.bias`), M, C, int8);
    h = g.node('Mul', [h, g.node('Sigmoid', [g.node('Mul', [h, g.scalar(1.702)])])]);
    h = linear(g, h, m.get(`${p}.mlp.fc2.weight`), m.get(`${p}.mlp.fc2.bias`), C, M, int8);
    x = g.node('Add', [x, h]);
  }
  return x;
}

const row = (g, x, i) => g.node('Gather', [x, g.constant(new BigInt64Array([BigInt(i)]), [])], { axis: 1 });

export function vision(m, B, int8) {
  const c = m.config.vision_config, S = c.image_size, P = c.patch_size, G = Math.floor(S / P), C = c.hidden_size;
  const dim = m.config.projection_dim, g = new Graph(), e = 'vision_model.embeddings';
  const pixels = g.input('pixels', 'float', [B, 3, S, S]);
  let x = g.node('Conv', [pixels, g.constant(m.get(`${e}.patch_embedding.weight`), [C, 3, P, P])],
    { kernel_shape: [P, P], strides: [P, P] });
  x = g.node('Transpose', [g.node('Reshape', [x, g.integers([B, C, G * G])])], { perm: [0, 2, 1] });
  const token = join(Array.from({ length: B }, () => m.get(`${e}.class_embedding`)));
  x = g.node('Concat', [g.constant(token, [B, 1, C]), x], { axis: 1 });
  x = g.node('Add', [x, g.constant(m.get(`${e}.position_embedding.weight`), [1, G * G + 1, C])]);
  x = layers(g, m, norm(g, m, x, 'vision_model.pre_layrnorm', C), 'vision_model', c, B, G * G + 1, null, int8);
  x = norm(g, m, row(g, x, 0), 'vision_model.post_layernorm', C);
  return g.finish(linear(g, x, m.get('visual_projection.weight'), null, dim, C, false), [B, dim]);
}

export function texts(m, B, T, int8) {
  const c = m.config.text_config, C = c.hidden_size, dim = m.config.projection_dim, g = new Graph();
  const e = 'text_model.embeddings';
  const ids = g.input('ids', 'int64', [B, T]);
  const table = m.get(`${e}.token_embedding.weight`);
  const mask = new Float32Array(T * T).map((_, i) => (i % T > Math.floor(i / T) ? -1e9 : 0));
  let x = g.node('Gather', [g.constant(table, [table.length / C, C]), ids], { axis: 0 });
  x = g.node('Add', [x, g.constant(m.get(`${e}.position_embedding.weight`).slice(0, T * C), [1, T, C])]);
  x = layers(g, m, x, 'text_model', c, B, T, g.constant(mask, [1, 1, T, T]), int8);
  x = norm(g, m, row(g, x, T - 1), 'text_model.final_layer_norm', C);
  return g.finish(linear(g, x, m.get('text_projection.weight'), null, dim, C, false), [B, dim]);
}
