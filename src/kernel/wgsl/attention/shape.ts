// What the passes of attention share: the sizes of a dispatch, its bindings, and how cache elements are read.

import type { KvCodes } from '../../../quant/kv-rows.ts';
import type { BufferPlaces } from '../../signature.ts';
import type { GpuBinding, KernelRequest } from '../contract.ts';
import { codedUnit } from '../kv-codes.ts';
import { type KvSlots, kvSlots, pageSize } from '../kv-slots.ts';
import { fail, statusBinding } from '../status.ts';

/** Rows that a pass takes: all, those that are the only row of their sequence, or the others. */
export type RowFilter = 'all' | 'sole' | 'grouped';

export interface AttentionShape {
  readonly buffers: BufferPlaces<'attention'>;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly cap: number;
  readonly f16: boolean;
  /** What rows are stored as where they are not floats. */
  readonly codes: KvCodes | undefined;
  readonly window: number;
  readonly softcap: number;
  readonly hasSinks: boolean;
  readonly slots: KvSlots;
  /** Positions outside the cache are told. Not where pages and sinks leave no storage buffer for it. */
  readonly reports: boolean;
  /** Positions are below this. */
  readonly keyLimit: number;
  /** Sequences that share a paged cache, at most. */
  readonly sequences: number;
  /** Rows of this run, as a u32 expression, and at most. */
  readonly rows: string;
  readonly rowsOf: (params: readonly number[]) => number;
  readonly maxRows: number;
  /** Scale of the scores, as an f32 expression. */
  readonly scale: string;
}

/** Precision has no effect here. */
export function attentionShape(request: KernelRequest<'attention'>): AttentionShape {
  const [heads, headDim] = [request.constant(request.p.H), request.constant(request.p.Dh)];
  const slots = kvSlots(request);
  const ring = request.constant(request.p.ring);
  const rows = request.named('kvRows', request.p.kvRows);
  return {
    buffers: request.b,
    heads,
    kvHeads: request.constant(request.p.Hkv),
    headDim,
    cap: request.constant(request.p.cap),
    f16: rows === 'f16',
    codes: rows === 'f16' || rows === 'f32' ? undefined : rows,
    window: request.constant(request.p.window),
    softcap: request.constant(request.p.softcap),
    hasSinks: request.has(request.b.sinks),
    slots,
    reports: request.caps.maxStorageBuffers > 8 || !slots.paged || !request.has(request.b.sinks),
    keyLimit: slots.paged
      ? request.constant(request.p.maxPages) * pageSize
      : ring > 0
        ? 2 ** 30
        : request.constant(request.p.cap),
    sequences: slots.paged
      ? Math.floor(request.bytesOf(request.b.pageTable) / (4 * request.constant(request.p.maxPages)))
      : 0,
    rows: `u32(${request.int(request.p.rows)})`,
    rowsOf: request.inRun(request.p.rows),
    maxRows: Math.max(1, Math.floor(request.bytesOf(request.b.q) / (4 * heads * headDim))),
    scale: request.float(request.p.scale),
  };
}

/**
 * The widest unit of a cache that a thread loads at once, and what it becomes: pieces, which are f32 vectors. A head has
 * `units` units of `pieces` pieces of `lanes` numbers.
 */
export interface CacheUnit {
  readonly type: string;
  readonly units: number;
  readonly pieces: number;
  readonly lanes: number;
  readonly piece: string;
  /** A unit of the row at slot `row` of `k_cache` or `v_cache`, all heads' slots counted. */
  load(cache: 'k_cache' | 'v_cache', row: string, unit: string): string;
  /** Functions that these expressions call. */
  readonly code: string;
  /** Piece i of a unit expression. */
  decode(unit: string, i: number): string;
  dot(a: string, b: string): string;
}

const loadWhole: Pick<CacheUnit, 'load' | 'code'> = {
  load: (cache, row, unit) => `${cache}[(${row}) * units + ${unit}]`,
  code: '',
};

export function cacheUnit({ headDim, f16, codes }: AttentionShape): CacheUnit {
  if (codes !== undefined) return codedUnit(codes, headDim);
  const dot = (a: string, b: string): string => `dot(${a}, ${b})`;
  if (f16) {
    const words = headDim % 8 === 0 ? 4 : headDim % 4 === 0 ? 2 : 1;
    const lanes = words === 1 ? 2 : 4;
    const decode = (unit: string, i: number): string => {
      if (words === 1) return `unpack2x16float(${unit})`;
      const [low, high] = i === 0 ? ['x', 'y'] : ['z', 'w'];
      return `vec4(unpack2x16float(${unit}.${low}), unpack2x16float(${unit}.${high}))`;
    };
    const type = words === 1 ? 'u32' : `vec${words}<u32>`;
    return {
      type,
      units: headDim / (2 * words),
      pieces: Math.max(1, words / 2),
      lanes,
      piece: `vec${lanes}<f32>`,
      decode,
      dot,
      ...loadWhole,
    };
  }
  const lanes = headDim % 4 === 0 ? 4 : headDim % 2 === 0 ? 2 : 1;
  const type = lanes === 1 ? 'f32' : `vec${lanes}<f32>`;
  return {
    type,
    units: headDim / lanes,
    pieces: 1,
    lanes,
    piece: type,
    decode: (unit) => unit,
    ...loadWhole,
    dot: lanes === 1 ? (a, b) => `${a} * ${b}` : dot,
  };
}

/** Neighbouring threads that share a key of so many units: a power of two, 16 and a subgroup at most. */
export function lanesPerKey(units: number, subgroup: number): number {
  let lanes = 1;
  while (lanes * 2 <= Math.min(subgroup, 16) && units % (lanes * 2) === 0) lanes *= 2;
  return lanes;
}

/** Bindings of a pass that reads the caches. */
export function cacheBindings(shape: AttentionShape, unit: string): readonly GpuBinding[] {
  return [
    { buffer: shape.buffers.kCache, name: 'k_cache', type: `array<${unit}>`, access: 'read' },
    { buffer: shape.buffers.vCache, name: 'v_cache', type: `array<${unit}>`, access: 'read' },
    positionsBinding(shape),
    ...shape.slots.bindings,
    ...(shape.reports ? [statusBinding] : []),
  ];
}

export const positionsBinding = ({ buffers }: AttentionShape): GpuBinding => ({
  buffer: buffers.positions,
  name: 'positions',
  type: 'array<i32>',
  access: 'read',
});

/** `row_taken(row)`: whether a pass with this filter works on the row. Uniform for a uniform row. */
export function rowFilter({ slots, rows }: AttentionShape, filter: RowFilter): string {
  if (filter === 'all' || !slots.paged) return 'fn row_taken(row: u32) -> bool { return true; }\n';
  return `fn row_taken(row: u32) -> bool {
  let own = sequences[row];
  let before = row > 0u && sequences[max(row, 1u) - 1u] == own;
  let after = row + 1u < ${rows} && sequences[min(row + 1u, ${rows} - 1u)] == own;
  return ${filter === 'sole' ? '!' : ''}(before || after);
}
`;
}

/** `first_key(position)`, and `last_key(row)`: the row's position, within what its cache can hold. */
export function rowFunctions({ window, keyLimit }: AttentionShape): string {
  return `fn first_key(position: i32) -> i32 { return ${window > 0 ? `max(0, position - ${window - 1})` : '0'}; }
fn last_key(row: u32) -> i32 { return clamp(positions[row], 0, ${keyLimit - 1}); }
`;
}

/** `score(dot)` and `key_slot(row, key)`, which reports a slot that is not there and gives slot 0; `check_position(row)`. */
export function keyFunctions(shape: AttentionShape): string {
  const { softcap, scale, slots, reports } = shape;
  const told = (value: string): string => (reports ? fail('attention_position', value) : '');
  const capped = `let x = 2.0 * s / ${softcap.toFixed(6)}f;
  return ${softcap.toFixed(6)}f * (1.0 - 2.0 / (exp(x) + 1.0));`;
  return `${slots.code}${rowFunctions(shape)}fn check_position(row: u32) {
  if (positions[row] != last_key(row)) { ${told('positions[row]')} }
}
fn score(dot: f32) -> f32 {
  let s = dot * ${scale};
  ${softcap > 0 ? capped : 'return s;'}
}
fn key_slot(row: u32, key: i32) -> u32 {
  let slot = kv_slot(row, key);
  if (slot < 0) { ${told('key')} }
  return u32(max(slot, 0));
}
`;
}
