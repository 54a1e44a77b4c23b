// Packed matrices and persistent buffers: the two kinds of memory a model owns.

import { bytesPerElement, type DType, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { checkShape, maxElements } from '../base/shape.ts';
import type { Device, DeviceBuffer } from '../device/device.ts';
import { formatLayout, packedBytes, type WeightLayout } from '../quant/layout.ts';
import { NDArray, type Operand } from './array.ts';
import { stateVersion } from './context.ts';
import { type BufferNode, bufferNode, type Value } from './graph/node.ts';
import { assignOp } from './ops/memory/assign.ts';

export interface WeightSpec {
  readonly device: Device;
  /** Packed bytes (docs/layouts.md), at least as many as the layout needs. The Weight owns it. */
  readonly buffer: DeviceBuffer;
  readonly layout: WeightLayout;
  /** `[N, K]`, or `[E, N, K]` for a stack of experts. */
  readonly shape: readonly [number, number] | readonly [number, number, number];
  readonly label?: string;
}

/** A packed matrix, constant: the weight operand of linear, embedding and the expert ops. */
export class Weight implements Operand {
  readonly shape: readonly number[];
  readonly layout: WeightLayout;
  readonly buffer: DeviceBuffer;
  readonly value: Value;

  /** Throws invalid_argument when the buffer is too small for the shape. */
  constructor({ device, buffer, layout, shape, label }: WeightSpec) {
    const [K = 0, N = 0, E = 1] = [...shape].reverse();
    const needed = E * packedBytes(layout, N, K);
    if (buffer.byteLength < needed) {
      throw new IngotError(
        'invalid_argument',
        `weight ${label ?? buffer.label}: ${formatLayout(layout)} [${shape}] needs ${needed} bytes, the buffer has ${buffer.byteLength}`,
      );
    }
    this.shape = shape;
    this.layout = layout;
    this.buffer = buffer;
    const type = { shape, dtype: 'f32' as const, layout };
    const node = bufferNode({
      role: 'weight',
      device,
      buffer,
      label: label ?? buffer.label,
      owned: false,
      type,
    });
    this.value = { node, index: 0 };
  }

  /** Uploads bytes that are packed already. */
  static fromPacked(
    device: Device,
    bytes: Uint8Array,
    layout: WeightLayout,
    shape: WeightSpec['shape'],
    label = 'weight',
  ): Weight {
    const buffer = device.allocate(bytes.byteLength, label);
    device.write(buffer, 0, bytes);
    return new Weight({ device, buffer, layout, shape, label });
  }

  /** The packed bytes. */
  read(): Promise<Uint8Array> {
    return (this.value.node as BufferNode).device.read(this.buffer, 0, this.buffer.byteLength);
  }

  dispose(): void {
    this.buffer.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}

export interface StateSpec {
  readonly device: Device;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly label: string;
  /** As in Device.allocate. */
  readonly sparse?: boolean;
  /** What it lies in, in place of memory that is allocated for it; disposed with it. */
  readonly buffer?: DeviceBuffer | undefined;
}

/**
 * A buffer that outlives runs and is updated in place by ops such as kvWrite and count: each takes a version and returns
 * the next one. As an operand a State stands for its present version. Starts with zeros.
 */
export class State implements Operand {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly buffer: DeviceBuffer;
  readonly label: string;
  readonly #device: Device;
  readonly #leaf: BufferNode;

  constructor({ device, shape, dtype, label, sparse = false, buffer }: StateSpec) {
    checkShape(shape, `state ${label}`);
    this.shape = shape;
    this.dtype = dtype;
    this.label = label;
    this.#device = device;
    this.buffer = buffer ?? device.allocate(maxElements(shape) * bytesPerElement(dtype), label, { sparse });
    const type = { shape, dtype, state: true as const };
    this.#leaf = bufferNode({ role: 'state', device, buffer: this.buffer, label, owned: false, type });
  }

  /** The present version. */
  get value(): Value {
    return stateVersion(this.#leaf);
  }

  /**
   * The elements of `x` (broadcast and cast) as the next version, which is returned: inside `compile` it is an update of every
   * run; outside, it happens when that array or the State is evaluated.
   */
  assign(x: NDArray): NDArray {
    return x.apply(assignOp, [this, x.cast(this.dtype).broadcastTo(this.shape)], {});
  }

  /** The elements of the present version, computed if they have not been. */
  async data(): Promise<TypedArray> {
    const now = new NDArray(this.value);
    try {
      return await now.data();
    } finally {
      now.dispose();
    }
  }

  /** Overwrites elements from `offset` on. No plan that uses the state may be running. */
  write(data: ArrayBufferView, offset = 0): void {
    this.#device.write(this.buffer, offset * bytesPerElement(this.dtype), data);
  }

  /** Sets every element to zero. */
  clear(): void {
    this.write(new Uint8Array(this.buffer.byteLength));
  }

  /** The bytes as of the last run. */
  read(): Promise<Uint8Array> {
    return this.#device.read(this.buffer, 0, this.buffer.byteLength);
  }

  dispose(): void {
    this.buffer.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}
