// A web server on a free port, which says what goes wrong inside it instead of hanging.
import { once } from 'node:events';
import { createServer } from 'node:http';

/**
 * Starts a server; `handle` says later what it does. Its name is localhost, Muster's is 127.0.0.1:
 * to a browser these are different sites, as they are in real life, with all that this means for
 * cookies.
 */
export async function listen() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://localhost:${server.address().port}`;
  return {
    url,
    handle(handler) {
      server.on('request', async (request, response) => {
        try {
          await handler(request, response, new URL(request.url, url));
        } catch (error) {
          console.error(error);
          if (!response.headersSent) response.writeHead(500);
          response.end('internal error');
        }
      });
    },
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
