import { afterAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../array/array.ts';
import { customFunction } from '../array/transform/custom.ts';
import { openJsDevice } from '../device/js/device.ts';
import { openDevice } from '../device/open.ts';
import { elementwise } from '../toolkit/elementwise.ts';
import { assertGradientMatches, assertMatches } from './assert.ts';
import { compare } from './bench.ts';

const devices = [openJsDevice(), await openDevice('cpu')];
afterAll(() => {
  for (const d of devices) d.dispose();
});

const gate = elementwise('silu(a) * b');
const plain = (a: NDArray, b: NDArray): NDArray => a.mul(a.sigmoid()).mul(b);

describe('assertMatches', () => {
  it('accepts what is equal up to rounding, on every device, shape and dtype', async () => {
    await assertMatches(gate, plain, {
      shapes: [
        [[3, 5], [5]],
        [[64], []],
      ],
      dtypes: ['f32', 'f16', 'bf16', ['f16', 'f32']],
      devices,
    });
    await assertMatches(
      elementwise('{ q: a / b, r: a % b }'),
      (a, b) => ({ q: a.floorDivide(b), r: a.mod(b) }),
      {
        shapes: [[[4], [4]]],
        dtypes: ['i32', 'u32', ['i8', 'i32']],
        devices,
      },
    );
  });

  it('reports how far off a result is, and where', async () => {
    const wrong = (a: NDArray, b: NDArray): NDArray => plain(a, b).add(a.gt(1.5).cast('f32').mul(0.25));
    const failed = assertMatches(wrong, plain, { shapes: [[[8, 16], [16]]], devices: devices.slice(0, 1) });
    await expect(failed).rejects.toThrow(
      /^js on f32\[8,16\], f32\[16\]: max 2\.50e-1, mean \S+, p99 2\.50e-1 over 128 elements; worst at \d+: got \S+, want \S+, bound \S+ at \[\d+, \d+\]$/,
    );
    await expect(
      assertMatches(
        (a) => a.sum(),
        (a) => a,
        { shapes: [[[2]]], devices },
      ),
    ).rejects.toThrow('js on f32[2]: shape [], expected [2]');
    await expect(
      assertMatches(
        (a) => ({ a }),
        (a) => ({ b: a }),
        { shapes: [[[2]]], devices },
      ),
    ).rejects.toThrow('results a, expected b');
    await expect(assertMatches(gate, plain, { shapes: [] })).rejects.toThrow('shapes is empty');
  });
});

describe('assertGradientMatches', () => {
  const half = customFunction(plain, ([, b], [g]) => [(g as NDArray).mul(b as NDArray), null]);
  it('compares with a reference, or with differences', async () => {
    await assertGradientMatches(gate, plain, { shapes: [[[3, 4], [4]]], dtypes: ['f32', 'bf16'], devices });
    await assertGradientMatches(gate, null, { shapes: [[[3, 4], [4]]], devices: devices.slice(0, 1) });
  });

  it('reports a gradient that is wrong', async () => {
    const shapes = [[[6], [6]]];
    await expect(assertGradientMatches(half, plain, { shapes, devices })).rejects.toThrow(
      /js on f32\[6\], f32\[6\], gradients, 0: max/,
    );
    await expect(assertGradientMatches(half, null, { shapes, devices })).rejects.toThrow(
      /the gradient of operand 0 gives \S+ along a direction, differences give/,
    );
    await expect(
      assertGradientMatches((a) => a, null, { shapes: [[[2]]], dtypes: ['i32'], devices }),
    ).rejects.toThrow('no operand is a float');
  });
});

describe('bench.compare', () => {
  it('times functions beside each other, and gives a table and JSON', async () => {
    const result = await compare(
      { plain, gate },
      { shapes: [[[64, 64], [64]]], dtypes: ['f32', 'f16'], device: devices[1] as never, warmup: 1, runs: 3 },
    );
    expect(result.measurements.map((m) => [m.name, m.dtype, m.bytes])).toEqual([
      ['plain', 'f32', 33024],
      ['gate', 'f32', 33024],
      ['plain', 'f16', 16512],
      ['gate', 'f16', 16512],
    ]);
    for (const m of result.measurements) {
      for (const x of [m.microseconds, m.gigabytesPerSecond, m.shareOfCopy, m.ratio])
        expect(x).toBeGreaterThan(0);
    }
    expect(result.table.trim().split('\n')).toHaveLength(4);
    expect(result.table).toContain('% of copy');
    expect(JSON.parse(result.json.split('\n')[1] as string)).toMatchObject({
      name: 'gate',
      shapes: [[64, 64], [64]],
    });
    await expect(compare({}, { shapes: [[[1]]] })).rejects.toThrow('give functions by name');
  });
});
