// The console in a real browser: each page, with a keyboard, with accessibility checked by axe, on a
// telephone and in the dark, and the set-up assistant watching while a provider pushes.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import axe from 'axe-core';

import { heading, signIn } from '../support/browser.mjs';
import { customer, keepSecret } from '../support/world.mjs';

/** Where pictures of the pages go, if somebody wants to look at them. */
const PICTURES = process.env.MUSTER_E2E_PICTURES;
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1280, height: 900 };

/** Somebody at the console, with an admin token. */
async function atConsole({ muster, context }) {
  const { token } = await muster.cli('admin-token', 'create', '--label', 'support');
  keepSecret(token);
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.goto(`${muster.url}/console`);
  await page.getByLabel('Admin token', { exact: true }).fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(/\/console\/connections$/);
  return { page, token, errors };
}

/** That no page element is out of reach for somebody, as far as a program can tell. */
async function isAccessible(page, name) {
  // The page's own policy keeps scripts of others out; the browser's tools are not bound by it.
  const found = await page.evaluate(`${axe.source}; axe.run({ resultTypes: ['violations'] })`);
  const serious = found.violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  const words = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
  assert.deepEqual(words, [], `${name} has serious findings`);
}

async function isNotWider(page, name) {
  const [wide, room] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok(wide <= room, `${name} is ${wide} wide where there is room for ${room}`);
}

/** Looks at a page as it is on a desk and on a telephone, in the light and in the dark. */
async function look(page, name) {
  for (const [kind, size, colorScheme] of [
    ['desk', DESK, 'light'],
    ['phone', PHONE, 'dark'],
  ]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme });
    await isAccessible(page, `${name} (${kind})`);
    await isNotWider(page, `${name} (${kind})`);
    if (PICTURES) {
      mkdirSync(PICTURES, { recursive: true });
      await page.screenshot({ path: join(PICTURES, `${name}-${kind}.png`), fullPage: true });
    }
  }
  await page.setViewportSize(DESK);
}

test('every page of the console can be read by everybody', async (t) => {
  const world = await customer(t);
  const { muster, name, provider, scim, app } = world;
  const ann = provider.add('ann.lee@example.com', { groups: ['Engineering'] });
  const user = await scim.pushUser(ann);
  const team = await scim.pushTeam('Engineering', user);
  await signIn(world.page, app, ann);
  await world.page.goto(`${muster.url}/console/login`);
  await look(world.page, 'login');
  const { page, errors } = await atConsole(world);
  const base = `${muster.url}/console/connections`;
  const pages = {
    connections: base,
    connection: `${base}/${name}`,
    setup: `${base}/${name}/setup`,
    log: `${base}/${name}/log`,
    users: `${base}/${name}/users?q=ann`,
    filter: `${base}/${name}/users?filter=userName+eqq+1`,
    user: `${base}/${name}/users/${user.id}`,
    deactivate: `${base}/${name}/users/${user.id}/deactivate`,
    teams: `${base}/${name}/teams`,
    team: `${base}/${name}/teams/${team.id}`,
    changes: `${base}/${name}/events`,
    diagnosis: `${base}/${name}/doctor`,
  };
  for (const [what, address] of Object.entries(pages)) {
    assert.equal((await page.goto(address)).status(), 200, what);
    await look(page, what);
  }
  await page.goto(pages.log);
  await page.getByRole('row').nth(1).getByRole('link').first().click();
  await page.waitForURL(/\/log\/\d+/);
  await look(page, 'request');
  assert.deepEqual(errors, [], 'a script has failed, or something was not to be fetched');
});

test('the console can be used by the keyboard alone', async (t) => {
  const world = await customer(t);
  const { muster, name, provider, scim } = world;
  const user = await scim.pushUser(provider.add('ann.lee@example.com'));
  const { page } = await atConsole(world);
  await page.goto(`${muster.url}/console/connections/${name}`);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  await page.goto(`${muster.url}/console/connections/${name}/users/${user.id}`);
  const reach = async (text) => {
    for (let step = 0; step < 80; step += 1) {
      await page.keyboard.press('Tab');
      if ((await page.evaluate(() => document.activeElement.textContent)) === text) return;
    }
    assert.fail(`${text} cannot be reached`);
  };
  await reach('Deactivate…');
  await page.keyboard.press('Enter');
  await page.waitForURL(/deactivate$/);
  await reach('Deactivate');
  await page.keyboard.press('Enter');
  await page.waitForURL(/done=deactivated/);
  assert.equal((await scim.user(user.id)).active, false);
});

test('a deactivation at the console signs the person out of the open page', async (t) => {
  const world = await customer(t);
  const { muster, name, provider, scim, app, page: browser } = world;
  const ann = provider.add('ann.lee@example.com');
  const user = await scim.pushUser(ann);
  await signIn(browser, app, ann);
  const { page } = await atConsole(world);
  await page.goto(`${muster.url}/console/connections/${name}/users/${user.id}`);
  await page.getByRole('link', { name: 'Deactivate…' }).click();
  await page.getByText('loses 1 session').waitFor();
  await page.getByRole('button', { name: 'Deactivate' }).click();
  await page.getByText('every session is over').waitFor();
  await browser.reload();
  assert.equal(await heading(browser), 'Signed out');
});

test('a filter is completed and an unusable one explained', async (t) => {
  const world = await customer(t);
  const { muster, name, scim, provider } = world;
  await scim.pushUser(provider.add('ann.lee@example.com'));
  const { page } = await atConsole(world);
  await page.goto(`${muster.url}/console/connections/${name}/users`);
  await page.getByText('SCIM filter').click();
  const box = page.getByLabel('As providers write it');
  const offered = () =>
    page.locator('datalist option').evaluateAll((all) => all.map((option) => option.value));
  await box.pressSequentially('userN');
  assert.deepEqual(await offered(), ['userName']);
  await box.fill('userName ');
  await box.pressSequentially('s');
  assert.deepEqual(await offered(), ['userName sw']);
  await box.fill('userName sw "ann lee" ');
  await box.pressSequentially('a');
  assert.deepEqual(await offered(), ['userName sw "ann lee" and']);
  await box.fill('userName sw "ann"');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('link', { name: 'ann.lee@example.com' }).waitFor();
  await page.getByLabel('As providers write it').fill('userName eqq 1');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('alert').getByText('expected an operator').waitFor();
});

test('the assistant turns green while a provider is set up', async (t) => {
  const world = await customer(t);
  const { muster, name, provider, app, scim } = world;
  const { page } = await atConsole(world);
  await page.goto(`${muster.url}/console/connections/${name}/setup`);
  const step = (title) => page.locator('ol.steps > li', { hasText: title });
  await step('Test Connector Configuration').getByText('waiting', { exact: true }).waitFor();
  assert.equal(
    await page.getByLabel('SCIM connector base URL', { exact: true }).inputValue(),
    `${muster.url}/scim/v2`,
  );

  // Nothing is clicked from here on: the page follows by itself. Muster plays Okta's part first.
  const file = join(muster.folder, `${name}.token`);
  const made = await muster.cli('token', 'create', name);
  keepSecret(made.token);
  writeFileSync(file, made.token, { mode: 0o600 });
  const check = muster.cli('check', `${muster.direct}/scim/v2`, '--token-file', file);
  // Where it fails, that is told where it is awaited.
  check.catch(() => {});
  await step('Test Connector Configuration').getByText('answered 200').waitFor();
  await step('Latest user pushed').getByText('done', { exact: true }).waitFor();
  await step('Latest group pushed').getByText('done', { exact: true }).waitFor();
  await check;
  const ann = provider.add('ann.lee@example.com', { groups: ['Engineering'] });
  const user = await scim.pushUser(ann);
  await step('Latest user pushed').getByText('ann.lee@example.com').waitFor();
  await scim.pushTeam('Engineering', user);
  await step('Latest group pushed').getByText('Engineering').waitFor();
  await signIn(world.page, app, ann);
  await step('Latest sign-in').getByText('signed in').waitFor();
  await step('Groups claim').getByText('present').waitFor();
  assert.equal(await page.locator('ol.steps').getByText('waiting', { exact: true }).count(), 0);
  await isAccessible(page, 'the assistant when it is done');
});

test('a guest with a link sees the set-up page and no other', async (t) => {
  const world = await customer(t);
  const { muster, name } = world;
  const { page } = await atConsole(world);
  await page.goto(`${muster.url}/console/connections/${name}/setup`);
  await page.getByLabel('For whom').fill('their administrator');
  await page.getByLabel('May make a token').check();
  await page.getByRole('button', { name: 'Make a link' }).click();
  const link = await page.getByLabel('Link', { exact: true }).inputValue();
  assert.match(link, /\/setup#muster_share_/);
  const secret = link.split('#')[1];
  keepSecret(secret);

  const context = await page.context().browser().newContext();
  t.after(() => context.close());
  const guest = await context.newPage();
  const asked = [];
  guest.on('request', (request) => asked.push(request.url()));
  await guest.goto(link);
  await guest.getByRole('heading', { name: `Set up ${name}` }).waitFor();
  assert.ok(!guest.url().includes(secret), 'the secret stays in the address');
  assert.deepEqual(asked.filter((url) => new URL(url).search.includes(secret)), []);
  await isAccessible(guest, "the guest's page");
  await guest.getByRole('button', { name: 'Make a token' }).click();
  const token = await guest.getByLabel('Token', { exact: true }).inputValue();
  assert.match(token, /^muster_scim_/);
  keepSecret(token);
  await guest.goto(`${muster.url}/console/connections/${name}`);
  await guest.waitForURL(/\/console\/login/);

  // Revoked, it opens nothing any more.
  await page.goto(`${muster.url}/console/connections/${name}/setup`);
  await page.getByRole('button', { name: /Revoke/ }).click();
  await page.getByText('opens nothing any more').waitFor();
  await guest.goto(`${muster.url}/setup`);
  await guest.getByLabel('The code of your link').waitFor();
});

test('the log follows what arrives, and shows a request with what it changed', async (t) => {
  const world = await customer(t);
  const { muster, name, scim, provider } = world;
  const { page } = await atConsole(world);
  await page.goto(`${muster.url}/console/connections/${name}/log`);
  await page.getByText('Nothing like that has arrived').waitFor();
  await scim.pushUser(provider.add('ann.lee@example.com'));
  // By itself.
  await page.getByText('POST /scim/v2/Users').waitFor();
  await page.getByRole('row').filter({ hasText: 'POST' }).getByRole('link').first().click();
  await page.getByRole('heading', { name: 'What it changed' }).waitFor();
  await page.getByText('userName = ann.lee@example.com').waitFor();
  await page.getByText('Show the body').first().click();
  await page.getByText('"userName": "ann.lee@example.com"').first().waitFor();
});
