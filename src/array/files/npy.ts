// NumPy's .npy files, as bytes: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

import { IngotError } from '../../base/errors.ts';
import { checkShape, maxElements } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { fixed } from '../ops/operands.ts';
import { arrayOf, type Numbers, storedBytes, storedSize } from './elements.ts';

const types: Readonly<Record<string, Numbers>> = {
  '<f4': 'f32',
  '<f2': 'f16',
  '<i4': 'i32',
  '<u4': 'u32',
  '|i1': 'i8',
  '|u1': 'u8',
  '|b1': 'bool',
  '<f8': 'f64',
  '<i8': 'i64',
  '<u8': 'u64',
  '<i2': 'i16',
  '<u2': 'u16',
};
const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

const refuse = (problem: string): never => {
  throw new IngotError('invalid_argument', `npy: ${problem}`);
};

/**
 * The array of a .npy file, in either order of axes and of bytes; f8 becomes f32, i8 and i2 i32, u8 and u2 u32. Throws invalid_argument
 * for other bytes and types, and for files that are cut off.
 */
export function fromNpy(bytes: Uint8Array): NDArray {
  if (bytes.length < 10 || magic.some((b, i) => bytes[i] !== b))
    refuse('the bytes do not begin as a .npy file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = (bytes[6] as number) >= 2;
  if (wide && bytes.length < 12) refuse('the header is cut off');
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (wide ? 12 : 10) + length;
  if (start > bytes.length) refuse(`the header says ${length} bytes, the file has ${bytes.length}`);
  const header = new TextDecoder('latin1').decode(bytes.subarray(wide ? 12 : 10, start));
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1] ?? '';
  const sizes = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1];
  const dtype =
    types[descr.replace('>', '<')] ??
    refuse(`elements of type '${descr}' are not one of ${Object.keys(types).join(', ')}`);
  const byColumns = /'fortran_order':\s*True/.test(header);
  if (sizes === undefined) return refuse('the header has no shape');
  const shape = sizes.split(',').flatMap((s) => (s.trim() === '' ? [] : [Number(s)]));
  checkShape(shape, 'npy');
  const width = storedSize(dtype);
  const needed = maxElements(shape) * width;
  if (bytes.length - start < needed)
    refuse(`${needed} bytes of elements are needed, ${bytes.length - start} are there`);
  const stored = new Uint8Array(bytes.subarray(start, start + needed));
  if (descr.startsWith('>')) for (let i = 0; i < needed; i += width) stored.subarray(i, i + width).reverse();
  const sides = byColumns ? [...shape].reverse() : shape;
  const x = arrayOf({ bytes: stored, type: dtype, shape: sides, what: 'npy' });
  return byColumns ? x.transpose() : x;
}

/** The array as a .npy file. bf16 is written as f32, since NumPy has no such type. */
export async function toNpy(x: NDArray): Promise<Uint8Array> {
  const y = x.dtype === 'bf16' ? x.cast('f32') : x;
  const shape = y.shape.map((d) => fixed(d, 'npy'));
  const descr = Object.keys(types).find((k) => types[k] === y.dtype) ?? '<f4';
  const data = await storedBytes(y);
  const list = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${list}), }`;
  const padded = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const out = new Uint8Array(10 + padded.length + data.byteLength);
  out.set([...magic, 1, 0, padded.length & 255, padded.length >> 8]);
  out.set(new TextEncoder().encode(padded), 10);
  out.set(data, 10 + padded.length);
  return out;
}
