// Files of arrays: round trips, files as Python's libraries write them, and damage.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { DType } from '../../base/dtype.ts';
import { openJsDevice } from '../../device/js/device.ts';
import { NDArray } from '../array.ts';
import { setDefaultDevice } from '../context.ts';
import { fromData } from '../creation.ts';
import { load, save, saveSafetensors, savez } from './node.ts';
import { fromNpy } from './npy.ts';
import { fromNpz, toNpz } from './npz.ts';
import { fromSafetensors, toSafetensors } from './safetensors.ts';

setDefaultDevice(openJsDevice());
const folder = mkdtempSync(join(tmpdir(), 'ingot-files-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const dtypes: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool'];
const arrays = (): Record<string, NDArray> =>
  Object.fromEntries(dtypes.map((d) => [`layer.${d}`, fromData([1, 0, 3, 1.5, 0, 7], [2, 3]).cast(d)]));
const plain = async (x: NDArray): Promise<unknown> => [x.dtype, x.shape, [...(await x.data())]];

/** A safetensors file with this header and data. */
function fileOf(header: object, data: ArrayBufferView): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.byteLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 8 + json.length);
  return bytes;
}

describe('files of arrays', () => {
  it('give back every dtype from safetensors, and from npz all that NumPy has', async () => {
    const given = { ...arrays(), none: fromData([], [0, 4]), one: fromData([5], []) };
    const tensors = fromSafetensors(await toSafetensors(given));
    expect(Object.keys(tensors)).toEqual(Object.keys(given));
    for (const [name, x] of Object.entries(given))
      expect(await plain(tensors[name] as NDArray), name).toEqual(await plain(x));
    for (const compress of [false, true]) {
      const zipped = fromNpz(await toNpz(given, { compress }));
      for (const [name, x] of Object.entries(given)) {
        const want = await plain(x.dtype === 'bf16' ? x.cast('f32') : x);
        expect(await plain(zipped[name] as NDArray), name).toEqual(want);
      }
    }
  });

  it('on disk are told by their names, and are whole or not there', async () => {
    const x = fromData([1, 2, 3]);
    await save(join(folder, 'a.npy'), x);
    await save(join(folder, 'a.npz'), { x });
    await save(join(folder, 'a.safetensors'), { x });
    await savez(join(folder, 'b.npz'), { x }, { compress: true });
    await saveSafetensors(join(folder, 'b.safetensors'), { x }, { step: '3' });
    expect(await ((await load(join(folder, 'a.npy'))) as NDArray).toList()).toEqual([1, 2, 3]);
    for (const name of ['a.npz', 'a.safetensors', 'b.npz', 'b.safetensors']) {
      const found = (await load(join(folder, name))) as Record<string, NDArray>;
      expect(await found.x?.toList(), name).toEqual([1, 2, 3]);
    }
    await expect(save(join(folder, 'c.txt'), x)).rejects.toThrow(
      /c.txt: a name that ends in .npy, .npz or .safetensors is needed/,
    );
    await expect(save(join(folder, 'c.npy'), { x })).rejects.toThrow(/holds one array/);
    await expect(save(join(folder, 'c.npz'), x)).rejects.toThrow(/arrays by name are needed/);
    await expect(load(join(folder, 'c.npz'))).rejects.toThrow(/c.npz cannot be read/);
    const gone = fromData([1]);
    gone.dispose();
    await expect(save(join(folder, 'd.npy'), gone)).rejects.toThrow(/disposed/);
    expect(
      readdirSync(folder).filter((f) => f.startsWith('c') || f.startsWith('d') || f.endsWith('.partial')),
    ).toEqual([]);
  });

  it('hold f64 as f32 and i64 as i32, when it fits', async () => {
    const header = (dtype: string) => ({ x: { dtype, shape: [2], data_offsets: [0, 16] } });
    expect(
      await plain(fromSafetensors(fileOf(header('F64'), Float64Array.of(0.5, -2))).x as NDArray),
    ).toEqual(['f32', [2], [0.5, -2]]);
    expect(
      await plain(fromSafetensors(fileOf(header('I64'), BigInt64Array.of(-7n, 9n))).x as NDArray),
    ).toEqual(['i32', [2], [-7, 9]]);
    expect(() => fromSafetensors(fileOf(header('I64'), BigInt64Array.of(1n, 2n ** 40n)))).toThrow(
      /tensor "x": element 1: is 1099511627776, which i32 does not hold/,
    );
  });

  it.each([
    ['cut off', (b: Uint8Array) => b.subarray(0, 5), /the file has only 5 bytes/],
    ['a header longer than the file', () => new Uint8Array(9).fill(255), /header length: is/],
    ['no JSON', () => fileOf([1], new Uint8Array(0)).fill(0x7b, 8), /header: is not JSON/],
    [
      'another dtype',
      () => fileOf({ x: { dtype: 'F8', shape: [1], data_offsets: [0, 1] } }, new Uint8Array(1)),
      /has the dtype "F8"/,
    ],
    [
      'too little data',
      () => fileOf({ x: { dtype: 'F32', shape: [9], data_offsets: [0, 36] } }, new Uint8Array(4)),
      /from 0 to 36 of 4 bytes/,
    ],
    [
      'a negative size',
      () => fileOf({ x: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } }, new Uint8Array(4)),
      /has the shape \[-1\]/,
    ],
    ['no entry', () => fileOf({ x: null }, new Uint8Array(4)), /has the dtype undefined/],
  ])('are refused when damaged: %s', async (_, damage, message) => {
    const good = await toSafetensors({ x: fromData([1, 2]) });
    expect(() => fromSafetensors(damage(good))).toThrow(message);
  });

  it('are refused when they are no archive or no array', () => {
    expect(() => fromNpz(new Uint8Array(40), 'z.npz')).toThrow(/z.npz: archive: invalid zip data/);
    expect(() => fromNpy(new Uint8Array(40))).toThrow(/do not begin as a .npy file/);
    expect(fromData([1])).toBeInstanceOf(NDArray);
  });

  it('are read in either order of axes and of bytes, from Buffers that lie in others', async () => {
    const npy = (descr: string, columns: boolean, shape: string, data: ArrayBuffer): Buffer => {
      const order = columns ? 'True' : 'False';
      const header = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`;
      const start = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length, 0]);
      return Buffer.concat([Buffer.alloc(3), start, Buffer.from(header), Buffer.from(data)]).subarray(3);
    };
    const f32 = Float32Array.of(1, 2, 3, 4, 5, 6).buffer;
    expect(await plain(fromNpy(npy('<f4', true, '(2, 3)', f32)))).toEqual([
      'f32',
      [2, 3],
      [1, 3, 5, 2, 4, 6],
    ]);
    const big = Uint8Array.of(0, 3, 0xff, 0xfe).buffer;
    expect(await plain(fromNpy(npy('>i2', false, '(2,)', big)))).toEqual(['i32', [2], [3, -2]]);
    const truth = Uint8Array.of(1, 0).buffer;
    expect(await plain(fromNpy(npy('|b1', false, '(2,)', truth)))).toEqual(['bool', [2], [1, 0]]);
    const f64 = Float64Array.of(0.5, -2).buffer;
    expect(await plain(fromNpy(npy('<f8', false, '(2,)', f64)))).toEqual(['f32', [2], [0.5, -2]]);
    const bytes = Buffer.concat([Buffer.alloc(1), await toSafetensors(arrays())]).subarray(1);
    expect(Object.keys(fromSafetensors(bytes))).toEqual(Object.keys(arrays()));
  });
});
