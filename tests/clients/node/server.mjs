// The server under test, asked the way any program would.
import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';

const base = process.env.MUSTER_SCIM_URL;
const token = readFileSync(process.env.MUSTER_SCIM_TOKEN_FILE, 'utf8').trim();

export const USER = 'urn:ietf:params:scim:schemas:core:2.0:User';
export const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

/** Sends a request; answers its status, headers and body. */
export async function request(method, path, body) {
  const answer = await fetch(`${base}${path}`, {
    method,
    headers: {
      Accept: 'application/scim+json',
      Authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'Content-Type': 'application/scim+json' }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text && JSON.parse(text) };
}

/** The body of an answer with that status. */
export async function expect(status, method, path, body) {
  const answer = await request(method, path, body);
  if (answer.status !== status) {
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
  return answer.body;
}

/** A name that nobody has. */
export const fresh = () => `node-${randomUUID().slice(0, 13)}`;

/** Numbers from 0 to 1 that look random and are the same each time. */
export function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
