// The example receiver follows a live Muster, and knows what Muster knows.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startReceiver } from '../support/receiver.mjs';
import { pushingCustomer } from '../support/world.mjs';

/** Who is in which team, as the read API says. */
async function teamsOf(muster, token, connection) {
  const get = async (path) => {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${muster.direct}/api/v1${path}`, { headers });
    assert.equal(answer.status, 200);
    return answer.json();
  };
  const teams = {};
  for (const team of (await get(`/teams?connection=${connection}`)).teams) {
    const { members } = await get(`/teams/${team.id}/members`);
    teams[team.displayName] = members.map(({ userName }) => userName).sort();
  }
  return Object.fromEntries(Object.entries(teams).sort(([a], [b]) => (a < b ? -1 : 1)));
}

test('the example receiver knows who is in which team, across restarts', async (t) => {
  const { muster, name, scim, keepSecret } = await pushingCustomer();
  const { token } = await muster.cli('admin-token', 'create', '--label', 'webhooks');
  keepSecret(token);

  // It has to know its secret before it starts, and the webhook its address: the address comes later.
  const types = ['--action', 'user.*', 'team.*', 'connection.*'];
  const placeholder = 'http://127.0.0.1:9/';
  const made = await muster.cli('webhook', 'create', placeholder, '--connection', name, ...types);
  keepSecret(made.secret);
  let receiver = await startReceiver(made.secret);
  t.after(() => receiver.stop());
  await muster.cli('webhook', 'update', made.id, '--url', receiver.url);
  assert.equal((await muster.cli('webhook', 'test', made.id)).taken, true);

  const person = (given) => ({ sub: given, login: `${given}@example.com`, given, family: 'Lee' });
  const people = ['ann', 'bob', 'cid'].map(person);
  const [ann, bob, cid] = await Promise.all(people.map(scim.pushUser));
  const team = await scim.pushTeam('Engineering', ann, bob);
  await scim.pushTeam('Sales', cid);
  await scim.patchTeam(team.id, { op: 'add', path: 'members', value: [{ value: cid.id }] });
  await scim.patchUser(bob.id, { op: 'replace', value: { active: false } });
  const agrees = async () => receiver.knows(await teamsOf(muster, token, name));
  await agrees();
  assert.deepEqual(receiver.teams(), {
    Engineering: ['ann@example.com', 'cid@example.com'],
    Sales: ['cid@example.com'],
  });

  // A Muster that starts again goes on where it was.
  await muster.restart();
  await scim.patchTeam(team.id, { op: 'remove', path: `members[value eq "${cid.id}"]` });
  await agrees();

  // A receiver that starts again has forgotten everything, and has it sent anew.
  await receiver.stop();
  receiver = await startReceiver(made.secret, receiver.port);
  await muster.cli('webhook', 'replay', made.id, '--after', '0');
  await agrees();

  // Nobody else's requests are believed, and nothing counts twice.
  const forged = await fetch(receiver.url, {
    method: 'POST',
    headers: {
      'webhook-id': 'msg_x',
      'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
      'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}`,
    },
    body: '{"type":"user.created","data":{}}',
  });
  assert.equal(forged.status, 401);
  const rotated = await muster.cli('webhook', 'rotate', made.id);
  keepSecret(rotated.secret);
  await scim.patchUser(bob.id, { op: 'replace', value: { active: true } });
  await agrees();
  assert.deepEqual(receiver.teams().Engineering, ['ann@example.com', 'bob@example.com']);
  await muster.cli('webhook', 'delete', made.id);
});
