// What people see.

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escaped = (text) => String(text).replace(/[&<>"']/g, (found) => ENTITIES[found]);

function page(title, body) {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<style>
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
button { font: inherit; padding: .4rem 1rem }
</style>
<h1>${escaped(title)}</h1>
${body}
</html>`;
}

const signIn = '<form action="/sign-in"><button>Sign in</button></form>';

function list(name, texts, nothing) {
  const items = texts.map((text) => `<li>${escaped(text)}</li>`).join('');
  const body = items ? `<ul aria-label="${name}">${items}</ul>` : `<p>${nothing}</p>`;
  return `<h2>${name}</h2>${body}`;
}

/** For who is not signed in, with the reason if there is one. */
export const signedOut = (reason = '') =>
  page('You are signed out', `${reason && `<p>${escaped(reason)}</p>`}${signIn}`);

/** For who is signed in. Every value comes from Muster, and none may become part of the page's HTML. */
export const signedIn = ({ name, preferred_username: userName, teams, roles }) =>
  page(
    `Hello, ${name ?? userName}`,
    `<p>You are signed in as ${escaped(userName)}.</p>
${list('Teams', teams.map(({ displayName }) => displayName), 'You are in no team.')}
${list('Roles', roles, 'Your teams stand for no role.')}
<form method="post" action="/sign-out"><button>Sign out</button></form>`,
  );

/** For a sign-in that came to nothing. */
export const notSignedIn = (reason) =>
  page('You are not signed in', `<p role="alert">${escaped(reason)}</p>${signIn}`);

/** For what is nobody's fault who reads it. */
export const trouble = () =>
  page(
    'This does not work at the moment',
    '<p role="alert">Try again in a minute.</p><form action="/"><button>Try again</button></form>',
  );

/** For an address that is none. */
export const notFound = () => page('There is nothing here', '<p><a href="/">The first page</a></p>');
