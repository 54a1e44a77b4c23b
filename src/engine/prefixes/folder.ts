// Prefixes of prompts in a folder: what one process has computed of a conversation, the next one reads. A folder for each
// model in it, a file for each piece; pieces follow each other by the hash of all tokens up to them, so that conversations
// that begin alike share files.

import { createHash } from 'node:crypto';
import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { IngotError } from '../../base/errors.ts';
import { formatBytes } from '../../base/text.ts';
import type { PrefixArchive, PrefixQuery } from '../../cache/archive.ts';
import type { CacheSnapshot } from '../../cache/contract.ts';
import type { CacheDtype } from '../../cache/parts.ts';
import type { LayerSpec } from '../../nn/contracts.ts';
import { assemble, cutLayers, type StoredPiece, seesAll } from './assemble.ts';
import { readLayers, readSegment, type Segment, segmentBytes, segmentHash, writeSegment } from './segment.ts';

/** A file for less is not worth it: computing the tokens again is as fast. */
const MIN_TOKENS = 64;

/** Positions of a file where a prefix may be cut anywhere. */
const PIECE_TOKENS = 512;

export interface PrefixFolderOptions {
  readonly folder: string;
  /** All that the numbers depend on: a prefix of another model is never used. */
  readonly identity: unknown;
  readonly specs: readonly LayerSpec[];
  readonly dtype: CacheDtype;
  readonly contextLength: number;
  /** Bytes of all files in the folder, those of other models too. */
  readonly maxBytes: number;
  readonly onNotice?: ((text: string) => void) | undefined;
}

export class PrefixFolder implements PrefixArchive {
  readonly #options: PrefixFolderOptions;
  readonly #own: string;
  readonly #partial: boolean;
  readonly #byParent = new Map<string, Segment[]>();
  readonly #byHash = new Map<string, Segment>();
  /** Saves come one after the other. */
  #last: Promise<void> = Promise.resolve();
  #told = false;

  private constructor(options: PrefixFolderOptions) {
    this.#options = options;
    const key = createHash('sha256').update(JSON.stringify(options.identity)).digest('hex').slice(0, 32);
    this.#own = join(options.folder, key);
    this.#partial = seesAll(options.specs, options.dtype);
  }

  /** Reads what is in the folder. Files that are damaged, or whose beginning is gone, are deleted with a notice. */
  static async open(options: PrefixFolderOptions): Promise<PrefixFolder> {
    const made = new PrefixFolder(options);
    await made.#scan();
    return made;
  }

  async find(tokens: readonly number[], { known, atMost }: PrefixQuery): Promise<CacheSnapshot | undefined> {
    const path = this.#match(tokens, atMost);
    const end = path.reduce((sum, { count }) => sum + count, 0);
    // Less than a page more is computed as fast.
    if (end < known + MIN_TOKENS / 2) return undefined;
    const pieces: StoredPiece[] = [];
    const { specs, dtype, contextLength } = this.#options;
    for (const { segment, count } of path) {
      try {
        const layers = await readLayers(this.#pathOf(segment), contextLength);
        pieces.push({ from: segment.from, count, length: segment.tokens.length, layers });
      } catch (error) {
        await this.#discard(segment, error);
        return this.find(tokens, { known, atMost }); // with what is left
      }
    }
    try {
      const snapshot = await assemble(pieces, specs, dtype);
      await this.#touch(path.map(({ segment }) => segment));
      return snapshot;
    } catch (error) {
      const [first] = path;
      if (first !== undefined) await this.#discard(first.segment, error);
      return undefined;
    }
  }

  save(tokens: readonly number[], snapshot: (from: number) => Promise<CacheSnapshot>): Promise<void> {
    this.#last = this.#last.then(async () => {
      try {
        await this.#save(tokens, snapshot);
      } catch (error) {
        this.#tell(`the beginning of a conversation was not kept: ${(error as Error).message}`);
      }
    });
    return this.#last;
  }

  async #save(tokens: readonly number[], read: (from: number) => Promise<CacheSnapshot>): Promise<void> {
    const path = this.#match(tokens, tokens.length).filter(
      ({ segment, count }) => count === segment.tokens.length,
    );
    const before = path.at(-1)?.segment;
    const from = before === undefined ? 0 : before.from + before.tokens.length;
    if (tokens.length - from < MIN_TOKENS) return;
    const { specs, dtype } = this.#options;
    const layers = (await read(from)).layers.flat();
    const to = tokens.length;
    const chain = path.map(({ segment }) => segment);
    // What goes another way later shares the pieces before: where states are kept of the end only, there is one.
    const step = this.#partial ? PIECE_TOKENS : to - from;
    const files = await filesIn(this.#options.folder);
    for (let start = from; start < to; start += step) {
      const end = Math.min(start + step, to);
      const added = Int32Array.from(tokens.slice(start, end));
      const parent = chain.at(-1)?.hash ?? '';
      const segment = { hash: segmentHash(parent, added), parent, from: start, tokens: added };
      const piece = cutLayers(layers, specs, dtype, { from, to, start, end });
      const bytes = segmentBytes(segment, piece);
      if (!(await this.#makeRoom(bytes, files, chain))) return;
      await writeSegment(this.#pathOf(segment), segment, piece);
      this.#add(segment);
      files.push({ path: this.#pathOf(segment), bytes, used: Date.now() });
      chain.push(segment);
    }
    await this.#touch(chain);
  }

  /** The pieces that begin `tokens`; the last may be cut where layers see everything. */
  #match(tokens: readonly number[], atMost: number): { segment: Segment; count: number }[] {
    const path: { segment: Segment; count: number }[] = [];
    for (let at = 0, parent = ''; ; ) {
      let best: { segment: Segment; count: number } | undefined;
      for (const segment of this.#byParent.get(parent) ?? []) {
        const most = Math.min(segment.tokens.length, atMost - at);
        let count = 0;
        while (count < most && segment.tokens[count] === tokens[at + count]) count++;
        if (count > (best?.count ?? 0)) best = { segment, count };
      }
      if (best === undefined) return path;
      const whole = best.count === best.segment.tokens.length;
      if (whole || this.#partial) path.push(best);
      if (!whole) return path;
      at += best.count;
      parent = best.segment.hash;
    }
  }

  #add(segment: Segment): void {
    if (this.#byHash.has(segment.hash)) return;
    this.#byHash.set(segment.hash, segment);
    this.#byParent.set(segment.parent, [...(this.#byParent.get(segment.parent) ?? []), segment]);
  }

  async #discard(segment: Segment, error: unknown): Promise<void> {
    this.#forget(segment);
    await remove(this.#pathOf(segment));
    const gone = (error as { code?: unknown }).code === 'ENOENT'; // another process made room
    if (!gone) this.#tell(`a stored prefix is not used: ${(error as Error).message}`);
  }

  #forget({ hash, parent }: Segment): void {
    this.#byHash.delete(hash);
    this.#byParent.set(
      parent,
      (this.#byParent.get(parent) ?? []).filter((x) => x.hash !== hash),
    );
  }

  /** A piece counts as used later than those that follow it: what nothing follows goes first. */
  async #touch(path: readonly Segment[]): Promise<void> {
    const now = Date.now();
    for (const [i, segment] of [...path].reverse().entries()) {
      const time = new Date(now + 10 * i);
      await utimes(this.#pathOf(segment), time, time).catch(() => undefined);
    }
  }

  /** Deletes of `files` what was used longest ago until `bytes` more fit. False when they cannot. */
  async #makeRoom(bytes: number, files: StoredFile[], keep: readonly Segment[]): Promise<boolean> {
    const { folder, maxBytes } = this.#options;
    if (bytes > maxBytes) {
      this.#tell(
        `a prefix of ${formatBytes(bytes)} is not kept: ${folder} may have ${formatBytes(maxBytes)} (prefixDirBytes)`,
      );
      return false;
    }
    const kept = new Set(keep.map((segment) => this.#pathOf(segment)));
    let total = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const file of files.toSorted((a, b) => a.used - b.used)) {
      if (total + bytes <= maxBytes) break;
      if (kept.has(file.path)) continue;
      await remove(file.path);
      files.splice(files.indexOf(file), 1);
      total -= file.bytes;
      const own = this.#byHash.get(basename(file.path, '.kv'));
      if (own !== undefined && this.#pathOf(own) === file.path) this.#forget(own);
    }
    return total + bytes <= maxBytes;
  }

  async #scan(): Promise<void> {
    const names = await readdir(this.#own).catch(() => []);
    for (const name of names.filter((x) => x.endsWith('.kv'))) {
      const path = join(this.#own, name);
      try {
        const segment = await readSegment(path, this.#options.contextLength);
        if (`${segment.hash}.kv` !== name)
          throw new IngotError('bad_file', `${path}: has other tokens than its name says`);
        this.#add(segment);
      } catch (error) {
        await remove(path);
        this.#tell(`a stored prefix is not used: ${(error as Error).message}`);
      }
    }
    for (const segment of [...this.#byHash.values()]) {
      if (this.#begins(segment)) continue;
      this.#forget(segment);
      await remove(this.#pathOf(segment));
    }
  }

  #begins(segment: Segment): boolean {
    if (segment.parent === '') return segment.from === 0;
    const parent = this.#byHash.get(segment.parent);
    return (
      parent !== undefined && parent.from + parent.tokens.length === segment.from && this.#begins(parent)
    );
  }

  #pathOf({ hash }: Segment): string {
    return join(this.#own, `${hash}.kv`);
  }

  /** Once: what fails for one conversation fails for the next. */
  #tell(text: string): void {
    if (!this.#told) this.#options.onNotice?.(text);
    this.#told = true;
  }
}

interface StoredFile {
  readonly path: string;
  readonly bytes: number;
  readonly used: number;
}

/** A file that cannot be deleted is found and refused again. */
const remove = (path: string): Promise<void> => rm(path, { force: true }).catch(() => undefined);

/** Files of all models in the folder. */
async function filesIn(folder: string): Promise<StoredFile[]> {
  const found: StoredFile[] = [];
  for (const model of await readdir(folder).catch(() => [])) {
    if (!/^[0-9a-f]{32}$/.test(model)) continue;
    for (const name of await readdir(join(folder, model)).catch(() => [])) {
      if (!/\.(kv|partial)$/.test(name)) continue;
      const path = join(folder, model, name);
      const info = await stat(path).catch(() => undefined);
      if (info) found.push({ path, bytes: info.size, used: info.mtimeMs });
    }
  }
  return found;
}
