// How a weight matrix is stored for the kernels: the description of a layout and the byte sizes that follow from it.
// docs/layouts.md is the definition, layout-table.ts has the layouts; this file is their arithmetic.

import { IngotError } from '../base/errors.ts';
import { layoutTable } from './layout-table.ts';

export type LayoutKind = keyof typeof layoutTable;
export const layoutKinds = Object.keys(layoutTable) as readonly LayoutKind[];

/** Type of the scales (and minimums) of a quantised layout, by its code in kernels: `scales` in kernel/signatures.ts. */
export const metaDtypeCodes = { f32: 0, f16: 1, bf16: 2, e8m0: 3, e4m3: 4 } as const;
export type MetaDtype = keyof typeof metaDtypeCodes;
const metaBytes: Readonly<Record<MetaDtype, number>> = { f32: 4, f16: 2, bf16: 2, e8m0: 1, e4m3: 1 };

/**
 * A packed layout. `group` is the number of columns that share one scale (1 for float layouts); `metaDtype` is the type
 * the scales are stored in (f16 where there are none, and with steps).
 */
export interface WeightLayout {
  readonly kind: LayoutKind;
  readonly group: number;
  readonly metaDtype: MetaDtype;
}

/** What the table says of a quantised layout. */
export interface QuantizedSpec {
  readonly code: number;
  readonly bits: 2 | 3 | 4 | 5 | 6 | 8;
  readonly zero?: number;
  readonly minimum?: boolean;
  readonly table?: readonly number[];
  readonly unit?: number;
  readonly e4m3?: boolean;
  readonly groups: readonly number[];
  readonly scales?: readonly MetaDtype[];
  readonly steps?: boolean;
}

/** The row of a quantised layout, or undefined for float layouts. */
export function quantizedSpec(kind: LayoutKind): QuantizedSpec | undefined {
  const spec: { readonly code: number } | QuantizedSpec = layoutTable[kind];
  return 'bits' in spec ? spec : undefined;
}

/** Rows of one panel. */
export const panelRows = 16;
/** Every panel starts at a multiple of this from the start of the matrix. */
export const panelAlignment = 64;
/** Columns of a block of codes. */
export const blockColumns = 32;

/** Columns covered by one record of the meta region of layouts with steps. */
const superBlock = 256;

/** Groups and types of scales that a kind may have; the first is what it has when nothing is said. */
const groupsOf = (kind: LayoutKind): readonly number[] => quantizedSpec(kind)?.groups ?? [1];
const scalesOf = (kind: LayoutKind): readonly MetaDtype[] => quantizedSpec(kind)?.scales ?? ['f16'];

/** A layout without free parameters, such as float layouts, q4 or q4k. Throws invalid_argument for the others. */
export function layoutOf(kind: LayoutKind): WeightLayout {
  const [group, ...groups] = groupsOf(kind);
  const [metaDtype, ...types] = scalesOf(kind);
  if (group === undefined || metaDtype === undefined || groups.length + types.length > 0) {
    throw new IngotError(
      'invalid_argument',
      `weight layout ${kind}: its group and type of scales must be given`,
    );
  }
  return { kind, group, metaDtype };
}

/** Bits of the affine layouts, and of MLX's affine quantisation. */
export const affineBits = [2, 3, 4, 5, 6, 8] as const;
export type AffineBits = (typeof affineBits)[number];
const affineKinds = { 2: 'q2a', 3: 'q3a', 4: 'q4a', 5: 'q5a', 6: 'q6a', 8: 'q8a' } as const;

/** An affine layout: `w = s q + m` with one (s, m) pair for each `group` columns of a row. */
export const affineLayout = (bits: AffineBits, group: number, metaDtype: MetaDtype): WeightLayout =>
  checkedLayout(affineKinds[bits], group, metaDtype);

/** A layout by its parts. Throws invalid_argument like `checkLayout`. */
export function checkedLayout(kind: LayoutKind, group: number, metaDtype: MetaDtype): WeightLayout {
  const layout: WeightLayout = { kind, group, metaDtype };
  checkLayout(layout);
  return layout;
}

export const isFloatLayout = (layout: WeightLayout): boolean => quantizedSpec(layout.kind) === undefined;
export const sameLayout = (a: WeightLayout, b: WeightLayout): boolean =>
  a.kind === b.kind && a.group === b.group && a.metaDtype === b.metaDtype;

/** For messages and names: `q4a/64/bf16`, `q4`, `f32`. */
export function formatLayout({ kind, group, metaDtype }: WeightLayout): string {
  const free = groupsOf(kind).length + scalesOf(kind).length > 2;
  return free ? `${kind}/${group}/${metaDtype}` : kind;
}

/** Layout code of native kernels and of packed files. */
export const layoutCode = (layout: WeightLayout): number => layoutTable[layout.kind].code;

/** Type code of the scales in native kernels. */
export const metaDtypeCode = (layout: WeightLayout): number => metaDtypeCodes[layout.metaDtype];

/** The layout of these codes, as kernels are told. Throws invalid_argument when there is none. */
export function layoutFromCodes(code: number, group: number, metaDtype: number): WeightLayout {
  const kind = layoutKinds.find((k) => layoutTable[k].code === code);
  const meta = (Object.keys(metaDtypeCodes) as MetaDtype[]).find((m) => metaDtypeCodes[m] === metaDtype);
  if (kind === undefined || meta === undefined) {
    throw new IngotError(
      'invalid_argument',
      `no weight layout has code ${code} with scales of type ${metaDtype}`,
    );
  }
  return checkedLayout(kind, group, meta);
}

/** Throws invalid_argument unless the layout is one that docs/layouts.md defines. */
export function checkLayout(layout: WeightLayout): void {
  const fail = (problem: string): never => {
    throw new IngotError('invalid_argument', `weight layout ${JSON.stringify(layout)}: ${problem}`);
  };
  if (!layoutKinds.includes(layout.kind)) fail(`kind must be one of ${layoutKinds.join(', ')}`);
  const oneOf = (list: readonly (string | number)[]): string =>
    list.length === 1 ? `${list[0]}` : `one of ${list.join(', ')}`;
  const [groups, scales] = [groupsOf(layout.kind), scalesOf(layout.kind)];
  if (!groups.includes(layout.group)) fail(`group must be ${oneOf(groups)}`);
  if (!scales.includes(layout.metaDtype)) fail(`metaDtype must be ${oneOf(scales)}`);
}

/** Number that K must be a multiple of. */
export function columnMultiple(layout: WeightLayout): number {
  const spec = quantizedSpec(layout.kind);
  if (spec === undefined) return 1;
  return spec.steps === true ? superBlock : Math.max(blockColumns, layout.group);
}

/** Bytes of the codes of 32 columns of a panel: planes of 64 bytes for each bit. */
export const codeBlockBytes = ({ bits }: QuantizedSpec): number => 64 * bits;

/** Bytes of the codes region of one panel of K columns. */
export function codesBytes(layout: WeightLayout, K: number): number {
  const spec = quantizedSpec(layout.kind);
  if (spec !== undefined) return (K / blockColumns) * codeBlockBytes(spec);
  if (layout.kind === 'bf16') return Math.ceil(K / 2) * panelRows * 4;
  return K * panelRows * (layout.kind === 'f32' ? 4 : 2);
}

/** Where the fields of a meta record are: numbers in the list that `metaFields` gives. */
export interface MetaPlaces {
  /** The scale, or what the steps are multiplied by. */
  readonly scale: number;
  readonly minimum: number | undefined;
  /** Of the first group; that of group g is g further. Undefined without steps. */
  readonly steps: number | undefined;
  readonly minimumSteps: number | undefined;
}

export function metaPlaces(layout: WeightLayout): MetaPlaces {
  const spec = quantizedSpec(layout.kind);
  const minimum = spec?.minimum === true ? 1 : undefined;
  if (spec?.steps !== true) return { scale: 0, minimum, steps: undefined, minimumSteps: undefined };
  const steps = minimum === undefined ? 1 : 2;
  return { scale: 0, minimum, steps, minimumSteps: minimum && steps + superBlock / layout.group };
}

/** Bytes of each field of a meta record for one lane, in order; a record stores every field for all 16 lanes in turn. */
export function metaFields(layout: WeightLayout): readonly number[] {
  const spec = quantizedSpec(layout.kind);
  if (spec === undefined) return [];
  const bytes = metaBytes[layout.metaDtype];
  const pairs = spec.minimum === true ? 2 : 1;
  const scales = new Array<number>(pairs).fill(bytes);
  if (spec.steps !== true) return scales;
  return [...scales, ...new Array<number>((pairs * superBlock) / layout.group).fill(1)];
}

/** Bytes of one record of the meta region (all lanes; 0: there is none), and how many columns it covers. */
export function metaRecord(layout: WeightLayout): { readonly bytes: number; readonly columns: number } {
  const bytes = metaFields(layout).reduce((sum, field) => sum + field, 0) * panelRows;
  if (bytes === 0) return { bytes, columns: 1 };
  return { bytes, columns: quantizedSpec(layout.kind)?.steps === true ? superBlock : layout.group };
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
