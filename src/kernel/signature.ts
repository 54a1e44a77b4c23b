// Names for the buffers and params of kernels: from the literals of signatures.ts follow the types of what a lowering gives,
// the flat lists that a device gets, and the places of names in those lists. No code but this file knows an order.

import type { DType } from '../base/dtype.ts';
import { invariant } from '../base/errors.ts';
import { kernelCodes, kernelSignatures } from './signatures.ts';

type Signatures = typeof kernelSignatures;
type Codes = typeof kernelCodes;

export type KernelName = keyof Signatures;

/** A constant, or `scalar * mul + add` where scalar is read from the block given to a run. */
export type Param = number | { readonly scalar: string; readonly mul: number; readonly add: number };

/**
 * `exact`: f32 activations. `fast`: activations quantised to int8 per group. `fine`: int8 plus the int8 rounding error,
 * about 15 bits, at the speed of reading the weights; for the few rows of a decode step, exact for more.
 */
export type KernelPrecision = Codes['precision'][number];
/** Activation fused into gate/up products. */
export type Glu = Codes['glu'][number];
/** How a gate acts, where it is not activation(gate) * up; what is 0 or left out changes nothing. */
export interface GateForm<T = number> {
  /** The gate is at most this, up within ± this. */
  readonly limit?: T | undefined;
  /** gate · sigmoid(alpha · gate) in place of the activation. */
  readonly alpha?: T | undefined;
  /** Added to up. */
  readonly offset?: T | undefined;
}
/** What experts are chosen by, and their weights. */
export type RouteOrder = Codes['order'][number];
export type ReductionKind = Codes['reduction'][number];
export type RunningKind = Codes['running'][number];

/** Text of an entry without its note. */
type Bare<T extends string> = T extends `${infer Head};${string}` ? Head : T;

type ParamValue<T extends string> = T extends 'flag'
  ? boolean
  : T extends 'dtype'
    ? DType
    : T extends keyof Codes
      ? Codes[T][number]
      : T extends `${string}[${string}]`
        ? readonly Param[]
        : Param;

type IsCount<T> = T extends `count ${string}` ? true : false;

/** Params by name. Counts are left out: they follow from the lists. */
type ParamsOf<P> = {
  readonly [N in keyof P as IsCount<P[N]> extends true ? never : N]: P[N] extends string
    ? ParamValue<Bare<P[N]>>
    : readonly ParamsOf<P[N]>[];
};

/** Buffers by name; null for one that may be absent and is. */
type BuffersOf<B, V> = {
  readonly [N in keyof B]: B[N] extends string
    ? Bare<B[N]> extends `${string}? ${string}`
      ? V | null
      : V
    : readonly BuffersOf<B[N], V>[];
};

export type KernelParams<K extends KernelName> = ParamsOf<Signatures[K]['params']>;
export type KernelBuffers<K extends KernelName, V> = BuffersOf<Signatures[K]['buffers'], V>;

declare const place: unique symbol;
/** Place of a param, or of a buffer, in the list of a dispatch. Only a signature makes one. */
export type ParamPlace = number & { readonly [place]: 'param' };
export type BufferPlace = number & { readonly [place]: 'buffer' };

type ParamPlacesOf<T> = {
  readonly [N in keyof T]: T[N] extends string
    ? Bare<T[N]> extends `${string}[${string}]`
      ? readonly ParamPlace[]
      : ParamPlace
    : readonly ParamPlacesOf<T[N]>[];
};
type BufferPlacesOf<T> = {
  readonly [N in keyof T]: T[N] extends string ? BufferPlace : readonly BufferPlacesOf<T[N]>[];
};

export type ParamPlaces<K extends KernelName> = ParamPlacesOf<Signatures[K]['params']>;
export type BufferPlaces<K extends KernelName> = BufferPlacesOf<Signatures[K]['buffers']>;

/** What a kernel does with a buffer: `write` is every element of it, none of them read. */
export type Access = 'read' | 'write' | 'update';

export interface BufferInfo {
  readonly name: string;
  readonly access: Access;
  readonly optional: boolean;
}

/** Where everything is in the lists of one dispatch. */
export interface Places<K extends KernelName = KernelName> {
  readonly params: ParamPlaces<K>;
  readonly buffers: BufferPlaces<K>;
  /** Length of the list of params. */
  readonly paramCount: number;
  /** By place. */
  readonly bufferInfos: readonly BufferInfo[];
}

/** Place of the param `rows` of a kernel that works row by row; undefined: it has none. */
export function rowsPlace(kernel: string): ParamPlace | undefined {
  const name = kernelName(kernel);
  if (name === undefined) return undefined;
  const entries = Object.entries(signatureOf(name).params);
  const at = entries.findIndex(([param]) => param === 'rows');
  return at < 0 || entries.slice(0, at).some(([, entry]) => isList(entry)) ? undefined : (at as ParamPlace);
}

type Entries = { readonly [name: string]: string | Entries };
interface Signature {
  readonly buffers: Entries;
  readonly params: Entries;
}

const signatures: Readonly<Record<string, Signature>> = kernelSignatures;
const codes: Readonly<Record<string, readonly string[]>> = kernelCodes;

const bare = (text: string): string => text.split(';', 1)[0] as string;

/** The number that stands for a name among params. */
export function codeOf<C extends keyof Codes>(list: C, name: Codes[C][number]): number {
  const code = codes[list]?.indexOf(name) ?? -1;
  invariant(code >= 0, `'${name}' is no ${list}: expected one of ${codes[list]?.join(', ')}`);
  return code;
}

/** The name that a number stands for. Throws internal for a number of no name. */
export function nameOf<C extends keyof Codes>(list: C, code: Param | undefined): Codes[C][number] {
  const name = typeof code === 'number' ? codes[list]?.[code] : undefined;
  invariant(name !== undefined, `${JSON.stringify(code)} is no code of a ${list}`);
  return name as Codes[C][number];
}

/** The name of a kernel, or undefined when there is no signature of that name. */
export const kernelName = (name: string): KernelName | undefined =>
  Object.hasOwn(signatures, name) ? (name as KernelName) : undefined;

/** The signature as plain data, for code that handles all kernels alike. */
export const signatureOf = (kernel: KernelName): Signature => signatures[kernel] as Signature;

/** The list that `int[COUNT]` or `count NAME` is about, if the text is one of these. */
const listLength = (text: string): string | undefined => /\[(\w+)\]$/.exec(text)?.[1];
const countedList = (text: string): string | undefined => /^count (\w+)$/.exec(text)?.[1];

type Named = { readonly [name: string]: unknown };

/** Buffers in the order of the signature, null for those that are absent. */
export function listBuffers<K extends KernelName, V>(
  kernel: K,
  named: KernelBuffers<K, V>,
): readonly (V | null)[] {
  const list: (V | null)[] = [];
  const walk = (entries: Entries, values: Named): void => {
    for (const [name, entry] of Object.entries(entries)) {
      const value = values[name];
      if (typeof entry === 'string') list.push((value ?? null) as V | null);
      else for (const record of value as readonly Named[]) walk(entry, record);
    }
  };
  walk(signatureOf(kernel).buffers, named as Named);
  return list;
}

/** Params in the order of the signature, as numbers and plan scalars. */
export function listParams<K extends KernelName>(kernel: K, named: KernelParams<K>): readonly Param[] {
  const list: Param[] = [];
  const walk = (entries: Entries, values: Named): void => {
    for (const [name, entry] of Object.entries(entries)) {
      const value = values[name];
      if (typeof entry !== 'string') {
        for (const record of value as readonly Named[]) walk(entry, record);
        continue;
      }
      const text = bare(entry);
      const counted = countedList(text);
      if (counted !== undefined) list.push((values[counted] as readonly unknown[]).length);
      else if (listLength(text) !== undefined) list.push(...(value as readonly Param[]));
      else list.push(paramOf(text, value));
    }
  };
  walk(signatureOf(kernel).params, named as Named);
  return list;
}

function paramOf(text: string, value: unknown): Param {
  if (text in codes) return codeOf(text as keyof Codes, value as Codes[keyof Codes][number]);
  return typeof value === 'boolean' ? Number(value) : (value as Param);
}

/** Signatures without lists have the same places in every dispatch. */
const fixedPlaces = new Map<KernelName, Places>();

/** Where the buffers and params of a dispatch are. Throws internal when the lists are not as long as the signature says. */
export function placesOf<K extends KernelName>(
  kernel: K,
  params: readonly Param[],
  bufferCount?: number,
): Places<K> {
  const known = fixedPlaces.get(kernel);
  const places = known ?? findPlaces(kernel, params);
  if (known === undefined && isFixed(kernel)) fixedPlaces.set(kernel, places);
  const buffers = bufferCount ?? places.bufferInfos.length;
  invariant(
    params.length === places.paramCount && buffers === places.bufferInfos.length,
    `${kernel} takes ${places.bufferInfos.length} buffers and ${places.paramCount} params, got ${buffers} and ${params.length}`,
  );
  return places as Places<K>;
}

const isList = (entry: string | Entries): boolean =>
  typeof entry !== 'string' || listLength(bare(entry)) !== undefined;

const isFixed = (kernel: KernelName): boolean => {
  const { params, buffers } = signatureOf(kernel);
  return ![...Object.values(params), ...Object.values(buffers)].some(isList);
};

function findPlaces(kernel: KernelName, params: readonly Param[]): Places {
  const signature = signatureOf(kernel);
  const counts = new Map<string, number>();
  let next = 0;
  const takeParams = (entries: Entries): Named =>
    Object.fromEntries(
      Object.entries(entries).map(([name, entry]) => {
        if (typeof entry !== 'string') {
          return [name, Array.from({ length: counts.get(name) ?? 0 }, () => takeParams(entry))];
        }
        const text = bare(entry);
        const length = listLength(text);
        if (length !== undefined) {
          return [name, Array.from({ length: counts.get(length) ?? 0 }, () => next++)];
        }
        const counted = countedList(text);
        if (counted !== undefined) {
          const count = countAt(kernel, name, params, next);
          counts.set(counted, count).set(name, count);
        }
        return [name, next++];
      }),
    );
  const places = takeParams(signature.params);
  const bufferInfos: BufferInfo[] = [];
  const takeBuffers = (entries: Entries): Named =>
    Object.fromEntries(
      Object.entries(entries).map(([name, entry]) => {
        if (typeof entry !== 'string') {
          return [name, Array.from({ length: counts.get(name) ?? 0 }, () => takeBuffers(entry))];
        }
        const access = entry.split(' ', 1)[0] as string;
        const optional = access.endsWith('?');
        bufferInfos.push({ name, access: access.replace('?', '') as Access, optional });
        return [name, bufferInfos.length - 1];
      }),
    );
  const buffers = takeBuffers(signature.buffers);
  return { params: places, buffers, paramCount: next, bufferInfos } as unknown as Places;
}

/** A count says how many params follow, so it is at most their number. */
function countAt(kernel: KernelName, name: string, params: readonly Param[], at: number): number {
  const param = params[at];
  invariant(
    typeof param === 'number' && Number.isInteger(param) && param >= 0 && param <= params.length,
    `${kernel}: ${name} must be a count, got ${JSON.stringify(param)}`,
  );
  return param;
}
