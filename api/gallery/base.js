// Small things that the other files share: elements, requests, numbers.

// An element with properties and children; texts become text nodes, never markup.
export function el(name, props = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (key === 'class') node.className = value;
    else if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

export const $ = (id) => document.getElementById(id);

const cross = 'M6 6l12 12M18 6L6 18';
export function crossIcon() {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', cross);
  svg.append(path);
  return svg;
}

export const number = (n) => new Intl.NumberFormat('en').format(n);

// A value of a field as a person reads it.
export const shownValue = (value) => (value === '' ? '(none)' : String(value));

export function bytes(n) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${n < 10 && i ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

// ---- requests ------------------------------------------------------------------

export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let askPassword = null;
export function onPassword(ask) { askPassword = ask; }

// The result of a request; the server's time in ms as second. Asks for the password when it must.
export async function call(method, path, body, signal) {
  for (;;) {
    const reply = await fetch(path, {
      method, signal, headers: body === undefined ? {} : {'content-type': 'application/json'},
      body: body === undefined ? undefined : JSON.stringify(body)});
    const text = await reply.text();
    let parsed = null;
    try { parsed = JSON.parse(text); } catch { /* not JSON: the status says it */ }
    if (reply.ok && parsed) return [parsed.result, parsed.time * 1000];
    if (reply.status === 401 && askPassword) {
      await askPassword();
      continue;
    }
    throw new Failure(reply.status, parsed?.status?.error ?? `the server answered ${reply.status}`);
  }
}

export const get = async (path, signal) => (await call('GET', path, undefined, signal))[0];
export const post = async (path, body, signal) => (await call('POST', path, body, signal))[0];

export const collectionPath = (name) => `/collections/${encodeURIComponent(name)}`;
export const pointPath = (name, id) => `${collectionPath(name)}/points/${encodeURIComponent(String(id))}`;
export const thumbnail = (name, id) => `${pointPath(name, id)}/thumbnail`;

// ---- the address bar ---------------------------------------------------------------

// A step back of our own takes a moment; what comes then waits, or it would be undone.
let leaving = null;
export const isLeaving = () => leaving !== null;
export function stepBack() {
  leaving = new Promise((resolve) => {
    const arrived = () => {
      clearTimeout(late);
      removeEventListener('popstate', arrived);
      leaving = null;
      resolve();
    };
    const late = setTimeout(arrived, 1000);
    addEventListener('popstate', arrived);
  });
  history.back();
}
// Writes what address() gives into the bar. push: as a step that can be gone back from.
export async function visit(address, push, state = null) {
  while (leaving) await leaving;
  const to = address();
  if (push && to !== location.pathname + location.search) history.pushState(state, '', to);
  else history.replaceState(state, '', to);
}

// ---- dialogs ----------------------------------------------------------------------

// Opens a sheet; a click beside it or on its cross closes it.
export function openSheet(dialog) {
  if (!dialog.open) dialog.showModal();
}
for (const dialog of document.querySelectorAll('dialog.sheet')) {
  dialog.addEventListener('click', (event) => {
    if (dialog.id !== 'login' && event.target === dialog) dialog.close();
    if (event.target.closest('[data-close]')) dialog.close();
  });
}
