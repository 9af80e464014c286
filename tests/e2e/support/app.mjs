// The vendor's application: a small web application that leaves it to Muster who is signed in and
// in which teams. It remembers nothing but the access token, and asks again with every page.
import { createHash, randomBytes } from 'node:crypto';

import { escaped, page, redirect } from '../../../examples/local-provider/html.mjs';
import { listen } from '../../../examples/local-provider/server.mjs';

const COOKIE = 'app_session';

const random = () => randomBytes(32).toString('base64url');
const list = (name, texts) => {
  const items = texts.map((text) => `<li>${escaped(text)}</li>`);
  return `<h2>${name}</h2><ul aria-label="${name}">${items.join('')}</ul>`;
};

/** Starts the application; `register` tells it later how Muster knows it. */
export async function startApp({ url: muster, direct }) {
  const server = await listen();
  const callback = `${server.url}/callback`;
  const tokens = [];
  const sessions = new Map();
  const requests = [];
  let registration;

  /** Sends the browser to Muster, with a state and a PKCE challenge of its own. */
  function login(response) {
    const session = { state: random(), verifier: random() };
    const id = random();
    sessions.set(id, session);
    const asked = new URLSearchParams({
      response_type: 'code',
      client_id: registration.clientId,
      connection: registration.connection,
      redirect_uri: callback,
      state: session.state,
      code_challenge: createHash('sha256').update(session.verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    const cookie = `${COOKIE}=${id}; Path=/; HttpOnly; SameSite=Lax`;
    redirect(response, `${muster}/authorize?${asked}`, { 'set-cookie': cookie });
  }

  /** Exchanges the code; who comes back with another state than it was sent with is turned away. */
  async function finish(session, answer, response) {
    if (!session?.state || answer.get('state') !== session.state) {
      return page(response, 'Wrong state', '', 400);
    }
    if (answer.get('iss') !== muster) return page(response, 'Wrong issuer', '', 400);
    const { clientId, clientSecret } = registration;
    const basic = Buffer.from(`${clientId}:${encodeURIComponent(clientSecret)}`).toString('base64');
    const exchanged = await fetch(`${direct}/token`, {
      method: 'POST',
      headers: clientSecret ? { authorization: `Basic ${basic}` } : {},
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: answer.get('code'),
        redirect_uri: callback,
        code_verifier: session.verifier,
        ...(clientSecret ? {} : { client_id: clientId }),
      }),
    });
    const body = await exchanged.json();
    if (!exchanged.ok) return page(response, 'No token', `<p>${escaped(body.error)}</p>`, 400);
    tokens.push(body.access_token);
    Object.assign(session, { token: body.access_token, state: undefined, verifier: undefined });
    return redirect(response, '/');
  }

  /** What Muster says of whom the token stands for; nothing once it stands for nobody. */
  async function whoIs(authorization) {
    const answer = await fetch(`${direct}/userinfo`, { headers: { authorization } });
    if (answer.status === 401) return undefined;
    if (!answer.ok) throw new Error(`/userinfo answered ${answer.status}`);
    return answer.json();
  }

  async function home(session, response) {
    const user = session?.token && (await whoIs(`Bearer ${session.token}`));
    if (!user) return page(response, 'Signed out', '<a href="/login">Sign in</a>');
    return page(response, 'Signed in', profile(user));
  }

  server.handle(async (request, response, url) => {
    requests.push(url.href);
    const cookies = new URLSearchParams(request.headers.cookie?.replaceAll('; ', '&'));
    const session = sessions.get(cookies.get(COOKIE));
    switch (url.pathname) {
      case '/':
        return home(session, response);
      case '/login':
        return login(response);
      case '/callback':
        return finish(session, url.searchParams, response);
      case '/implicit':
        return page(response, 'Implicit', IMPLICIT);
      case '/implicit/userinfo': {
        const { authorization } = request.headers;
        tokens.push(authorization.replace('Bearer ', ''));
        const user = await whoIs(authorization);
        return response.end(user ? profile(user) : 'Signed out');
      }
      default:
        return page(response, 'Not found', '', 404);
    }
  });

  return {
    url: server.url,
    redirectUris: { callback, login: `${server.url}/login`, implicit: `${server.url}/implicit` },
    register(known) {
      registration = known;
    },
    /** The access tokens that Muster gave it. */
    tokens,
    /** The address of every request that it got. */
    requests,
    close: server.close,
  };
}

function profile({ sub, connection, preferred_username: userName, name, teams, roles }) {
  const facts = { 'User id': sub, 'User name': userName, Name: name, Connection: connection };
  const rows = Object.entries(facts).map(
    ([label, value]) => `<dt>${label}</dt><dd aria-label="${label}">${escaped(value)}</dd>`,
  );
  const names = teams.map((team) => team.displayName);
  return `<dl>${rows.join('')}</dl>${list('Teams', names)}${list('Roles', roles)}`;
}

// The token comes in the fragment, which browsers send to no server; the page reads it itself.
const IMPLICIT = `<main id="profile"></main>
<script type="module">
const token = new URLSearchParams(location.hash.slice(1)).get('access_token');
const answer = await fetch('/implicit/userinfo', { headers: { authorization: 'Bearer ' + token } });
document.getElementById('profile').innerHTML = await answer.text();
</script>`;
