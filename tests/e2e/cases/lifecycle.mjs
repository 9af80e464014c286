// How being signed in ends: by SCIM, or by the person.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { endsAtMuster, heading, shown, signIn } from '../support/browser.mjs';
import { customer } from '../support/world.mjs';

test('whom SCIM deactivates is signed out of the open page and not let in again', async (t) => {
  const { muster, page, app, provider, scim } = await customer(t);
  const ann = provider.add('ann.lee@example.com');
  const user = await scim.pushUser(ann);
  await signIn(page, app, ann);
  assert.equal(await heading(page), 'Signed in');

  await scim.patchUser(user.id, { op: 'replace', value: { active: false } });
  await page.reload();
  assert.equal(await heading(page), 'Signed out');

  const again = page.getByRole('link', { name: 'Sign in' });
  const answer = await endsAtMuster(page, muster, () => again.click());
  assert.equal(answer.status(), 403);
  assert.equal(await heading(page), 'You are not signed in');
  assert.match(await page.getByRole('paragraph').textContent(), /account is deactivated/);
  assert.equal((await page.goto(`${muster.url}/userinfo`)).status(), 401);
});

test('a user whom SCIM activates again signs in again, as the same user', async (t) => {
  const { page, app, provider, scim } = await customer(t);
  const ann = provider.add('ann.lee@example.com');
  const user = await scim.pushUser(ann);
  await scim.pushTeam('Engineering', user);
  await signIn(page, app, ann);

  await scim.patchUser(user.id, { op: 'replace', value: { active: false } });
  await scim.patchUser(user.id, { op: 'replace', value: { active: true } });
  await page.reload();
  assert.equal(await heading(page), 'Signed out', 'the old session must not come back');

  await page.getByRole('link', { name: 'Sign in' }).click();
  const { id, teams } = await shown(page);
  assert.deepEqual({ id, teams }, { id: user.id, teams: ['Engineering'] });
});

test('the button on the sign-out page ends the session and the access token', async (t) => {
  const { muster, page, app, provider } = await customer(t);
  await signIn(page, app, provider.add('ann.lee@example.com'));
  assert.equal((await page.goto(`${muster.url}/userinfo`)).status(), 200);

  await page.goto(`${muster.url}/logout`);
  assert.equal(await heading(page), 'Sign out?');
  const button = page.getByRole('button', { name: 'Sign out' });
  const answer = await endsAtMuster(page, muster, () => button.click());
  assert.equal(answer.status(), 200);
  assert.equal(await heading(page), 'You are signed out');

  assert.equal((await page.goto(`${muster.url}/userinfo`)).status(), 401);
  await page.goto(app.url);
  assert.equal(await heading(page), 'Signed out');
});

test('a form on a page of others signs nobody out', async (t) => {
  const { muster, page, app, provider } = await customer(t);
  await signIn(page, app, provider.add('ann.lee@example.com'));

  await page.goto(provider.dashboard({ initiate: `${muster.url}/logout` }));
  const button = page.getByRole('button', { name: 'Open by form' });
  const answer = await endsAtMuster(page, muster, () => button.click());

  assert.equal(answer.status(), 400);
  await page.goto(app.url);
  assert.equal(await heading(page), 'Signed in');
});
