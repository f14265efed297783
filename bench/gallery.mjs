// How long the gallery takes from a typed letter to the first results, in headless Chromium, on a
// running server (akin demo --keep):
//   npm ci --prefix tests/api/http && node bench/gallery.mjs [http://127.0.0.1:7802]
// Words are typed letter by letter, PAUSE_MS after the last answer. One row: from the input event until
// the new results stand in the page, and until the first twelve pictures of the last are drawn.
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {chromium} from '../tests/api/http/node_modules/playwright-core/index.mjs';

const PAUSE_MS = 120; // a fast typist
const url = process.argv[2] ?? 'http://127.0.0.1:7802';
const words = ['sailing boat', 'red car', 'a cat', 'birthday cake', 'guitar', 'flower', 'ein roter Apfel', 'house with a garden'];
const profile = mkdtempSync(join(tmpdir(), 'akin-bench-'));
const context = await chromium.launchPersistentContext(profile, {executablePath: '/usr/bin/chromium', viewport: {width: 1280, height: 800},
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run']});
const page = context.pages()[0] ?? await context.newPage();
await page.goto(url);
await page.waitForSelector('.tile img.there');
const items = await page.waitForFunction(() => document.getElementById('status').textContent).then((h) => h.jsonValue());

// Types one more letter; [ms until results, ms until twelve pictures].
const type = (text) => page.evaluate((text) => new Promise((resolve) => {
  const field = document.getElementById('words'), grid = document.getElementById('grid');
  const start = performance.now();
  const seen = new MutationObserver(() => {
    const tiles = [...grid.querySelectorAll('.tile img')].slice(0, 12);
    if (!tiles.length) return;
    seen.disconnect();
    const results = performance.now() - start;
    Promise.all(tiles.map((i) => i.decode().catch(() => {}))).then(() => resolve([results, performance.now() - start]));
  });
  seen.observe(grid, {childList: true});
  field.value = text;
  field.dispatchEvent(new InputEvent('input', {bubbles: true}));
}), text);

const results = [], drawn = [];
for (const word of words)
  for (let n = 1; n <= word.length; n++) {
    if (word[n - 1] === ' ') continue; // asks nothing new
    const [found, seen] = await type(word.slice(0, n));
    results.push(found);
    drawn.push(seen);
    await page.waitForTimeout(PAUSE_MS);
  }
const at = (list, p) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(p * list.length))].toFixed(0);
console.log(`${url}  ${items}  ${results.length} letters: results p50 ${at(results, 0.5)} ms, p95 ${at(results, 0.95)}, max ${at(results, 1)}; ` +
  `twelve pictures drawn p50 ${at(drawn, 0.5)} ms, p95 ${at(drawn, 0.95)}`);
await context.close();
rmSync(profile, {recursive: true, force: true});
