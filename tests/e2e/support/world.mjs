// What every test has: a customer with a provider of its own, an application, and a browser that
// has never been anywhere. All share one Muster; that they share nothing in it is its promise.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { startApp } from './app.mjs';
import { startBrowser } from './browser.mjs';
import { startMuster } from './muster.mjs';
import { CONFIDENTIAL_CLIENT, PUBLIC_CLIENT, startProvider } from './provider.mjs';
import { scimClient } from './scim.mjs';

let shared;
let browser;
const secrets = new Set();

/** Starts what all tests share. */
export async function begin() {
  shared = await startMuster({ databaseUrl: process.env.MUSTER_E2E_DATABASE_URL });
  browser = await startBrowser();
}

/** Ends it. */
export async function end() {
  await browser?.close();
  if (shared) await stop(shared);
}

/** Stops a server, and holds its log against every secret that was seen meanwhile. */
export async function stop(muster) {
  const log = await muster.stop();
  assert.match(log, /POST \/|GET \//, 'the log does not tell what happened');
  const shows = (secret) => log.includes(secret) || log.includes(encodeURIComponent(secret));
  assert.deepEqual([...secrets].filter(shows), [], 'the log shows secrets');
}

/**
 * A customer for one test, who is gone after it.
 *
 * @param options.muster a server to use instead of the one that all share
 * @param options.connection an existing connection to use instead of one of its own
 * @param options.confidential whether Muster and the application have secrets
 * @param options.implicit whether the application may have its token in the address
 */
export async function customer(
  t,
  { muster = shared, connection, confidential = false, implicit = false } = {},
) {
  const provider = await startProvider(muster.redirectUri);
  t.after(provider.close);
  const app = await startApp(muster);
  t.after(app.close);
  // A certificate of the tests' own is one that nobody trusts.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.setDefaultTimeout(60_000);
  const addresses = watch(context);
  t.after(async () => {
    for (const secret of [...provider.tokens, ...app.tokens]) secrets.add(secret);
    for (const address of addresses) {
      const code = new URL(address).searchParams.get('code');
      if (code) secrets.add(code);
    }
    for (const { value } of await context.cookies(muster.url)) secrets.add(value);
    await context.close();
  });

  const name = connection ?? `customer-${randomBytes(6).toString('hex')}`;
  const settings = ['--provider', 'okta', '--issuer', provider.issuer];
  if (confidential) {
    const file = join(muster.folder, `${name}.secret`);
    writeFileSync(file, `${provider.clientSecret}\n`, { mode: 0o600 });
    settings.push('--client-id', CONFIDENTIAL_CLIENT, '--client-secret-file', file);
  } else {
    settings.push('--client-id', PUBLIC_CLIENT);
  }
  await muster.cli('connection', connection ? 'update' : 'create', name, ...settings);
  const { token } = connection ? muster : await muster.cli('token', 'create', name);

  const uris = Object.values(app.redirectUris).flatMap((uri) => ['--redirect-uri', uri]);
  const flags = [confidential && '--confidential', implicit && '--allow-implicit'].filter(Boolean);
  const known = await muster.cli('app', 'create', `app of ${name}`, ...uris, ...flags);
  app.register({ connection: name, clientId: known.client_id, clientSecret: known.client_secret });

  for (const secret of [token, provider.clientSecret, known.client_secret]) {
    if (secret) secrets.add(secret);
  }

  return {
    muster,
    name,
    provider,
    app,
    clientId: known.client_id,
    scim: scimClient(`${muster.direct}/scim/v2`, token),
    context,
    page: await context.newPage(),
    /** The address of every request that the browser made. */
    addresses,
    /** Changes the connection's settings. */
    set: (...args) => muster.cli('connection', 'update', name, ...args),
    grantRole: (team, role) => muster.cli('role', 'grant', name, team, role),
  };
}

/** Has the servers' logs held against another secret. */
export function keepSecret(secret) {
  secrets.add(secret);
}

/** A customer who pushes people and groups, and never signs in: nothing but a connection. */
export async function pushingCustomer(muster = shared) {
  const name = `customer-${randomBytes(6).toString('hex')}`;
  await muster.cli('connection', 'create', name);
  const { token } = await muster.cli('token', 'create', name);
  secrets.add(token);
  return {
    muster,
    name,
    scim: scimClient(`${muster.direct}/scim/v2`, token),
    keepSecret,
  };
}

function watch(context) {
  const addresses = [];
  context.on('request', (request) => addresses.push(request.url()));
  return addresses;
}
