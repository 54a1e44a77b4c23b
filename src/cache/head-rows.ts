// Layers of kinds `full` and `window` as ops, wherever a strategy keeps their keys and values, and as what.

import type { NDArray } from '../array/array.ts';
import { fromData } from '../array/creation.ts';
import { repeat } from '../array/derived.ts';
import { pad } from '../array/functions/shape.ts';
import { matmulTransposed } from '../array/ops/linear/matmul.ts';
import { kvWrite } from '../array/ops/memory/kv-write.ts';
import type { PageTable } from '../array/ops/memory/paged.ts';
import { attention } from '../array/ops/nn/attention.ts';
import type { State } from '../array/weight.ts';
import type { Device } from '../device/device.ts';
import type { AttendOptions, FullSpec, HeadRows, LayerSpec, WindowSpec } from '../nn/contracts.ts';
import { isTurbo, type KvCodes, kvRotation } from '../quant/kv-rows.ts';
import { type CacheDtype, codesOf, commonRows, isCodes } from './parts.ts';

/** Query, keys and values of a step's rows, at their positions. */
export interface HeadStep {
  readonly q: NDArray;
  readonly k: NDArray;
  readonly v: NDArray;
  readonly positions: NDArray;
}

export interface HeadSlots {
  readonly ring?: number | undefined;
  readonly paged?: PageTable | undefined;
}

/** How a store keeps the keys and values of its layers. */
export class HeadRowsForm {
  readonly #dtype: CacheDtype;
  /** By columns of a head. */
  readonly #rotations = new Map<number, NDArray>();

  constructor(device: Device, specs: readonly LayerSpec[], dtype: CacheDtype) {
    this.#dtype = dtype;
    if (!isCodes(dtype)) return;
    for (const spec of specs) {
      if (spec.kind !== 'full' && spec.kind !== 'window') continue;
      const { width } = commonRows(spec);
      if (rotated(dtype).keys && !this.#rotations.has(width))
        this.#rotations.set(width, fromData(kvRotation(width), [width, width], { device }));
    }
  }

  /**
   * As SequenceMemory.attend, over the states of a layer. Rotated keys have the products that they had before with rotated queries, and
   * are read as they lie; what rotated values sum up to is rotated back.
   */
  attend(
    spec: FullSpec | WindowSpec,
    [keys, values]: readonly State[],
    { q, k, v, positions }: HeadStep,
    options: AttendOptions,
    slots: HeadSlots,
  ): NDArray {
    const stored = codesOf(this.#dtype);
    const rows = commonRows(spec);
    const rotation = this.#rotations.get(rows.width);
    const turned = (x: NDArray, turns = true): NDArray =>
      rotation === undefined || !turns ? x : x.matmul(rotation);
    const turnsValues = isCodes(this.#dtype) && rotated(this.#dtype).values;
    const [nextKeys, nextValues] = kvWrite(
      keys as State,
      values as State,
      turned(widened(k, rows)),
      turned(widened(v, rows), turnsValues),
      positions,
      {
        ...slots,
        ...stored,
      },
    );
    const window = spec.kind === 'window' ? { window: spec.window } : {};
    const y = attention(turned(padded(q, rows.width)), nextKeys, nextValues, positions, {
      ...options,
      ...window,
      ...slots,
      ...stored,
    });
    const sums = rotation === undefined || !turnsValues ? y : matmulTransposed(y, rotation);
    return spec.values.width === rows.width ? sums : sums.slice(null, null, [0, spec.values.width]);
  }

  dispose(): void {
    for (const rotation of this.#rotations.values()) rotation.dispose();
  }
}

/**
 * Which rows are rotated before they become codes. Keys in 4 bits, too: a few of their columns are far larger than the others in many
 * models, and would take all 16 steps for themselves.
 */
const rotated = (codes: KvCodes): { readonly keys: boolean; readonly values: boolean } => ({
  keys: isTurbo(codes) || codes === 'q4',
  values: isTurbo(codes),
});

/** Rows with zeros behind their columns: products with such rows are what they were. */
const padded = (x: NDArray, width: number): NDArray =>
  pad(x, [
    [0, 0],
    [0, 0],
    [0, width - (x.shape[2] as number)],
  ]);

/** Keys or values as the rows that are kept: wider, and each head as often as its queries are apart. */
function widened(x: NDArray, { heads, width }: HeadRows): NDArray {
  const wide = padded(x, width);
  const fewer = x.shape[1] as number;
  return fewer === heads ? wide : repeat(wide, heads / fewer, 1);
}
