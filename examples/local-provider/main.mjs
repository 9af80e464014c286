// The provider as a program: `node main.mjs --help` says how.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { escaped, page } from './html.mjs';
import { startProvider } from './provider.mjs';

const HELP = `An OpenID provider on this machine, to try Muster with. It asks for no password.

node main.mjs [--redirect-uri URL]... [--listen HOST:PORT] [--issuer URL] [--people FILE]

  --redirect-uri  where Muster takes the answer, as 'muster serve' prints it; may be given more than
                  once [PROVIDER_REDIRECT_URI, with spaces between several;
                  default: http://127.0.0.1:8080/login/callback]
  --listen        address and port; port 0 picks a free one
                  [PROVIDER_LISTEN; default: 127.0.0.1:9400]
  --issuer        its address for Muster and for browsers, if that is not http://localhost:PORT
                  [PROVIDER_ISSUER]
  --people        whom it knows and in which groups [PROVIDER_PEOPLE; default: people.json]
`;

/** How Muster is known here. */
const CLIENT_ID = 'muster';

/** What went wrong, for whoever started the program. */
function stop(problem) {
  console.error(`local provider: ${problem}`);
  process.exit(2);
}

function options() {
  const text = { type: 'string' };
  const many = { type: 'string', multiple: true };
  const flags = { listen: text, issuer: text, people: text, 'redirect-uri': many };
  try {
    return parseArgs({ options: { ...flags, help: { type: 'boolean' } } }).values;
  } catch (error) {
    return stop(`${error.message}\n\n${HELP}`);
  }
}

const { env } = process;
const asked = options();
if (asked.help) {
  console.log(HELP);
  process.exit();
}

const address = asked.listen ?? env.PROVIDER_LISTEN ?? '127.0.0.1:9400';
const [, host, port] = /^(.+):(\d+)$/.exec(address) ?? stop(`'${address}' is not HOST:PORT`);
const redirectUris = asked['redirect-uri'] ??
  env.PROVIDER_REDIRECT_URI?.split(/\s+/).filter(Boolean) ?? [
    'http://127.0.0.1:8080/login/callback',
  ];
const file = asked.people ?? env.PROVIDER_PEOPLE ?? join(import.meta.dirname, 'people.json');

try {
  const people = JSON.parse(readFileSync(file, 'utf8'));
  const provider = await startProvider({
    // Muster needs no secret here: it uses PKCE at every provider.
    clients: [
      {
        client_id: CLIENT_ID,
        token_endpoint_auth_method: 'none',
        redirect_uris: redirectUris,
      },
    ],
    people,
    pages: { '/': (response) => front(response, people) },
    listen: {
      host: host.replace(/^\[(.*)\]$/, '$1'),
      port: Number(port),
      url: asked.issuer ?? env.PROVIDER_ISSUER,
    },
  });
  console.log(`Issuer:       ${provider.issuer}`);
  console.log(`Client id:    ${CLIENT_ID}`);
  console.log(`Redirect URI: ${redirectUris.join(' ')}`);
  const leave = async () => {
    await provider.close();
    process.exit();
  };
  process.on('SIGINT', leave).on('SIGTERM', leave);
} catch (error) {
  stop(error.message);
}

/** The first page, for who opens the issuer's address. */
function front(response, people) {
  const rows = people.map(({ login, given, family, groups, assigned }) => {
    const cells = [`${given} ${family}`, login, groups.join(', '), assigned ? 'yes' : 'no'];
    return `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`;
  });
  page(
    response,
    'Local provider',
    `<p>People who can sign in here, without a password. This is for trying things out.</p>
<table><tr><th>Name<th>User name<th>Groups<th>May use Muster</tr>${rows.join('')}</table>`,
  );
}
