// What a collection holds, in numbers and bars.
import {$, bytes, collectionPath, el, get, number, openSheet, post, shownValue} from './base.js';
import {question} from './question.js';

function space(name, s) {
  if (!s?.vectors) return [];
  const how = s.index === 'exact' ? 'searched exactly' : `${s.index}, recall ${s.recall.toFixed(3)}`;
  return [[name, `${number(s.vectors)} vectors, ${how}${s.building ? ', being built' : ''}`]];
}

function rows(info) {
  const a = info.akin;
  return [
    ['items', number(info.points_count)],
    ['model', a.model ? `${a.model}, ${info.config.params.vectors.size} dimensions` : `none: vectors of ${info.config.params.vectors.size} numbers`],
    ...space('pictures', a.image), ...space('captions', a.caption),
    ['memory', bytes(a.image.memory_bytes + a.caption.memory_bytes)],
    ['created', new Date(a.created_ms).toLocaleDateString(undefined, {dateStyle: 'long'})],
  ];
}

function chart(name, hits) {
  const most = hits[0].count;
  return el('section', {class: 'chart'}, el('h3', {}, name), el('ol', {}, ...hits.map((hit) => {
    const bar = el('b');
    bar.style.width = `${(hit.count / most) * 100}%`;
    return el('li', {}, bar, el('span', {}, shownValue(hit.value)), el('span', {}, number(hit.count)));
  })));
}

// ---- how numbers are spread, by a sample -----------------------------------------------

const SAMPLE = 1000, BARS = 28;
const readable = (x) => number(Math.abs(x) >= 100 ? Math.round(x) : Number(x.toPrecision(3)));

// Sorted values to bars from the 1st to the 99th percentile; a wide range is shown by magnitude.
function bars(name, values) {
  const at = (p) => values[Math.min(values.length - 1, Math.floor(p * values.length))];
  const from = at(0.01), to = at(0.99);
  if (!(to > from)) return null;
  const wide = from > 0 && to / from > 30;
  const place = (x) => (wide ? Math.log(x / from) / Math.log(to / from) : (x - from) / (to - from));
  const edge = (i) => (wide ? from * (to / from) ** (i / BARS) : from + ((to - from) * i) / BARS);
  const counts = new Array(BARS).fill(0);
  for (const x of values) if (x >= from && x <= to) counts[Math.min(BARS - 1, Math.floor(place(x) * BARS))]++;
  const most = Math.max(...counts);
  const list = el('ol', {class: 'bars'}, ...counts.map((n, i) => {
    const bar = el('li', {title: `${readable(edge(i))} – ${readable(edge(i + 1))}: ${Math.round((100 * n) / values.length)}%`});
    bar.style.height = n ? `${Math.max(3, (100 * n) / most)}%` : '0';
    return bar;
  }));
  list.setAttribute('role', 'img');
  list.setAttribute('aria-label', `${name}: from ${readable(from)} to ${readable(to)}, median ${readable(at(0.5))}`);
  return el('section', {class: 'chart'}, el('h3', {}, name), list,
    el('p', {class: 'scale', 'aria-hidden': 'true'}, el('span', {}, readable(from)), el('span', {}, `median ${readable(at(0.5))}`), el('span', {}, readable(to))));
}

async function spreads(path, fields) {
  const names = fields.filter((f) => f.type === 'integer' || f.type === 'real').map((f) => f.name).slice(0, 4);
  if (!names.length) return [];
  const {points} = await post(`${path}/points/query`, {query: {sample: 'random'}, limit: SAMPLE, with_payload: names});
  const of = (name) => points.map((p) => p.payload?.[name]).filter(Number.isFinite).sort((a, b) => a - b);
  return names.map((name) => bars(name, of(name))).filter((b) => b);
}

// ---- which values there are ------------------------------------------------------------

async function charts(path, fields) {
  const wanted = fields.filter((f) => ['text', 'array', 'true', 'false'].includes(f.type)).slice(0, 8);
  // a name that cannot be asked for (quotes in it) has no chart
  const count = (f) => post(`${path}/facet`, {key: f.name, limit: 10}).then(({hits}) => [f.name, hits], () => [f.name, []]);
  const all = await Promise.all(wanted.map(count));
  return all.filter(([, hits]) => hits.length > 1 && hits[0].count > 1 && !/^\d{4}-\d\d-\d\dT/.test(hits[0].value)).slice(0, 4);
}

export async function showFacts() {
  const path = collectionPath(question.collection);
  $('facts-title').textContent = question.collection || 'No collection yet';
  $('facts-list').replaceChildren();
  $('facts-charts').replaceChildren();
  openSheet($('facts'));
  if (!question.collection) return;
  try {
    const info = await get(path);
    $('facts-list').replaceChildren(...rows(info).flatMap(([name, text]) => [el('dt', {}, name), el('dd', {}, text)]));
    const {fields} = await get(`${path}/fields`);
    const [values, numbers] = await Promise.all([charts(path, fields), spreads(path, fields)]);
    $('facts-charts').replaceChildren(...values.map(([name, hits]) => chart(name, hits)), ...numbers);
  } catch (error) {
    $('facts-list').replaceChildren(el('dt', {}, 'error'), el('dd', {}, error.message));
  }
}
