// The provider's other half: it pushes people and groups with a connection's token.
import assert from 'node:assert/strict';

const CORE = 'urn:ietf:params:scim:schemas:core:2.0';
const PATCH = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';

/** A SCIM client; every method gives the body of a success and fails with what came instead. */
export function scimClient(baseUrl, token) {
  async function send(method, path, body) {
    const answer = await fetch(`${baseUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/scim+json' },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  async function find(type, attribute, value) {
    const filter = encodeURIComponent(`${attribute} eq ${JSON.stringify(value)}`);
    return (await send('GET', `/${type}?filter=${filter}`)).Resources ?? [];
  }

  const patch = (path, operation) =>
    send('PATCH', path, { schemas: [PATCH], Operations: [operation] });

  return {
    user: (id) => send('GET', `/Users/${id}`),
    usersNamed: (userName) => find('Users', 'userName', userName),
    teamsNamed: (displayName) => find('Groups', 'displayName', displayName),
    patchUser: (id, operation) => patch(`/Users/${id}`, operation),
    patchTeam: (id, operation) => patch(`/Groups/${id}`, operation),
    /** Pushes a person of the provider's directory; `externalId` is the subject, as with Okta. */
    pushUser: ({ sub, login, given, family }) =>
      send('POST', '/Users', {
        schemas: [`${CORE}:User`],
        userName: login,
        externalId: sub,
        active: true,
        displayName: `${given} ${family}`,
        name: { givenName: given, familyName: family },
        emails: [{ value: login, type: 'work', primary: true }],
      }),
    pushTeam: (displayName, ...members) =>
      send('POST', '/Groups', {
        schemas: [`${CORE}:Group`],
        displayName,
        members: members.map(({ id }) => ({ value: id })),
      }),
  };
}
