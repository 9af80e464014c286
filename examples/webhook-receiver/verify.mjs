// Whether a request is from Muster, by the conventions of Standard Webhooks. A library of theirs does the
// same: https://www.standardwebhooks.com
import { createHmac, timingSafeEqual } from 'node:crypto';

/** How far the sender's clock may be from ours, in seconds; an old request may be somebody's copy. */
const TOLERANCE = 5 * 60;

/**
 * @param secrets the secrets that are good, each 'whsec_' and Base64
 * @param headers the request's headers, by their names in lower case
 * @param body the bytes of the body, as they came
 * @param now milliseconds since 1970
 */
export function verify(secrets, headers, body, now) {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (!id || !/^\d{1,12}$/.test(timestamp ?? '') || !signatures) return false;
  if (Math.abs(now / 1000 - Number(timestamp)) > TOLERANCE) return false;
  const expected = secrets.map((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
    return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  });
  // There are two while a secret is changed.
  return signatures.split(' ').some((signature) => {
    const [version, encoded] = signature.split(',');
    const given = Buffer.from(encoded ?? '', 'base64');
    const isGood = (mac) => mac.length === given.length && timingSafeEqual(mac, given);
    return version === 'v1' && expected.some(isGood);
  });
}
