// OpDef: everything the library knows about one operation, in one place. Rules, definition, gradient, lowerings, tests.

import type { KernelBuffers, KernelName, KernelParams } from '../kernel/signature.ts';
import type { RegisterKind, TileOpcode } from '../kernel/tile-opcodes.ts';
import type { LayoutKind } from '../quant/layout.ts';
import type { NDArray } from './array.ts';
import type { Tensor, ValueType } from './types.ts';

/** Positional operands; an optional operand that is not given is null. */
export type Operands<T> = readonly (T | null)[];

/** Where an operand of a dispatch lives before memory is planned: bytes of a storage. */
export interface Slice {
  readonly storage: number;
  readonly offset: number;
  readonly byteLength: number;
}

/** An input or output of the op being lowered. */
export interface LoweredValue {
  readonly type: ValueType;
  readonly slice: Slice;
}

/** What a lowering sees and does: it emits dispatches in order, by the names of their kernels' signatures. */
export interface LowerContext<A> {
  readonly inputs: Operands<LoweredValue>;
  readonly outputs: readonly LoweredValue[];
  readonly attrs: A;
  /** Puts a zero-length slice for null. */
  emit<K extends KernelName>(
    kernel: K,
    buffers: KernelBuffers<K, LoweredValue | Slice>,
    params: KernelParams<K>,
  ): void;
  /** Bytes that live for this op only. */
  scratch(byteLength: number): Slice;
}

export interface Lowering<A> {
  /** False sends the op to its composite. Default: always. */
  supports?(inputs: Operands<ValueType>, outputs: readonly ValueType[], attrs: A): boolean;
  /** When f16 and bf16 operands are read as they are, by devices whose kernels can; otherwise they are cast to f32 around the op. */
  readonly halfFloats?: boolean | ((inputs: Operands<ValueType>) => boolean);
  emit(context: LowerContext<A>): void;
}

/** How far a device may be from the reference: |got - want| <= absolute + relative * |want|. */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** Layouts that cases have weights of: all but those of formats that are only read. */
export type CaseWeight = Exclude<LayoutKind, 'iq3s' | 'iq3xxs' | 'iq2' | 'iq1'>;

/** Operand of a test case: a dense array of random numbers of a distribution, or a packed weight. */
export interface CaseOperand {
  readonly shape: readonly number[];
  readonly dtype?: ValueType['dtype'];
  /** Distribution: normal (default), positive (0.1 to 3), unit (-0.99 to 0.99), index (0 to `below` - 1), zeros, bool. */
  readonly fill?: 'normal' | 'positive' | 'unit' | 'index' | 'zeros' | 'bool' | 'range';
  readonly below?: number;
  /** These elements instead of random ones. */
  readonly values?: ArrayLike<number>;
  /** Packs the values as a weight of this layout (one that a format is written in) instead of a dense array. */
  readonly weight?: CaseWeight;
  /** Makes the operand a State that starts with these values. */
  readonly state?: boolean;
}

export interface OpCase<A> {
  readonly name: string;
  readonly inputs: readonly (CaseOperand | null)[];
  readonly attrs: A;
}

/** An elementwise op is one tile instruction, chosen by the register kinds of its operands and its result. */
export interface Elementwise<A> {
  /** 'copy' passes operand 0 on; undefined: not defined for these kinds. */
  opcode(kinds: readonly RegisterKind[], result: RegisterKind, attrs: A): TileOpcode | 'copy' | undefined;
}

/** What a gradient rule gets: operands, results, and the gradient of each result. */
export interface VjpCall<A> {
  readonly inputs: Operands<NDArray>;
  readonly outputs: readonly NDArray[];
  readonly grads: readonly NDArray[];
  readonly attrs: A;
}

/** Gradient of the inputs; null for inputs without one. (A method type: op lists hold ops of all attribute types.) */
export type Vjp<A> = { rule(call: VjpCall<A>): readonly (NDArray | null)[] }['rule'];

/** What a batching rule gets: the op on one example, whose flagged operands have all examples along a new axis 0. */
export interface BatchCall<A> {
  readonly inputs: Operands<NDArray>;
  readonly batched: readonly boolean[];
  /** Number of examples. */
  readonly size: number;
  readonly attrs: A;
  /** The op itself on other operands, with other attributes where they are given. */
  again(inputs: Operands<NDArray>, attrs?: A): readonly NDArray[];
  /** A function of examples over the batches along axis 0 of the arrays flagged. */
  vmap(
    fn: (examples: readonly NDArray[]) => readonly NDArray[],
    arrays: readonly NDArray[],
    batched: readonly boolean[],
  ): readonly NDArray[];
}

export interface OpDef<A extends object = object> {
  readonly name: string;
  /** Shape and dtype rule. Throws shape_mismatch or invalid_argument. */
  infer(inputs: Operands<ValueType>, attrs: A): readonly ValueType[];
  /** The definition: plain TypeScript over typed arrays, writing every element of the outputs. */
  reference(inputs: Operands<Tensor>, outputs: readonly Tensor[], attrs: A): void;
  /** Output j is a new version of State input `inPlace[j]`. */
  readonly inPlace?: readonly number[];
  /** Output 0 may take the memory of this input when nothing else uses it: each element depends on the same element. */
  readonly overwrites?: number;
  /** Element offset into input 0 when the output is a contiguous piece of it; null when it is not. */
  view?(inputs: Operands<ValueType>, attrs: A): number | null;
  /** There is no reference: devices of plain TypeScript run the composite, too. */
  readonly composed?: true;
  /** The op in terms of others: used where a device has no lowering. */
  composite?(inputs: Operands<NDArray>, attrs: A): readonly NDArray[];
  /** The rule; `composite`: that of the ops it is made of; `none`, with the reason beside it: differentiating it is an error. */
  readonly vjp: Vjp<A> | 'composite' | 'none';
  /**
   * Results for all examples, each along a new axis 0. Without one, vmap broadcasts elementwise ops, goes through composites, and
   * runs what is left example by example.
   */
  batch?(call: BatchCall<A>): readonly NDArray[];
  /** Output i is operand i: the op goes away before anything runs. */
  readonly forwards?: true;
  readonly elementwise?: Elementwise<A>;
  /** The op as dispatches of kernels: on devices that have them. */
  readonly kernel?: Lowering<A>;
  /** Computed from the reference's inputs and outputs. Default: 4 roundings of the result. */
  tolerance?(inputs: Operands<Tensor>, outputs: readonly Tensor[], attrs: A): Tolerance;
  /** Floating-point operations of one call at capacity. Default: none, the op moves data. */
  flops?(inputs: Operands<ValueType>, outputs: readonly ValueType[], attrs: A): number;
  /** Bytes of weights a call touches at least, where that is not all of them. Default: everything is touched once. */
  bytes?(inputs: Operands<ValueType>, outputs: readonly ValueType[], attrs: A): number;
  readonly cases: readonly OpCase<A>[];
}

/** Types an OpDef literal: `defineOp<Attrs>({ … })`. */
export const defineOp = <A extends object>(op: OpDef<A>): OpDef<A> => op;

export type NoAttrs = Readonly<Record<never, never>>;
