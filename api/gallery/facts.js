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

async function charts(path) {
  const {fields} = await get(`${path}/fields`);
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
    $('facts-charts').replaceChildren(...(await charts(path)).map(([name, hits]) => chart(name, hits)));
  } catch (error) {
    $('facts-list').replaceChildren(el('dt', {}, 'error'), el('dd', {}, error.message));
  }
}
