// The same PATCH by two implementations: what Muster makes of a user is what scim-patch makes of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { patchBodyValidation, scimPatch } from 'scim-patch';

import { ENTERPRISE, USER, expect, fresh, random } from './server.mjs';

const HISTORIES = 25;
const REQUESTS = 6;

/** The user without what the server alone writes, and without what holds nothing. */
function content(user) {
  const { id, meta, schemas, ...rest } = structuredClone(user);
  const isEmpty = (value) => typeof value === 'object' && Object.keys(value).length === 0;
  for (const key of Object.keys(rest)) {
    if (isEmpty(rest[key])) {
      delete rest[key];
    }
  }
  return rest;
}

/**
 * One operation that the RFC leaves no choice about. Left out is what the two read differently: a
 * filter that selects nothing, an object without a path inside an object, equal elements, `primary`.
 */
function operation(user, pick, next) {
  const op = pick(['add', 'replace']);
  const text = `v${next()}`;
  const all = (user.emails ?? []).map(({ type }) => type);
  const types = all.filter((type) => all.indexOf(type) === all.lastIndexOf(type));
  const selected = `emails[type eq "${pick(types.length ? types : ['none'])}"]`;
  const email = () => ({ value: `e${next()}@example.com`, type: pick(['work', 'home', 'other']) });
  const choices = [
    () => ({ op, path: pick(['title', 'nickName', 'userType']), value: text }),
    () => ({ op, path: `name.${pick(['givenName', 'familyName', 'middleName'])}`, value: text }),
    () => ({ op, path: 'name', value: { [pick(['givenName', 'honorificPrefix'])]: text } }),
    () => ({ op, value: { title: text, displayName: `d${next()}` } }),
    () => ({ op, path: `${USER}:timezone`, value: text }),
    () => ({ op, path: `${ENTERPRISE}:${pick(['department', 'division'])}`, value: text }),
    () => ({ op: 'add', path: 'emails', value: [email(), email()] }),
    () => ({ op: 'replace', path: 'emails', value: [email()] }),
    () => ({ op: 'remove', path: pick(['title', 'name', 'name.givenName', 'nickName']) }),
    () => ({ op: 'remove', path: `${ENTERPRISE}:department` }),
  ];
  if (types.length > 0) {
    choices.push(
      () => ({ op, path: `${selected}.display`, value: text }),
      () => ({ op: 'replace', path: `${selected}.value`, value: `r${next()}@example.com` }),
      () => ({ op: 'replace', path: selected, value: { ...email(), display: text } }),
      () => ({ op: 'remove', path: selected }),
      () => ({ op: 'remove', path: `${selected}.display` }),
    );
  }
  return pick(choices)();
}

test(`${HISTORIES} users live the same by both`, async () => {
  let count = 0;
  let applied = 0;
  for (let seed = 1; seed <= HISTORIES; seed += 1) {
    const roll = random(seed);
    const pick = (choices) => choices[Math.floor(roll() * choices.length)];
    const next = () => (count += 1);
    let user = await expect(201, 'POST', '/Users', {
      schemas: [USER, ENTERPRISE],
      userName: fresh(),
      name: { givenName: 'Ann', familyName: 'Lee' },
      emails: [{ value: 'ann@example.com', type: 'work' }, { value: 'a@x.example', type: 'home' }],
      [ENTERPRISE]: { department: 'R&D' },
    });
    for (let step = 0; step < REQUESTS; step += 1) {
      const Operations = [];
      let modelled = content(user);
      while (Operations.length < 3) {
        const each = operation(modelled, pick, next);
        Operations.push(each);
        modelled = content(scimPatch(modelled, [structuredClone(each)]));
      }
      const body = { schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], Operations };
      patchBodyValidation(body);
      const path = `/Users/${user.id}`;
      user = await expect(200, 'PATCH', path, body);
      assert.deepEqual(content(user), modelled, `seed ${seed}: ${JSON.stringify(Operations)}`);
      assert.deepEqual(await expect(200, 'GET', path), user);
      assert.equal(user.schemas.includes(ENTERPRISE), ENTERPRISE in user);
      applied += Operations.length;
    }
    await expect(204, 'DELETE', `/Users/${user.id}`);
  }
  assert.equal(applied, HISTORIES * REQUESTS * 3);
});
