// The whole suite in one process: its tests share one server and one browser, and nothing else.
import { after, before } from 'node:test';

import { begin, end } from './support/world.mjs';

before(begin);
after(end);

await import('./cases/people.mjs');
await import('./cases/teams.mjs');
await import('./cases/lifecycle.mjs');
await import('./cases/initiated.mjs');
await import('./cases/refusals.mjs');
await import('./cases/grants.mjs');
await import('./cases/proxied.mjs');
await import('./cases/console.mjs');
await import('./cases/webhooks.mjs');
await import('./cases/example.mjs');
