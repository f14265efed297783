// Watching a server: the metrics, what docs/ makes of them, the slow log of both fronts. Where
// Debian's prometheus is installed, its promtool reads metrics and rules, and it scrapes once.
import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createServer, connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {ask, root, startServer} from './server.mjs';

const has = (program) => spawnSync(program, ['--version']).status === 0;
const noPromtool = has('promtool') ? false : 'no promtool here (Debian: apt-get install prometheus)';
const dashboard = JSON.parse(readFileSync(join(root, 'docs', 'grafana.json'), 'utf8'));
const rules = readFileSync(join(root, 'docs', 'alerts.yml'), 'utf8');

// One RESP connection; call(...words) gives the parsed reply.
async function resp(server) {
  const socket = connect(join(server.data, 'akin.sock'));
  let text = '', wake = () => {};
  socket.on('data', (d) => { text += d.toString('latin1'); wake(); });
  const line = async () => {
    while (!text.includes('\r\n')) await new Promise((r) => { wake = r; });
    const at = text.indexOf('\r\n'), one = text.slice(0, at);
    text = text.slice(at + 2);
    return one;
  };
  const read = async () => {
    const head = await line(), n = Number(head.slice(1));
    if (head[0] === ':') return n;
    if (head[0] === '+') return head.slice(1);
    if (head[0] === '-') throw new Error(head.slice(1));
    if (head[0] === '*') return [...Array(n)].reduce(async (all) => [...await all, await read()], []);
    if (n < 0) return null;
    while (text.length < n + 2) await new Promise((r) => { wake = r; });
    const value = Buffer.from(text.slice(0, n), 'latin1').toString();
    text = text.slice(n + 2);
    return value;
  };
  return {
    call(...words) {
      socket.write(`*${words.length}\r\n${words.map((w) => `$${Buffer.byteLength(w)}\r\n${w}\r\n`).join('')}`);
      return read();
    },
    close: () => socket.destroy(),
  };
}

// Vectors about an axis, 32 wide.
let seed = 7;
const noise = () => { seed = (seed * 1664525 + 1013904223) >>> 0; return seed / 2 ** 32 - 0.5; };
const about = (axis) => Array.from({length: 32}, (_, i) => noise() + (i === axis ? 2 : 0));

const scrape = async (server) => (await ask(server, 'GET', '/metrics')).body;
// name{labels} -> value
const samples = (text) => new Map(text.split('\n').filter((l) => l && l[0] !== '#').map((l) => [l.slice(0, l.lastIndexOf(' ')), Number(l.slice(l.lastIndexOf(' ') + 1))]));

describe('watching', () => {
  let server, redis;
  before(async () => {
    server = await startServer(['--slow-log', '0']);
    redis = await resp(server);
    await ask(server, 'PUT', '/collections/v', {vectors: {size: 32, distance: 'Cosine'}});
    const points = Array.from({length: 300}, (_, i) => ({id: i, vector: about(0)}));
    assert.equal((await ask(server, 'PUT', '/collections/v/points', {points})).status, 200);
  });
  after(async () => {
    redis?.close();
    assert.equal(await server?.stop(), 0);
  });

  test('requests of both fronts are counted, the index and the machine described', async () => {
    await redis.call('VCARD', 'v');
    await assert.rejects(redis.call('VSIM', 'v', 'VALUES', '2', '1', '0'));
    await ask(server, 'POST', '/collections/v/points/query', {query: about(0)});
    const m = samples(await scrape(server));
    assert.equal(m.get('akin_request_seconds_count{front="resp",command="VCARD"}'), 1);
    assert.equal(m.get('akin_requests_failed_total{front="resp",command="VSIM"}'), 1);
    assert.equal(m.get('akin_request_seconds_count{front="http",command="query_points"}'), 1);
    assert.equal(m.get('akin_items{collection="v"}'), 300);
    assert.equal(m.get('akin_vectors{collection="v",space="image"}'), 300);
    assert.equal(m.get('akin_index_recall{collection="v",space="image"}'), 1);
    for (const name of ['akin_worker_queue{pool="usual"}', 'akin_encode_queue', 'akin_decode_queue', 'akin_encoder_batch_items_count',
      'akin_encoder_seconds_total', 'akin_query_seconds_total', 'akin_index_generation{collection="v",space="image"}', 'akin_memory_bytes'])
      assert.ok(Number.isFinite(m.get(name)), name);
  });

  test('drift of questions is told from what is asked as ever', async () => {
    const drift = async () => samples(await scrape(server)).get('akin_query_drift{collection="v",kind="picture"}');
    for (let i = 0; i < 60; i++) await ask(server, 'POST', '/collections/v/points/query', {query: about(0), limit: 1});
    const usual = await drift();
    for (let i = 0; i < 60; i++) await ask(server, 'POST', '/collections/v/points/query', {query: about(9), limit: 1});
    const other = await drift();
    // scrapes, questions and changes side by side
    await Promise.all(Array.from({length: 40}, (_, i) => (i % 4 ? ask(server, 'POST', '/collections/v/points/query', {query: about(9), limit: 1})
      : i % 8 ? scrape(server) : ask(server, 'PUT', '/collections/v/points', {points: [{id: i, vector: about(0)}]}))));
    assert.ok(usual < 0.2 && other > usual + 0.3, `${usual} ${other}`);
    assert.ok(samples(await scrape(server)).get('akin_ingest_drift{collection="v",space="image"}') < 0.2);
  });

  test('dashboard and rules ask for metrics that are there', async () => {
    const there = new Set([...(await scrape(server)).matchAll(/^# TYPE (\S+) (\S+)/gm)].flatMap(([, name, type]) =>
      (type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name])));
    const asked = [...JSON.stringify(dashboard).matchAll(/\bakin_\w+/g), ...rules.matchAll(/\bakin_\w+/g)].map(([name]) => name);
    assert.ok(asked.length > 20);
    assert.deepEqual(asked.filter((name) => !there.has(name)), []);
  });

  test('promtool has nothing against metrics and rules', {skip: noPromtool}, async () => {
    const metrics = spawnSync('promtool', ['check', 'metrics'], {input: await scrape(server), encoding: 'utf8'});
    assert.equal(metrics.status, 0, metrics.stdout + metrics.stderr);
    assert.equal(metrics.stderr.trim(), '');
    const checked = spawnSync('promtool', ['check', 'rules', join(root, 'docs', 'alerts.yml')], {encoding: 'utf8'});
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
    assert.match(checked.stdout, /SUCCESS: \d+ rules found/);
  });

  test('Prometheus scrapes and finds the server up', {skip: has('prometheus') ? noPromtool : 'no prometheus here'}, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'akin-prometheus-'));
    const port = await new Promise((resolve) => {
      const probe = createServer().listen(0, '127.0.0.1', () => { const {port} = probe.address(); probe.close(() => resolve(port)); });
    });
    writeFileSync(join(dir, 'p.yml'), `global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [${join(root, 'docs', 'alerts.yml')}]\n` +
      `scrape_configs:\n  - job_name: akin\n    static_configs: [{targets: ["${new URL(server.url).host}"]}]\n`);
    const child = spawn('prometheus', [`--config.file=${join(dir, 'p.yml')}`, `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`], {stdio: 'ignore'});
    const query = async (q) => (await (await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(q)}`)).json()).data.result;
    try {
      let up = [];
      for (let i = 0; i < 300 && up[0]?.value[1] !== '1'; i++) {
        await new Promise((r) => setTimeout(r, 100));
        assert.equal(child.exitCode, null, 'prometheus ended');
        up = await query('up{job="akin"}').catch(() => []);
      }
      assert.equal(up[0]?.value[1], '1');
      assert.equal((await query('akin_items{collection="v"}'))[0].value[1], '300');
      const targets = await (await fetch(`http://127.0.0.1:${port}/api/v1/targets`)).json();
      assert.equal(targets.data.activeTargets[0].lastError, '');
      for (const panel of dashboard.panels.flatMap((p) => [p, ...(p.panels ?? [])]))
        for (const {expr} of panel.targets ?? [])
          await query(expr.replaceAll(/\$__rate_interval|\$__interval/g, '5m').replaceAll(/\$\w+/g, '.*')).catch((e) => assert.fail(`${expr}: ${e.message}`));
    } finally {
      child.kill();
      rmSync(dir, {recursive: true, force: true});
    }
  });

  test('what takes long is kept for SLOWLOG and logged, of RESP and of HTTP', async () => {
    assert.equal(await redis.call('SLOWLOG', 'LEN'), 0);
    assert.equal(await redis.call('AKIN.CONFIG', 'SET', 'slow-log', '0.000001'), 'OK');
    await redis.call('CLIENT', 'SETNAME', 'me');
    await redis.call('VSIM', 'v', 'VALUES', '32', ...about(1).map(String), 'COUNT', '3');
    await ask(server, 'POST', '/collections/v/points/query', {query: about(0), filter: {must: [{key: 'word', match: {value: 'x'.repeat(300)}}]}});
    assert.equal(await redis.call('AKIN.CONFIG', 'SET', 'slow-log', '0'), 'OK');
    await redis.call('VCARD', 'v');
    assert.equal(await redis.call('SLOWLOG', 'LEN'), 3); // AKIN.CONFIG itself: it set the limit before it ended
    const [http, vsim, config] = await redis.call('SLOWLOG', 'GET');
    assert.deepEqual(config[3], ['AKIN.CONFIG', 'SET', 'slow-log', '0.000001']);
    assert.equal(http.length, 6);
    assert.deepEqual(http[3].slice(0, 2), ['POST', '/collections/v/points/query']);
    assert.match(http[3][2], /^\{"query":\[.*\.\.\. \(\d+ more bytes\)$/);
    assert.match(http[4], /^127\.0\.0\.1:\d+$/);
    assert.equal(vsim[3].length, 32);
    assert.equal(vsim[3][0], 'VSIM');
    assert.match(vsim[3][31], /^\.\.\. \(7 more arguments\)$/);
    assert.equal(vsim[5], 'me');
    assert.ok(vsim[0] === http[0] - 1 && vsim[2] > 0 && Math.abs(vsim[1] - Date.now() / 1000) < 600);
    assert.equal((await redis.call('SLOWLOG', 'GET', '1')).length, 1);
    assert.equal((await redis.call('SLOWLOG', 'GET', '-1')).length, 3);
    for (const line of [/slow: [\d.]+ ms for [^:]+akin\.sock:0: VSIM v VALUES/, /slow: [\d.]+ ms for 127[^ ]+: POST \/collections\/v\/points\/query/])
      while (!line.test(server.log)) await once(server.child.stderr, 'data'); // forever, if it never comes
    assert.equal(samples(await scrape(server)).get('akin_slow_requests_total'), 3);
    assert.equal(await redis.call('SLOWLOG', 'RESET'), 'OK');
    assert.equal(await redis.call('SLOWLOG', 'LEN'), 0);
    assert.deepEqual(await redis.call('SLOWLOG', 'GET'), []);
    await assert.rejects(redis.call('SLOWLOG', 'GET', '-2'), /greater than or equal to -1/);
    await assert.rejects(redis.call('SLOWLOG', 'NONSENSE'), /NONSENSE/);
  });
});
