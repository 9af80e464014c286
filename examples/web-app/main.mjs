// Starts the application with settings from the environment.
import { createServer } from 'node:http';

import { webApp } from './app.mjs';

const {
  CLIENT_ID: clientId,
  CONNECTION: connection,
  MUSTER_URL: muster = 'http://127.0.0.1:8080',
  // Where this server reaches Muster, if not under the address that browsers know.
  MUSTER_DIRECT_URL: direct,
  APP_PORT: port = '3000',
  // In real life a proxy that speaks https stands before it, under another address.
  APP_URL: url = `http://localhost:${port}`,
} = process.env;

if (!clientId) {
  console.error(
    `Set CLIENT_ID to what this prints, or 'muster app list' where it is there already:
  muster app create web-app --redirect-uri ${url}/callback`,
  );
  process.exit(2);
}

const server = createServer(webApp({ url, muster, direct, clientId, connection }));
server.on('error', (error) => {
  console.error(error.message);
  process.exit(2);
});
server.listen(Number(port), '127.0.0.1', () => console.log(`Open ${url}`));
