// Long work of the server, told live by server-sent events.
import {$, el, number, post} from './base.js';

let source = null, running = new Set(), finished = () => {};

function left(seconds) {
  if (!(seconds >= 0)) return '';
  if (seconds < 90) return `, ${Math.round(seconds)} s left`;
  return `, ${Math.round(seconds / 60)} min left`;
}

function row(job) {
  const going = job.state === 'running' || job.state === 'queued';
  const counts = job.total ? `${number(job.done)} of ${number(job.total)}` : job.done ? number(job.done) : '';
  const state = el('span', {class: job.state === 'failed' ? 'state bad' : job.state === 'done' ? 'state good' : 'state'},
    going && counts ? `${counts}${left(job.seconds_left)}` : job.state);
  const item = el('li', {}, el('span', {class: 'name'}, `${job.kind} · ${job.collection}`), state);
  if (going) {
    const bar = el('progress', {max: 1});
    if (job.total) bar.value = job.done / job.total;
    bar.setAttribute('aria-label', `${job.kind} of ${job.collection}`);
    item.append(bar);
  }
  const why = [job.message, going ? job.phase : '', job.failed ? `${number(job.failed)} failed` : '', job.what].filter((t) => t).join(' · ');
  if (why) item.append(el('span', {class: 'why'}, why));
  const act = (text, path) => el('button', {class: 'plain', type: 'button', onclick: () => post(`/jobs/${job.id}/${path}`, {}).catch(() => {})}, text);
  if (going) item.append(act('Stop', 'cancel'));
  if (job.state === 'cancelled' || job.state === 'interrupted') item.append(act('Go on', 'resume'));
  return item;
}

function draw(jobs) {
  const now = new Set(jobs.filter((j) => j.state === 'running' || j.state === 'queued').map((j) => j.id));
  $('busy').hidden = !now.size;
  for (const job of jobs) if (running.has(job.id) && !now.has(job.id)) finished(job.collection);
  running = now;
  $('job-list').replaceChildren(...(jobs.length ? jobs.map(row)
    : [el('li', {class: 'empty'}, 'No jobs yet. Folders are added by: akin add FOLDER')]));
}

function listen() {
  if (source || document.hidden) return;
  source = new EventSource('/jobs/events');
  source.addEventListener('jobs', (event) => draw(JSON.parse(event.data)));
}

// Calls done(collection) when a job ends. Listens while the page is seen.
export function watchJobs(done) {
  finished = done;
  draw([]);
  listen();
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else {
      listen();
    }
  });
}
