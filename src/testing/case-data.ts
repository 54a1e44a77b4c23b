// Operands of ops' test cases: reproducible random numbers of the distribution a case asks for, packed where it says so.

import type { CaseOperand, CaseWeight } from '../array/op.ts';
import { numel, typedView, writer } from '../array/ops/operands.ts';
import type { Tensor } from '../array/types.ts';
import { bytesPerElement, type DType } from '../base/dtype.ts';
import { invariant } from '../base/errors.ts';
import { packedBytes } from '../quant/layout.ts';
import { packReference, quantizeReference } from '../quant/reference.ts';
import { findSourceFormat } from '../quant/registry.ts';

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Box-Muller. */
export const normal = (uniform: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

const integers: readonly DType[] = ['i32', 'u32', 'i8', 'u8'];

function element(
  { fill = 'normal', below = 10, dtype = 'f32', values }: CaseOperand,
  i: number,
  uniform: () => number,
): number {
  if (values !== undefined) return values[i] ?? 0;
  switch (fill) {
    case 'normal': {
      const x = normal(uniform);
      if (!integers.includes(dtype)) return x;
      return dtype === 'u32' || dtype === 'u8' ? Math.floor(Math.abs(x) * 20) : Math.round(x * 20);
    }
    case 'positive':
      return integers.includes(dtype) ? 1 + Math.floor(uniform() * 9) : 0.1 + 2.9 * uniform();
    case 'unit':
      return integers.includes(dtype) ? Math.round(uniform() * 2 - 1) : 1.98 * uniform() - 0.99;
    case 'index':
      return Math.floor(uniform() * below);
    case 'range':
      return i;
    case 'zeros':
      return 0;
    case 'bool':
      return uniform() < 0.5 ? 0 : 1;
  }
}

/** The tensor of an operand; `seed` makes it differ between operands and cases. */
export function caseTensor(spec: CaseOperand, seed: number): Tensor {
  const uniform = randomNumbers(seed);
  if (spec.weight !== undefined) return packedTensor(spec, uniform);
  const { shape, dtype = 'f32' } = spec;
  const data = typedView(dtype, new Uint8Array(numel(shape) * bytesPerElement(dtype)));
  const tensor: Tensor = { shape, dtype, data };
  const write = writer(tensor);
  for (let i = 0; i < data.length; i++) write(i, element(spec, i, uniform));
  return tensor;
}

/** A format that is packed into each layout. */
const sources: Readonly<Record<CaseWeight, string>> = {
  f32: 'f32',
  f16: 'f16',
  bf16: 'bf16',
  q4: 'q4_0',
  q4a: 'q4_1',
  q8: 'q8_0',
  q8a: 'mlx8/128/f16',
  q4k: 'q4_k',
  q6k: 'q6_k',
  q5: 'q5_0',
  q5k: 'q5_k',
  q3k: 'q3_k',
  q2k: 'q2_k',
  q2a: 'mlx2/64/bf16',
  q3a: 'mlx3/32/f16',
  q5a: 'q5_1',
  q6a: 'mlx6/64/f32',
  iq4nl: 'iq4_nl',
  mxfp4: 'mxfp4',
  nf4: 'nf4/64/bf16',
  nvfp4: 'nvfp4',
  iq4xs: 'iq4_xs',
  f8: 'fp8/128/f32',
  mxfp8: 'mlx-mxfp8',
};

/** Random weights quantised and packed: `[N, K]` or `[E, N, K]`. */
function packedTensor({ shape, weight = 'f32' }: CaseOperand, uniform: () => number): Tensor {
  const source = findSourceFormat(sources[weight]);
  invariant(source !== undefined, `no source format for ${weight}`);
  const [K = 0, N = 0, E = 1] = [...shape].reverse();
  const size = packedBytes(source.layout, N, K);
  const data = new Uint8Array(size * E);
  for (let e = 0; e < E; e++) {
    const values = Float32Array.from({ length: N * K }, () => normal(uniform) * 0.3);
    data.set(packReference(source, quantizeReference(source, values, N, K), N, K), e * size);
  }
  return { shape, dtype: 'f32', data, layout: source.layout };
}
