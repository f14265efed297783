// run.mjs FILE: one test file under node's test runner; 77 (skipped) without the npm packages.
// run.mjs --packages: fetches them (npm ci) if they are not here; 77 when that cannot be.
import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const there = () => existsSync(join(here, 'node_modules', '@qdrant', 'js-client-rest', 'package.json'));

if (process.argv[2] === '--packages') {
  if (!there()) spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--silent', '--ignore-scripts'], {cwd: here, stdio: 'inherit'});
  if (!there()) console.log('skipped: `npm ci` in tests/api/http did not work (no npm, or no way to its registry)');
  process.exit(there() ? 0 : 77);
}
if (!there()) {
  console.log('skipped: run `npm ci` in tests/api/http first');
  process.exit(77);
}
const result = spawnSync(process.execPath, ['--test', '--test-reporter=spec', join(here, process.argv[2])], {stdio: 'inherit'});
process.exit(result.status ?? 1);
