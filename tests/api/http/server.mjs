// Starts a real server for a test, on a free port, with a data directory of its own.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {get} from 'node:http';
import {mkdtempSync, rmSync, existsSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, '..', '..', '..');
export const model = join(root, 'models', 'starter');
const program = process.env.AKIN_PROGRAM ?? join(root, 'build', 'akin');

// On a connection of its own that ends with it.
async function isReady(url) {
  const [reply] = await once(get(`${url}/readyz`, {agent: false}), 'response');
  reply.resume();
  await once(reply, 'end');
  return reply.statusCode === 200;
}

// {url, data, stop(), restart(), log}; args: more of the command line.
export async function startServer(args = []) {
  const data = mkdtempSync(join(tmpdir(), 'akin-http-'));
  const withModel = existsSync(join(model, 'model.safetensors')) ? ['--model', model] : [];
  const server = {data};
  const end = async () => {
    const {child} = server;
    if (child.exitCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    return child.exitCode;
  };
  const begin = async () => {
    const child = spawn(program, ['serve', '--port', '0', '--http-port', '0', ...withModel, ...args],
      {env: {...process.env, AKIN_DATA: data}, stdio: ['ignore', 'pipe', 'pipe']});
    Object.assign(server, {child, log: '', url: undefined});
    child.stdout.on('data', (d) => { server.log += d; });
    child.stderr.on('data', (d) => { server.log += d; });
    for (let i = 0; i < 200; i++) {
      if (child.exitCode !== null) throw new Error(`akin ended: ${server.log}`);
      server.url = /http:\/\/[^/]+/.exec(server.log)?.[0];
      try {
        if (server.url && (await isReady(server.url))) return server;
      } catch { /* not yet */ }
      await new Promise((r) => setTimeout(r, 50));
    }
    throw new Error(`akin did not become ready: ${server.log}`);
  };
  server.stop = async () => {
    const code = await end();
    rmSync(data, {recursive: true, force: true});
    return code;
  };
  server.restart = async () => {
    if ((await end()) !== 0) throw new Error(`akin failed: ${server.log}`);
    return begin();
  };
  return begin();
}

// A request with a JSON body; {status, body, headers}.
export async function ask(server, method, path, body, headers = {}) {
  const reply = await fetch(server.url + path, {
    method, headers: {'content-type': 'application/json', ...headers},
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)});
  const text = await reply.text();
  let parsed = text;
  try { parsed = JSON.parse(text); } catch { /* plain text */ }
  return {status: reply.status, body: parsed, headers: reply.headers};
}
