// The question: words, words to stay away from, pictures, items, filters; its place in the
// address bar and its shape in a request.

export const question = {
  collection: '',
  words: '',
  without: '',
  parts: [], // {id} of an item or {image: base64}; {away: true}; {url} of a small picture
  weight: 50, // of words beside pictures, 0 to 100
  filters: {}, // field: {values: [...]} or {from, to}
  review: '', // the level of duplicates under review; then the rest waits
};

export const LEVELS = ['exact', 'near', 'similar']; // of duplicates
const AWAY = -0.6; // a negative as strong as the positive would leave nothing

export const isEmpty = () => !question.words && !question.without && !question.parts.length;

// What is left of the question in the address bar: everything but pictures from outside.
export function toAddress(item) {
  const q = new URLSearchParams();
  if (question.collection) q.set('c', question.collection);
  if (question.words) q.set('q', question.words);
  if (question.without) q.set('not', question.without);
  for (const part of question.parts)
    if (part.id !== undefined) q.append(part.away ? 'less' : 'like', JSON.stringify(part.id));
  if (question.weight !== 50) q.set('w', String(question.weight));
  if (question.review) q.set('duplicates', question.review);
  if (Object.keys(question.filters).length) q.set('f', JSON.stringify(question.filters));
  if (item !== undefined) q.set('item', JSON.stringify(item));
  const text = q.toString();
  return text ? `/?${text}` : '/';
}

const parse = (text, fallback) => {
  try { return JSON.parse(text); } catch { return fallback; }
};
const isId = (id) => typeof id === 'string' || typeof id === 'number';

// Reads the address bar; the item that is open, if any.
export function fromAddress() {
  const q = new URLSearchParams(location.search);
  question.collection = q.get('c') ?? question.collection;
  question.words = q.get('q') ?? '';
  question.without = q.get('not') ?? '';
  const weight = Number(q.get('w') ?? 50);
  question.weight = weight >= 0 && weight <= 100 ? weight : 50;
  const filters = parse(q.get('f') ?? '{}', {});
  question.filters = filters && typeof filters === 'object' && !Array.isArray(filters) ? filters : {};
  const review = q.get('duplicates') ?? '';
  question.review = LEVELS.includes(review) ? review : '';
  question.parts = [
    ...q.getAll('like').map((t) => ({id: parse(t)})),
    ...q.getAll('less').map((t) => ({id: parse(t), away: true})),
  ].filter((part) => isId(part.id));
  const item = parse(q.get('item') ?? 'null', null);
  return isId(item) ? item : undefined;
}

// The filter of a request; but: a field to leave out.
export function filter(but) {
  const must = [];
  for (const [key, f] of Object.entries(question.filters)) {
    if (key === but || !f) continue;
    if (Array.isArray(f.values) && f.values.length) must.push({key, match: {any: f.values}});
    const range = {};
    if (Number.isFinite(f.from)) range.gte = f.from;
    if (Number.isFinite(f.to)) range.lte = f.to;
    if (Object.keys(range).length) must.push({key, range});
  }
  return must.length ? {must} : undefined;
}

// The question for /points/query, or null when there is none.
export function terms() {
  if (isEmpty()) return null;
  const towards = question.parts.some((p) => !p.away);
  const both = question.words && towards;
  const words = both ? question.weight / 50 : 1;
  const pictures = both ? (100 - question.weight) / 50 : 1;
  const list = [];
  if (question.words && words > 0) list.push({text: question.words, weight: words});
  for (const part of question.parts) {
    const weight = part.away ? AWAY : pictures;
    if (weight === 0) continue;
    list.push(part.id !== undefined ? {id: part.id, weight} : {image: part.image, weight});
  }
  if (question.without) list.push({text: question.without, weight: AWAY});
  if (list.length === 1 && list[0].weight === 1) {
    const {weight, id, ...rest} = list[0];
    return id !== undefined ? id : rest;
  }
  return {terms: list};
}
