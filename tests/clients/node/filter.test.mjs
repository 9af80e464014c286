// The same filter by two implementations: the users that Muster finds are those among all that
// scim2-parse-filter selects.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { filter, parse } from 'scim2-parse-filter';

import { ENTERPRISE, USER, expect, fresh, random } from './server.mjs';

const FILTERS = 200;
const name = fresh();
// No backslash: the library reads one as two.
const words = ['ann', 'anna', 'bo', 'bob', 'o"neil', "o'neil", '100%', 'under_score'];
const people = [];

before(async () => {
  const roll = random(7);
  const pick = (choices) => choices[Math.floor(roll() * choices.length)];
  const maybe = (value) => (roll() < 0.6 ? value : undefined);
  for (let n = 0; n < 20; n += 1) {
    const emails = ['work', 'home', 'other']
      .filter(() => roll() < 0.5)
      .map((type) => ({ value: `${pick(words.slice(0, 4))}@${pick(['x', 'y'])}.example`, type }));
    people.push(await expect(201, 'POST', '/Users', {
      schemas: [USER],
      userName: `${name}-${n}`,
      title: maybe(pick(words)),
      displayName: maybe(pick(words)),
      name: maybe({ givenName: pick(words), familyName: maybe(pick(words)) }),
      emails,
      active: roll() < 0.5,
      [ENTERPRISE]: maybe({ department: pick(words) }),
    }));
  }
});

after(async () => {
  for (const { id } of people) {
    await expect(204, 'DELETE', `/Users/${id}`);
  }
});

/**
 * A filter that both read alike. The library compares case exactly, so all text is in lower case;
 * `ne` it takes to want a value, so it is asked of what everybody has; and what stands in brackets it
 * asks of all elements at once, so there is one question in them (RFC 7644 table 5 means one element).
 */
function expression(pick, depth) {
  const quoted = JSON.stringify(pick(words));
  const compare = pick(['eq', 'co', 'sw', 'ew', 'gt', 'ge', 'lt', 'le']);
  const text = pick(['title', 'displayName', 'name.givenName', 'NAME.familyname',
    `${ENTERPRISE}:department`, 'emails.value', 'emails.type']);
  const deeper = () => expression(pick, depth - 1);
  const leaves = [
    () => `${text} ${compare} ${quoted}`,
    () => `${pick(['title', 'displayName', 'name', 'name.familyName', 'emails', ENTERPRISE + ':department'])} pr`,
    () => `active ${pick(['eq', 'ne'])} ${pick(['true', 'false'])}`,
    () => `userName ne "${name}-${pick([0, 1, 2])}"`,
    () => `emails[value ${compare} ${quoted}]`,
    () => `meta.created ge "${pick(people).meta.created}"`,
  ];
  const branches = [
    () => `${deeper()} and ${deeper()}`,
    () => `${deeper()} or ${deeper()}`,
    () => `not (${deeper()})`,
    () => `(${deeper()})`,
  ];
  return pick(depth > 0 ? [...leaves, ...branches, ...branches] : leaves)();
}

test(`${FILTERS} filters select the same users by both`, async () => {
  const roll = random(11);
  const pick = (choices) => choices[Math.floor(roll() * choices.length)];
  let some = 0;
  for (let n = 0; n < FILTERS; n += 1) {
    const asked = expression(pick, 3);
    const expected = people.filter(filter(parse(asked))).map(({ id }) => id);
    const query = new URLSearchParams({
      filter: `userName sw "${name}" and (${asked})`,
      count: '100',
      attributes: 'userName',
    });
    const found = await expect(200, 'GET', `/Users?${query}`);
    const ids = found.Resources.map(({ id }) => id);
    const odd = people.filter(({ id }) => ids.includes(id) !== expected.includes(id));
    assert.deepEqual(ids, expected, `${asked} divides them over ${JSON.stringify(odd)}`);
    assert.equal(found.totalResults, expected.length);
    some += expected.length > 0 && expected.length < people.length ? 1 : 0;
  }
  assert.ok(some > FILTERS / 3, `only ${some} filters told users apart`);
});
