// Layers of kinds `full` and `window` as ops, wherever a strategy keeps their keys and values, and as what.

import type { NDArray } from '../array/array.ts';
import { fromData } from '../array/creation.ts';
import { matmulTransposed } from '../array/ops/linear/matmul.ts';
import { kvWrite } from '../array/ops/memory/kv-write.ts';
import type { PageTable } from '../array/ops/memory/paged.ts';
import { attention } from '../array/ops/nn/attention.ts';
import type { State } from '../array/weight.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import type { AttendOptions, FullSpec, LayerSpec, WindowSpec } from '../nn/contracts.ts';
import { isTurbo, kvRotation } from '../quant/kv-rows.ts';
import { type CacheDtype, codesOf, isCodes } from './parts.ts';

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

  /** Throws invalid_argument for heads that codes do not fit, unsupported for keys and values of different widths as codes. */
  constructor(device: Device, specs: readonly LayerSpec[], dtype: CacheDtype) {
    this.#dtype = dtype;
    if (!isCodes(dtype)) return;
    for (const spec of specs) {
      if (spec.kind !== 'full' && spec.kind !== 'window') continue;
      const { width } = spec.keys;
      if (width !== spec.values.width) {
        throw new IngotError(
          'unsupported',
          `keys of ${width} and values of ${spec.values.width} columns are not kept as ${dtype}`,
        );
      }
      if (isTurbo(dtype) && !this.#rotations.has(width))
        this.#rotations.set(width, fromData(kvRotation(width), [width, width], { device }));
    }
  }

  /**
   * As SequenceMemory.attend, over the states of a layer. Rotated rows have the products that they had before, so queries are rotated
   * once and keys read as they lie; what values sum up to is rotated back.
   */
  attend(
    spec: FullSpec | WindowSpec,
    [keys, values]: readonly State[],
    { q, k, v, positions }: HeadStep,
    options: AttendOptions,
    slots: HeadSlots,
  ): NDArray {
    const stored = codesOf(this.#dtype);
    const rotation = this.#rotations.get(spec.keys.width);
    const turned = (x: NDArray): NDArray => (rotation === undefined ? x : x.matmul(rotation));
    const [nextKeys, nextValues] = kvWrite(keys as State, values as State, turned(k), turned(v), positions, {
      ...slots,
      ...stored,
    });
    const window = spec.kind === 'window' ? { window: spec.window } : {};
    const y = attention(turned(q), nextKeys, nextValues, positions, {
      ...options,
      ...window,
      ...slots,
      ...stored,
    });
    return rotation === undefined ? y : matmulTransposed(y, rotation);
  }

  dispose(): void {
    for (const rotation of this.#rotations.values()) rotation.dispose();
  }
}
