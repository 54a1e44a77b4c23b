import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { openJsDevice } from '../device/js/device.ts';
import { setDefaultDevice } from './context.ts';
import { arange, fromData, full } from './creation.ts';
import { fromNpy, toNpy } from './files/npy.ts';

setDefaultDevice(openJsDevice());

describe('arrays as text and lists', () => {
  it('show what is computed', async () => {
    const m = fromData([
      [1, 2.5],
      [-3, Number.NaN],
    ]);
    expect(String(m)).toBe('array f32 [2, 2] [[1, 2.5], [-3, NaN]]');
    expect(inspect({ m })).toContain('[[1, 2.5], [-3, NaN]]');
    expect(String(fromData([true, false]))).toBe('array bool [2] [true, false]');
    expect(String(fromData([0.1], [1], { dtype: 'f16' }))).toBe('array f16 [1] [0.0999756]');
    const lazy = m.add(1);
    expect(String(lazy)).toBe('array f32 [2, 2] (not computed: await data())');
    await lazy.data();
    expect(String(lazy)).toBe('array f32 [2, 2] [[2, 3.5], [-2, NaN]]');
    const long = arange(200);
    await long.data();
    expect(String(long)).toBe('array i32 [200] [0, 1, 2, …, 197, 198, 199]');
    m.dispose();
    expect(inspect(m)).toBe('array (disposed)');
  });

  it('give numbers, also of half floats, and one number', async () => {
    expect(await fromData([[[1], [2]]]).toList()).toEqual([[[1], [2]]]);
    expect(await fromData([true, false]).toList()).toEqual([true, false]);
    expect(await full([], 7).toList()).toBe(7);
    expect([...(await fromData([1.5, -2], [2], { dtype: 'bf16' }).data())]).toEqual([1.5, -2]);
    expect(await fromData([[4]]).item()).toBe(4);
    await expect(fromData([1, 2]).item()).rejects.toThrow(/item: \[2\] is not one element/);
  });
});

describe('.npy', () => {
  it('reads what it writes', async () => {
    for (const x of [
      fromData([[1, 2, 3]]),
      fromData([true, false]),
      fromData(new Int32Array([7])),
      full([], 2.5),
      full([0, 3], 1),
    ]) {
      const back = fromNpy(await toNpy(x));
      expect(back.dtype).toBe(x.dtype);
      expect(back.shape).toEqual(x.shape);
      expect(await back.toList()).toEqual(await x.toList());
    }
  });

  it('refuses what is damaged or of another kind', async () => {
    const good = await toNpy(fromData([1, 2, 3]));
    expect(() => fromNpy(good.subarray(0, 9))).toThrow(/do not begin as a .npy file/);
    expect(() => fromNpy(good.subarray(0, 40))).toThrow(/the header says/);
    expect(() => fromNpy(good.subarray(0, good.length - 1))).toThrow(
      /12 bytes of elements are needed, 11 are there/,
    );
    const text = new TextDecoder('latin1').decode(good);
    const altered = (from: string, to: string): Uint8Array =>
      Uint8Array.from(text.replace(from, to), (c) => c.charCodeAt(0));
    expect(() => fromNpy(altered('<f4', '<c8'))).toThrow(/type '<c8' are not one of/);
    expect(await fromNpy(altered('False', 'True ')).toList()).toEqual([1, 2, 3]);
    expect(() => fromNpy(altered('(3,)', '(9e9,'))).toThrow(/no shape/);
    expect(() => fromNpy(altered('(3,)', '(99)'))).toThrow(/396 bytes of elements/);
    for (let i = 0; i < 300; i++) {
      const damaged = good.slice();
      damaged[(i * 7) % good.length] = (i * 31) & 255;
      try {
        fromNpy(damaged).dispose();
      } catch (error) {
        expect((error as { code?: string }).code).toMatch(/invalid_argument|shape_mismatch/);
      }
    }
  });
});
