// identity: values under another name. It lets transforms tell one use of an array from the others, holds gradients that
// a user gives, and goes away before anything runs.

import { isFloat } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import { type BatchCall, defineOp } from '../../op.ts';
import { operand, output } from '../operands.ts';

type GradientRule = (
  primals: readonly NDArray[],
  cotangents: readonly NDArray[],
  outputs: readonly NDArray[],
) => readonly (NDArray | null)[];

export interface IdentityAttrs {
  /** Operands 0 … count - 1 are passed on; the others are what the gradient is of. */
  readonly count: number;
  readonly rule: GradientRule | null;
}

export const identityOp = defineOp<IdentityAttrs>({
  name: 'identity',
  forwards: true,
  infer: (inputs, { count }) =>
    inputs.slice(0, count).map((_, i) => {
      const { shape, dtype } = operand(inputs, i);
      return { shape, dtype };
    }),
  reference: (inputs, outputs) => {
    outputs.forEach((t, i) => {
      t.data.set(operand(inputs, i).data);
    });
  },
  vjp: ({ inputs, outputs, grads, attrs: { count, rule } }) => {
    if (rule === null) return grads;
    const primals = inputs.slice(count).map((_, i) => operand(inputs, count + i));
    return [...grads.map(() => null), ...rule(primals, grads, outputs)];
  },
  batch: ({ inputs, batched, size, attrs, again, vmap }) => {
    const { count, rule } = attrs;
    const wide = inputs.map((x, i) => {
      const present = operand(inputs, i);
      return batched[i] || i >= count ? x : present.broadcastTo([size, ...present.shape]);
    });
    const each = rule === null ? null : eachOf(rule, batched.slice(count), vmap);
    return again(wide, { count, rule: each });
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [{ name: 'f32', inputs: [{ shape: [3, 5] }], attrs: { count: 1, rule: null } }],
});

/** The rule of one example for all of a batch. Gradients of arguments that all examples share are summed. */
function eachOf(
  rule: GradientRule,
  batched: readonly boolean[],
  vmap: BatchCall<IdentityAttrs>['vmap'],
): GradientRule {
  return (primals, cotangents, outputs) => {
    const n = primals.length;
    const k = cotangents.length;
    const present: boolean[] = [];
    const grads = vmap(
      (args) => {
        const results = rule(args.slice(0, n), args.slice(n, n + k), args.slice(n + k));
        results.forEach((g, i) => {
          present[i] = g !== null;
        });
        return results.flatMap((g) => (g === null ? [] : [g]));
      },
      [...primals, ...cotangents, ...outputs],
      [...batched, ...cotangents.map(() => true), ...outputs.map(() => true)],
    );
    let next = 0;
    return primals.map((_, i) => {
      if (!present[i]) return null;
      const g = operand(grads, next++);
      return batched[i] ? g : g.sum(0);
    });
  };
}

/** `x` as a node of its own. */
export const identity = (x: NDArray): NDArray => x.apply(identityOp, [x], { count: 1, rule: null });

/** `outputs`, whose gradient goes to `primals` by `rule` and nowhere else. */
export const withGradient = (
  outputs: readonly NDArray[],
  primals: readonly NDArray[],
  rule: GradientRule,
): readonly NDArray[] =>
  operand(outputs, 0).applyMany(identityOp, [...outputs, ...primals], { count: outputs.length, rule });

/** `x` as a constant: its gradient is zero. */
export const stopGradient = (x: NDArray): NDArray =>
  isFloat(x.dtype)
    ? operand(
        withGradient([x], [], () => []),
        0,
      )
    : x;

let barriers = 0;

export interface BarrierAttrs {
  /** Differs between barriers, so that no two are one. */
  readonly id: number;
}

export const barrierOp = defineOp<BarrierAttrs>({
  name: 'barrier',
  infer: (inputs) => {
    const { shape, dtype } = operand(inputs, 0);
    return [{ shape, dtype }];
  },
  reference: (inputs, outputs) => output(outputs).data.set(operand(inputs, 0).data),
  view: () => 0,
  vjp: ({ grads }) => grads,
  batch: ({ inputs }) => [barrier(operand(inputs, 0))],
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [{ name: 'f32', inputs: [{ shape: [3, 5] }], attrs: { id: -1 } }],
});

/** `x`, from which computations are not shared with those from `x` itself. Costs nothing. */
export const barrier = (x: NDArray): NDArray => x.apply(barrierOp, [x], { id: barriers++ });
