// Behind a proxy with a certificate the cookies are other ones, and browsers treat them otherwise.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { endsAtMuster, heading, returnAddress, shown, signIn } from '../support/browser.mjs';
import { startMuster } from '../support/muster.mjs';
import { startProxy } from '../support/proxy.mjs';
import { customer, stop } from '../support/world.mjs';

/** A customer of a Muster behind a proxy. */
async function secureCustomer(t) {
  const proxy = await startProxy();
  const muster = await startMuster({ proxy });
  try {
    return await customer(t, { muster });
  } finally {
    // After the customer is gone, whose secrets the log is held against.
    t.after(async () => {
      await proxy.close();
      await stop(muster);
    });
  }
}

test('over https one signs in and out with cookies that only https carries', async (t) => {
  const { muster, page, app, provider, context } = await secureCustomer(t);
  const ann = provider.add('ann.lee@example.com');

  await signIn(page, app, ann);
  assert.equal((await shown(page)).userName, ann.login);
  const cookies = await context.cookies(muster.url);
  const described = cookies.map(({ name, secure, httpOnly, sameSite }) =>
    [name, secure && 'Secure', httpOnly && 'HttpOnly', sameSite].join(' '),
  );
  assert.deepEqual(described.sort(), [
    '__Host-muster_flow Secure HttpOnly None',
    '__Host-muster_session Secure HttpOnly Lax',
  ]);

  await page.goto(`${muster.url}/logout`);
  const button = page.getByRole('button', { name: 'Sign out' });
  await endsAtMuster(page, muster, () => button.click());
  assert.equal(await heading(page), 'You are signed out');
  await page.goto(app.url);
  assert.equal(await heading(page), 'Signed out');
});

test('over https a provider may answer by a form that the browser posts', async (t) => {
  const there = await secureCustomer(t);
  const { page, app, provider, muster } = there;
  const ann = provider.add('ann.lee@example.com');

  const answer = Object.fromEntries(new URL(await returnAddress(there, ann)).searchParams);
  await page.goto(provider.dashboard({ initiate: muster.redirectUri, ...answer }));
  await page.getByRole('button', { name: 'Open by form' }).click();
  await page.waitForURL(`${app.url}/`);

  assert.equal((await shown(page)).userName, ann.login);
});
