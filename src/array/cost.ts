// What an op costs: bytes touched at least once and floating-point operations, for benchmarks and limits.

import { byteSize } from './graph/lower.ts';
import type { OpDef, Operands } from './op.ts';
import type { ValueType } from './types.ts';

export interface Cost {
  readonly bytes: number;
  readonly flops: number;
}

/** Cost of one call on operands of these types; dynamic sizes count at their capacity. */
export function costOf<A extends object>(op: OpDef<A>, inputs: Operands<ValueType>, attrs: A): Cost {
  const outputs = op.infer(inputs, attrs);
  const present = inputs.flatMap((t) => (t === null ? [] : [t]));
  const isWeight = (t: ValueType): boolean => t.layout !== undefined;
  const sum = (types: readonly ValueType[]): number => types.reduce((n, t) => n + byteSize(t), 0);
  const weights = op.bytes?.(inputs, outputs, attrs) ?? sum(present.filter(isWeight));
  return {
    bytes: weights + sum(present.filter((t) => !isWeight(t))) + sum(outputs),
    flops: op.flops?.(inputs, outputs, attrs) ?? 0,
  };
}
