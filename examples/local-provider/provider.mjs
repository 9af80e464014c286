// A certified OpenID provider in Okta's clothes: its subjects look like Okta's user ids, a `groups`
// claim stands in the ID token, and people who are not assigned to the application are sent away.
import { generateKeyPairSync, randomBytes } from 'node:crypto';

import { escaped, form, page } from './html.mjs';
import { listen } from './server.mjs';

const Provider = await quietly(async () => (await import('oidc-provider')).default);

const signingKey = {
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
  alg: 'RS256',
  use: 'sig',
  kid: randomBytes(8).toString('hex'),
};

/** The library warns of what is not fit for production, which nothing here is meant to be. */
async function quietly(work) {
  const { warn } = console;
  console.warn = () => {};
  try {
    return await work();
  } finally {
    console.warn = warn;
  }
}

/** What the provider says of somebody, as Okta does. */
function claims({ sub, login, given, family, groups }) {
  const name = `${given} ${family}`;
  const profile = { preferred_username: login, name, given_name: given, family_name: family };
  return { sub, ...profile, email: login, groups };
}

/**
 * Starts a provider.
 *
 * @param options.clients who may ask it for sign-in, as oidc-provider wants them; each is given the
 *   authorization code flow with PKCE and no other
 * @param options.people whom it knows: `sub`, `login`, `given`, `family`, `groups` and `assigned`;
 *   the list may be changed at any time
 * @param options.pages more pages, by path: functions of the response and the query
 * @param options.listen where it listens, see `listen`
 */
export async function startProvider({ clients, people, pages = {}, listen: where }) {
  const server = await listen(where);
  const flow = { grant_types: ['authorization_code'], response_types: ['code'] };

  const oidc = await quietly(
    () =>
      new Provider(server.url, {
        clients: clients.map((client) => ({ ...flow, ...client })),
        jwks: { keys: [signingKey] },
        cookies: { keys: [randomBytes(24).toString('hex')] },
        pkce: { required: () => true },
        scopes: ['openid', 'profile', 'email', 'groups'],
        claims: {
          openid: ['sub'],
          profile: ['preferred_username', 'name', 'given_name', 'family_name'],
          email: ['email'],
          groups: ['groups'],
        },
        // As Okta does, all that was asked for stands in the ID token.
        conformIdTokenClaims: false,
        features: { devInteractions: { enabled: false } },
        interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
        findAccount(_, sub) {
          const found = people.find((one) => one.sub === sub);
          return found && { accountId: sub, claims: () => claims(found) };
        },
        // Nobody is asked for consent: the administrator gave it.
        async loadExistingGrant({ oidc: { provider, client, session } }) {
          const grant = new provider.Grant({
            clientId: client.clientId,
            accountId: session.accountId,
          });
          grant.addOIDCScope('openid profile email groups');
          await grant.save();
          return grant;
        },
        ttl: { Interaction: 600, Session: 3600, Grant: 3600, IdToken: 3600, AccessToken: 3600 },
      }),
  );
  oidc.on('server_error', (_, error) => console.error(error));

  const tokens = [];
  oidc.on('grant.success', ({ body }) => tokens.push(body.access_token, body.id_token));

  const standard = oidc.callback();
  server.handle((request, response, url) => {
    if (url.pathname.startsWith('/interaction/')) return interact(oidc, people, request, response);
    const other = Object.hasOwn(pages, url.pathname) && pages[url.pathname];
    return other ? other(response, url.searchParams) : standard(request, response);
  });

  return {
    issuer: server.url,
    /** The access and ID tokens that it gave to its clients. */
    tokens,
    close: server.close,
  };
}

/** The provider's sign-in page, and what it does with the answer. */
async function interact(oidc, people, request, response) {
  const { params } = await oidc.interactionDetails(request, response);
  if (request.method !== 'POST') return signInPage(response, people, params.login_hint);
  const login = (await form(request)).get('login') ?? '';
  const found = people.find((one) => one.login === login);
  if (!found) return signInPage(response, people, login, 'Nobody has this user name.');
  const result = found.assigned
    ? { login: { accountId: found.sub } }
    : {
        error: 'access_denied',
        error_description: 'User is not assigned to the client application.',
      };
  return oidc.interactionFinished(request, response, result);
}

/** There are no passwords: whoever sits there says who they are. */
function signInPage(response, people, login = '', problem = '') {
  const choices = people.map(
    (one) =>
      `<li><button name="login" value="${escaped(one.login)}">` +
      `${escaped(`${one.given} ${one.family}`)}</button> ${escaped(one.login)}</li>`,
  );
  page(
    response,
    'Sign in at the provider',
    `<p role="alert">${escaped(problem)}</p>
<form method="post">
<label>User name <input name="login" value="${escaped(login)}" required></label>
<button>Sign in</button>
</form>
<form method="post"><ul aria-label="People">${choices.join('\n')}</ul></form>`,
  );
}
