import { describe, expect, it } from 'vitest';
import { openJsDevice } from '../device/js/device.ts';
import { affineLayout, layoutOf, packedBytes } from '../quant/layout.ts';
import { compile } from './compile.ts';
import { arange, fromBuffer, fromData, full, ones, scalar, zeros } from './creation.ts';
import { moeGlu } from './ops/experts/moe-glu.ts';
import { linear } from './ops/linear/linear.ts';
import { State, Weight } from './weight.ts';

const device = openJsDevice();

describe('creation', () => {
  it('takes the dtype from the data', async () => {
    expect(fromData([1]).dtype).toBe('f32');
    expect(fromData(new Int32Array(1)).dtype).toBe('i32');
    expect(fromData(new Uint16Array([0x3c00]), [1], { dtype: 'f16' }).cast('f32').dtype).toBe('f32');
    expect([
      ...(await fromData(new Uint16Array([0x3c00]), [1], { dtype: 'f16' })
        .cast('f32')
        .data()),
    ]).toEqual([1]);
    expect([...(await full([2], 1, 'bool').data())]).toEqual([1, 1]);
    expect([
      ...(await ones([1])
        .add(zeros([1]))
        .data()),
    ]).toEqual([1]);
  });

  it('names the shape or type that does not fit', () => {
    expect(() => fromData([1, 2, 3], [2, 2])).toThrow(/3 elements do not fill \[2, 2\]/);
    expect(() => fromData(new Float32Array(1), [1], { dtype: 'i32' })).toThrow(
      /Float32Array cannot hold i32/,
    );
    expect(() => fromBuffer(device, device.allocate(4, 'small'), [2], 'f32')).toThrow(
      /needs 8 bytes, small has 4/,
    );
  });

  it('counts like a range', async () => {
    expect([...(await arange(5, 0, -2).data())]).toEqual([5, 3, 1]);
    expect([...(await arange(0, 1, 0.25).data())]).toEqual([0, 0.25, 0.5, 0.75]);
    expect([...(await arange(3, 3).data())]).toEqual([]);
  });
});

describe('weights', () => {
  const layout = layoutOf('q4');
  const bytes = new Uint8Array(packedBytes(layout, 16, 32));

  it('must fill their shape', () => {
    expect(() => Weight.fromPacked(device, bytes, layout, [32, 32], 'w')).toThrow(
      /weight w: q4 \[32,32\] needs/,
    );
    expect(() => Weight.fromPacked(device, bytes, affineLayout(4, 64, 'f16'), [16, 32], 'w')).toThrow(
      /multiple of 64/,
    );
  });

  it('say what does not fit them', () => {
    const w = Weight.fromPacked(device, bytes, layout, [16, 32], 'w');
    expect(() => linear(zeros([2, 64]), w)).toThrow(/x \[2, 64\] does not fit a weight of \[16, 32\]/);
    expect(() => linear(zeros([2, 32]), w, { bias: zeros([4]) })).toThrow(
      /bias: expected shape \[16\], got \[4\]/,
    );
    expect(() => moeGlu(zeros([2, 32]), zeros([2, 1], 'i32'), w, w)).toThrow(
      /packed weight of 3 axes, got \[16, 32\]/,
    );
  });
});

describe('states', () => {
  it('start with zeros, are written, cleared and freed', async () => {
    const before = device.statistics().liveBuffers;
    using state = new State({ device, shape: [2, 2], dtype: 'f32', label: 's' });
    state.write(new Float32Array([1, 2]), 2);
    expect([...new Float32Array((await state.read()).buffer)]).toEqual([0, 0, 1, 2]);
    state.clear();
    expect([...new Float32Array((await state.read()).buffer)]).toEqual([0, 0, 0, 0]);
    state.dispose();
    expect(device.statistics().liveBuffers).toBe(before);
  });
});

describe('runs', () => {
  it('queue runs of a plan in order', async () => {
    const plan = compile(({ x }) => x.mul(scalar('k', 'f32')), {
      device,
      inputs: { x: { shape: [1], dtype: 'f32' } },
    });
    const results: number[] = [];
    const runs = [1, 2, 3].map((k) =>
      plan.run({ inputs: { x: [10] }, scalars: { k } }).then(() => {
        results.push(k);
      }),
    );
    await Promise.all(runs);
    expect(results).toEqual([1, 2, 3]);
    expect([...(await plan.outputs[0]!.data())]).toEqual([30]);
    await expect(plan.run({ scalars: { k: Number.NaN } })).rejects.toThrow(/k is NaN; it must be a number/);
    plan.dispose();
    await expect(plan.run({ scalars: { k: 1 } })).rejects.toThrow(/disposed/);
  });
});
