// Adding pictures: two at a time, each with its progress and what became of it.
import {$, call, collectionPath, el, openSheet} from './base.js';
import {refresh} from './app.js';
import {question} from './question.js';

const AT_ONCE = 2, SHOWN = 200;
const waiting = [];
const sum = {all: 0, added: 0, unchanged: 0, failed: 0};
let running = 0;

function say() {
  const done = sum.added + sum.unchanged + sum.failed;
  const parts = [];
  if (sum.added) parts.push(`${sum.added} added`);
  if (sum.unchanged) parts.push(`${sum.unchanged} known already`);
  if (sum.failed) parts.push(`${sum.failed} failed`);
  $('upload-sum').textContent = done < sum.all ? `${done} of ${sum.all}` : parts.join(', ');
}

// Sends one file; progress is called with 0..1.
function send(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append('file', file, file.name);
    request.open('POST', `${collectionPath(question.collection)}/points/upload`);
    request.upload.onprogress = (event) => progress(event.loaded / (event.total || 1));
    request.onload = () => {
      let reply = null;
      try { reply = JSON.parse(request.responseText); } catch { /* below */ }
      const [result] = Array.isArray(reply?.result) ? reply.result : [];
      if (result) resolve(result);
      else reject(new Error(reply?.status?.error ?? `the server answered ${request.status}`));
    };
    request.onerror = () => reject(new Error('the connection broke'));
    request.send(form);
  });
}

async function next() {
  const job = waiting.shift();
  if (!job) return;
  running++;
  const {file, state, bar, row} = job;
  try {
    const result = await send(file, (part) => { bar.value = part * 0.95; });
    bar.remove();
    const good = result.status !== 'failed';
    state.className = good ? 'state good' : 'state bad';
    state.textContent = result.status === 'unchanged' ? 'known already' : result.status;
    if (good) sum[result.status === 'unchanged' ? 'unchanged' : 'added']++;
    else sum.failed++;
    if (result.error) row.append(el('span', {class: 'why'}, result.error));
  } catch (error) {
    bar.remove();
    sum.failed++;
    state.className = 'state bad';
    state.textContent = 'failed';
    row.append(el('span', {class: 'why'}, error.message));
  }
  running--;
  say();
  if (!waiting.length && !running) refresh();
  next();
}

export async function addFiles(files) {
  if (!files.length) return;
  openSheet($('upload'));
  if (!running && !waiting.length) Object.assign(sum, {all: 0, added: 0, unchanged: 0, failed: 0});
  try {
    if (!question.collection) {
      question.collection = 'default';
      await call('PUT', collectionPath('default'), {});
    }
  } catch (error) {
    question.collection = '';
    $('upload-sum').textContent = error.message;
    return;
  }
  sum.all += files.length;
  for (const file of files) {
    const state = el('span', {class: 'state'}, 'waiting');
    const bar = el('progress', {max: 1, value: 0});
    bar.setAttribute('aria-label', file.name);
    const row = el('li', {}, el('span', {class: 'name'}, file.name), state, bar);
    $('uploads').prepend(row);
    waiting.push({file, state, bar, row});
  }
  while ($('uploads').children.length > SHOWN) $('uploads').lastChild.remove();
  say();
  while (running < AT_ONCE && waiting.length) next();
}
