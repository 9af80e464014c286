// A web server that says what goes wrong inside it instead of hanging.
import { once } from 'node:events';
import { createServer } from 'node:http';

/**
 * Starts a server; `handle` says later what it does. Its name is localhost, Muster's is 127.0.0.1:
 * to a browser these are different sites, as they are in real life, with all that this means for
 * cookies.
 *
 * @param options.host the address to listen on
 * @param options.port the port; 0 picks a free one
 * @param options.url the address for browsers, if it is another
 */
export async function listen({ host = '127.0.0.1', port = 0, url: known } = {}) {
  const server = createServer();
  server.listen(port, host);
  await once(server, 'listening');
  const url = known ?? `http://localhost:${server.address().port}`;
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
