// Ops to dispatches: gives every value a storage (views and in-place outputs share one) and runs the ops' lowerings.

import { bytesPerElement } from '../../base/dtype.ts';
import { invariant } from '../../base/errors.ts';
import { formatShape, maxElements } from '../../base/shape.ts';
import type { Device, DeviceBuffer, KernelRef } from '../../device/device.ts';
import type { Param } from '../../kernel/signature.ts';
import { listBuffers, listParams } from '../../kernel/signature.ts';
import { packedBytes } from '../../quant/layout.ts';
import type { Step } from '../explain.ts';
import type { LowerContext, LoweredValue, Slice } from '../op.ts';
import { packedShape } from '../ops/linear/packed.ts';
import { assignOp } from '../ops/memory/assign.ts';
import { operand } from '../ops/operands.ts';
import type { ValueType } from '../types.ts';
import { type InPlace, writtenInPlace } from './in-place.ts';
import { lowerElementwise } from './lower-elementwise.ts';
import { lowerReference } from './lower-js.ts';
import { type Graph, type Node, type OpNode, type Value, valueType } from './node.ts';
import { isView } from './schedule.ts';

/** Memory a value lives in: a buffer that exists, or bytes the memory plan places. */
export interface Storage {
  readonly bytes: number;
  readonly buffer?: DeviceBuffer;
}

/** A dispatch before memory is planned. */
export interface LoweredDispatch {
  readonly kernel: KernelRef;
  readonly buffers: readonly Slice[];
  readonly params: readonly Param[];
  readonly label: string;
}

export interface LoweredProgram {
  readonly storages: readonly Storage[];
  readonly dispatches: readonly LoweredDispatch[];
  /** Ops that run, in order, and their kernels. */
  readonly steps: readonly Step[];
  /** Where a value of the graph lives. */
  locate(v: Value): Slice;
}

export interface LowerOptions {
  readonly kernels: KernelRef['kind'];
  readonly memory: Device['memory'];
  /** Buffers of plan inputs by name. */
  readonly inputs: ReadonlyMap<string, DeviceBuffer>;
  /** Buffers for values that are outputs of the plan. */
  readonly outputs: readonly { readonly value: Value; readonly buffer: DeviceBuffer }[];
}

/** Bytes of a value at its capacity. */
export function byteSize(t: ValueType): number {
  if (t.layout === undefined) return maxElements(t.shape) * bytesPerElement(t.dtype);
  const { layout, experts, rows, columns } = packedShape(t, t.shape.length === 3 ? 3 : 2, 'weight');
  return experts * packedBytes(layout, rows, columns);
}

export function lowerProgram(order: readonly OpNode[], graph: Graph, options: LowerOptions): LoweredProgram {
  const inPlace = options.memory === 'separate' ? new Map() : writtenInPlace(order, graph);
  const lowering = new LoweringState(options, countUses(order, graph), inPlace);
  for (const node of order) lowering.add(node);
  for (const v of [...graph.outputs, ...graph.effects]) lowering.locate(v);
  const { storages, dispatches, steps } = lowering;
  return { storages, dispatches, steps, locate: (v) => lowering.locate(v) };
}

function emitDispatches(node: OpNode, context: LowerContext<object>): void {
  // Nothing is computed for nothing: kernels need not know arrays without elements.
  if (node.op.inPlace === undefined && node.outputs.every((t) => maxElements(t.shape) === 0)) return;
  if (node.op.elementwise !== undefined) {
    lowerElementwise(node, context);
    return;
  }
  invariant(node.op.kernel !== undefined, `${node.op.name} has no lowering`);
  node.op.kernel.emit(context);
}

/** Whether a device has every kernel that the op is lowered to, for operands of these types. */
export function hasKernels(node: OpNode, device: Device): boolean {
  const nowhere = (byteLength: number): Slice => ({ storage: -1, offset: 0, byteLength });
  const typed = (type: ValueType): LoweredValue => ({ type, slice: nowhere(byteSize(type)) });
  let supported = true;
  emitDispatches(node, {
    inputs: node.inputs.map((v) => (v === null ? null : typed(valueType(v)))),
    outputs: node.outputs.map(typed),
    attrs: node.attrs,
    emit: (kernel, buffers) => {
      const operands = listBuffers(kernel, buffers);
      supported &&= device.supports(
        kernel,
        operands.map((b) => (b !== null && 'type' in b ? b.type : null)),
      );
    },
    scratch: nowhere,
  });
  return supported;
}

/** How many ops and outputs read the memory of each value, views included. */
type Uses = ReadonlyMap<Node, ReadonlyMap<number, number>>;

/** The value whose memory a view shows. */
function rootOf(v: Value): Value {
  let at = v;
  while (at.node.kind === 'op' && isView(at.node)) at = operand(at.node.inputs, 0);
  return at;
}

function countUses(order: readonly OpNode[], graph: Graph): Uses {
  const uses = new Map<Node, Map<number, number>>();
  const add = (v: Value | null): void => {
    if (v === null) return;
    const { node, index } = rootOf(v);
    const byIndex = uses.get(node) ?? new Map<number, number>();
    uses.set(node, byIndex);
    byIndex.set(index, (byIndex.get(index) ?? 0) + 1);
  };
  for (const node of order) if (!isView(node)) node.inputs.forEach(add);
  [...graph.outputs, ...graph.effects].forEach(add);
  return uses;
}

const sameSlice = (a: Slice, b: Slice): boolean => a.storage === b.storage && a.offset === b.offset;

class LoweringState {
  readonly storages: Storage[] = [];
  readonly dispatches: LoweredDispatch[] = [];
  readonly steps: Step[] = [];
  readonly #slices = new Map<Node, Map<number, Slice>>();
  readonly #options: LowerOptions;
  readonly #uses: Uses;
  readonly #inPlace: InPlace;

  constructor(options: LowerOptions, uses: Uses, inPlace: InPlace) {
    this.#options = options;
    this.#uses = uses;
    this.#inPlace = inPlace;
  }

  add(node: OpNode): void {
    const before = this.dispatches.length;
    this.#lower(node);
    const own = this.dispatches.slice(before);
    if (own.length === 0) return;
    const kernels = own.map((d) => (d.kernel.kind === 'native' ? d.kernel.name : node.op.name));
    this.steps.push({ node, kernels });
  }

  #lower(node: OpNode): void {
    const inputs = node.inputs.map((v) => (v === null ? null : this.#lowered(v)));
    if (isView(node)) {
      this.#addView(node, operand(inputs, 0));
      return;
    }
    const outputs = node.outputs.map((type, index): LoweredValue => {
      const source = node.op.inPlace?.[index];
      const slice =
        source === undefined
          ? (this.#assigned(node, index) ?? this.#overwritten(node, index) ?? this.#create({ node, index }))
          : operand(inputs, source).slice;
      this.#put({ node, index }, slice);
      return { type, slice };
    });
    if (node.op === assignOp && sameSlice(operand(inputs, 0).slice, operand(inputs, 1).slice)) return;
    const context: LowerContext<object> = {
      inputs,
      outputs,
      attrs: node.attrs,
      emit: (kernel, buffers, params) => {
        const ref: KernelRef = { kind: 'native', name: kernel };
        this.#emit(ref, listBuffers(kernel, buffers), listParams(kernel, params), node);
      },
      scratch: (byteLength) => this.#allocate({ bytes: byteLength }),
    };
    if (this.#options.kernels === 'js') {
      const { kernel, buffers, params } = lowerReference(node, inputs, outputs);
      this.#emit(kernel, buffers, params, node);
    } else emitDispatches(node, context);
  }

  locate(v: Value): Slice {
    const known = this.#slices.get(v.node)?.get(v.index);
    if (known !== undefined) return known;
    const { node } = v;
    invariant(
      node.kind !== 'op',
      `a value of ${node.kind === 'op' ? node.op.name : node.kind} was not computed`,
    );
    const buffer = node.kind === 'buffer' ? node.buffer : this.#options.inputs.get(node.name);
    invariant(buffer !== undefined, `no buffer for a plan input`);
    const whole = this.#allocate({ bytes: buffer.byteLength, buffer });
    const slice = { ...whole, byteLength: byteSize(valueType(v)) };
    this.#put(v, slice);
    return slice;
  }

  #addView(node: OpNode, from: LoweredValue): void {
    const types = node.inputs.map((v) => (v === null ? null : valueType(v)));
    const elements = node.op.view?.(types, node.attrs) ?? 0;
    const type = operand(node.outputs, 0);
    const offset = from.slice.offset + elements * bytesPerElement(type.dtype);
    this.#put({ node, index: 0 }, { storage: from.slice.storage, offset, byteLength: byteSize(type) });
  }

  #lowered(v: Value): LoweredValue {
    return { type: valueType(v), slice: this.locate(v) };
  }

  /** Memory of the State that the value becomes the next version of. */
  #assigned(node: OpNode, index: number): Slice | undefined {
    const leaf = this.#inPlace.get(node)?.get(index);
    return leaf === undefined ? undefined : this.locate(leaf);
  }

  /** Memory of an input that the op may take over: placed by the plan, of the same size, and read by nothing else. */
  #overwritten(node: OpNode, index: number): Slice | undefined {
    const input = node.op.overwrites === undefined ? undefined : node.inputs[node.op.overwrites];
    if (input == null || index !== 0 || this.#isOutput({ node, index })) return undefined;
    if (this.#options.memory === 'separate') return undefined;
    const slice = this.locate(input);
    const storage = this.storages[slice.storage];
    const root = rootOf(input);
    const whole = slice.offset === 0 && storage?.bytes === byteSize(valueType({ node, index }));
    return whole && storage.buffer === undefined && this.#uses.get(root.node)?.get(root.index) === 1
      ? slice
      : undefined;
  }

  #isOutput(v: Value): boolean {
    return this.#options.outputs.some((o) => o.value.node === v.node && o.value.index === v.index);
  }

  #create(v: Value): Slice {
    const bytes = byteSize(valueType(v));
    const output = this.#options.outputs.find((o) => o.value.node === v.node && o.value.index === v.index);
    return this.#allocate(output === undefined ? { bytes } : { bytes, buffer: output.buffer });
  }

  #allocate(storage: Storage): Slice {
    this.storages.push(storage);
    return { storage: this.storages.length - 1, offset: 0, byteLength: storage.bytes };
  }

  #put(v: Value, slice: Slice): void {
    const byIndex = this.#slices.get(v.node) ?? new Map<number, Slice>();
    this.#slices.set(v.node, byIndex);
    byIndex.set(v.index, slice);
  }

  #emit(
    kernel: KernelRef,
    buffers: readonly (LoweredValue | Slice | null)[],
    params: readonly Param[],
    node: OpNode,
  ): void {
    // An absent optional buffer is an empty piece of any storage.
    const absent: Slice = { storage: -1, offset: 0, byteLength: 0 };
    this.dispatches.push({
      kernel,
      buffers: buffers.map((b) => (b === null ? absent : 'slice' in b ? b.slice : b)),
      params,
      label: `${node.op.name} ${node.outputs.map((t) => formatShape(t.shape)).join(' ')}`,
    });
  }
}
