import { expect, it } from 'vitest';
import { type GpuCapabilities, type GpuPass, read } from './contract.ts';
import { planOf } from './merge-integers.ts';

const caps: GpuCapabilities = {
  f16: false,
  subgroups: undefined,
  dot4: false,
  subgroupMatrices: [],
  maxWorkgroupBytes: 16384,
  maxInvocations: 256,
  maxStorageBuffers: 4,
  maxBindingBytes: 2 ** 27,
  offsetAlignment: 256,
  vendor: '',
};
const request = (more: Partial<GpuCapabilities>) => ({
  bytes: [64, 12, 20, 8, 64],
  caps: { ...caps, ...more },
});
const pass: GpuPass = {
  name: 'sums',
  bindings: [
    read(0, 'x', 'array<f32>'),
    read(1, 'first', 'array<i32>'),
    read(2, 'first_pages', 'array<i32>'),
    read(3, 'last', 'array<i32>'),
    { buffer: 4, name: 'y', type: 'array<f32>', access: 'read_write' },
  ],
  code: 'y[i] = x[u32(first_pages[first[i] * 2 + last[i]])];',
  groups: [1, 1, 1],
};

it('a pass within the limit is left as it is', () => {
  expect(planOf(request({ maxStorageBuffers: 5 }), pass)).toEqual({ variants: [{ passes: [pass] }] });
});

it('arrays of integers become one, side by side', () => {
  const { variants, scratch } = planOf(request({}), pass);
  const [laying, main] = variants[0]?.passes ?? [];
  expect(scratch).toEqual([40]);
  expect(laying?.bindings.map(({ name }) => name)).toEqual(['first', 'first_pages', 'last', 'integers']);
  expect(laying?.code).toContain('if (i >= 3u && i < 8u) { integers[i] = first_pages[i - 3u]; }');
  expect(main?.bindings.map(({ name }) => name)).toEqual(['x', 'y', 'integers']);
  expect(main?.code).toBe('y[i] = x[u32(integers[3 + integers[0 + i] * 2 + integers[8 + i]])];');
});
