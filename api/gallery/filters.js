// Filters from the fields that the collection's items have, with counts.
import {$, collectionPath, el, get, number, post, shownValue} from './base.js';
import {changed} from './app.js';
import {filter, question} from './question.js';

const MOST = 6, VALUES = 60;
let fields = []; // {name, kind: 'values' | 'range'}
let open = null; // {name, popover}

const isDate = (value) => typeof value === 'string' && /^\d{4}-\d\d-\d\d([T ]|$)/.test(value);
const facet = async (key, but) => (await post(`${collectionPath(question.collection)}/facet`, {key, limit: VALUES, filter: filter(but)})).hits;

// Fields that tell items apart: values that several items share, or numbers.
async function choose(field) {
  if (field.type === 'integer' || field.type === 'real') return {name: field.name, kind: 'range'};
  if (!['text', 'array', 'true', 'false'].includes(field.type)) return null;
  const hits = await facet(field.name);
  const useful = hits.length > 1 && hits[0].count > 1 && !isDate(hits[0].value);
  return useful ? {name: field.name, kind: 'values'} : null;
}

export async function refreshFilters() {
  const collection = question.collection;
  fields = [];
  if (collection) {
    try {
      const {fields: all} = await get(`${collectionPath(collection)}/fields`);
      const usable = await Promise.all(all.slice(0, 16).map((f) => choose(f).catch(() => null)));
      if (collection !== question.collection) return;
      fields = usable.filter((f) => f);
      fields = [...fields.filter((f) => f.kind === 'values'), ...fields.filter((f) => f.kind === 'range')].slice(0, MOST);
    } catch { /* without filters, then */ }
  }
  showFilters();
}

const active = (name) => {
  const f = question.filters[name];
  return f && (f.values?.length || Number.isFinite(f.from) || Number.isFinite(f.to));
};

function label(name) {
  const f = question.filters[name];
  if (!active(name)) return name;
  if (f.values?.length) return f.values.length === 1 ? `${name}: ${shownValue(f.values[0])}` : `${name}: ${f.values.length} chosen`;
  return `${name}: ${f.from ?? '…'} – ${f.to ?? '…'}`;
}

export function showFilters() {
  const names = new Set(fields.map((f) => f.name));
  const extra = Object.keys(question.filters).filter((name) => !names.has(name) && active(name)).map((name) => ({name, kind: 'values'}));
  $('filters').replaceChildren(...[...fields, ...extra].map((field) => {
    const button = el('button', {type: 'button'}, el('span', {}, label(field.name)));
    button.setAttribute('aria-haspopup', 'dialog');
    button.setAttribute('aria-expanded', String(open?.name === field.name));
    button.addEventListener('click', () => (open?.name === field.name ? close() : show(field, button)));
    return el('div', {class: active(field.name) ? 'filter on' : 'filter', 'data-field': field.name}, button);
  }));
}

function close(focus) {
  if (!open) return;
  const {name, popover} = open;
  open = null;
  popover.remove();
  const button = [...$('filters').children].find((f) => f.dataset.field === name)?.querySelector('button');
  button?.setAttribute('aria-expanded', 'false');
  if (focus) button?.focus();
}

function set(name, value) {
  if (value) question.filters[name] = value;
  else delete question.filters[name];
  changed(true);
}

function valueRow(field, hit, chosen) {
  const box = el('input', {type: 'checkbox', checked: chosen.has(hit.value)});
  box.addEventListener('change', () => {
    if (box.checked) chosen.add(hit.value);
    else chosen.delete(hit.value);
    set(field.name, chosen.size ? {values: [...chosen]} : null);
  });
  return el('label', {class: 'value'}, box, el('span', {class: 'name'}, shownValue(hit.value)), el('span', {class: 'count'}, number(hit.count)));
}

async function fillValues(field, popover) {
  const hits = await facet(field.name, field.name);
  const chosen = new Set(question.filters[field.name]?.values ?? []);
  const known = new Set(hits.map((h) => h.value));
  const missing = [...chosen].filter((v) => !known.has(v)).map((value) => ({value, count: 0}));
  popover.replaceChildren(...[...missing, ...hits].map((hit) => valueRow(field, hit, chosen)));
  popover.querySelector('input')?.focus();
}

function fillRange(field, popover) {
  const f = question.filters[field.name] ?? {};
  const input = (key, text) => {
    const box = el('input', {type: 'number', placeholder: text, value: f[key] ?? '', step: 'any'});
    box.setAttribute('aria-label', `${field.name} ${text}`);
    box.addEventListener('change', () => {
      const next = {...question.filters[field.name]};
      if (box.value === '') delete next[key];
      else next[key] = Number(box.value);
      set(field.name, Object.keys(next).length ? next : null);
    });
    return box;
  };
  popover.replaceChildren(el('div', {class: 'range'}, input('from', 'from'), '–', input('to', 'to')));
  popover.querySelector('input').focus();
}

async function show(field, button) {
  close();
  const popover = el('div', {class: 'popover', role: 'dialog'});
  popover.setAttribute('aria-label', `Filter by ${field.name}`);
  const place = button.getBoundingClientRect();
  popover.style.left = `${Math.max(8, Math.min(place.left, innerWidth - 300))}px`;
  popover.style.top = `${place.bottom + 6}px`;
  open = {name: field.name, popover};
  button.setAttribute('aria-expanded', 'true');
  document.body.append(popover);
  try {
    if (field.kind === 'range') fillRange(field, popover);
    else await fillValues(field, popover);
  } catch (error) {
    popover.replaceChildren(el('p', {class: 'empty'}, error.message));
  }
  if (active(field.name))
    popover.prepend(el('button', {class: 'clear', type: 'button', onclick: () => { close(); set(field.name, null); }}, 'Clear'));
}

document.addEventListener('pointerdown', (event) => {
  if (open && !open.popover.contains(event.target) && !event.target.closest('.filter')) close();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && open) {
    event.preventDefault();
    close(true);
  }
});
addEventListener('scroll', () => { if (open && scrollY > 0) close(); }, {passive: true});
