// Files behind addresses as byte sources: ranges in large blocks, read ahead, or the whole file where a server knows no ranges.

import { IngotError } from '../base/errors.ts';
import { BlobSource } from './blob-source.ts';
import { type ByteSource, checkRange, type Folder } from './source.ts';

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of a file that is fetched whole. */
  readonly onDownload?: ((progress: { bytesDone: number; bytesTotal: number }) => void) | undefined;
}

/** Bytes of a block: some tenths of a second on a fast line. */
const blockBytes = 8 * 2 ** 20;
/** Blocks that are asked for before they are needed, and blocks that are kept. */
const ahead = 2;
const kept = 6;
const tries = 3;

/** Addresses below `base`. */
export const urlFolder = (base: URL, options: FetchOptions): Folder => ({
  path: plain(base).replace(/\/$/, ''),
  open: (name) => openUrl(new URL(name, base), options),
});

/** For messages: without what may be a secret. */
const plain = (url: URL): string => url.origin + url.pathname;

/**
 * The file behind an address; undefined when there is none (also when a page comes instead of one).
 * Rejects with download_failed, or the signal's reason.
 */
export async function openUrl(url: URL, options: FetchOptions): Promise<ByteSource | undefined> {
  const response = await request(url, [0, blockBytes], options.signal);
  if (response === undefined) return undefined;
  const size = totalOf(response);
  if (response.status === 206 && size !== undefined) {
    const first = await bodyOf(response, url);
    if (first.byteLength === Math.min(blockBytes, size))
      return new UrlSource(url, size, first, options.signal);
    throw failed(url, `${first.byteLength} bytes came instead of a range of ${blockBytes}`);
  }
  // The server knows no ranges, or does not let other origins read how long the file is.
  if (response.status !== 200) await response.body?.cancel();
  const whole = response.status === 200 ? response : await request(url, undefined, options.signal);
  return whole && new BlobSource(await download(whole, url, options), plain(url));
}

/** A response that has what was asked for; undefined when there is no such file. */
async function request(
  url: URL,
  range: readonly [from: number, to: number] | undefined,
  signal: AbortSignal | undefined,
): Promise<Response | undefined> {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    let problem: string;
    try {
      const headers: Record<string, string> = range ? { range: `bytes=${range[0]}-${range[1] - 1}` } : {};
      const response = await fetch(url, { headers, ...(signal ? { signal } : {}) });
      const isPage = response.headers.get('content-type')?.startsWith('text/html') === true;
      if (response.status === 404 || (response.ok && isPage)) return undefined;
      if (response.ok) return response;
      if (response.status === 416) return await request(url, undefined, signal); // an empty file has no first byte
      problem = `the server answered ${response.status}`;
      if (response.status < 500 && response.status !== 429) throw failed(url, problem);
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof IngotError) throw cause;
      problem = `${cause instanceof Error ? cause.message : String(cause)}; is it online, and does its server allow this page (CORS)?`;
    }
    if (attempt >= tries) throw failed(url, problem);
    await new Promise((resolve) => setTimeout(resolve, 500 * attempt));
  }
}

const failed = (url: URL, problem: string): IngotError =>
  new IngotError('download_failed', `${plain(url)} cannot be fetched: ${problem}`, {
    details: { url: plain(url) },
  });

/** Bytes of the whole file as a ranged answer gives them. */
function totalOf(response: Response): number | undefined {
  const match = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return match === null ? undefined : Number(match[1]);
}

async function bodyOf(response: Response, url: URL): Promise<Uint8Array> {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw failed(url, cause instanceof Error ? cause.message : String(cause));
  }
}

/** A whole body as a blob, which a browser may keep on disk. */
async function download(response: Response, url: URL, { onDownload, signal }: FetchOptions): Promise<Blob> {
  const bytesTotal = Number(response.headers.get('content-length') ?? 0);
  let bytesDone = 0;
  const counted = response.body?.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytesDone += chunk.byteLength;
        onDownload?.({ bytesDone, bytesTotal: Math.max(bytesTotal, bytesDone) });
        controller.enqueue(chunk);
      },
    }),
  );
  try {
    return await new Response(counted ?? null).blob();
  } catch (cause) {
    signal?.throwIfAborted();
    throw failed(url, cause instanceof Error ? cause.message : String(cause));
  }
}

class UrlSource implements ByteSource {
  readonly name: string;
  readonly path = undefined;
  readonly size: number;
  readonly #url: URL;
  readonly #closed = new AbortController();
  readonly #signal: AbortSignal;
  /** Blocks by number, the one that was used last at the end. */
  readonly #blocks = new Map<number, Promise<Uint8Array>>();

  constructor(url: URL, size: number, first: Uint8Array, signal: AbortSignal | undefined) {
    this.name = plain(url);
    this.size = size;
    this.#url = url;
    this.#signal = AbortSignal.any([this.#closed.signal, ...(signal ? [signal] : [])]);
    this.#blocks.set(0, Promise.resolve(first));
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    const target = new Uint8Array(length);
    await this.readInto(offset, target);
    return target;
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    checkRange(this, offset, target.byteLength);
    for (let done = 0; done < target.byteLength; ) {
      const at = offset + done;
      const index = Math.floor(at / blockBytes);
      const block = await this.#block(index);
      const from = at - index * blockBytes;
      const part = block.subarray(from, from + target.byteLength - done);
      target.set(part, done);
      done += part.byteLength;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#blocks.clear();
  }

  /** A block, and the fetches of those behind it started. */
  #block(index: number): Promise<Uint8Array> {
    for (let i = Math.min(index + ahead, Math.floor((this.size - 1) / blockBytes)); i > index; i--) {
      this.#start(i);
    }
    const block = this.#start(index);
    for (const old of this.#blocks.keys()) {
      if (this.#blocks.size <= kept) break;
      this.#blocks.delete(old);
    }
    return block;
  }

  #start(index: number): Promise<Uint8Array> {
    const block = this.#blocks.get(index) ?? this.#fetch(index);
    this.#blocks.delete(index);
    this.#blocks.set(index, block);
    block.catch(() => this.#blocks.delete(index)); // whoever needs it hears of it, and the next one tries again
    return block;
  }

  async #fetch(index: number): Promise<Uint8Array> {
    const from = index * blockBytes;
    const to = Math.min(from + blockBytes, this.size);
    const response = await request(this.#url, [from, to], this.#signal);
    const bytes = response && (await bodyOf(response, this.#url));
    if (bytes?.byteLength === to - from) return bytes;
    throw failed(this.#url, `bytes ${from} to ${to} did not come; the file has changed, load it again`);
  }
}
