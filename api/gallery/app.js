// The gallery: asks, shows, scrolls. question.js knows what is asked, item.js shows one item,
// filters.js, upload.js, jobs.js and facts.js their parts.
import {$, call, collectionPath, crossIcon, el, get, isLeaving, number, onPassword, openSheet, thumbnail, visit} from './base.js';
import {refreshFilters, showFilters} from './filters.js';
import {openItem, closeItem} from './item.js';
import {fillDuplicates, startReview, stopReview} from './duplicates.js';
import {showFacts} from './facts.js';
import {watchJobs} from './jobs.js';
import {addFiles} from './upload.js';
import {filter, fromAddress, isEmpty, question, terms, toAddress} from './question.js';

const PAGE = 60, MOST = 9900;
const shown = {points: [], next: undefined, done: false, loading: null, asking: false, random: false, total: null};

// ---- results -----------------------------------------------------------------------

function tile(point, index) {
  const name = point.caption || String(point.id);
  const picture = el('img', {alt: name, decoding: 'async', loading: index < 24 ? 'eager' : 'lazy', draggable: false});
  const link = el('a', {class: 'tile', href: toAddress(point.id), title: ''},
    picture, el('span', {class: 'caption', 'aria-hidden': 'true'}, name));
  picture.addEventListener('load', () => picture.classList.add('there'));
  picture.addEventListener('error', () => {
    link.classList.add('text');
    link.replaceChildren(name);
  });
  picture.src = thumbnail(question.collection, point.id);
  link.addEventListener('click', (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(index);
  });
  return el('li', {}, link);
}

function note(title, text, action) {
  $('note').hidden = !title;
  $('note').replaceChildren(...(title ? [el('strong', {}, title), text ?? ''] : []), ...(action ? [action] : []));
}

function emptyNote() {
  if (question.collection === '')
    return note('Nothing here yet', 'Add pictures from this page, or a folder with: akin add FOLDER',
      el('button', {class: 'action', type: 'button', onclick: () => $('add').click()}, 'Add pictures'));
  if (Object.keys(question.filters).length)
    return note('Nothing passes these filters', 'Take one away to see more.',
      el('button', {class: 'action', type: 'button', onclick: () => { question.filters = {}; changed(true); }}, 'Clear filters'));
  return isEmpty()
    ? note('This collection is empty', 'Drop pictures on this page to fill it.')
    : note('Nothing found', 'Try other words.');
}

function addPoints(points) {
  const from = shown.points.length;
  shown.points.push(...points);
  $('grid').append(...points.map((p, i) => tile(p, from + i)));
}

// The page behind the first `offset` points: of a question, of a random look, or of the collection
// in its order.
async function fetchPage(offset, signal) {
  const path = `${collectionPath(question.collection)}/points`;
  const query = shown.random && isEmpty() && !filter() ? {sample: 'random'} : terms();
  const common = {limit: PAGE, filter: filter(), with_details: true, with_payload: false};
  if (query) {
    const [result, ms] = await call('POST', `${path}/query`, {...common, query, offset: query.sample ? 0 : offset}, signal);
    return {points: result.points, done: result.points.length < PAGE || offset + 2 * PAGE > MOST || !!query.sample, ms};
  }
  const [result, ms] = await call('POST', `${path}/scroll`, {...common, offset: offset ? shown.next : undefined}, signal);
  if (!signal.aborted) shown.next = result.next_page_offset;
  return {points: result.points, done: result.next_page_offset === null, ms};
}

function say(ms) {
  const n = shown.points.length;
  const some = filter() || shown.total === null ? '' : `${number(shown.total)} ${shown.total === 1 ? 'item' : 'items'}`;
  $('status').textContent = isEmpty() ? some : `${number(n)}${shown.done ? '' : '+'} found in ${ms < 1 ? '<1' : Math.round(ms)} ms`;
  $('shuffle').hidden = !isEmpty() || !!filter() || !question.collection;
}

// Asks anew. What was on its way is dropped.
async function ask() {
  shown.loading?.abort();
  const loading = new AbortController();
  shown.loading = loading;
  if (!question.collection) {
    shown.points = [];
    $('grid').replaceChildren();
    say(0);
    return emptyNote();
  }
  shown.asking = true;
  $('results').classList.add('waiting');
  $('results').setAttribute('aria-busy', 'true');
  try {
    const page = await fetchPage(0, loading.signal);
    if (loading.signal.aborted) return;
    $('grid').replaceChildren();
    shown.points = [];
    shown.done = page.done;
    note();
    addPoints(page.points);
    say(page.ms);
    if (!page.points.length) emptyNote();
  } catch (error) {
    if (loading.signal.aborted) return;
    $('grid').replaceChildren();
    shown.points = [];
    shown.done = true;
    $('status').textContent = '';
    note('That did not work', error.message);
  } finally {
    if (shown.loading === loading) {
      shown.loading = null;
      shown.asking = false;
      $('results').classList.remove('waiting');
      $('results').setAttribute('aria-busy', 'false');
    }
  }
  if (typing) askTyped();
  else fill();
}

// The next page, while its place is near the window.
async function fill() {
  if (question.review || shown.loading || shown.done || !shown.points.length) return;
  if ($('more').getBoundingClientRect().top > innerHeight * 2.5) return;
  const loading = new AbortController();
  shown.loading = loading;
  try {
    const page = await fetchPage(shown.points.length, loading.signal);
    if (loading.signal.aborted) return;
    shown.done = page.done || !page.points.length;
    addPoints(page.points);
    if (!isEmpty()) say(page.ms);
  } catch {
    if (loading.signal.aborted) return;
    shown.done = true;
  }
  shown.loading = null;
  requestAnimationFrame(fill);
}
for (const event of ['scroll', 'resize']) addEventListener(event, fill, {passive: true});

// ---- the question --------------------------------------------------------------------

function chip(part, index) {
  const url = part.url ?? thumbnail(question.collection, part.id);
  const remove = el('button', {type: 'button', title: 'Remove', onclick: () => {
    question.parts.splice(index, 1);
    changed(true);
  }}, crossIcon());
  remove.setAttribute('aria-label', part.away ? 'Remove: less like this' : 'Remove this picture');
  return el('li', {class: part.away ? 'chip away' : 'chip'}, el('img', {src: url, alt: part.away ? 'less like this' : 'like this'}), remove);
}

function drawQuestion() {
  if (!typing) { // else it is older than what stands there
    if ($('words').value.trim() !== question.words) $('words').value = question.words;
    if ($('without').value.trim() !== question.without) $('without').value = question.without;
  }
  $('chips').replaceChildren(...question.parts.map(chip));
  $('words').placeholder = question.parts.length ? 'and in words' : 'Describe a picture, or drop one';
  const towards = question.parts.some((p) => !p.away);
  $('balance').hidden = !(towards && question.words);
  $('weight').value = String(question.weight);
  if (question.without) openExclude(true);
  document.title = question.words ? `${question.words} · akin` : question.collection ? `${question.collection} · akin` : 'akin';
}

function openExclude(open) {
  $('exclude').hidden = !open;
  $('refine').setAttribute('aria-expanded', String(open));
}

// The question is another one. push: it can be gone back to.
export function changed(push) {
  push ||= !!question.review;
  question.review = '';
  shown.random = false;
  visit(toAddress, push);
  drawQuestion();
  showFilters();
  scrollTo({top: 0});
  return drawView();
}

// The pictures, or duplicates to review.
function drawView() {
  const review = !!question.review;
  for (const id of ['results', 'bar']) $(id).hidden = review;
  $('duplicates').hidden = !review;
  $('review').setAttribute('aria-pressed', String(review));
  if (review) return startReview();
  if (stopReview()) enterCollection().then(() => say(0));
  return ask();
}

$('review').addEventListener('click', () => {
  if (!question.collection) return;
  question.review = question.review ? '' : 'near';
  visit(toAddress, true);
  scrollTo({top: 0});
  drawView();
});

// What is typed is asked at once, or when what was asked before is answered; that may be given up.
const PATIENCE_MS = 150;
let typing = 0; // a timer: what stands in a field is not asked yet
function forgetTyping() {
  clearTimeout(typing);
  typing = 0;
}
function takeTyped() {
  forgetTyping();
  question.words = $('words').value.trim();
  question.without = $('without').value.trim();
}
function askTyped() {
  const before = JSON.stringify([question.words, question.without]);
  takeTyped();
  if (before !== JSON.stringify([question.words, question.without])) changed(false);
}
for (const id of ['words', 'without']) {
  $(id).addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(askTyped, shown.asking ? PATIENCE_MS : 0);
  });
}
$('search').addEventListener('submit', (event) => {
  event.preventDefault();
  takeTyped();
  changed(true);
});
$('words').addEventListener('keydown', (event) => {
  if (event.key === 'Backspace' && !$('words').value && question.parts.length) {
    question.parts.pop();
    changed(true);
  }
  if (event.key === 'ArrowDown') {
    event.preventDefault();
    $('grid').querySelector('.tile')?.focus();
  }
});
$('weight').addEventListener('change', () => {
  question.weight = Number($('weight').value);
  changed(false);
});
$('refine').addEventListener('click', () => {
  const open = $('exclude').hidden;
  openExclude(open);
  if (open) $('without').focus();
  else if (question.without) {
    question.without = '';
    changed(true);
  }
});
$('home').addEventListener('click', (event) => {
  event.preventDefault();
  forgetTyping();
  Object.assign(question, {words: '', without: '', parts: [], weight: 50, filters: {}});
  openExclude(false);
  changed(true);
});
$('shuffle').addEventListener('click', () => {
  shown.random = true;
  scrollTo({top: 0});
  ask();
});

// A picture from outside becomes the question.
async function askPicture(file) {
  const url = URL.createObjectURL(file);
  const image = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ''));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  forgetTyping();
  question.parts = [{image, url}];
  question.words = '';
  return changed(true);
}

// An item joins the question, or becomes it.
export function askItem(id, how) {
  takeTyped();
  if (how === 'only') Object.assign(question, {words: '', without: '', parts: []});
  question.parts = question.parts.filter((p) => p.id !== id);
  question.parts.push({id, away: how === 'less' || undefined});
  closeItem();
  changed(true);
}

// ---- items ------------------------------------------------------------------------------

function show(index) {
  const point = shown.points[index];
  visit(() => toAddress(point.id), true, {item: true});
  openItem(shown.points, index);
}

const columns = () => getComputedStyle($('grid')).gridTemplateColumns.split(' ').length;
$('grid').addEventListener('keydown', (event) => {
  const tiles = [...$('grid').querySelectorAll('.tile')];
  const at = tiles.indexOf(document.activeElement);
  const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns()}[event.key];
  if (at < 0 || !step) return;
  event.preventDefault();
  if (at + step < 0) $('words').focus();
  else tiles[Math.min(at + step, tiles.length - 1)].focus();
});
addEventListener('keydown', (event) => {
  const typed = event.target.closest('input, select, textarea, dialog');
  if (event.key === '/' && !typed) {
    event.preventDefault();
    $('words').focus();
    $('words').select();
  }
});

// ---- files --------------------------------------------------------------------------------

const pictures = (list) => [...(list ?? [])].filter((f) => f.type.startsWith('image/') || /\.(jpe?g|png|webp|gif|tiff?|heic|avif|svg)$/i.test(f.name));

$('pick').addEventListener('click', () => {
  const input = el('input', {type: 'file', accept: 'image/*'});
  input.addEventListener('change', () => { if (input.files[0]) askPicture(input.files[0]); });
  input.click();
});
addEventListener('paste', (event) => {
  const [file] = pictures(event.clipboardData?.files);
  if (!file) return;
  event.preventDefault();
  askPicture(file);
});
let inside = 0;
const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
addEventListener('dragenter', (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  inside++;
  $('drop').hidden = false;
});
addEventListener('dragleave', () => {
  if (inside && --inside === 0) $('drop').hidden = true;
});
addEventListener('dragover', (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  for (const zone of $('drop').children) zone.classList.toggle('over', zone === event.target.closest('.zone'));
});
addEventListener('drop', (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  inside = 0;
  $('drop').hidden = true;
  const files = pictures(event.dataTransfer.files);
  const zone = event.target.closest('.zone')?.dataset.zone;
  if (!files.length) return;
  if (zone === 'add' || $('upload').open) addFiles(files);
  else askPicture(files[0]);
});
$('add').addEventListener('click', () => openSheet($('upload')));
$('files').addEventListener('change', () => {
  addFiles(pictures($('files').files));
  $('files').value = '';
});
$('about').addEventListener('click', showFacts);
$('activity').addEventListener('click', () => openSheet($('jobs')));

// ---- collections, beginning -----------------------------------------------------------------

async function loadCollections() {
  const {collections} = await get('/collections');
  const names = collections.map((c) => c.name);
  if (!names.includes(question.collection)) question.collection = names[0] ?? '';
  $('collection').replaceChildren(...names.map((name) => el('option', {value: name, selected: name === question.collection}, name)));
  $('collection').hidden = !names.length;
}

async function enterCollection() {
  shown.total = null;
  if (!question.collection) return refreshFilters();
  const info = await get(collectionPath(question.collection));
  shown.total = info.points_count;
  return refreshFilters();
}

$('collection').addEventListener('change', async () => {
  const {review} = question;
  Object.assign(question, {collection: $('collection').value, parts: [], filters: {}});
  changed(true);
  if (review) $('review').click();
  await enterCollection();
  say(0);
});

// Something was added: counts, filters and pictures are other ones.
export async function refresh(collection) {
  if (collection && collection !== question.collection && question.collection) return;
  await loadCollections();
  await enterCollection();
  if (isEmpty() && !question.review) await ask();
}

addEventListener('popstate', async () => {
  if (isLeaving()) return; // an item was closed, nothing else has changed
  forgetTyping();
  const now = () => JSON.stringify([question.collection, question.review, terms(), question.filters]);
  const before = question.collection, asked = now();
  const item = fromAddress();
  if (item === undefined) closeItem();
  if (question.collection !== before) await enterCollection();
  $('collection').value = question.collection;
  if (asked !== now()) {
    drawQuestion();
    showFilters();
    await drawView();
  }
  const index = shown.points.findIndex((p) => p.id === item);
  if (item !== undefined) openItem(index < 0 ? [{id: item}] : shown.points, Math.max(index, 0));
});

onPassword(() => new Promise((resolve) => {
  $('login-wrong').hidden = !document.cookie.includes('akin_key=');
  openSheet($('login'));
  $('login-form').onsubmit = () => {
    document.cookie = `akin_key=${encodeURIComponent($('password').value)}; path=/; SameSite=Strict`;
    $('password').value = '';
    resolve();
  };
}));
$('login').addEventListener('cancel', (event) => event.preventDefault());

async function begin() {
  const item = fromAddress();
  drawQuestion();
  if (matchMedia('(hover: hover)').matches && item === undefined && !question.review) $('words').focus();
  try {
    await loadCollections();
  } catch (error) {
    return note('The server does not answer', error.message);
  }
  drawQuestion();
  await Promise.all([drawView(), enterCollection()]);
  say(0);
  watchJobs(refresh);
  if (item !== undefined) openItem([{id: item}], 0);
}
begin();
