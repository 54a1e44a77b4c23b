import { describe, expect, it } from 'vitest';
import { layoutOf, packedBytes } from '../quant/layout.ts';
import { costOf } from './cost.ts';
import { addOp } from './ops/elementwise/add.ts';
import { moeDownOp } from './ops/experts/moe-down.ts';

describe('cost', () => {
  it('counts each operand and result once', () => {
    const x = { shape: [4, 8], dtype: 'f32' } as const;
    expect(costOf(addOp, [x, x], {})).toEqual({ bytes: 3 * 128, flops: 32 });
  });

  it('counts the experts that are picked', () => {
    const down = { shape: [8, 32, 64], dtype: 'f32', layout: layoutOf('q4') } as const;
    const ids = { shape: [1, 2], dtype: 'i32' } as const;
    const inputs = [
      { shape: [1, 2, 64], dtype: 'f32' } as const,
      ids,
      { ...ids, dtype: 'f32' } as const,
      down,
      null,
    ];
    const { bytes, flops } = costOf(moeDownOp, inputs, { precision: 'fast' });
    expect(flops).toBe(2 * 2 * 32 * 64);
    expect(bytes).toBe(2 * packedBytes(down.layout, 32, 64) + 2 * 64 * 4 + 8 + 8 + 32 * 4);
  });
});
