// The other ways to ask: an application with a secret, and one with the token in the fragment.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { answerProvider, heading, shown, signIn } from '../support/browser.mjs';
import { customer } from '../support/world.mjs';

test('an application and a Muster with secrets sign in the same way', async (t) => {
  const { page, app, provider, scim } = await customer(t, { confidential: true });
  const ann = provider.add('ann.lee@example.com', { groups: ['Engineering'] });
  const { id } = await scim.pushUser(ann);

  await signIn(page, app, ann);

  const { roles, ...rest } = await shown(page);
  assert.deepEqual(rest, { id, userName: ann.login, teams: ['Engineering'] });
});

test('an application with a secret gets nothing without it', async (t) => {
  const { page, app, provider, clientId, name } = await customer(t, { confidential: true });
  const ann = provider.add('ann.lee@example.com');
  app.register({ connection: name, clientId });

  await page.goto(app.redirectUris.login);
  await answerProvider(page, ann);
  await page.waitForURL(`${app.redirectUris.callback}?*`);

  assert.equal(await heading(page), 'No token');
  assert.equal(await page.getByRole('paragraph').textContent(), 'invalid_client');
});

test('the address with response_type=token ends with the token in the fragment', async (t) => {
  const { muster, page, app, provider, clientId, addresses } = await customer(t, {
    connection: 'default',
    implicit: true,
  });
  const ann = provider.add('ann.lee@example.com', { groups: ['Engineering'] });

  const uri = encodeURIComponent(app.redirectUris.implicit);
  const asked = `response_type=token&client_id=${clientId}&connection=default&redirect_uri=${uri}`;
  await page.goto(`${muster.url}/authorize?${asked}`);
  await answerProvider(page, ann);
  await page.waitForURL(`${app.redirectUris.implicit}#*`);

  const { userName, teams } = await shown(page);
  assert.deepEqual({ userName, teams }, { userName: ann.login, teams: ['Engineering'] });
  const { hash, search } = new URL(page.url());
  const answer = new URLSearchParams(hash.slice(1));
  const token = answer.get('access_token');
  assert.equal(answer.get('token_type'), 'Bearer');
  assert.equal(search, '');
  assert.ok(token);
  assert.deepEqual(app.tokens, [token]);
  const sent = [...app.requests, ...addresses.map((address) => address.split('#')[0])];
  assert.deepEqual(sent.filter((address) => address.includes(token)), []);
});

test('a token in the fragment is refused to an application that was not allowed it', async (t) => {
  const { muster, page, app, clientId, name } = await customer(t);

  const uri = encodeURIComponent(app.redirectUris.implicit);
  const asked = `response_type=token&client_id=${clientId}&connection=${name}&redirect_uri=${uri}`;
  await page.goto(`${muster.url}/authorize?${asked}`);

  const { hash, origin } = new URL(page.url());
  assert.equal(origin, app.url);
  assert.equal(new URLSearchParams(hash.slice(1)).get('error'), 'unauthorized_client');
});
