// The lazy array: a handle on one value of the graph. Methods build nodes; nothing runs before `data`, `evaluate` or a plan.
// Exported as `Array`; called NDArray inside the package so that the global keeps its name.

import { bytesPerElement, type DType, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { type Dim, formatShape, maxElements, type Shape } from '../base/shape.ts';
import type { ReductionKind } from '../kernel/signature.ts';
import type { WeightLayout } from '../quant/layout.ts';
import { setStateVersion } from './context.ts';
import {
  expandDims,
  flatten,
  logSumExp,
  split,
  squeeze,
  standardDeviation,
  swapAxes,
  variance,
} from './derived.ts';
import { readValue } from './evaluate.ts';
import { type Node, opNode, resolve, type Value, valueType } from './graph/node.ts';
import { register, release, retain, unregister } from './lifetime.ts';
import type { OpDef } from './op.ts';
import { fullOp } from './ops/creation/full.ts';
import { abs } from './ops/elementwise/abs.ts';
import { add } from './ops/elementwise/add.ts';
import { bitwiseAnd } from './ops/elementwise/bitwise-and.ts';
import { bitwiseNot } from './ops/elementwise/bitwise-not.ts';
import { bitwiseOr } from './ops/elementwise/bitwise-or.ts';
import { bitwiseXor } from './ops/elementwise/bitwise-xor.ts';
import { cast } from './ops/elementwise/cast.ts';
import { ceil } from './ops/elementwise/ceil.ts';
import { cos } from './ops/elementwise/cos.ts';
import { div } from './ops/elementwise/div.ts';
import type { Term } from './ops/elementwise/elementwise.ts';
import { eq } from './ops/elementwise/eq.ts';
import { erf } from './ops/elementwise/erf.ts';
import { exp } from './ops/elementwise/exp.ts';
import { expm1 } from './ops/elementwise/expm1.ts';
import { floor } from './ops/elementwise/floor.ts';
import { floorDivide } from './ops/elementwise/floor-divide.ts';
import { ge } from './ops/elementwise/ge.ts';
import { gelu } from './ops/elementwise/gelu.ts';
import { geluTanh } from './ops/elementwise/gelu-tanh.ts';
import { gt } from './ops/elementwise/gt.ts';
import { isnan } from './ops/elementwise/is-nan.ts';
import { le } from './ops/elementwise/le.ts';
import { leftShift } from './ops/elementwise/left-shift.ts';
import { log } from './ops/elementwise/log.ts';
import { log1p } from './ops/elementwise/log1p.ts';
import { logicalAnd } from './ops/elementwise/logical-and.ts';
import { logicalNot } from './ops/elementwise/logical-not.ts';
import { logicalOr } from './ops/elementwise/logical-or.ts';
import { logicalXor } from './ops/elementwise/logical-xor.ts';
import { lt } from './ops/elementwise/lt.ts';
import { maximum } from './ops/elementwise/maximum.ts';
import { minimum } from './ops/elementwise/minimum.ts';
import { mod } from './ops/elementwise/mod.ts';
import { mul } from './ops/elementwise/mul.ts';
import { ne } from './ops/elementwise/ne.ts';
import { neg } from './ops/elementwise/neg.ts';
import { pow } from './ops/elementwise/pow.ts';
import { reciprocal } from './ops/elementwise/reciprocal.ts';
import { rightShift } from './ops/elementwise/right-shift.ts';
import { round } from './ops/elementwise/round.ts';
import { rsqrt } from './ops/elementwise/rsqrt.ts';
import { sigmoid } from './ops/elementwise/sigmoid.ts';
import { sign } from './ops/elementwise/sign.ts';
import { silu } from './ops/elementwise/silu.ts';
import { sin } from './ops/elementwise/sin.ts';
import { sqrt } from './ops/elementwise/sqrt.ts';
import { square } from './ops/elementwise/square.ts';
import { sub } from './ops/elementwise/sub.ts';
import { tan } from './ops/elementwise/tan.ts';
import { tanh } from './ops/elementwise/tanh.ts';
import { trunc } from './ops/elementwise/trunc.ts';
import { argsort, sort } from './ops/indexing/sort.ts';
import { take } from './ops/indexing/take.ts';
import { topk } from './ops/indexing/topk.ts';
import { matmul } from './ops/linear/matmul.ts';
import { layerNorm } from './ops/nn/layer-norm.ts';
import { rmsNorm } from './ops/nn/rms-norm.ts';
import { floats } from './ops/operands.ts';
import { all } from './ops/reduce/all.ts';
import { any } from './ops/reduce/any.ts';
import { argmax } from './ops/reduce/argmax.ts';
import { argmin } from './ops/reduce/argmin.ts';
import { logSoftmax } from './ops/reduce/log-softmax.ts';
import { max } from './ops/reduce/max.ts';
import { mean } from './ops/reduce/mean.ts';
import { min } from './ops/reduce/min.ts';
import { prod } from './ops/reduce/prod.ts';
import type { Axes } from './ops/reduce/reduce.ts';
import { softmax } from './ops/reduce/softmax.ts';
import { sum } from './ops/reduce/sum.ts';
import { broadcastTo } from './ops/shape/broadcast-to.ts';
import { concat } from './ops/shape/concat.ts';
import { reshape } from './ops/shape/reshape.ts';
import { type Index, slice } from './ops/shape/slice.ts';
import { transpose } from './ops/shape/transpose.ts';
import { type NestedList, nestedList, printArray } from './print.ts';
import { countHandle, dropHandle } from './reclaim.ts';

/** What an op takes as an operand: an array, a packed weight, or a State (its present version). */
export interface Operand {
  readonly value: Value;
}

/** Lets go of nodes whose handles were dropped without dispose(). */
const cleanup = new FinalizationRegistry<Node>((node) => {
  dropHandle();
  release(node);
});

export class NDArray implements Operand {
  readonly #value: Value;
  #disposed = false;

  /** Wraps a value of a graph. Users get arrays from creation functions and operators. */
  constructor(value: Value) {
    this.#value = value;
    retain(value.node);
    register(this);
    countHandle();
    cleanup.register(this, value.node, this);
  }

  /** Throws disposed after dispose(). */
  get value(): Value {
    if (this.#disposed) throw new IngotError('disposed', 'the array is disposed');
    return this.#value;
  }
  get shape(): Shape {
    return valueType(this.#value).shape;
  }
  get dtype(): DType {
    return valueType(this.#value).dtype;
  }
  /** Number of axes. */
  get ndim(): number {
    return this.shape.length;
  }
  /** Number of elements; of dynamic axes, their most. */
  get size(): number {
    return maxElements(this.shape);
  }
  /** Bytes of all elements. */
  get nbytes(): number {
    return this.size * bytesPerElement(this.dtype);
  }
  /** Axes in reverse order. */
  get T(): NDArray {
    return transpose(this);
  }
  /** Set on handles of packed weights, which only some ops accept. */
  get layout(): WeightLayout | undefined {
    return valueType(this.#value).layout;
  }

  /** Computes the array if it has not been, and reads it: row-major; f16 and bf16 as numbers in a Float32Array. */
  async data(): Promise<TypedArray> {
    const dtype = this.dtype;
    const stored = await readValue(this.value, (v) => new NDArray(v));
    return dtype === 'f16' || dtype === 'bf16' ? floats({ dtype, data: stored }) : stored;
  }

  /** The only element. Rejects with shape_mismatch when there are more. */
  async item(): Promise<number> {
    if (maxElements(this.shape) !== 1) {
      throw new IngotError('shape_mismatch', `item: ${formatShape(this.shape)} is not one element`);
    }
    return (await this.data())[0] as number;
  }

  /** The elements in lists as deep as the array has axes: numbers, or truth values for bool. */
  async toList(): Promise<NestedList> {
    return nestedList(await this.data(), this.shape, this.dtype);
  }

  /** Dtype and shape, and the elements where they are computed and in memory that JavaScript can look at. */
  toString(): string {
    return printArray(resolve(this.value));
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.#disposed ? 'array (disposed)' : this.toString();
  }

  /** Frees the array's memory unless something pending needs it. Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    dropHandle();
    cleanup.unregister(this);
    unregister(this);
    release(this.#value.node);
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Applies an op that has one output. Op files use this: it keeps them free of a dependency on this class. */
  apply<A extends object>(op: OpDef<A>, inputs: readonly (Operand | null)[], attrs: A): NDArray {
    return this.applyMany(op, inputs, attrs)[0] as NDArray;
  }

  /** Applies an op; one array per output. */
  applyMany<A extends object>(
    op: OpDef<A>,
    inputs: readonly (Operand | null)[],
    attrs: A,
  ): readonly NDArray[] {
    const values = inputs.map((x) => (x === null ? null : x.value));
    const node = opNode(op, values, attrs);
    op.inPlace?.forEach((input, index) => {
      const from = values[input];
      if (from != null) setStateVersion(from, { node, index });
    });
    return node.outputs.map((_, index) => new NDArray({ node, index }));
  }

  neg(): NDArray {
    return neg(this);
  }
  abs(): NDArray {
    return abs(this);
  }
  sign(): NDArray {
    return sign(this);
  }
  square(): NDArray {
    return square(this);
  }
  sqrt(): NDArray {
    return sqrt(this);
  }
  rsqrt(): NDArray {
    return rsqrt(this);
  }
  reciprocal(): NDArray {
    return reciprocal(this);
  }
  exp(): NDArray {
    return exp(this);
  }
  expm1(): NDArray {
    return expm1(this);
  }
  log(): NDArray {
    return log(this);
  }
  log1p(): NDArray {
    return log1p(this);
  }
  sin(): NDArray {
    return sin(this);
  }
  cos(): NDArray {
    return cos(this);
  }
  tan(): NDArray {
    return tan(this);
  }
  tanh(): NDArray {
    return tanh(this);
  }
  sigmoid(): NDArray {
    return sigmoid(this);
  }
  erf(): NDArray {
    return erf(this);
  }
  floor(): NDArray {
    return floor(this);
  }
  ceil(): NDArray {
    return ceil(this);
  }
  round(): NDArray {
    return round(this);
  }
  trunc(): NDArray {
    return trunc(this);
  }
  silu(): NDArray {
    return silu(this);
  }
  gelu(): NDArray {
    return gelu(this);
  }
  geluTanh(): NDArray {
    return geluTanh(this);
  }
  isnan(): NDArray {
    return isnan(this);
  }
  logicalNot(): NDArray {
    return logicalNot(this);
  }
  bitwiseNot(): NDArray {
    return bitwiseNot(this);
  }
  add(other: Term): NDArray {
    return add(this, other);
  }
  sub(other: Term): NDArray {
    return sub(this, other);
  }
  mul(other: Term): NDArray {
    return mul(this, other);
  }
  div(other: Term): NDArray {
    return div(this, other);
  }
  floorDivide(other: Term): NDArray {
    return floorDivide(this, other);
  }
  mod(other: Term): NDArray {
    return mod(this, other);
  }
  pow(other: Term): NDArray {
    return pow(this, other);
  }
  minimum(other: Term): NDArray {
    return minimum(this, other);
  }
  maximum(other: Term): NDArray {
    return maximum(this, other);
  }
  eq(other: Term): NDArray {
    return eq(this, other);
  }
  ne(other: Term): NDArray {
    return ne(this, other);
  }
  lt(other: Term): NDArray {
    return lt(this, other);
  }
  le(other: Term): NDArray {
    return le(this, other);
  }
  gt(other: Term): NDArray {
    return gt(this, other);
  }
  ge(other: Term): NDArray {
    return ge(this, other);
  }
  bitwiseAnd(other: Term): NDArray {
    return bitwiseAnd(this, other);
  }
  bitwiseOr(other: Term): NDArray {
    return bitwiseOr(this, other);
  }
  bitwiseXor(other: Term): NDArray {
    return bitwiseXor(this, other);
  }
  leftShift(other: Term): NDArray {
    return leftShift(this, other);
  }
  rightShift(other: Term): NDArray {
    return rightShift(this, other);
  }
  logicalAnd(other: Term): NDArray {
    return logicalAnd(this, other);
  }
  logicalOr(other: Term): NDArray {
    return logicalOr(this, other);
  }
  logicalXor(other: Term): NDArray {
    return logicalXor(this, other);
  }
  sum(axes?: Axes, keepDims = false): NDArray {
    return sum(this, axes, keepDims);
  }
  max(axes?: Axes, keepDims = false): NDArray {
    return max(this, axes, keepDims);
  }
  min(axes?: Axes, keepDims = false): NDArray {
    return min(this, axes, keepDims);
  }
  prod(axes?: Axes, keepDims = false): NDArray {
    return prod(this, axes, keepDims);
  }
  mean(axes?: Axes, keepDims = false): NDArray {
    return mean(this, axes, keepDims);
  }
  argmax(axes?: Axes, keepDims = false): NDArray {
    return argmax(this, axes, keepDims);
  }
  argmin(axes?: Axes, keepDims = false): NDArray {
    return argmin(this, axes, keepDims);
  }
  any(axes?: Axes, keepDims = false): NDArray {
    return any(this, axes, keepDims);
  }
  all(axes?: Axes, keepDims = false): NDArray {
    return all(this, axes, keepDims);
  }

  /** A reduction by name. */
  reduce(kind: ReductionKind, axes?: Axes, keepDims = false): NDArray {
    return this[kind](axes, keepDims);
  }
  cast(dtype: DType): NDArray {
    return cast(this, dtype);
  }
  /** As cast. */
  astype(dtype: DType): NDArray {
    return cast(this, dtype);
  }
  squeeze(axis?: number): NDArray {
    return squeeze(this, axis);
  }
  expandDims(axis: number): NDArray {
    return expandDims(this, axis);
  }
  flatten(start = 0, end = -1): NDArray {
    return flatten(this, start, end);
  }
  swapaxes(a: number, b: number): NDArray {
    return swapAxes(this, a, b);
  }
  split(parts: number | readonly number[], axis = 0): readonly NDArray[] {
    return split(this, parts, axis);
  }
  variance(axes?: Axes, keepDims = false, correction = 0): NDArray {
    return variance(this, axes, keepDims, correction);
  }
  std(axes?: Axes, keepDims = false, correction = 0): NDArray {
    return standardDeviation(this, axes, keepDims, correction);
  }
  logsumexp(axes?: Axes, keepDims = false): NDArray {
    return logSumExp(this, axes, keepDims);
  }
  reshape(shape: readonly Dim[]): NDArray {
    return reshape(this, shape);
  }
  transpose(axes?: readonly number[]): NDArray {
    return transpose(this, axes);
  }
  slice(...indices: readonly Index[]): NDArray {
    return slice(this, ...indices);
  }
  broadcastTo(shape: Shape): NDArray {
    return broadcastTo(this, shape);
  }
  /** Zeros before and after along one axis. */
  pad(axis: number, before: number, after: number): NDArray {
    const zeros = (n: number): NDArray => {
      const shape = this.shape.map((d, i) => (i === axis ? n : d));
      return this.apply(fullOp, [], { shape, dtype: this.dtype, value: 0 });
    };
    const parts = [...(before > 0 ? [zeros(before)] : []), this, ...(after > 0 ? [zeros(after)] : [])];
    return concat(parts, axis);
  }
  matmul(other: NDArray): NDArray {
    return matmul(this, other);
  }
  softmax(axis: number | readonly number[] = -1): NDArray {
    return softmax(this, axis);
  }
  logSoftmax(axis: number | readonly number[] = -1): NDArray {
    return logSoftmax(this, axis);
  }
  take(ids: NDArray | number, axis?: number): NDArray {
    return take(this, ids, axis);
  }
  topk(k: number): readonly [values: NDArray, indices: NDArray] {
    return topk(this, k);
  }
  sort(axis = -1, descending = false): NDArray {
    return sort(this, axis, descending);
  }
  argsort(axis = -1, descending = false): NDArray {
    return argsort(this, axis, descending);
  }
  rmsNorm(weight: NDArray | null | undefined, eps: number, options?: { readonly offset?: number }): NDArray {
    return rmsNorm(this, weight, eps, options);
  }
  layerNorm(weight: NDArray | null | undefined, bias: NDArray | null | undefined, eps: number): NDArray {
    return layerNorm(this, weight, bias, eps);
  }
}

export { NDArray as Array };
