// The example application of examples/web-app, the way a vendor's engineer meets it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { listen } from '../../../examples/local-provider/server.mjs';
import { webApp } from '../../../examples/web-app/app.mjs';
import { answerProvider, endsAtMuster, heading } from '../support/browser.mjs';
import { customer } from '../support/world.mjs';

/** The example application as one more application of a customer. */
async function example(t, there, settings = {}) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { muster, name } = there;
  const url = `http://localhost:${server.address().port}`;
  const callback = `${url}/callback`;
  const known = await muster.cli('app', 'create', `example of ${name}`, '--redirect-uri', callback);
  const clientId = known.client_id;
  server.on('request', webApp({ url, muster: muster.url, clientId, connection: name, ...settings }));
  return { url, callback };
}

const button = (page, name) => page.getByRole('button', { name, exact: true });

const items = async (page, name) =>
  (await page.getByRole('list', { name }).getByRole('listitem').allTextContents()).sort();

async function signIn(page, { url }, person) {
  await page.goto(url);
  await button(page, 'Sign in').click();
  await answerProvider(page, person);
  await page.waitForURL(`${url}/`);
}

test('the example shows who is signed in, with teams and roles, until SCIM deactivates them', async (t) => {
  const there = await customer(t);
  const { page, provider, scim, context } = there;
  const app = await example(t, there);
  const ann = provider.add('ann.lee@example.com');
  const user = await scim.pushUser(ann);
  await scim.pushTeam('Engineering', user);
  await scim.pushTeam('<b>Sales</b>', user);
  await there.grantRole('Engineering', 'editor');

  await signIn(page, app, ann);
  assert.equal(await heading(page), 'Hello, Ann Lee');
  assert.deepEqual(await items(page, 'Teams'), ['<b>Sales</b>', 'Engineering']);
  assert.deepEqual(await items(page, 'Roles'), ['editor']);
  const [cookie] = (await context.cookies(app.url)).filter(({ name }) => name === 'web_app');
  assert.deepEqual(
    { httpOnly: cookie.httpOnly, sameSite: cookie.sameSite },
    { httpOnly: true, sameSite: 'Lax' },
  );

  await scim.patchUser(user.id, { op: 'replace', value: { active: false } });
  await page.reload();
  assert.equal(await heading(page), 'You are signed out');
  assert.match(await page.getByRole('paragraph').textContent(), /Your session is over/);

  const again = () => button(page, 'Sign in').click();
  const answer = await endsAtMuster(page, there.muster, again);
  assert.equal(answer.status(), 403);
  assert.match(await page.getByRole('paragraph').textContent(), /account is deactivated/);
  await page.goto(app.url);
  assert.equal(await heading(page), 'You are signed out');
});

test('signing out of the example ends the session at Muster', async (t) => {
  const there = await customer(t);
  const { page, provider, muster } = there;
  const app = await example(t, there);
  await signIn(page, app, provider.add('ann.lee@example.com'));
  assert.equal((await page.goto(`${muster.url}/userinfo`)).status(), 200);

  await page.goto(app.url);
  await button(page, 'Sign out').click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();

  assert.equal(page.url(), `${app.url}/`);
  assert.equal((await page.goto(`${muster.url}/userinfo`)).status(), 401);
});

test('somebody else cannot sign out of the example who is signed in to it', async (t) => {
  const there = await customer(t);
  const { page, provider } = there;
  const app = await example(t, there);
  await signIn(page, app, provider.add('ann.lee@example.com'));

  const elsewhere = await listen();
  t.after(elsewhere.close);
  // Another name of this machine is another site.
  const attack = elsewhere.url.replace('localhost', '127.0.0.1');
  elsewhere.handle((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(`<form method="post" action="${app.url}/sign-out"><button>Win</button></form>`);
  });
  await page.goto(attack);
  await button(page, 'Win').click();
  await page.waitForURL(`${app.url}/`);
  await page.goto(app.url);

  assert.equal(await heading(page), 'Hello, Ann Lee');
});

test('what comes to the callback of the example and is no answer signs nobody in', async (t) => {
  const there = await customer(t);
  const { page, muster } = there;
  const app = await example(t, there);

  /** Begins a sign-in, and answers it in place of Muster. */
  async function answered(answer) {
    const begun = await page.request.get(`${app.url}/sign-in`, { maxRedirects: 0 });
    const state = new URL(begun.headers().location).searchParams.get('state');
    const query = new URLSearchParams({ state, iss: muster.url, ...answer });
    const status = (await page.goto(`${app.callback}?${query}`)).status();
    const text = await page.getByRole('alert').textContent();
    assert.equal(await heading(page), 'You are not signed in');
    // Once more is too often, whatever it was.
    assert.equal((await page.goto(`${app.callback}?${query}`)).status(), 400);
    await page.goto(app.url);
    assert.equal(await heading(page), 'You are signed out');
    return { status, text };
  }

  const refused = await answered({ error: 'access_denied', error_description: 'Call 555 now' });
  assert.equal(refused.status, 403);
  assert.equal(refused.text, 'You were not let in. Ask your administrator for access.');
  const failed = await answered({ error: 'temporarily_unavailable' });
  assert.match(failed.text, /Try again in a minute/);
  const wrong = await answered({ error: 'toString' });
  assert.match(wrong.text, /Tell its administrator/);
  const unknown = await answered({ code: 'made-up' });
  assert.equal(unknown.status, 400);
  assert.match(unknown.text, /Begin again/);
  const nothing = await answered({});
  assert.equal(nothing.status, 400);
  const other = await answered({ code: 'of-somebody-else', iss: 'https://evil.example' });
  assert.equal(other.status, 400);
  assert.match(other.text, /somebody else/);
  const foreign = await answered({ state: 'of-another-browser', code: 'of-somebody-else' });
  assert.equal(foreign.status, 400);
  assert.match(foreign.text, /not under way in this browser/);
});

test('the error that Muster sends back is shown by the example', async (t) => {
  const there = await customer(t);
  const { page, muster } = there;
  const app = await example(t, there);
  const begun = await page.request.get(`${app.url}/sign-in`, { maxRedirects: 0 });
  const asked = new URL(begun.headers().location);
  assert.equal(asked.origin, muster.url);
  // Without it Muster refuses the request.
  asked.searchParams.delete('code_challenge');

  await page.goto(asked.href);
  assert.ok(page.url().startsWith(`${app.callback}?error=invalid_request`), page.url());

  assert.equal(await heading(page), 'You are not signed in');
  assert.match(await page.getByRole('alert').textContent(), /in a wrong way/);
});

test('where Muster is out of reach the example says so and signs nobody out', async (t) => {
  const there = await customer(t);
  const { page, provider, muster } = there;
  const away = await listen();
  t.after(away.close);
  let isAway = false;
  away.handle(async (request, response, url) => {
    if (isAway) return response.destroy();
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { authorization, 'content-type': type } = request.headers;
    const headers = { ...(authorization && { authorization }), ...(type && { 'content-type': type }) };
    const body = chunks.length ? Buffer.concat(chunks) : undefined;
    const { method } = request;
    const answer = await fetch(`${muster.direct}${url.pathname}`, { method, headers, body });
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    return response.end(await answer.text());
  });
  const app = await example(t, there, { direct: away.url });
  await signIn(page, app, provider.add('ann.lee@example.com'));

  isAway = true;
  assert.equal((await page.goto(app.url)).status(), 503);
  assert.equal(await heading(page), 'This does not work at the moment');
  isAway = false;
  await button(page, 'Try again').click();
  await page.waitForURL(`${app.url}/?`);
  assert.equal(await heading(page), 'Hello, Ann Lee');
});
