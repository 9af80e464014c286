// One group is one team, and what it stands for in the application follows the membership.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { shown, signIn } from '../support/browser.mjs';
import { customer } from '../support/world.mjs';

test('a pushed team and a groups claim are one team, and its role shows', async (t) => {
  const { page, app, provider, scim, grantRole } = await customer(t);
  const ann = provider.add('ann.lee@example.com', { groups: ['Engineering'] });
  const pushed = await scim.pushTeam('Engineering', await scim.pushUser(ann));
  await grantRole('Engineering', 'deployer');

  await signIn(page, app, ann);

  const { teams, roles } = await shown(page);
  assert.deepEqual({ teams, roles }, { teams: ['Engineering'], roles: ['deployer'] });
  const found = await scim.teamsNamed('Engineering');
  assert.deepEqual(found.map((team) => team.id), [pushed.id]);
});

test('a team that a claim made is adopted by a push', async (t) => {
  const { page, app, provider, scim } = await customer(t);
  const ann = provider.add('ann.lee@example.com', { groups: ['Engineering'] });
  await signIn(page, app, ann);
  const [made] = await scim.teamsNamed('Engineering');

  const pushed = await scim.pushTeam('Engineering', await scim.pushUser(ann));

  assert.equal(pushed.id, made.id);
  await page.reload();
  assert.deepEqual((await shown(page)).teams, ['Engineering']);
});

test('a role vanishes from the open page when SCIM removes the member', async (t) => {
  const { page, app, provider, scim, grantRole } = await customer(t);
  const ann = provider.add('ann.lee@example.com', { groups: ['Engineering'] });
  const user = await scim.pushUser(ann);
  const team = await scim.pushTeam('Engineering', user);
  await grantRole('Engineering', 'deployer');
  await signIn(page, app, ann);
  assert.deepEqual((await shown(page)).roles, ['deployer']);

  await scim.patchTeam(team.id, { op: 'remove', path: `members[value eq "${user.id}"]` });
  await page.reload();

  const { teams, roles } = await shown(page);
  assert.deepEqual({ teams, roles }, { teams: [], roles: [] });
});

test('groups that change at the provider change the teams at the next sign-in', async (t) => {
  const { page, app, provider, grantRole } = await customer(t);
  const ann = provider.add('ann.lee@example.com', { groups: ['Engineering', 'Sales'] });
  await signIn(page, app, ann);
  await grantRole('Engineering', 'deployer');

  ann.groups = ['Sales', 'Support'];
  // The provider knows the browser by now and asks nothing.
  await page.goto(app.redirectUris.login);

  const { teams, roles } = await shown(page);
  assert.deepEqual({ teams, roles }, { teams: ['Sales', 'Support'], roles: [] });
});
