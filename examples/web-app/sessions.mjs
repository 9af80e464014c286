// What is known of a browser: it has an HttpOnly cookie with a random value, and what that stands for
// is kept here, in memory, so that a restart
// signs everybody out. Several processes would keep it in a database.
import { randomBytes } from 'node:crypto';

/** Anybody can begin a sign-in, so what is remembered has a bound; the oldest gives way. */
const MOST = 10_000;

/**
 * A store under a cookie of its own.
 *
 * @param options.name the name of the cookie
 * @param options.seconds how long something is kept
 * @param options.isSecure whether browsers reach the application by https
 */
export function cookieStore({ name, seconds, isSecure }) {
  // The prefix makes browsers refuse the cookie from anybody but this very host.
  const cookie = isSecure ? `__Host-${name}` : name;
  const attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`;
  const kept = new Map();

  const idOf = (request) =>
    new URLSearchParams(request.headers.cookie?.replaceAll('; ', '&')).get(cookie);

  return {
    /** What is kept for the browser that sent this request. */
    get(request) {
      const found = kept.get(idOf(request));
      return found && found.until > Date.now() ? found.value : undefined;
    },

    /**
     * Keeps something for the browser, in place of what was there, and gives the cookie. Its value is
     * a new one each time: one that somebody knew before the sign-in must be worth nothing after it.
     */
    put(request, value) {
      kept.delete(idOf(request));
      if (kept.size >= MOST) kept.delete(kept.keys().next().value);
      const id = randomBytes(32).toString('base64url');
      kept.set(id, { value, until: Date.now() + seconds * 1000 });
      return `${cookie}=${id}; Max-Age=${seconds}; ${attributes}`;
    },

    /** Forgets what was kept for the browser, and gives the cookie that tells it so. */
    end(request) {
      kept.delete(idOf(request));
      return `${cookie}=; Max-Age=0; ${attributes}`;
    },
  };
}
