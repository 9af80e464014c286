// Sign-in that begins at the provider, as by Okta's tile (OpenID Connect Core section 4).
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { endsAtMuster, heading, shown } from '../support/browser.mjs';
import { customer } from '../support/world.mjs';

/** Opens the provider's page with the tile, and takes the tile. */
async function open(page, provider, muster, role, tile) {
  const initiate = `${muster.url}/login/initiate`;
  await page.goto(provider.dashboard({ initiate, iss: provider.issuer, ...tile }));
  await page.getByRole(role).click();
}

const answer = (page) => page.getByRole('button', { name: 'Sign in' }).click();

for (const [method, role] of [['GET', 'link'], ['POST', 'button']]) {
  test(`a tile that opens by ${method} signs in whom it names`, async (t) => {
    const { muster, page, provider, name } = await customer(t);
    const ann = provider.add('ann.lee@example.com', { groups: ['Engineering'] });

    await open(page, provider, muster, role, { login_hint: ann.login });
    assert.equal(await page.getByLabel('User name').inputValue(), ann.login);
    const ended = await endsAtMuster(page, muster, () => answer(page));

    assert.equal(ended.status(), 200);
    assert.equal(await heading(page), 'You are signed in');
    const told = await page.goto(`${muster.url}/userinfo`);
    assert.equal(told.status(), 200);
    const { preferred_username: userName, connection, teams } = await told.json();
    assert.deepEqual(
      { userName, connection, teams: teams.map((team) => team.displayName) },
      { userName: ann.login, connection: name, teams: ['Engineering'] },
    );
  });
}

test('a tile that names an address of the application ends there, signed in', async (t) => {
  const { muster, page, provider, app } = await customer(t);
  const ann = provider.add('ann.lee@example.com');

  const tile = { login_hint: ann.login, target_link_uri: app.redirectUris.login };
  await open(page, provider, muster, 'link', tile);
  await answer(page);
  await page.waitForURL(`${app.url}/`);

  assert.equal((await shown(page)).userName, ann.login);
});

test('two tabs that sign in at once both end signed in', async (t) => {
  const { muster, context, page, provider } = await customer(t);
  const ann = provider.add('ann.lee@example.com');
  const tabs = [page, await context.newPage()];

  for (const tab of tabs) await open(tab, provider, muster, 'link', { login_hint: ann.login });
  for (const tab of tabs) await tab.getByLabel('User name').waitFor();
  for (const tab of tabs) {
    await endsAtMuster(tab, muster, () => answer(tab));
    assert.equal(await heading(tab), 'You are signed in');
  }
});

test('a tile that names an address of nobody goes nowhere', async (t) => {
  const { muster, page, provider, app } = await customer(t);

  const tile = { target_link_uri: `${app.url}/elsewhere` };
  const ended = await endsAtMuster(page, muster, () => open(page, provider, muster, 'link', tile));

  assert.equal(ended.status(), 400);
  assert.match(await page.getByRole('paragraph').textContent(), /target_link_uri/);
});

test('a tile of a provider that no customer has goes nowhere', async (t) => {
  const { muster, page, provider, app } = await customer(t);

  const tile = { iss: app.url };
  const ended = await endsAtMuster(page, muster, () => open(page, provider, muster, 'link', tile));

  assert.equal(ended.status(), 400);
  assert.match(await page.getByRole('paragraph').textContent(), /No connection has this issuer/);
});
