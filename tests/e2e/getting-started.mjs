// Carries out docs/getting-started.md: its commands in bash, a shell for each terminal, and what it
// tells a person to do in the browser in Chromium. It fails where the page is wrong, and where
// a newcomer would need more than five minutes after the build.
//
// What the page means to this program:
//   ```console NAME   commands for the terminal NAME, whose last one goes on
//   ```console build  how the binary is built, which is not done here (MUSTER_BIN)
//   ```console        commands for the terminal for all the rest; each has to succeed
//   ```text           what the commands before it print, in this order; … stands for anything
//   1. VERB …         a step in the browser: Open <URL>, Press **NAME**, Reload, See **TEXT**
// Ports are free ones: the addresses in the page are changed to them, and to nothing else.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { startBrowser } from './support/browser.mjs';

const CLONE = resolve(import.meta.dirname, '../..');
const BINARY = resolve(process.env.MUSTER_BIN ?? join(CLONE, 'target/debug/muster'));
const LIMIT = 5 * 60 * 1000;
/** How long one block or one step may take; all of them together have the limit. */
const PATIENCE = 240_000;

const page = readFileSync(join(CLONE, 'docs/getting-started.md'), 'utf8');

/** The blocks and the steps of the page, in its order. */
function parsed(text) {
  const found = [];
  let block;
  for (const line of text.split('\n')) {
    const fence = /^```(\w*) ?(\w*)$/.exec(line);
    if (fence && block) {
      found.push(block);
      block = undefined;
    } else if (fence) {
      block = { kind: fence[1], name: fence[2], lines: [] };
    } else if (block) {
      block.lines.push(line);
    } else if (/^\d+\. /.test(line)) {
      found.push({ kind: 'step', text: line.replace(/^\d+\. /, '') });
    }
  }
  assert.ok(!block, 'a block does not end');
  return found;
}

/** Free ports, all of them taken at the same time so that they differ. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

/** A shell that is given commands as a person types them; it ends with the first that fails. */
function terminal(name, cwd, env) {
  // Commands come one block at a time, and find nothing on their own standard input.
  const loop = 'exec 3<&0 </dev/null; while IFS= read -r -d "" -u 3 block; do eval "$block"; done';
  // A group of its own, so that what it has started ends with it.
  const options = { cwd, env, detached: true };
  const shell = spawn('bash', ['-e', '-u', '-o', 'pipefail', '-c', loop], options);
  shell.stdin.on('error', () => {});
  const output = { text: '', waiting: () => {} };
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output.text += text;
      output.waiting();
    });
  }
  let ended = false;
  shell.on('exit', () => {
    ended = true;
    output.waiting();
  });
  let count = 0;

  /** Waits until the output since `from` satisfies; the shell may not end meanwhile. */
  async function until(from, what, isThere) {
    const give = AbortSignal.timeout(PATIENCE);
    while (!isThere(output.text.slice(from))) {
      const told = output.text.slice(from);
      assert.ok(!ended, `terminal '${name}' ended before ${what}:\n${told}`);
      assert.ok(!give.aborted, `terminal '${name}' waits in vain for ${what}:\n${told}`);
      await new Promise((woken) => {
        output.waiting = woken;
        setTimeout(woken, 1000).unref();
      });
    }
    return output.text.slice(from);
  }

  return {
    /** Types commands, and waits until they are done or, if the last one goes on, have said enough. */
    async type(lines, expected, goesOn) {
      const from = output.text.length;
      count += 1;
      const mark = `-- end of block ${count} --`;
      shell.stdin.write(`${lines.join('\n')}\necho '${mark}'\n\0`);
      if (goesOn) {
        assert.ok(expected, `terminal '${name}': the page does not say what to wait for`);
        await until(from, expected.join('\n'), (told) => isSaid(told, expected));
        return;
      }
      const told = await until(from, lines.join('\n'), (text) => text.includes(`${mark}\n`));
      assert.ok(!expected || isSaid(told, expected), `'${lines.at(-1)}' did not say so:\n${told}`);
    },
    async end() {
      if (ended) return;
      process.kill(-shell.pid, 'SIGTERM');
      await once(shell, 'exit');
    },
  };
}

/** Whether the lines are there in their order, with anything between them. */
function isSaid(told, expected) {
  const rest = told.split('\n');
  return expected.every((line) => {
    const parts = line.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    const found = rest.findIndex((one) => new RegExp(`^${parts.join('.*')}$`).test(one));
    rest.splice(0, found + 1);
    return found >= 0;
  });
}

/** Does in the browser what a step says. */
async function step(tab, text) {
  const [, verb] = /^(\w+)/.exec(text) ?? [];
  const names = [...text.matchAll(/\*\*(.+?)\*\*/g)].map(([, name]) => name);
  const address = /<(http[^>]+)>/.exec(text)?.[1];
  const isGiven = { Open: address, Press: names.length === 1, See: names.length, Reload: true };
  assert.ok(Object.hasOwn(isGiven, verb) && isGiven[verb], `nobody can do this: ${text}`);
  if (verb === 'Open') await tab.goto(address);
  if (verb === 'Reload') await tab.reload();
  if (verb === 'Press') await tab.getByRole('button', { name: names[0], exact: true }).click();
  if (verb === 'See') {
    for (const name of names) await tab.getByText(name, { exact: true }).first().waitFor();
  }
}

const [muster, provider, app] = await freePorts(3);
const addresses = {
  '127.0.0.1:8080': `127.0.0.1:${muster}`,
  'localhost:9400': `localhost:${provider}`,
  'localhost:3000': `localhost:${app}`,
};
const here = (text) => text.replace(/127\.0\.0\.1:8080|localhost:(9400|3000)/g, (found) => addresses[found]);

// A folder that looks like the clone after the build, so that what is made does not stay in it.
const folder = mkdtempSync(join(tmpdir(), 'muster-getting-started-'));
const isSource = (path) => !path.endsWith('/node_modules');
cpSync(join(CLONE, 'examples'), join(folder, 'examples'), { recursive: true, filter: isSource });
mkdirSync(join(folder, 'target/debug'), { recursive: true });
symlinkSync(BINARY, join(folder, 'target/debug/muster'));

const foreign = Object.entries(process.env).filter(([name]) => !/^(MUSTER|PROVIDER|APP)_/.test(name));
const env = {
  ...Object.fromEntries(foreign),
  MUSTER_LISTEN: `127.0.0.1:${muster}`,
  MUSTER_URL: `http://127.0.0.1:${muster}`,
  PROVIDER_LISTEN: `127.0.0.1:${provider}`,
  PROVIDER_REDIRECT_URI: `http://127.0.0.1:${muster}/login/callback`,
  APP_PORT: `${app}`,
};

const terminals = new Map();
const counted = { commands: 0, steps: 0 };
let browser;

async function carryOut() {
  const parts = parsed(here(page));
  browser = await startBrowser();
  const tab = await browser.newPage();
  tab.setDefaultTimeout(PATIENCE);
  const begun = Date.now();
  for (const [index, { kind, name, lines, text }] of parts.entries()) {
    if (kind === 'step') {
      await step(tab, text);
      counted.steps += 1;
    } else if (kind === 'console' && name !== 'build') {
      const next = parts[index + 1];
      const expected = next?.kind === 'text' ? next.lines : undefined;
      if (!terminals.has(name)) terminals.set(name, terminal(name, folder, env));
      await terminals.get(name).type(lines, expected, name !== '');
      counted.commands += lines.length;
    } else {
      // What is shown belongs to the commands before it.
      const isKnown = kind === 'text' ? parts[index - 1]?.kind === 'console' : name === 'build';
      assert.ok(isKnown, `what is a block '${kind} ${name}' to be here?`);
    }
  }
  return Date.now() - begun;
}

try {
  const took = await carryOut();
  const { commands, steps } = counted;
  assert.ok(commands >= 10 && steps >= 6, 'the page was not found in the page');
  assert.ok(took <= LIMIT, `it took ${took} ms, which is more than five minutes`);
  console.log(`getting started: ${commands} commands, ${steps} steps in the browser, ${took} ms`);
} finally {
  await browser?.close();
  for (const one of terminals.values()) await one.end();
  rmSync(folder, { recursive: true });
}
