// The real binary: one server in an empty folder, set up by its own command line.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const BINARY = resolve(
  process.env.MUSTER_BIN ?? join(import.meta.dirname, '../../../target/release/muster'),
);

/**
 * Starts the server on an empty store and waits until it says where it is.
 *
 * @param options.databaseUrl the store, if not a file in the folder
 * @param options.proxy a proxy to stand behind
 */
export async function startMuster({ databaseUrl = 'sqlite://muster.db', proxy } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'muster-e2e-'));
  const logFile = join(folder, 'log');
  const env = environment(databaseUrl);
  const publicUrl = proxy ? ['--public-url', proxy.url] : [];

  /** Starts the server there, and waits until it says where it is. */
  async function launch(listen) {
    const log = openSync(logFile, 'a');
    const child = spawn(BINARY, ['serve', '--listen', listen, '--json', ...publicUrl], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', log],
    });
    closeSync(log);
    const ended = once(child, 'exit');
    const lines = createInterface({ input: child.stdout });
    const first = await Promise.race([once(lines, 'line'), ended.then(() => undefined)]);
    assert.ok(first, `the server ended: ${readFileSync(logFile, 'utf8')}`);
    return { child, ended, said: JSON.parse(first[0]) };
  }

  async function end({ child, ended }) {
    child.kill('SIGTERM');
    const [code] = await ended;
    assert.equal(code, 0, `the server did not end well: ${readFileSync(logFile, 'utf8')}`);
  }

  let server = await launch('127.0.0.1:0');
  const { said } = server;
  assert.ok(said.token, 'the database has to be empty');

  proxy?.pass(said.listen);

  return {
    /** Its address for browsers. */
    url: proxy?.url ?? said.listen,
    /** Its address for servers, with no proxy between. */
    direct: said.listen,
    redirectUri: said.redirect_uri,
    /** The SCIM token of the connection `default`. */
    token: said.token,
    folder,
    /** Runs a command and gives its result. */
    async cli(...args) {
      const options = { cwd: folder, env };
      const { stdout } = await promisify(execFile)(BINARY, ['--json', ...args], options);
      return stdout ? JSON.parse(stdout) : undefined;
    },
    /** Stops the server and starts it again, at the same address. */
    async restart() {
      await end(server);
      server = await launch(new URL(said.listen).host);
    },
    /** Stops the server and gives its whole log. */
    async stop() {
      await end(server);
      const text = readFileSync(logFile, 'utf8');
      rmSync(folder, { recursive: true });
      return text;
    },
  };
}

/** The environment without settings that somebody may have for a Muster of their own. */
function environment(databaseUrl) {
  const foreign = Object.entries(process.env).filter(([name]) => !name.startsWith('MUSTER_'));
  return {
    ...Object.fromEntries(foreign),
    MUSTER_DATABASE_URL: databaseUrl,
    // The log is searched for secrets, so it is to say as much as it can be asked to.
    RUST_LOG: 'debug',
  };
}
