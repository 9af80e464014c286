// The provider's other half: pushes its people and groups to a SCIM server, with the requests that
// Okta sends: look a name up, create who is not there, update who is.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const HELP = `Pushes the local provider's people and groups by SCIM, as Okta does.

node push.mjs SCIM_BASE_URL --token-file FILE [--people FILE] [--deactivate LOGIN]...

  --token-file  holds the connection's token
  --people      whom to push and in which groups [default: people.json]
  --deactivate  pushes nothing but that this person is deactivated; may be given more than once
`;

const CORE = 'urn:ietf:params:scim:schemas:core:2.0';
const PATCH = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';

function options() {
  const text = { type: 'string' };
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        'token-file': text,
        people: text,
        deactivate: { type: 'string', multiple: true },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    return stop(`${error.message}\n\n${HELP}`);
  }
}

/** What went wrong, for whoever started the program. */
function stop(problem) {
  console.error(`push: ${problem}`);
  process.exit(2);
}

const { values: asked, positionals } = options();
if (asked.help) {
  console.log(HELP);
  process.exit();
}
const [base] = positionals;
if (positionals.length !== 1 || !asked['token-file']) stop(`too little or too much\n\n${HELP}`);

let token;

/** Sends one request; what is no success ends the program with what the server said. */
async function send(method, path, body) {
  const answer = await fetch(`${base}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/scim+json' },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

/** The one resource that has this value, if there is one. */
async function find(type, attribute, value) {
  const filter = encodeURIComponent(`${attribute} eq ${JSON.stringify(value)}`);
  const { Resources: found = [] } = await send('GET', `/${type}?filter=${filter}`);
  return found[0];
}

/** Creates or updates a person. `externalId` is the subject of sign-in: that is how the two meet. */
async function pushPerson({ sub, login, given, family }) {
  const user = {
    schemas: [`${CORE}:User`],
    userName: login,
    externalId: sub,
    name: { givenName: given, familyName: family },
    displayName: `${given} ${family}`,
    emails: [{ value: login, type: 'work', primary: true }],
    active: true,
  };
  const known = await find('Users', 'userName', login);
  const kept = known
    ? await send('PUT', `/Users/${known.id}`, { ...user, id: known.id })
    : await send('POST', '/Users', user);
  console.log(`${known ? 'updated' : 'created'} user ${login}`);
  return kept.id;
}

/** Creates a group, or makes its members exactly these. */
async function pushGroup(displayName, ids) {
  const members = ids.map((value) => ({ value }));
  const known = await find('Groups', 'displayName', displayName);
  if (known) {
    const operation = { op: 'replace', path: 'members', value: members };
    await send('PATCH', `/Groups/${known.id}`, { schemas: [PATCH], Operations: [operation] });
  } else {
    await send('POST', '/Groups', { schemas: [`${CORE}:Group`], displayName, members });
  }
  console.log(`${known ? 'updated' : 'created'} group ${displayName}, members: ${ids.length}`);
}

/** What Okta sends when somebody is deactivated, or the application is taken from them. */
async function deactivate(login) {
  const known = await find('Users', 'userName', login);
  if (!known) throw new Error(`nobody has the user name ${login}`);
  const operation = { op: 'replace', value: { active: false } };
  await send('PATCH', `/Users/${known.id}`, { schemas: [PATCH], Operations: [operation] });
  console.log(`deactivated user ${login}`);
}

/** Pushes everybody who has the application, and the groups that they are in. */
async function pushAll(people) {
  const members = new Map();
  for (const person of people.filter(({ assigned }) => assigned)) {
    const id = await pushPerson(person);
    for (const group of person.groups) members.set(group, [...(members.get(group) ?? []), id]);
  }
  for (const [group, ids] of members) await pushGroup(group, ids);
}

try {
  token = readFileSync(asked['token-file'], 'utf8').trim();
  const file = asked.people ?? join(import.meta.dirname, 'people.json');
  if (asked.deactivate) for (const login of asked.deactivate) await deactivate(login);
  else await pushAll(JSON.parse(readFileSync(file, 'utf8')));
} catch (error) {
  stop(error.cause?.message ?? error.message);
}
