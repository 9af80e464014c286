// A certified OpenID provider in Okta's clothes: its subjects look like Okta's user ids, a `groups`
// claim stands in the ID token, and people who are not assigned to the application are sent away.
import { generateKeyPairSync, randomBytes } from 'node:crypto';

import { escaped, form, page } from './html.mjs';
import { listen } from './server.mjs';

export const PUBLIC_CLIENT = '0oapublic';
export const CONFIDENTIAL_CLIENT = '0oaconfidential';

const Provider = await quietly(async () => (await import('oidc-provider')).default);

const signingKey = {
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
  alg: 'RS256',
  use: 'sig',
  kid: 'e2e',
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

/** Somebody as the provider knows them; a test may change any of it at any time. */
function person(login, more) {
  const [given, family] = login.split('@')[0].split('.');
  const capital = (word) => word[0].toUpperCase() + word.slice(1);
  return {
    sub: `00u${randomBytes(9).toString('hex').slice(0, 17)}`,
    login,
    given: capital(given),
    family: capital(family),
    groups: [],
    assigned: true,
    ...more,
  };
}

function claims({ sub, login, given, family, groups }) {
  const name = `${given} ${family}`;
  const profile = { preferred_username: login, name, given_name: given, family_name: family };
  return { sub, ...profile, email: login, groups };
}

/** Starts a provider that knows Muster by its redirect URI, as two clients. */
export async function startProvider(redirectUri) {
  const server = await listen();
  const people = [];
  // It holds what has to be encoded inside a Basic header (RFC 6749 section 2.3.1).
  const clientSecret = `${randomBytes(24).toString('base64url')}+/:%=`;
  const client = {
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code'],
    response_types: ['code'],
  };

  const oidc = await quietly(
    () =>
      new Provider(server.url, {
        clients: [
          { ...client, client_id: PUBLIC_CLIENT, token_endpoint_auth_method: 'none' },
          { ...client, client_id: CONFIDENTIAL_CLIENT, client_secret: clientSecret },
        ],
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
    if (url.pathname === '/dashboard') return dashboard(response, url.searchParams);
    return standard(request, response);
  });

  return {
    issuer: server.url,
    clientSecret,
    /** What only Muster may have seen: the access and ID tokens that were given to it. */
    tokens,
    /** Adds somebody to the provider's directory. */
    add(login, more) {
      people.push(person(login, more));
      return people.at(-1);
    },
    /** The address of a page with a tile for an application, which begins sign-in there. */
    dashboard(tile) {
      return `${server.url}/dashboard?${new URLSearchParams(tile)}`;
    },
    close: server.close,
  };
}

/** The provider's sign-in page, and what it does with the answer. */
async function interact(oidc, people, request, response) {
  const { params } = await oidc.interactionDetails(request, response);
  if (request.method !== 'POST') return signInPage(response, params.login_hint);
  const login = (await form(request)).get('login');
  const found = people.find((one) => one.login === login);
  if (!found) return signInPage(response, login, 'Nobody has this user name.');
  const result = found.assigned
    ? { login: { accountId: found.sub } }
    : {
        error: 'access_denied',
        error_description: 'User is not assigned to the client application.',
      };
  return oidc.interactionFinished(request, response, result);
}

function signInPage(response, login = '', problem = '') {
  page(
    response,
    'Sign in at the provider',
    `<p role="alert">${escaped(problem)}</p>
<form method="post">
<label>User name <input name="login" value="${escaped(login)}" required></label>
<button>Sign in</button>
</form>`,
  );
}

/** A tile as a link and as a form: OpenID Connect Core section 4 allows either. */
function dashboard(response, tile) {
  const initiate = tile.get('initiate');
  tile.delete('initiate');
  const fields = [...tile].map(
    ([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`,
  );
  page(
    response,
    'Your applications',
    `<a href="${escaped(`${initiate}?${tile}`)}">Open by link</a>
<form method="post" action="${escaped(initiate)}">
${fields.join('')}<button>Open by form</button>
</form>`,
  );
}
