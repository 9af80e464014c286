// All that an application asks of Muster: four requests. Any language can send them.
import { createHash, randomBytes } from 'node:crypto';

/** How long Muster may take to answer. People wait for it. */
const PATIENCE = 10_000;

/** Muster did not answer, or not as it should; whose fault it is, the text says. */
export class MusterError extends Error {}

const random = () => randomBytes(32).toString('base64url');

/**
 * Muster, as this application knows it.
 *
 * @param settings.url the address of Muster for browsers, without a slash at its end
 * @param settings.direct the address of Muster for this server, if that is another one
 * @param settings.clientId the client id that `muster app create` printed
 * @param settings.connection the customer's connection; may be left out while there is only one
 * @param settings.redirectUri where the browser comes back to, as the application was created with
 */
export function musterClient({ url, direct = url, clientId, connection, redirectUri }) {
  async function send(path, init) {
    try {
      return await fetch(`${direct}${path}`, { ...init, signal: AbortSignal.timeout(PATIENCE) });
    } catch (error) {
      throw new MusterError(`cannot reach ${direct}: ${error.cause?.message ?? error.message}`);
    }
  }

  return {
    /**
     * The beginning of a sign-in: the address to send the browser to, and what to keep until it is
     * back. `state` shows that the answer belongs to this browser's request. `verifier` stays on the
     * server; only its hash is sent, so that a stolen code is worth nothing (PKCE, RFC 7636).
     */
    begin() {
      const flow = { state: random(), verifier: random() };
      const asked = new URLSearchParams({
        response_type: 'code',
        client_id: clientId,
        redirect_uri: redirectUri,
        state: flow.state,
        code_challenge: createHash('sha256').update(flow.verifier).digest('base64url'),
        code_challenge_method: 'S256',
      });
      if (connection) asked.set('connection', connection);
      return { address: `${url}/authorize?${asked}`, flow };
    },

    /** Whether an answer at the callback names Muster as the one who gave it (RFC 9207). */
    isIssuer: (iss) => iss === url,

    /** Exchanges the code for an access token; nothing if Muster does not take the code. */
    async exchange(code, verifier) {
      const answer = await send('/token', {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'authorization_code',
          client_id: clientId,
          redirect_uri: redirectUri,
          code,
          code_verifier: verifier,
        }),
      });
      const body = await answer.json();
      if (answer.ok) return body.access_token;
      // An old code, or one that was used already: the person tries again.
      if (body.error === 'invalid_grant') return undefined;
      const { error, error_description: reason } = body;
      throw new MusterError(`/token answered ${answer.status} ${error}: ${reason}`);
    },

    /** Who the token stands for; nothing once it stands for nobody. */
    async whoIs(token) {
      const answer = await send('/userinfo', { headers: { authorization: `Bearer ${token}` } });
      if (answer.ok) return answer.json();
      // The token or the session is over, or the person was deactivated: they are signed out.
      if (answer.status === 401) return undefined;
      // Muster cannot say. That is no reason to sign anybody out, and none to let anybody in.
      throw new MusterError(`/userinfo answered ${answer.status}`);
    },

    /** Ends the session at Muster, with every access token that hangs on it. */
    async signOut(token) {
      const headers = { authorization: `Bearer ${token}` };
      const answer = await send('/logout', { method: 'POST', headers });
      if (!answer.ok) throw new MusterError(`/logout answered ${answer.status}`);
    },
  };
}
