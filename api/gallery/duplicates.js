// Duplicates to review: groups of the same picture, side by side, with what speaks for it. A group
// is told apart ("not duplicates", can be undone) or thinned out: one item stays and gets what is
// known of the others, which leave the collection, after a question. Files are never touched.
import {$, bytes, call, collectionPath, el, number, post, thumbnail, visit} from './base.js';
import {openItem} from './item.js';
import {LEVELS, question, toAddress} from './question.js';

const PAGE = 12;
const LEVEL_NAMES = {exact: 'Exact', near: 'Near', similar: 'Similar'};
const state = {cursor: 0, done: true, loading: null, comparing: null, pending: 0, touched: false, removed: 0};

const path = () => `${collectionPath(question.collection)}/duplicates`;
const name = (id) => String(id).split('/').pop();

// A file's name, to be broken behind its punctuation.
const breakable = (text) => text.split(/(?<=[_.-])/).flatMap((part, i) => (i ? [el('wbr'), part] : [part]));

// ---- a group --------------------------------------------------------------------------

// How a member compares with the one in the middle, or with a copy of that one.
function evidence(group, member) {
  if (member.beside === undefined) return 'the others are compared with this one';
  const middle = group.members.find((m) => m.beside === undefined)?.id;
  const of = member.beside === middle ? '' : `, as ${member.beside}`;
  if (member.same === 'bytes') return `the same file, byte for byte${of}`;
  const parts = [];
  if (member.same === 'pixels') parts.push('the same pixels');
  if (Number.isFinite(member.similarity) && member.similarity !== null) parts.push(`pictures agree to ${member.similarity.toFixed(3)}`);
  if (Number.isInteger(member.distance) && member.same !== 'pixels') parts.push(`hashes ${member.distance} of 255 apart`);
  if (Number.isFinite(member.cosine) && member.cosine !== null) parts.push(`embeddings ${member.cosine.toFixed(3)}`);
  if (member.turn > 1) parts.push('turned or mirrored');
  return parts.join(', ') + of;
}

function figures(member) {
  const parts = [];
  if (member.width) parts.push(`${number(member.width)} × ${number(member.height)}`);
  if (member.bytes) parts.push(bytes(member.bytes));
  if (member.format) parts.push(member.format);
  if (member.modified_ms) parts.push(new Date(member.modified_ms).toLocaleDateString(undefined, {dateStyle: 'medium'}));
  return parts.join(' · ');
}

function picture(group, member) {
  const image = el('img', {src: thumbnail(question.collection, member.id), alt: String(member.id), class: 'there', draggable: false});
  const link = el('a', {class: 'tile', href: toAddress(member.id)}, image);
  image.addEventListener('error', () => {
    link.classList.add('text');
    link.replaceChildren(name(member.id));
  });
  link.addEventListener('click', (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    visit(() => toAddress(member.id), true, {item: true});
    openItem(group.members.map((m) => ({id: m.id})), group.members.indexOf(member));
  });
  return link;
}

function memberCard(group, card, member) {
  const keep = el('button', {class: member.keep ? 'action' : 'quiet', type: 'button', onclick: () => confirmKeep(group, card, member)}, 'Keep this one');
  keep.setAttribute('aria-label', `Keep ${member.id}`);
  const folder = String(member.id).split('/').slice(0, -1).join('/') || null;
  return el('li', {class: member.keep ? 'member best' : 'member'}, picture(group, member),
    el('p', {class: 'name'}, ...breakable(name(member.id))), folder && el('p', {class: 'where'}, folder),
    el('p', {class: 'figures'}, figures(member)),
    el('p', {class: 'evidence'}, evidence(group, member)), keep);
}

const actions = (group, card) => [
  el('button', {class: 'quiet', type: 'button', onclick: () => dismiss(group, card)}, 'Not duplicates'),
  el('span', {class: 'why'}, group.why ? `Suggested: ${group.keep}, ${group.why}` : ''),
];

function drawGroup(group, card) {
  card.className = 'group';
  card.replaceChildren(
    el('h3', {}, el('span', {class: `level is-${group.level}`}, LEVEL_NAMES[group.level]), `${group.members.length} pictures`),
    el('ul', {class: 'members'}, ...group.members.map((m) => memberCard(group, card, m))),
    el('div', {class: 'acts'}, ...actions(group, card)));
}

function groupCard(group) {
  const card = el('li', {tabIndex: -1});
  card.setAttribute('aria-label', `${group.members.length} pictures, ${group.level}`);
  card.group = group;
  drawGroup(group, card);
  return card;
}

// ---- deciding ---------------------------------------------------------------------------

function settle(card, text, undo) {
  state.touched = true;
  card.className = 'group settled';
  card.replaceChildren(el('p', {}, text), ...(undo ? [el('button', {class: 'plain', type: 'button', onclick: undo}, 'Undo')] : []));
  const next = open().find((other) => card.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING);
  (next ?? card).focus();
  fillDuplicates();
}

function failed(card, error) {
  card.querySelector('.acts')?.replaceChildren(el('span', {class: 'why bad'}, error.message));
}

async function dismiss(group, card) {
  const points = group.members.map((m) => m.id);
  try {
    await post(`${path()}/dismiss`, {points});
    settle(card, `${points[0]} and ${points.length - 1} more are no duplicates of each other.`, async () => {
      try {
        await post(`${path()}/dismiss`, {points, undo: true});
        drawGroup(group, card);
      } catch (error) {
        card.append(el('span', {class: 'why bad'}, error.message));
      }
      card.focus();
    });
  } catch (error) {
    failed(card, error);
  }
}

async function keepOnly(group, card, member) {
  const points = group.members.filter((m) => m !== member).map((m) => m.id);
  try {
    await post(`${path()}/keep`, {keep: member.id, points});
    state.removed += points.length;
    settle(card, `${member.id} stays, ${points.length === 1 ? points[0] : `${points.length} others`} left the collection.`);
  } catch (error) {
    failed(card, error);
  }
}

function confirmKeep(group, card, member) {
  const others = group.members.length - 1;
  const acts = card.querySelector('.acts');
  const back = () => {
    acts.replaceChildren(...actions(group, card));
    acts.classList.remove('asking');
    card.focus();
  };
  const yes = el('button', {class: 'action', type: 'button', onclick: () => keepOnly(group, card, member)}, others === 1 ? 'Remove it' : `Remove ${others}`);
  acts.classList.add('asking');
  acts.replaceChildren(el('span', {class: 'why'},
    `Keep ${member.id} and take ${others === 1 ? 'the other item' : `${others} other items`} out of the collection? What is known of ${others === 1 ? 'it' : 'them'} is added to the one that stays; files are not touched.`),
  yes, el('button', {class: 'quiet', type: 'button', onclick: back}, 'Cancel'));
  acts.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !acts.classList.contains('asking')) return;
    event.stopPropagation();
    back();
  });
  yes.focus();
}

// ---- pages ---------------------------------------------------------------------------------

const cards = () => [...$('groups').children];
const open = () => cards().filter((c) => !c.classList.contains('settled'));

function tell() {
  const found = cards().length, pending = state.pending;
  $('review-status').textContent = pending ? `${number(pending)} pictures are still to be compared …`
    : found ? `${number(found)}${state.done ? '' : '+'} ${found === 1 && state.done ? 'group' : 'groups'}` : '';
  const nothing = !found && state.done && !pending && !state.loading;
  $('review-note').hidden = !nothing;
  $('review-note').replaceChildren(...(nothing ? [el('strong', {}, 'No duplicates'),
    question.review === 'similar' ? 'Every picture is there once.' : 'Try a looser level, if you expected some.'] : []));
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Pictures of an older directory are compared while one asks: about a second of it in each request.
async function compareRest(level) {
  const comparing = new AbortController();
  state.comparing = comparing;
  try {
    while (state.pending) {
      const [page] = await call('POST', path(), {level, limit: 1}, comparing.signal);
      if (comparing.signal.aborted) return;
      state.pending = page.pending;
      tell();
      await sleep(50);
    }
  } catch {
    return; // what is shown stays right
  }
  if (!comparing.signal.aborted && !state.touched) startReview();
}

async function load() {
  if (state.loading || state.done) return;
  const loading = new AbortController();
  state.loading = loading;
  const level = question.review, first = !state.cursor;
  try {
    const [page] = await call('POST', path(), {level, limit: PAGE, cursor: state.cursor}, loading.signal);
    state.cursor = page.cursor;
    state.done = !page.cursor;
    $('groups').append(...page.groups.map(groupCard));
    if (first) state.pending = page.pending;
  } catch (error) {
    if (loading.signal.aborted) return;
    state.done = true;
    $('review-status').textContent = '';
    $('review-note').hidden = false;
    $('review-note').replaceChildren(el('strong', {}, 'That did not work'), error.message);
    return;
  } finally {
    if (state.loading === loading) state.loading = null;
  }
  tell();
  if (first && state.pending) compareRest(level);
  requestAnimationFrame(fillDuplicates);
}

// The next page, while its place is near the window.
export function fillDuplicates() {
  if (question.review && $('review-more').getBoundingClientRect().top < innerHeight * 2) load();
}
for (const event of ['scroll', 'resize']) addEventListener(event, fillDuplicates, {passive: true});

// Drops what is on its way.
function drop() {
  state.loading?.abort();
  state.comparing?.abort();
  Object.assign(state, {loading: null, done: true});
}

// Shows the groups of question.review's level from the first page.
export function startReview() {
  drop();
  Object.assign(state, {cursor: 0, done: false, pending: 0, touched: false});
  $('groups').replaceChildren();
  for (const radio of document.querySelectorAll('#levels input')) radio.checked = radio.value === question.review;
  const loaded = load();
  tell();
  return loaded;
}

// Gives whether items were removed since it began.
export function stopReview() {
  const {removed} = state;
  drop();
  state.removed = 0;
  return removed > 0;
}

for (const level of LEVELS) {
  const radio = el('input', {type: 'radio', name: 'level', value: level});
  radio.addEventListener('change', () => {
    question.review = level;
    visit(toAddress, false);
    startReview();
  });
  $('levels').append(el('label', {}, radio, el('span', {}, LEVEL_NAMES[level])));
}

// ---- keys: arrows between groups and pictures, K keeps, N tells apart, U takes that back ------

function step(list, from, by) {
  const at = list.indexOf(from);
  return list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + by))];
}

addEventListener('keydown', (event) => {
  if (!question.review || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const at = document.activeElement;
  if (at.closest?.('input, select, textarea, .asking')) return;
  const card = at.closest?.('#groups > li');
  const go = (node) => {
    if (!node) return;
    event.preventDefault();
    node.focus();
    node.scrollIntoView({block: 'nearest'});
  };
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === 'ArrowDown' || key === 'j') return go(step(cards(), card, 1));
  if (key === 'ArrowUp') return go(step(cards(), card, -1));
  if (!card) return;
  const tiles = [...card.querySelectorAll('.tile')];
  if (key === 'ArrowRight') return go(step(tiles, at, 1));
  if (key === 'ArrowLeft') return go(step(tiles, at, -1));
  if (key === 'u') return card.querySelector('.plain')?.click();
  if (card.classList.contains('settled')) return;
  if (key === 'n') dismiss(card.group, card);
  if (key === 'k') {
    const {members, keep} = card.group;
    const chosen = members[tiles.indexOf(at.closest('.member')?.querySelector('.tile'))];
    event.preventDefault();
    confirmKeep(card.group, card, chosen ?? members.find((m) => m.id === keep));
  }
});
