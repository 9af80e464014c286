// Who is not let in ends on a page of Muster's that says what to do, and with nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  answerProvider,
  endsAtMuster,
  heading,
  returnAddress,
  shown,
} from '../support/browser.mjs';
import { customer } from '../support/world.mjs';

/** Asks for sign-in at the application as somebody, and gives where it ends. */
async function refusal({ muster, page, app }, person) {
  await page.goto(app.redirectUris.login);
  return endsAtMuster(page, muster, () => answerProvider(page, person));
}

/** Holds a page against what every page of Muster's has to be. */
async function assertPage({ muster, page, app, context, addresses }, answer) {
  assert.match(answer.headers()['content-type'], /^text\/html/);
  assert.equal(answer.headers()['cache-control'], 'no-store');
  assert.match(answer.headers()['content-security-policy'], /default-src 'none'/);
  assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
  assert.equal(await page.title(), await heading(page));
  assert.equal(await page.locator('html').getAttribute('lang'), 'en');
  const linked = await page.evaluate(() => document.querySelectorAll('[src], link, script').length);
  assert.equal(linked, 0, 'the page is whole as it is');
  const since = addresses.slice(addresses.lastIndexOf(answer.url()) + 1);
  assert.deepEqual(since.filter((address) => !address.startsWith(muster.url)), []);
  // Nobody is signed in by what was refused.
  assert.deepEqual(app.tokens, []);
  const cookies = await context.cookies(muster.url);
  assert.deepEqual(cookies.filter((cookie) => cookie.name.includes('session')), []);
}

test('somebody who is not assigned at the provider is told to ask for it', async (t) => {
  const there = await customer(t);
  const ann = there.provider.add('ann.lee@example.com', { assigned: false });

  const answer = await refusal(there, ann);

  assert.equal(answer.status(), 403);
  assert.equal(await heading(there.page), 'You are not signed in');
  const text = await there.page.getByRole('paragraph').textContent();
  assert.match(text, /Ask the administrator to assign it/);
  await assertPage(there, answer);
  assert.deepEqual(await there.scim.usersNamed(ann.login), []);
});

test('a stranger is told to ask for an account where only SCIM creates them', async (t) => {
  const there = await customer(t);
  await there.set('--jit', 'off');
  const ann = there.provider.add('ann.lee@example.com', { groups: ['Engineering'] });

  const answer = await refusal(there, ann);

  assert.equal(answer.status(), 403);
  assert.equal(await heading(there.page), 'You are not signed in');
  const text = await there.page.getByRole('paragraph').textContent();
  assert.match(text, /no account yet; ask the administrator/);
  await assertPage(there, answer);
  assert.deepEqual(await there.scim.usersNamed(ann.login), []);
  assert.deepEqual(await there.scim.teamsNamed('Engineering'), []);
});

test('a provider that does not answer is said to be at fault', async (t) => {
  const there = await customer(t);
  const { muster, page, app, provider } = there;
  await provider.close();

  const answer = await endsAtMuster(page, muster, () => page.goto(app.redirectUris.login));

  assert.equal(answer.status(), 502);
  assert.equal(await heading(page), 'The identity provider cannot be used');
  await assertPage(there, answer);
});

test('a sign-in that one browser began cannot be ended in another', async (t) => {
  const [own, other] = [await customer(t), await customer(t)];
  const ann = own.provider.add('ann.lee@example.com');

  // In its own browser such an address signs in.
  await own.page.goto(await returnAddress(own, ann));
  assert.equal((await shown(own.page)).userName, ann.login);

  await own.context.clearCookies({ domain: 'localhost' });
  const answer = await other.page.goto(await returnAddress(own, ann));
  assert.equal(answer.status(), 400);
  const text = await other.page.getByRole('paragraph').textContent();
  assert.match(text, /not under way in this browser/);
  await assertPage(other, answer);
});
