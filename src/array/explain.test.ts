import { expect, it } from 'vitest';
import { openJsDevice } from '../device/js/device.ts';
import type { NDArray } from './array.ts';
import { compile, explain } from './compile.ts';

const device = openJsDevice();
const inputs = { x: { shape: [64, 32], dtype: 'f32' }, w: { shape: [32, 16], dtype: 'f32' } } as const;
const fn = ({ x, w }: { x: NDArray; w: NDArray }): NDArray => x.mul(2).add(1).tanh().matmul(w).sum(-1);

it('explain lists kernels with bytes and arithmetic, and their sums', () => {
  const lines = explain(fn, { device, inputs }).split('\n');
  expect(device.statistics().liveBuffers).toBe(0);
  expect(lines[0]).toMatch(/^kernel +op +result +bytes +arithmetic$/);
  expect(lines[1]).toMatch(/tile +f32\[64, 32\] +16\.4 kB +6\.14 kflop$/);
  expect(lines[2]).toMatch(/matmul +f32\[64, 16\] +14\.3 kB +65\.5 kflop$/);
  expect(lines[3]).toMatch(/sum +f32\[64\] +4\.35 kB +1\.02 kflop$/);
  expect(lines[4]).toBe('3 kernels, 35.1 kB, 72.7 kflop, 12.3 kB of working memory');
  expect(lines).toHaveLength(5);
});

it('explain says the same of a plan that is there, and leaves it', () => {
  const plan = compile(fn, { device, inputs });
  expect(plan.explain()).toBe(explain(fn, { device, inputs }));
  expect(plan.disposed).toBe(false);
  expect(plan.costs().map((c) => c.flops)).toEqual([3 * 64 * 32, 2 * 64 * 32 * 16, 64 * 16]);
  plan.dispose();
});
