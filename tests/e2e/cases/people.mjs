// One person is one user, whichever of the two sources comes first.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { shown, signIn } from '../support/browser.mjs';
import { customer } from '../support/world.mjs';

test('a first sign-in creates the user and the teams', async (t) => {
  const { page, app, provider, scim } = await customer(t);
  const ann = provider.add('ann.lee@example.com', { groups: ['Engineering', 'Sales'] });

  await signIn(page, app, ann);

  const { id, ...rest } = await shown(page);
  assert.deepEqual(rest, { userName: ann.login, teams: ['Engineering', 'Sales'], roles: [] });
  const user = await scim.user(id);
  assert.equal(user.userName, ann.login);
  assert.equal(user.name.givenName, 'Ann');
  assert.equal(user.name.familyName, 'Lee');
  assert.equal(user.emails[0].value, ann.login);
  assert.deepEqual(user.groups.map((group) => group.display).sort(), ['Engineering', 'Sales']);
  const [team, ...others] = await scim.teamsNamed('Engineering');
  assert.deepEqual(others, []);
  assert.deepEqual(team.members.map((member) => member.value), [id]);
});

test('a pushed user who signs in is the same user', async (t) => {
  const { page, app, provider, scim } = await customer(t);
  const ann = provider.add('ann.lee@example.com');
  const pushed = await scim.pushUser(ann);
  // The external id tells who it is, whatever the user name has become.
  ann.login = 'ann.smith@example.com';

  await signIn(page, app, ann);

  assert.equal((await shown(page)).id, pushed.id);
  assert.equal((await scim.usersNamed('ann.lee@example.com'))[0].id, pushed.id);
  assert.deepEqual(await scim.usersNamed('ann.smith@example.com'), []);
});

test('a user whom sign-in made is adopted by a push, and stays signed in', async (t) => {
  const { page, app, provider, scim } = await customer(t);
  const ann = provider.add('ann.lee@example.com');
  await signIn(page, app, ann);
  const { id } = await shown(page);

  const pushed = await scim.pushUser(ann);
  await page.reload();

  assert.equal(pushed.id, id);
  assert.equal((await shown(page)).id, id);
});

test('a person who signs in for two customers is two users', async (t) => {
  const [one, two] = [await customer(t), await customer(t)];
  const ann = one.provider.add('ann.lee@example.com', { groups: ['Engineering'] });
  two.provider.add('ann.lee@example.com', { sub: ann.sub });

  await signIn(one.page, one.app, ann);
  await signIn(two.page, two.app, ann);

  const [first, second] = [await shown(one.page), await shown(two.page)];
  assert.notEqual(first.id, second.id);
  assert.deepEqual(second.teams, []);
});
