// A receiver of Muster's webhooks: it checks who sent them, drops what it has already, and knows who is
// in which team. Node 20.11 or newer, no packages.
//
//   WEBHOOK_SECRET   what 'muster webhook create' printed; during a rotation both, with a space between
//   PORT             where to listen; 0 picks a free port
import { createServer } from 'node:http';

import { Directory } from './directory.mjs';
import { verify } from './verify.mjs';

/** Larger than any event of a group that Muster takes. */
const MAX_BODY = 64 * 1024 * 1024;
/** How many ids are remembered. A delivery is repeated after a failure or a crash, so soon. */
const MAX_IDS = 10_000;

const secrets = (process.env.WEBHOOK_SECRET ?? '').split(' ').filter(Boolean);
if (secrets.length === 0) {
  console.error('set WEBHOOK_SECRET to what "muster webhook create" printed');
  process.exit(2);
}

const directory = new Directory();
const seen = new Set();

const server = createServer(async (request, response) => {
  try {
    response.writeHead(await answer(request)).end();
  } catch (error) {
    // Muster sends it again.
    console.error(error);
    response.writeHead(500).end();
  }
});

/** Takes a request; gives the status of its answer. */
async function answer(request) {
  if (request.method !== 'POST') return 405;
  // What was signed is the bytes as they came: parse them after they were checked, not before.
  const body = await read(request);
  if (body === undefined) return 413;
  if (!verify(secrets, request.headers, body, Date.now())) return 401;
  const id = request.headers['webhook-id'];
  if (seen.has(id)) return 204;
  const { type, data } = JSON.parse(body);
  if (directory.apply(type, data)) console.log(JSON.stringify({ event: type, teams: directory.teams() }));
  // Only now: had it failed, it would have to come again.
  seen.add(id);
  if (seen.size > MAX_IDS) seen.delete(seen.values().next().value);
  return 204;
}

async function read(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

server.on('error', (error) => {
  console.error(error.message);
  process.exit(2);
});
server.listen(Number(process.env.PORT ?? 3001), '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}/` }));
});
process.on('SIGTERM', () => server.close(() => process.exit(0)));
