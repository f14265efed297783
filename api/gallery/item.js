// One item: its picture, what is known of it, and what stands near it.
import {$, bytes, call, collectionPath, el, get, number, openSheet, pointPath, stepBack, thumbnail, visit} from './base.js';
import {askItem} from './app.js';
import {question, toAddress} from './question.js';

let points = [], at = 0, loading = null;

function scoreRow(name, value) {
  const bar = el('b');
  bar.style.width = `${Math.round(Math.max(0, Math.min(1, value)) * 100)}%`;
  return [el('dt', {}, name), el('dd', {class: 'score'}, value.toFixed(3), el('i', {'aria-hidden': 'true'}, bar))];
}

function drawScores(point) {
  const rows = [];
  if (Number.isFinite(point.score) && point.scores) rows.push(...scoreRow('match', point.score));
  for (const [name, value] of Object.entries(point.scores ?? {}))
    if (point.score !== value) rows.push(...scoreRow(name === 'image' ? 'as a picture' : 'by its caption', value));
  $('item-scores').replaceChildren(...rows);
}

const when = (ms) => new Date(ms).toLocaleString(undefined, {dateStyle: 'medium', timeStyle: 'short'});

const readable = (text) => (/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) && !Number.isNaN(Date.parse(text)) ? when(Date.parse(text)) : text);

// [name, text] of an attribute; nested ones by their path.
function* attributes(object, prefix = '') {
  for (const [name, value] of Object.entries(object ?? {})) {
    if (value && typeof value === 'object' && !Array.isArray(value)) yield* attributes(value, `${prefix}${name}.`);
    else if (Array.isArray(value)) yield [prefix + name, value.map((v) => (typeof v === 'object' ? JSON.stringify(v) : String(v))).join(', ')];
    else yield [prefix + name, typeof value === 'number' ? number(value) : readable(String(value))];
  }
}

function drawFacts(record) {
  const rows = [...attributes(record.payload)].filter(([, text]) => text !== String(record.id));
  const p = record.picture;
  const known = new Set(rows.map(([name]) => name));
  if (p?.width && !known.has('width')) rows.push(['size', `${p.width} × ${p.height}`]);
  if (p?.format && !known.has('format')) rows.push(['format', p.format]);
  if (p?.bytes && !known.has('bytes')) rows.push(['file', bytes(p.bytes)]);
  rows.push(['added', when(record.added_ms)]);
  $('item-facts').replaceChildren(...rows.flatMap(([name, text]) => [el('dt', {}, name), el('dd', {}, text)]));
}

async function drawNear(id, signal) {
  const result = (await call('POST', `${collectionPath(question.collection)}/points/query`,
    {query: {nearest: {id}}, limit: 8, with_details: true}, signal))[0];
  $('item-near-title').hidden = !result.points.length;
  $('item-near').replaceChildren(...result.points.map((point) => {
    const picture = el('img', {alt: point.caption || String(point.id), class: 'there', src: thumbnail(question.collection, point.id)});
    const link = el('a', {class: 'tile', href: toAddress(point.id), title: point.caption || String(point.id)}, picture);
    picture.addEventListener('error', () => {
      link.classList.add('text');
      link.replaceChildren(String(point.caption || point.id).slice(0, 40));
    });
    link.addEventListener('click', (event) => {
      event.preventDefault();
      visit(() => toAddress(point.id), false, history.state);
      points = [point];
      at = 0;
      draw();
    });
    return el('li', {}, link);
  }));
}

async function draw() {
  loading?.abort();
  const now = new AbortController();
  loading = now;
  const point = points[at], id = point.id;
  const name = point.caption || String(id);
  $('item-title').textContent = name;
  $('item-id').textContent = name === String(id) ? '' : String(id);
  $('item-picture').src = thumbnail(question.collection, id);
  $('item-picture').alt = name;
  $('item-previous').disabled = at === 0;
  $('item-next').disabled = at >= points.length - 1;
  $('item-facts').replaceChildren();
  $('item-near').replaceChildren();
  $('item-near-title').hidden = true;
  drawScores(point);
  $('item').querySelector('.facts').scrollTop = 0;
  try {
    const record = await get(`${pointPath(question.collection, id)}?details=1&vector=false`, now.signal);
    $('item-title').textContent = record.caption || String(id);
    $('item-id').textContent = record.caption ? String(id) : '';
    drawFacts(record);
    await drawNear(id, now.signal);
  } catch (error) {
    if (!now.signal.aborted && error.status !== 404 && error.status !== 415)
      $('item-facts').replaceChildren(el('dt', {}, 'error'), el('dd', {}, error.message));
    else if (error.status === 404) $('item-title').textContent = 'This item is gone';
  }
}

export function openItem(list, index) {
  points = list;
  at = index;
  openSheet($('item'));
  draw();
}

export function closeItem() {
  if ($('item').open) $('item').close();
}

function turn(step) {
  if (at + step < 0 || at + step >= points.length) return;
  at += step;
  visit(() => toAddress(points[at].id), false, history.state);
  draw();
}

$('item-previous').addEventListener('click', () => turn(-1));
$('item-next').addEventListener('click', () => turn(1));
document.addEventListener('keydown', (event) => {
  if (!$('item').open) return;
  if (event.key === 'ArrowLeft') turn(-1);
  if (event.key === 'ArrowRight') turn(1);
});
$('item').addEventListener('close', () => {
  loading?.abort();
  if (new URLSearchParams(location.search).has('item')) {
    if (history.state?.item) stepBack();
    else visit(toAddress, false);
  }
  if (!question.review) document.querySelectorAll('#grid .tile')[at]?.focus({preventScroll: true});
});
$('item-picture').addEventListener('error', () => $('item-picture').removeAttribute('src'));
$('item-like').addEventListener('click', () => askItem(points[at].id, 'only'));
$('item-plus').addEventListener('click', () => askItem(points[at].id, 'more'));
$('item-minus').addEventListener('click', () => askItem(points[at].id, 'less'));
