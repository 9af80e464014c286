// A web application that leaves it to Muster who is signed in and in which teams. It keeps nothing
// of a person but the access token, and asks again at each page: whoever is deactivated in Okta is
// out with the next click, and whoever joins a team is in it.
import { timingSafeEqual } from 'node:crypto';

import { MusterError, musterClient } from './muster.mjs';
import * as pages from './pages.mjs';
import { cookieStore } from './sessions.mjs';

/** What an error that Muster sends back with the browser means for a person (RFC 6749 section 4.1.2.1). */
const ERRORS = {
  access_denied: 'You were not let in. Ask your administrator for access.',
  temporarily_unavailable: 'Signing in does not work at the moment. Try again in a minute.',
  server_error: 'Signing in does not work at the moment. Try again in a minute.',
};
const ANOTHER_ERROR = 'The application asked for sign-in in a wrong way. Tell its administrator.';

const STALE = 'That sign-in is not under way in this browser: it took too long, or is done. Begin again.';

/** Nothing of others may be loaded, and no other page may frame this one. */
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/**
 * The application, as a function that answers requests of node:http.
 *
 * @param settings.url its own address for browsers
 * @param settings.muster the address of Muster for browsers
 * @param settings.direct its address for this server, if that is another one
 * @param settings.clientId what `muster app create` printed
 * @param settings.connection the connection, where there are several
 */
export function webApp({ url, muster: musterUrl, direct, clientId, connection }) {
  const redirectUri = `${url}/callback`;
  const muster = musterClient({ url: musterUrl, direct, clientId, connection, redirectUri });
  const isSecure = url.startsWith('https:');
  // A sign-in may take ten minutes at Muster, and a session ends there after twelve hours. They are
  // kept apart, so that a sign-in that comes to nothing signs nobody out.
  const flows = cookieStore({ name: 'web_app_flow', seconds: 600, isSecure });
  const sessions = cookieStore({ name: 'web_app', seconds: 12 * 3600, isSecure });

  const show = (response, status, page, ...cookies) => {
    const type = { 'content-type': 'text/html; charset=utf-8' };
    response.writeHead(status, { ...HEADERS, ...type, 'set-cookie': cookies }).end(page);
  };
  const go = (response, location, ...cookies) =>
    response.writeHead(303, { ...HEADERS, location, 'set-cookie': cookies }).end();

  const routes = {
    async 'GET /'(request, response) {
      const token = sessions.get(request);
      if (!token) return show(response, 200, pages.signedOut());
      const person = await muster.whoIs(token);
      if (person) return show(response, 200, pages.signedIn(person));
      const reason = 'Your session is over. If signing in does not work, ask your administrator.';
      return show(response, 200, pages.signedOut(reason), sessions.end(request));
    },

    async 'GET /sign-in'(request, response) {
      const { address, flow } = muster.begin();
      return go(response, address, flows.put(request, flow));
    },

    // The browser is back. Anybody can send a browser here with anything in the address, so nothing
    // of it is believed before `state` shows that this browser began this sign-in.
    async 'GET /callback'(request, response, answer) {
      const flow = flows.get(request);
      if (!flow || !isSame(answer.get('state') ?? '', flow.state)) {
        return show(response, 400, pages.notSignedIn(STALE));
      }
      // It is good once, whatever comes of it.
      const over = flows.end(request);
      if (!muster.isIssuer(answer.get('iss'))) {
        const reason = 'The answer came from somebody else than was asked. Begin again.';
        return show(response, 400, pages.notSignedIn(reason), over);
      }
      if (answer.has('error')) {
        // The description is for the developer, and anybody may have written it: log it, don't show it.
        const told = [answer.get('error'), answer.get('error_description')];
        console.error('sign-in refused: %j %j', ...told);
        const known = Object.hasOwn(ERRORS, answer.get('error'));
        const reason = known ? ERRORS[answer.get('error')] : ANOTHER_ERROR;
        return show(response, 403, pages.notSignedIn(reason), over);
      }
      const code = answer.get('code');
      const token = code && (await muster.exchange(code, flow.verifier));
      if (!token) return show(response, 400, pages.notSignedIn(STALE), over);
      return go(response, '/', sessions.put(request, token), over);
    },

    // By POST, with which browsers send the cookie from no other site (`SameSite=Lax`). Without it
    // nothing is ended, not even the cookie: the form may have stood on anybody's page.
    async 'POST /sign-out'(request, response) {
      const token = sessions.get(request);
      if (!token) return go(response, '/');
      // Here first: whatever becomes of the rest, this browser is signed out.
      const over = sessions.end(request);
      await muster.signOut(token).catch((error) => console.error(error.message));
      return go(response, '/', over);
    },
  };

  return async (request, response) => {
    try {
      const { pathname, searchParams } = new URL(request.url, url);
      const name = `${request.method} ${pathname}`;
      if (!Object.hasOwn(routes, name)) return show(response, 404, pages.notFound());
      return await routes[name](request, response, searchParams);
    } catch (error) {
      console.error(error instanceof MusterError ? error.message : error);
      if (response.headersSent) return response.end();
      return show(response, 503, pages.trouble());
    }
  };
}

/** Compares without telling by its time how much is the same. */
function isSame(one, other) {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
