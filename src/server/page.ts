// The files of the chat page, read once when the server starts: a request can only name one of them.

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';

/** The response for a path, undefined when the page has no such file. */
export type Page = (path: string) => Promise<Response | undefined>;

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};

/** The page talks to this server and nobody else, whatever a model writes into it. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The page in `folder`; undefined when there is none. */
export async function readPage(folder: string): Promise<Page | undefined> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = new Map<
    string,
    { readonly bytes: Uint8Array<ArrayBuffer>; readonly type: string; readonly tag: string }
  >();
  for (const entry of entries) {
    const type = types[extname(entry.name)];
    if (!entry.isFile() || type === undefined) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const bytes = new Uint8Array(await readFile(path));
    const tag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 16)}"`;
    files.set(`/${relative(folder, path).split(sep).join('/')}`, { bytes, type, tag });
  }
  if (!files.has('/index.html')) return undefined;
  return async (path) => {
    const file = files.get(path === '/' ? '/index.html' : path);
    if (!file) return undefined;
    return new Response(file.bytes, {
      headers: {
        'content-type': file.type,
        etag: file.tag,
        'cache-control': 'no-cache',
        'content-security-policy': policy,
        'referrer-policy': 'no-referrer',
      },
    });
  };
}
