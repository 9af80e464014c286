// The pages of the provider and of the application: the least HTML that a person could use.

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

export const escaped = (text) => String(text).replace(/[&<>"']/g, (found) => ENTITIES[found]);

export function page(response, title, body, status = 200) {
  const name = escaped(title);
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
  });
  response.end(`<!doctype html><html lang="en"><meta charset="utf-8"><title>${name}</title>
<h1>${name}</h1>${body}</html>`);
}

export function redirect(response, location, headers = {}) {
  response.writeHead(303, { location, 'cache-control': 'no-store', ...headers });
  response.end();
}

/** The fields of a posted form. */
export async function form(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return new URLSearchParams(Buffer.concat(chunks).toString());
}
