// ONNX files, as far as a transformer needs them: a graph is collected node by node and written as protobuf.

const TYPES = { float: 1, uint8: 2, int8: 3, int64: 7 };

function varint(n) {
  const out = [];
  let v = BigInt(n);
  if (v < 0n) v += 1n << 64n;
  do {
    const low = Number(v & 127n);
    v >>= 7n;
    out.push(v ? low | 128 : low);
  } while (v);
  return Buffer.from(out);
}

const number = (field, n) => Buffer.concat([varint(field << 3), varint(n)]);
const bytes = (field, b) => Buffer.concat([varint((field << 3) | 2), varint(b.length), b]);
const text = (field, s) => bytes(field, Buffer.from(s));
const message = (field, parts) => bytes(field, Buffer.concat(parts));

function float(field, x) {
  const b = Buffer.alloc(4);
  b.writeFloatLE(x);
  return Buffer.concat([varint((field << 3) | 5), b]);
}

function attribute(name, value) {
  if (Array.isArray(value)) return message(5, [text(1, name), ...value.map((v) => number(8, v)), number(20, 7)]);
  if (Number.isInteger(value)) return message(5, [text(1, name), number(3, value), number(20, 2)]);
  return message(5, [text(1, name), float(2, value.f), number(20, 1)]);
}

function valueInfo(field, name, type, shape) {
  const dims = message(2, shape.map((n) => message(1, [number(1, n)])));
  return message(field, [text(1, name), message(2, [message(1, [number(1, TYPES[type]), dims])])]);
}

export class Graph {
  parts = [];
  next = 0;

  constant(array, shape) {
    const type = array instanceof Float32Array ? 'float' : array instanceof Int8Array ? 'int8'
      : array instanceof Uint8Array ? 'uint8' : 'int64';
    const name = `w${this.next++}`;
    const raw = Buffer.from(array.buffer, array.byteOffset, array.byteLength);
    this.parts.push(message(5, [...shape.map((n) => number(1, n)), number(2, TYPES[type]), text(8, name), bytes(9, raw)]));
    return name;
  }

  scalar(x) {
    return this.constant(new Float32Array([x]), []);
  }

  integers(list) {
    return this.constant(new BigInt64Array(list.map(BigInt)), [list.length]);
  }

  // Names of the outputs; one of them when `outputs` is 1.
  node(op, inputs, attributes = {}, outputs = 1) {
    const names = Array.from({ length: outputs }, () => `t${this.next++}`);
    this.parts.push(message(1, [...inputs.map((s) => text(1, s)), ...names.map((s) => text(2, s)), text(4, op),
      ...Object.entries(attributes).map(([k, v]) => attribute(k, v))]));
    return outputs === 1 ? names[0] : names;
  }

  input(name, type, shape) {
    this.parts.push(valueInfo(11, name, type, shape));
    return name;
  }

  finish(output, shape) {
    this.parts.push(valueInfo(12, output, 'float', shape));
    return Buffer.concat([number(1, 8), message(8, [text(1, ''), number(2, 17)]), message(7, [text(2, 'g'), ...this.parts])]);
  }
}
