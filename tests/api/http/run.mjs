// run.mjs FILE: one test file under node's test runner; 77 (skipped) when the npm packages are not
// installed. `npm ci` in this folder installs them.
import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
if (!existsSync(join(here, 'node_modules', '@qdrant'))) {
  console.log('skipped: run `npm ci` in tests/api/http first');
  process.exit(77);
}
const result = spawnSync(process.execPath, ['--test', '--test-reporter=spec', join(here, process.argv[2])], {stdio: 'inherit'});
process.exit(result.status ?? 1);
