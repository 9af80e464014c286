// A reverse proxy with a certificate: how Muster stands in real life, where cookies are `Secure`.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { request as onward } from 'node:http';
import { createServer } from 'node:https';

/** A key and a certificate that nobody trusts, for two days. */
function selfSigned() {
  const asked = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout -';
  const stdio = ['ignore', 'pipe', 'ignore'];
  const made = execFileSync('openssl', asked.split(' '), { encoding: 'utf8', stdio });
  return { key: made, cert: made };
}

/** Starts the proxy; `pass` says later to which server it passes requests. */
export async function startProxy() {
  let target;
  const server = createServer(selfSigned(), (request, response) => {
    const { method, headers } = request;
    const passed = onward(new URL(request.url, target), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    request.pipe(passed);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://127.0.0.1:${server.address().port}`,
    pass(url) {
      target = url;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
