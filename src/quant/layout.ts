// How a weight matrix is stored for the kernels: the description of a layout and the byte sizes that follow from it.
// docs/layouts.md is the definition; this file is its arithmetic.

import { IngotError } from '../base/errors.ts';

export const layoutKinds = ['f32', 'f16', 'bf16', 'q4', 'q4a', 'q8', 'q8a', 'q4k', 'q6k'] as const;
export type LayoutKind = (typeof layoutKinds)[number];

/** dtype of the scales (and minimums) of a quantised layout. */
export type MetaDtype = 'f32' | 'f16' | 'bf16';

/**
 * A packed layout. `group` is the number of columns that share one scale (1 for float layouts); `metaDtype` is the type
 * the scales are stored in (f16 where the layout leaves no choice).
 */
export interface WeightLayout {
  readonly kind: LayoutKind;
  readonly group: number;
  readonly metaDtype: MetaDtype;
}

/** Rows of one panel. */
export const panelRows = 16;
/** Every panel starts at a multiple of this from the start of the matrix. */
export const panelAlignment = 64;

/** Columns covered by one record of the meta region of the k-quants. */
const superBlock = 256;
const affineGroups: readonly number[] = [32, 64, 128];
const metaDtypes: readonly MetaDtype[] = ['f32', 'f16', 'bf16'];
const metaBytes: Readonly<Record<MetaDtype, number>> = { f32: 4, f16: 2, bf16: 2 };

/** Group of the layouts that have a fixed one; affine layouts carry their own. */
const fixedGroup = { f32: 1, f16: 1, bf16: 1, q4: 32, q8: 32, q4k: 32, q6k: 16 } as const;

/** A layout without free parameters: float layouts, q4, q8, q4k, q6k. */
export const layoutOf = (kind: Exclude<LayoutKind, 'q4a' | 'q8a'>): WeightLayout => ({
  kind,
  group: fixedGroup[kind],
  metaDtype: 'f16',
});

/** An affine layout: `w = s q + m` with one (s, m) pair for each `group` columns of a row. */
export function affineLayout(bits: 4 | 8, group: number, metaDtype: MetaDtype): WeightLayout {
  const layout: WeightLayout = { kind: bits === 4 ? 'q4a' : 'q8a', group, metaDtype };
  checkLayout(layout);
  return layout;
}

export const isAffine = (layout: WeightLayout): boolean => layout.kind === 'q4a' || layout.kind === 'q8a';
export const isFloatLayout = (layout: WeightLayout): boolean =>
  layout.kind === 'f32' || layout.kind === 'f16' || layout.kind === 'bf16';
export const sameLayout = (a: WeightLayout, b: WeightLayout): boolean =>
  a.kind === b.kind && a.group === b.group && a.metaDtype === b.metaDtype;

/** For messages: `q4a/64/bf16`, `q4`, `f32`. */
export const formatLayout = (layout: WeightLayout): string =>
  isAffine(layout) ? `${layout.kind}/${layout.group}/${layout.metaDtype}` : layout.kind;

/** Layout code of native kernels and of packed files. */
export const layoutCode = (layout: WeightLayout): number => layoutKinds.indexOf(layout.kind);

/** metaDtype code of native kernels: the dtype codes of device/device.ts. */
export const metaDtypeCode = (layout: WeightLayout): number => metaDtypes.indexOf(layout.metaDtype);

/** Throws invalid_argument unless the layout is one that docs/layouts.md defines. */
export function checkLayout(layout: WeightLayout): void {
  const fail = (problem: string): never => {
    throw new IngotError('invalid_argument', `weight layout ${JSON.stringify(layout)}: ${problem}`);
  };
  if (!layoutKinds.includes(layout.kind)) fail(`kind must be one of ${layoutKinds.join(', ')}`);
  if (!metaDtypes.includes(layout.metaDtype)) fail(`metaDtype must be one of ${metaDtypes.join(', ')}`);
  if (layout.kind === 'q4a' || layout.kind === 'q8a') {
    if (!affineGroups.includes(layout.group)) fail(`group must be one of ${affineGroups.join(', ')}`);
    return;
  }
  if (layout.group !== fixedGroup[layout.kind]) fail(`group must be ${fixedGroup[layout.kind]}`);
  if (layout.metaDtype !== 'f16') fail('metaDtype must be f16');
}

/** Number that K must be a multiple of. */
export function columnMultiple(layout: WeightLayout): number {
  switch (layout.kind) {
    case 'q4k':
    case 'q6k':
      return superBlock;
    default:
      return layout.group;
  }
}

/** Bytes of the codes region of one panel of K columns. */
export function codesBytes(layout: WeightLayout, K: number): number {
  switch (layout.kind) {
    case 'f32':
      return K * panelRows * 4;
    case 'f16':
      return K * panelRows * 2;
    case 'bf16':
      return Math.ceil(K / 2) * panelRows * 4;
    case 'q4':
    case 'q4a':
    case 'q4k':
      return (K / 32) * 256;
    case 'q8':
    case 'q8a':
      return (K / 32) * 512;
    case 'q6k':
      return (K / 32) * 384;
  }
}

/** Bytes of each field of a meta record for one lane, in order; a record stores every field for all 16 lanes in turn. */
export function metaFields(layout: WeightLayout): readonly number[] {
  switch (layout.kind) {
    case 'f32':
    case 'f16':
    case 'bf16':
      return [];
    case 'q4':
    case 'q8':
      return [2]; // s
    case 'q4a':
    case 'q8a':
      return [metaBytes[layout.metaDtype], metaBytes[layout.metaDtype]]; // s, m
    case 'q4k':
      return [2, 2, ...new Array<number>(16).fill(1)]; // d, dmin, sc[8], mn[8]
    case 'q6k':
      return [2, ...new Array<number>(16).fill(1)]; // d, sc[16]
  }
}

/** Bytes of one record of the meta region (all lanes; 0: there is none), and how many columns it covers. */
export function metaRecord(layout: WeightLayout): { readonly bytes: number; readonly columns: number } {
  const bytes = metaFields(layout).reduce((sum, field) => sum + field, 0) * panelRows;
  if (bytes === 0) return { bytes, columns: 1 };
  return { bytes, columns: layout.kind === 'q4k' || layout.kind === 'q6k' ? superBlock : layout.group };
}

/**
 * Bytes of one panel (16 rows of K columns), a multiple of 64.
 * Throws invalid_argument when K is not a positive multiple of the layout's group or the size is not a safe integer.
 */
export function panelBytes(layout: WeightLayout, K: number): number {
  checkLayout(layout);
  const multiple = columnMultiple(layout);
  if (!Number.isSafeInteger(K) || K <= 0 || K % multiple !== 0) {
    throw new IngotError(
      'invalid_argument',
      `layout ${formatLayout(layout)}: K = ${K} must be a positive multiple of ${multiple}`,
      { details: { K, multiple } },
    );
  }
  const meta = metaRecord(layout);
  const used = codesBytes(layout, K) + (K / meta.columns) * meta.bytes;
  return safeSize(Math.ceil(used / panelAlignment) * panelAlignment, layout, panelRows, K);
}

/** Bytes of a packed matrix of N rows and K columns. Throws invalid_argument like `panelBytes`. */
export function packedBytes(layout: WeightLayout, N: number, K: number): number {
  const panel = panelBytes(layout, K);
  if (!Number.isSafeInteger(N) || N <= 0) {
    throw new IngotError(
      'invalid_argument',
      `layout ${formatLayout(layout)}: N = ${N} must be a positive integer`,
    );
  }
  return safeSize(Math.ceil(N / panelRows) * panel, layout, N, K);
}

function safeSize(bytes: number, layout: WeightLayout, N: number, K: number): number {
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new IngotError(
    'invalid_argument',
    `layout ${formatLayout(layout)}: a matrix of ${N} x ${K} has more bytes than can be addressed`,
    { details: { N, K } },
  );
}
