// Signatures: names give the flat lists of a dispatch and the places in them, and the codes of names are those of base/dtype.

import { describe, expect, it } from 'vitest';
import { dtypes } from '../base/dtype.ts';
import {
  codeOf,
  type KernelName,
  type KernelParams,
  kernelName,
  listBuffers,
  listParams,
  nameOf,
  placesOf,
  rowsPlace,
} from './signature.ts';
import { kernelCodes, kernelSignatures } from './signatures.ts';

const layout = { layout: 3, group: 32, metaDtype: 'f16' } as const;
const linear: KernelParams<'linear'> = {
  rows: { scalar: 'rows', mul: 1, add: 0 },
  K: 64,
  precision: 'fine',
  normEps: 1e-5,
  normOffset: 0,
  glu: 'silu',
  segments: [
    { N: 32, ...layout },
    { N: 48, ...layout },
  ],
};

describe('signatures', () => {
  it('put the params of lists after the count that follows from them', () => {
    const params = listParams('linear', linear);
    expect(params).toEqual([linear.rows, 64, 2, 1e-5, 0, 1, 2, ...[32, 3, 32, 1], ...[48, 3, 32, 1]]);
    const places = placesOf('linear', params, 9);
    expect(places.params.segments.map((s) => s.N)).toEqual([7, 11]);
    expect(places.params.segmentCount).toBe(6);
    expect(places.buffers.segments.map((s) => s.y)).toEqual([5, 8]);
    expect(places.bufferInfos.map((b) => b.access)).toEqual([
      'read',
      'read',
      'read',
      'read',
      'read',
      'write',
      'read',
      'read',
      'write',
    ]);
  });

  it('put absent buffers in their place', () => {
    const segment = (i: number) => ({ w: `w${i}`, bias: null, y: i === 0 ? 'y' : null });
    const buffers = { x: 'x', normWeight: null, residual: 'r', segments: [segment(0), segment(1)] };
    expect(listBuffers('linear', buffers)).toEqual(['x', null, 'r', 'w0', null, 'y', 'w1', null, null]);
  });

  it('know lists inside of records', () => {
    const params = listParams('tile', {
      count: 15,
      sizes: [3, 5],
      inputs: [
        { dtype: 'f16', strides: [5, 1] },
        { dtype: 'bool', strides: [0, 1] },
      ],
      outputs: [{ dtype: 'f32' }],
      constants: [{ dtype: 'u32', value: 4e9 }],
      instructions: [{ opcode: 7, dst: 3, a: 0, b: 1, c: 2 }],
      results: [3],
    });
    expect(params).toEqual([15, 2, 1, 2, 3, 5, 1, 5, 1, 7, 0, 1, 0, 1, 4, 4e9, 1, 7, 3, 0, 1, 2, 3]);
    const { params: at } = placesOf('tile', params, 3);
    expect(at.inputs.map((i) => i.strides)).toEqual([
      [7, 8],
      [10, 11],
    ]);
    expect([at.constants[0]?.value, at.instructions[0]?.c, ...at.results]).toEqual([15, 21, 22]);
  });

  it('give each param and buffer of every kernel a place of its own', () => {
    for (const kernel of Object.keys(kernelSignatures) as KernelName[]) {
      // Lists of two: places are counted up through all of them.
      const numbers = new Array<number>(200).fill(2);
      const sizes = sizeOf(kernel, numbers);
      const { params, buffers } = placesOf(kernel, numbers.slice(0, sizes.params), sizes.buffers);
      expect(leaves(params), kernel).toEqual([...new Array(sizes.params).keys()]);
      expect(leaves(buffers), kernel).toEqual([...new Array(sizes.buffers).keys()]);
    }
  });

  it('refuse lists of another length, and a count that is none', () => {
    expect(() => placesOf('softmax', [1, 2], 2)).toThrow(/softmax takes 2 buffers and 4 params, got 2 and 2/);
    expect(() => placesOf('softmax', [1, 2, 0, 0], 3)).toThrow(/got 3 and 4/);
    const params = listParams('linear', linear);
    for (const count of [-1, 1.5, 1e9, Number.NaN]) {
      expect(() => placesOf('linear', params.with(6, count), 9)).toThrow(/segmentCount must be a count/);
    }
  });

  it('know which kernels work row by row', () => {
    expect([rowsPlace('linear'), rowsPlace('attention'), rowsPlace('copy'), rowsPlace('none')]).toEqual([
      0,
      0,
      undefined,
      undefined,
    ]);
    expect([kernelName('linear'), kernelName('toString')]).toEqual(['linear', undefined]);
  });

  it('number names by their place', () => {
    expect(kernelCodes.dtype).toEqual(dtypes);
    expect([codeOf('glu', 'none'), codeOf('glu', 'gelu_erf'), nameOf('precision', 2)]).toEqual([
      0,
      3,
      'fine',
    ]);
    expect(() => nameOf('precision', 3)).toThrow(/3 is no code of a precision/);
    expect(() => codeOf('glu', 'relu' as never)).toThrow(/'relu' is no glu: expected one of none, silu/);
  });
});

/** Lengths of the lists of a dispatch whose lists have two elements each. */
function sizeOf(kernel: KernelName, numbers: readonly number[]): { params: number; buffers: number } {
  try {
    placesOf(kernel, numbers, -1);
  } catch (error) {
    const [, buffers, params] = /takes (\d+) buffers and (\d+) params/.exec(String(error)) ?? [];
    return { params: Number(params), buffers: Number(buffers) };
  }
  throw new Error('lists of a wrong length were accepted');
}

const leaves = (places: unknown): readonly number[] =>
  typeof places === 'number' ? [places] : Object.values(places as object).flatMap(leaves);
