// Types and loading of the native addon (native/runtime/napi.cc). Nothing else in the package touches it directly.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IngotError } from '../../base/errors.ts';

declare const memoryTag: unique symbol;
declare const programTag: unique symbol;
declare const expertsTag: unique symbol;
declare const pagesTag: unique symbol;
/** Handle of native memory; opaque. */
export type NativeMemory = object & { readonly [memoryTag]: never };
/** Handle of a compiled native program; opaque. */
export type NativeProgram = object & { readonly [programTag]: never };

/** Handle of a store of experts; opaque. */
export type NativeExperts = object & { readonly [expertsTag]: never };

/** Handle of a store of pages; opaque. */
export type NativePages = object & { readonly [pagesTag]: never };

export interface NativeInfo {
  readonly levels: readonly { readonly name: string; readonly supported: boolean }[];
  readonly level: string;
  readonly threads: number;
  readonly cpu: string;
}

/** kContract of native/runtime/napi.cc: which functions and kernel parameters this code expects. */
export const addonContract = 9;

export interface Addon {
  readonly contract: number;
  /** Starts the pool; threads 0 = all physical cores, level '' = the best. Returns the threads in use. */
  configure(threads: number, level: string): number;
  info(): NativeInfo;
  allocate(bytes: number, sparse?: boolean): NativeMemory;
  map(path: string, offset: number, bytes: number): NativeMemory;
  freeMemory(memory: NativeMemory): void;
  freeProgram(program: NativeProgram): void;
  write(memory: NativeMemory, offset: number, data: ArrayBufferView): void;
  read(memory: NativeMemory, offset: number, bytes: number): Uint8Array;
  readArena(program: NativeProgram, offset: number, bytes: number): Uint8Array;
  /** Whether a kernel of this name runs at the level in use. */
  hasKernel(name: string): boolean;
  /** Takes standard error from the process (1) or gives it back (0). Whether anything changed. */
  muteStderr?(mute: number): boolean;
  compile(
    kernels: readonly string[],
    memories: readonly NativeMemory[],
    arenaBytes: number,
    scalars: number,
    code: Float64Array,
  ): NativeProgram;
  run(program: NativeProgram, scalars: Float64Array, profile: boolean): Promise<undefined> | undefined;
  /**
   * `slices` holds the number of writes, copies and reads, then offset and byte length of each slice (a copy has two:
   * source, target); `memories` the memory of each slice; `data` the bytes of each write. Resolves to what was read,
   * each read at a multiple of 8 bytes; undefined when that is nothing,
   * and no promise at all when a run of few bytes has been made at once.
   */
  run(
    program: NativeProgram,
    scalars: Float64Array,
    profile: boolean,
    memories: readonly NativeMemory[],
    slices: Float64Array,
    data: readonly ArrayBufferView[],
    /** In place of the memories that the program was compiled with, in their order; each as large at least. */
    bound?: readonly NativeMemory[],
  ): Promise<ArrayBuffer | undefined> | undefined;
  profile(program: NativeProgram): Float64Array;
  pack(
    target: NativeMemory,
    offset: number,
    bytes: number,
    source: number,
    parts: readonly Uint8Array[],
    rows: number,
    columns: number,
    layout: readonly [code: number, group: number, metaDtype: number],
    rowMap: Int32Array | null,
  ): Promise<void>;
  /** Fills `parts` with what `values` are in the source form; the promise settles when they are written. */
  quantize(
    source: number,
    values: Float32Array,
    rows: number,
    columns: number,
    layout: readonly [code: number, group: number, metaDtype: number],
    parts: readonly Uint8Array[],
  ): Promise<void>;
  /** What the numbers are: native/runtime/napi_experts.h. */
  openExperts(
    paths: readonly string[],
    sizes: Float64Array,
    layers: Float64Array,
    settings: Float64Array,
    prior: Float64Array,
  ): NativeExperts;
  expertStack(store: NativeExperts, layer: number, part: number): NativeMemory;
  expertCounters(store: NativeExperts): Float64Array;
  expertRows(store: NativeExperts): Float64Array;
  expertDistances(store: NativeExperts): Float64Array;
  injectExpertFaults(store: NativeExperts, short: number, fail: number, delayUs: number, seed: number): void;
  freeExperts(store: NativeExperts): void;
  /** What the numbers are: native/runtime/napi_pages.h. */
  openPages(folder: string, numbers: Float64Array): NativePages;
  pagedArray(store: NativePages, layer: number, array: number): NativeMemory;
  discardPages(store: NativePages, pages: Int32Array): Promise<void>;
  pageCounters(store: NativePages): Float64Array;
  injectPageFaults(
    store: NativePages,
    short: number,
    failRead: number,
    failWrite: number,
    delayUs: number,
    seed: number,
  ): void;
  freePages(store: NativePages): void;
  /** Bytes per second of reads of `piece` bytes at random places, past the page cache. Blocks for `seconds`. */
  measureReads(path: string, bytes: number, piece: number, readers: number, seconds: number): number;
  /** Seconds that `jobs` jobs take which start together, each of `reads` reads of `piece` bytes one after the other. */
  measureReadRounds(
    path: string,
    bytes: number,
    piece: number,
    reads: number,
    jobs: number,
    readers: number,
    seconds: number,
  ): number;
}

/**
 * Where a build puts the addon: `native/build/ingot.node` in the package this file belongs to. Folders around the package are
 * other people's, and so would be an addon there.
 */
export function addonPath(from: string = dirname(fileURLToPath(import.meta.url))): string | undefined {
  const folder = packageFolder(from);
  const candidate = folder && join(folder, 'native', 'build', 'ingot.node');
  return candidate !== undefined && existsSync(candidate) ? candidate : undefined;
}

/** The folder of Ingot's package that `from` lies in. */
function packageFolder(from: string = dirname(fileURLToPath(import.meta.url))): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest)) return isOurs(manifest) ? folder : undefined;
    if (dirname(folder) === folder) return undefined;
  }
}

function isOurs(manifest: string): boolean {
  try {
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown }).name === 'ingot';
  } catch {
    return false;
  }
}

/** Packages that carry the addon for a platform, likeliest first. tools/platform-packages.mjs makes them. */
export function platformPackages(
  platform: string = process.platform,
  arch: string = process.arch,
): readonly string[] {
  if (platform === 'linux') return ['gnu', 'musl'].map((libc) => `ingot-linux-${arch}-${libc}`);
  return [`ingot-${platform}-${arch}`];
}

/** Where a package's addon lies, seen from this file, or from the package `ingot` when this file was bundled elsewhere. */
function addonOf(name: string): string | undefined {
  const here = createRequire(import.meta.url);
  for (const from of [() => here, () => createRequire(here.resolve('ingot/package.json'))]) {
    try {
      return from().resolve(name);
    } catch {}
  }
  return undefined;
}

let loaded: Addon | undefined;

/**
 * Loads the addon once: the one that was built in this package, else that of the platform's package.
 * @throws IngotError `unsupported` with the reason when there is none or it does not load, and with what to do.
 */
export function loadAddon(): Addon {
  if (loaded) return loaded;
  const built = addonPath();
  const packages = platformPackages();
  const candidates = [built, ...packages.map(addonOf)].filter((path) => path !== undefined);
  if (candidates.length === 0) throw new IngotError('unsupported', missingText(packages));
  const problems: string[] = [];
  for (const path of candidates) {
    const addon = tryLoad(path, problems);
    if (addon) {
      loaded = addon;
      return addon;
    }
  }
  throw new IngotError('unsupported', problems.join('; '));
}

/** The addon of a file; undefined when it cannot be used, with the reason in `problems`. */
function tryLoad(path: string, problems: string[]): Addon | undefined {
  let addon: Addon;
  try {
    addon = createRequire(import.meta.url)(path) as Addon;
  } catch (cause) {
    problems.push(`the native addon ${path} does not load: ${(cause as Error).message}`);
    return undefined;
  }
  if (addon.contract === addonContract) return addon;
  const remedy = path === addonPath() ? 'run `npm run build`' : 'install the version that ingot has';
  problems.push(
    `the native addon ${path} was built for other code (contract ${addon.contract ?? 'none'}, expected ${addonContract}): ${remedy}`,
  );
  return undefined;
}

/** What to do when there is no addon at all: in a checkout it is built, elsewhere a package has it. */
function missingText(packages: readonly string[]): string {
  const folder = packageFolder();
  if (folder !== undefined && existsSync(join(folder, 'tools', 'build.mjs')))
    return 'the native addon was not built: install make and a C++20 compiler, then run `npm run build`';
  const [likeliest = ''] = packages;
  const other =
    folder !== undefined && existsSync(join(folder, 'native', 'Makefile'))
      ? `, or build it: \`make -C ${join(folder, 'native')}\` (make and a C++20 compiler)`
      : '';
  return `no native kernels for ${process.platform} ${process.arch}: the package ${packages.join(' or ')} is not installed. Install ingot without --omit=optional, or \`npm install ${likeliest}\`${other}`;
}
