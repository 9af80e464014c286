// The provider of examples/local-provider for one test: it knows Muster as two clients, starts with
// nobody in its directory, and has a page of tiles as Okta's dashboard.
import { randomBytes } from 'node:crypto';

import { startProvider as start } from '../../../examples/local-provider/provider.mjs';
import { escaped, page } from '../../../examples/local-provider/html.mjs';

export const PUBLIC_CLIENT = '0oapublic';
export const CONFIDENTIAL_CLIENT = '0oaconfidential';

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

/** Starts a provider that knows Muster by its redirect URI, as two clients. */
export async function startProvider(redirectUri) {
  const people = [];
  // It holds what has to be encoded inside a Basic header (RFC 6749 section 2.3.1).
  const clientSecret = `${randomBytes(24).toString('base64url')}+/:%=`;
  const client = { redirect_uris: [redirectUri] };
  const { issuer, tokens, close } = await start({
    clients: [
      { ...client, client_id: PUBLIC_CLIENT, token_endpoint_auth_method: 'none' },
      { ...client, client_id: CONFIDENTIAL_CLIENT, client_secret: clientSecret },
    ],
    people,
    pages: { '/dashboard': dashboard },
  });

  return {
    issuer,
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
      return `${issuer}/dashboard?${new URLSearchParams(tile)}`;
    },
    close,
  };
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
