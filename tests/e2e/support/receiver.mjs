// The example receiver of webhooks, as a process.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const FILE = join(import.meta.dirname, '../../../examples/webhook-receiver/receiver.mjs');
/** Longer than anything here takes. */
const SOON = 30_000;

/** Starts the receiver; `port` is a free one if it is not said. */
export async function startReceiver(secret, port = 0) {
  const env = { PATH: process.env.PATH, WEBHOOK_SECRET: secret, PORT: String(port) };
  const receiver = spawn(process.execPath, [FILE], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(receiver, 'exit');
  const lines = createInterface({ input: receiver.stdout });
  const [first] = await once(lines, 'line');
  const { url } = JSON.parse(first);
  let teams = {};
  lines.on('line', (line) => ({ teams } = JSON.parse(line)));
  return {
    url,
    port: Number(new URL(url).port),
    /** What it knows. */
    teams: () => teams,
    /** Waits until it knows this. */
    async knows(expected) {
      const deadline = AbortSignal.timeout(SOON);
      const same = () => JSON.stringify(teams) === JSON.stringify(expected);
      while (!same() && !deadline.aborted) {
        await once(lines, 'line', { signal: deadline }).catch(() => undefined);
      }
      assert.deepEqual(teams, expected);
    },
    async stop() {
      receiver.kill('SIGKILL');
      await ended;
    },
  };
}
