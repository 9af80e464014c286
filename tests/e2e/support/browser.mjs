// Chromium as Debian packages it, and what a person does in it.
import { chromium } from 'playwright-core';

const QUIET = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Starts the browser with an empty profile. */
export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.MUSTER_E2E_BROWSER ?? '/usr/bin/chromium',
    // Root cannot have the sandbox, and no page of others is opened.
    args: ['--no-sandbox', ...QUIET],
  });
}

/** Fills in the provider's sign-in page. */
export async function answerProvider(page, { login }) {
  await page.getByLabel('User name').fill(login);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Signs in at the application, from its first page to its first page. */
export async function signIn(page, app, person) {
  await page.goto(app.url);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await answerProvider(page, person);
  await page.waitForURL(`${app.url}/`);
}

/** What the application's page says. */
export async function shown(page) {
  const texts = (name) => page.getByRole('list', { name }).getByRole('listitem').allTextContents();
  const id = await page.getByLabel('User id').textContent();
  // Somebody is shown; lists are taken as they are, so the whole page has to be there.
  await page.waitForLoadState();
  return {
    id,
    userName: await page.getByLabel('User name').textContent(),
    teams: (await texts('Teams')).sort(),
    roles: (await texts('Roles')).sort(),
  };
}

export const heading = (page) => page.getByRole('heading', { level: 1 }).textContent();

/** Does something that ends on a page of Muster's, and gives the answer that made the page. */
export async function endsAtMuster(page, muster, action) {
  const isMusters = (url) => url.startsWith(`${muster.url}/`);
  const isPage = (answer) =>
    answer.request().isNavigationRequest() && isMusters(answer.url()) && answer.status() !== 303;
  const [answer] = await Promise.all([
    page.waitForResponse(isPage),
    // The answer comes before the page is there, and the page before it may have the same address.
    page.waitForEvent('domcontentloaded', () => isMusters(page.url())),
    action(),
  ]);
  return answer;
}

/** Begins a sign-in, and gives the address of Muster's that the provider sends the browser to. */
export async function returnAddress({ muster, page, app, context }, { login }) {
  await page.goto(app.redirectUris.login);
  const stop = { maxRedirects: 0 };
  let answer = await context.request.post(page.url(), { form: { login }, ...stop });
  let { location } = answer.headers();
  while (!location.startsWith(muster.redirectUri)) {
    answer = await context.request.get(location, stop);
    location = answer.headers().location;
  }
  return location;
}
