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
      return [{ filename: file.filename, url: absolute(file.url, page), sha256 }];
    },
  );
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
const unescapeHtml = (text: string): string =>
  text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name] ?? '');

/** Files of a PEP 503 page: anchors whose text is a file name and whose fragment may be `sha256=...`. */
export function parseHtmlPage(text: string, page: string): IndexFile[] {
  const anchors = text.matchAll(/<a\b[^>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')[^>]*>([^<]*)<\/a>/gi);
  return [...anchors].map((match) => {
    const href = unescapeHtml(match[1] ?? match[2] ?? '');
    const sha256 = /#sha256=([0-9a-f]{64})/i.exec(href)?.[1]?.toLowerCase();
    return {
      filename: unescapeHtml(match[3] ?? '').trim(),
      url: absolute(href.replace(/#.*$/, ''), page),
      sha256,
    };
  });
}

/** Resolves against the page; an index address with a login keeps it for files on the same host. */
function absolute(href: string, page: string): string {
  const base = new URL(page);
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
