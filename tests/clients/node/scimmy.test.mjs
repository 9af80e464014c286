// SCIMMY has every schema and message of the RFCs as a class that refuses what does not fit. Here it
// writes the requests of a client, and reads the answers.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import SCIMMY from 'scimmy';

import { ENTERPRISE, USER, expect, fresh, request } from './server.mjs';

SCIMMY.Schemas.User.extend(SCIMMY.Schemas.EnterpriseUser, false);

const plain = (value) => JSON.parse(JSON.stringify(value));

/** What SCIMMY reads out of an answer: everything, or something in it does not fit its schema. */
function understood(Schema, body) {
  const read = plain(new Schema(body, 'both'));
  // The location is written anew from the type's own address, which SCIMMY does not know here.
  for (const key of ['schemas', 'meta']) {
    delete read[key];
  }
  const { schemas, meta, ...rest } = body;
  assert.ok(schemas.includes(Schema.definition.id));
  assert.ok(meta.resourceType && meta.location.endsWith(body.id));
  assert.deepEqual(read, rest);
  return body;
}

test('the schemas are those of the RFC, but where it is said why not', async () => {
  const listed = await expect(200, 'GET', '/Schemas');
  assert.equal(new SCIMMY.Messages.ListResponse(listed).totalResults, listed.totalResults);
  const different = [];
  for (const Known of [
    SCIMMY.Schemas.User,
    SCIMMY.Schemas.Group,
    SCIMMY.Schemas.EnterpriseUser,
  ]) {
    const ours = listed.Resources.find((schema) => schema.id === Known.definition.id);
    const theirs = plain(Known.definition.describe());
    different.push(...differences(ours.name, ours.attributes, theirs.attributes));
  }
  // A reference is case exact (RFC 7643 section 2.3.7), and so is an id (section 3.1).
  const exact = [
    'User.profileUrl caseExact true',
    'User.photos.value caseExact true',
    'User.groups.value caseExact true',
    'User.groups.$ref caseExact true',
    'Group.members.value caseExact true',
    'Group.members.$ref caseExact true',
    'EnterpriseUser.manager.value caseExact true',
    'EnterpriseUser.manager.$ref caseExact true',
    // Nobody wants "Secret" to be "secret".
    'User.password caseExact true',
  ];
  // Groups are flat: their members are users, and membership is direct.
  const flat = [
    'User.groups.$ref referenceTypes ["Group"]',
    'User.groups.type canonicalValues ["direct"]',
    'Group.members.$ref referenceTypes ["User"]',
    'Group.members.type canonicalValues ["User"]',
  ];
  // A member is named by its id, and its display is the user's own.
  const members = [
    'Group.members.value required true',
    'Group.members.display mutability "readOnly"',
    'Group.members.display returned "request"',
    'Group.displayName uniqueness "server"',
  ];
  assert.deepEqual(different.toSorted(), [...exact, ...flat, ...members].toSorted());
});

/** Where our characteristics are not theirs; what is not said counts as its default (section 2.2). */
function differences(owner, ours, theirs) {
  const defaults = {
    multiValued: false, required: false, caseExact: false, mutability: 'readWrite',
    returned: 'default', uniqueness: 'none', canonicalValues: [], referenceTypes: [], type: 'string',
  };
  assert.deepEqual(ours.map(({ name }) => name).toSorted(), theirs.map(({ name }) => name).toSorted());
  return ours.flatMap((attribute) => {
    const other = theirs.find(({ name }) => name === attribute.name);
    const name = `${owner}.${attribute.name}`;
    const own = Object.keys(defaults)
      .filter((key) => JSON.stringify(attribute[key] ?? defaults[key])
        !== JSON.stringify(other[key] ?? defaults[key]))
      .map((key) => `${name} ${key} ${JSON.stringify(attribute[key])}`);
    return [
      ...own,
      ...differences(name, attribute.subAttributes ?? [], other.subAttributes ?? []),
    ];
  });
}

test('the configuration and the resource types are understood', async () => {
  const config = await expect(200, 'GET', '/ServiceProviderConfig');
  const read = plain(new SCIMMY.Schemas.ServiceProviderConfig(config));
  for (const feature of ['patch', 'bulk', 'filter', 'changePassword', 'sort', 'etag']) {
    assert.deepEqual(read[feature], config[feature], feature);
  }
  assert.deepEqual(
    read.authenticationSchemes.map(({ type }) => type),
    ['oauthbearertoken'],
  );
  const types = await expect(200, 'GET', '/ResourceTypes');
  for (const type of new SCIMMY.Messages.ListResponse(types).Resources) {
    const known = plain(new SCIMMY.Schemas.ResourceType(type));
    assert.deepEqual([known.name, known.endpoint], [type.name, type.endpoint]);
    assert.deepEqual(known.schemaExtensions ?? [], type.schemaExtensions ?? []);
    const schema = await expect(200, 'GET', `/Schemas/${type.schema}`);
    assert.equal(schema.id, type.schema);
  }
});

test('a user and a group live and die', async () => {
  const name = fresh();
  const sent = plain(new SCIMMY.Schemas.User({
    schemas: [USER, ENTERPRISE],
    userName: `${name}@example.com`,
    externalId: name,
    name: { givenName: 'Ann', familyName: 'Lee' },
    emails: [{ value: `${name}@example.com`, type: 'work', primary: true }],
    active: true,
    [ENTERPRISE]: { department: 'R&D', manager: { value: '26118915' } },
  }, 'in'));
  const answer = await request('POST', '/Users', sent);
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.get('content-type'), 'application/scim+json');
  assert.equal(answer.headers.get('location'), answer.body.meta.location);
  const user = understood(SCIMMY.Schemas.User, answer.body);
  assert.equal(user.emails[0].value, `${name}@example.com`);

  const put = plain(new SCIMMY.Schemas.User({ ...user, displayName: 'Ann Li' }, 'in'));
  const replaced = await expect(200, 'PUT', `/Users/${user.id}`, put);
  assert.equal(understood(SCIMMY.Schemas.User, replaced).displayName, 'Ann Li');
  assert.deepEqual(replaced[ENTERPRISE], sent[ENTERPRISE]);

  const made = await expect(201, 'POST', '/Groups', plain(new SCIMMY.Schemas.Group({
    schemas: [SCIMMY.Schemas.Group.definition.id],
    displayName: name,
    members: [{ value: user.id, type: 'User' }],
  }, 'in')));
  assert.deepEqual(made.members.map(({ value }) => value), [user.id]);
  const member = await expect(200, 'GET', `/Users/${user.id}`);
  assert.deepEqual(member.groups.map(({ value }) => value), [made.id]);
  understood(SCIMMY.Schemas.Group, made);

  const patch = plain(new SCIMMY.Messages.PatchOp({
    schemas: [SCIMMY.Messages.PatchOp.id],
    Operations: [
      { op: 'replace', path: 'active', value: false },
      { op: 'remove', path: 'emails[type eq "work"]' },
    ],
  }));
  const patched = await expect(200, 'PATCH', `/Users/${user.id}`, patch);
  assert.deepEqual([patched.active, patched.emails], [false, undefined]);
  understood(SCIMMY.Schemas.User, patched);

  const search = plain(new SCIMMY.Messages.SearchRequest({
    schemas: [SCIMMY.Messages.SearchRequest.id],
    filter: `userName sw "${name}"`,
    attributes: ['userName'],
    startIndex: 1,
    count: 5,
  }));
  const found = new SCIMMY.Messages.ListResponse(
    await expect(200, 'POST', '/Users/.search', search),
  );
  assert.deepEqual(
    found.Resources.map(({ id, userName, active }) => [id, userName, active]),
    [[user.id, `${name}@example.com`, undefined]],
  );

  await expect(204, 'DELETE', `/Groups/${made.id}`);
  await expect(204, 'DELETE', `/Users/${user.id}`);
});

test('refusals are errors that SCIMMY knows', async () => {
  const name = fresh();
  const user = await expect(201, 'POST', '/Users', { schemas: [USER], userName: name });
  const operation = (op, path, value) => ({
    schemas: [SCIMMY.Messages.PatchOp.id],
    Operations: [{ op, path, value }],
  });
  const path = `/Users/${user.id}`;
  for (const [status, scimType, ...asked] of [
    [409, 'uniqueness', 'POST', '/Users', { schemas: [USER], userName: name.toUpperCase() }],
    [400, 'invalidValue', 'POST', '/Users', { schemas: [USER] }],
    [400, 'invalidFilter', 'GET', '/Users?filter=userName'],
    [400, 'mutability', 'PATCH', path, operation('replace', 'id', 'x')],
    [400, 'invalidPath', 'PATCH', path, operation('replace', 'shoeSize', 1)],
    [400, 'noTarget', 'PATCH', path, operation('remove', 'emails[type eq "x"]')],
    [400, 'invalidSyntax', 'PATCH', path, {}],
    [404, undefined, 'GET', '/Users/nobody'],
  ]) {
    const answer = await request(...asked);
    const { schemas, ...cause } = answer.body;
    assert.deepEqual(schemas, [SCIMMY.Messages.ErrorResponse.id]);
    // The constructor refuses a keyword that is none, or that does not go with the status.
    const error = new SCIMMY.Messages.ErrorResponse(cause);
    assert.deepEqual(
      [answer.status, error.status, error.scimType],
      [status, String(status), scimType],
      asked.join(' '),
    );
    assert.ok(error.detail.length > 10 && error.detail === answer.body.detail);
  }
  await expect(204, 'DELETE', path);
});
