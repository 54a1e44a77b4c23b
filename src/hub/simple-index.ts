// The simple repository API of Python package indexes: JSON (PEP 691) with HTML (PEP 503) as the fallback.
// https://packaging.python.org/en/latest/specifications/simple-repository-api/

import { IngotError } from '../base/errors.ts';
import { type HttpOptions, hostOf, open, readText } from './http.ts';

export interface IndexFile {
  readonly filename: string;
  /** Absolute address. */
  readonly url: string;
  readonly sha256: string | undefined;
}

const accept =
  'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01';

/** Canonical form of a package name. */
export const normalizeName = (name: string): string => name.replace(/[-_.]+/g, '-').toLowerCase();

/** Files an index lists for a package. Throws download_failed when the index has no such package or cannot be reached. */
export async function listFiles(index: string, name: string, http: HttpOptions): Promise<IndexFile[]> {
  const page = `${index}/${normalizeName(name)}/`;
  const response = await open(page, { ...http, headers: { ...http.headers, accept } });
  const text = await readText(response);
  const type = response.headers['content-type'] ?? '';
  return type.includes('json') ? parseJsonPage(text, page) : parseHtmlPage(text, page);
}

/** Files of a PEP 691 page; entries without name or address are left out. */
export function parseJsonPage(text: string, page: string): IndexFile[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new IngotError('download_failed', `${hostOf(page)} sent a page that is not JSON`, { cause });
  }
  const files = (document as { files?: unknown } | null)?.files;
  if (!Array.isArray(files))
    throw new IngotError('download_failed', `${hostOf(page)} sent a page without a list of files`);
  return files.flatMap(
    (file: { filename?: unknown; url?: unknown; hashes?: { sha256?: unknown } } | null) => {
      if (typeof file?.filename !== 'string' || typeof file.url !== 'string') return [];
      const sha256 = typeof file.hashes?.sha256 === 'string' ? file.hashes.sha256.toLowerCase() : undefined;
      const url = absolute(file.url, page);
      return url === undefined ? [] : [{ filename: file.filename, url, sha256 }];
    },
  );
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
const unescapeHtml = (text: string): string =>
  text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name] ?? '');

/** Files of a PEP 503 page: anchors whose text is a file name and whose fragment may be `sha256=...`. Read once, front to back. */
export function parseHtmlPage(text: string, page: string): IndexFile[] {
  const files: IndexFile[] = [];
  const anchor = /<a(?=[\s>/])/gi;
  for (let start = anchor.exec(text); start; start = anchor.exec(text)) {
    const { end, href } = readTag(text, anchor.lastIndex);
    if (end < 0) break;
    const close = text.indexOf('<', end);
    if (close < 0) break;
    anchor.lastIndex = close;
    if (href === undefined || !/^<\/a\s*>/i.test(text.slice(close, close + 16))) continue;
    const address = unescapeHtml(href);
    const url = absolute(address.replace(/#[\s\S]*$/, ''), page);
    if (url === undefined) continue;
    const sha256 = /#sha256=([0-9a-f]{64})/i.exec(address)?.[1]?.toLowerCase();
    files.push({ filename: unescapeHtml(text.slice(end, close)).trim(), url, sha256 });
  }
  return files;
}

/** The end of a tag whose name ends at `from`, -1 for none, and its `href`. */
function readTag(text: string, from: number): { readonly end: number; readonly href: string | undefined } {
  const attribute = /\s*(?:(>)|=|([^\s=>]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*)))?)/y;
  let href: string | undefined;
  attribute.lastIndex = from;
  for (let part = attribute.exec(text); part; part = attribute.exec(text)) {
    if (part[1] !== undefined) return { end: attribute.lastIndex, href };
    if (part[2]?.toLowerCase() === 'href') href ??= part[3] ?? part[4] ?? part[5];
  }
  return { end: -1, href };
}

/** Resolves against the page; an index address with a login keeps it for files on the same host. Undefined for what is no address. */
function absolute(href: string, page: string): string | undefined {
  const base = new URL(page);
  if (!URL.canParse(href, page)) return undefined;
  const url = new URL(href, base);
  if (url.host === base.host && url.username === '') {
    url.username = base.username;
    url.password = base.password;
  }
  return url.href;
}

/** The wheel of `name` `version`, one for any platform first; undefined when the list has none. */
export function pickWheel(files: readonly IndexFile[], name: string, version: string): IndexFile | undefined {
  const wheels = files.filter(({ filename }) => {
    const [wheelName = '', wheelVersion] = filename.split('-');
    return (
      filename.endsWith('.whl') &&
      normalizeName(wheelName) === normalizeName(name) &&
      wheelVersion === version
    );
  });
  return wheels.find(({ filename }) => filename.endsWith('-none-any.whl')) ?? wheels[0];
}
