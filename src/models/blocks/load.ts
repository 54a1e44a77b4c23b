// Modules from a weight loader: shapes come from the config, names from the table of canonical names.

import type { NDArray } from '../../array/array.ts';
import type { KernelPrecision } from '../../kernel/signature.ts';
import { Embedding } from '../../nn/embedding.ts';
import { LayerNorm } from '../../nn/layer-norm.ts';
import { Linear } from '../../nn/linear.ts';
import type { Part } from '../../nn/part.ts';
import { RmsNorm } from '../../nn/rms-norm.ts';
import type { NormConfig } from '../config/decoder.ts';
import type { BuildOptions, WeightLoader } from '../contract.ts';

/** What blocks load with. */
export interface Loading {
  readonly load: WeightLoader;
  readonly options: Omit<BuildOptions, 'precision'> & { readonly precision: KernelPrecision };
}

/** Normalises the last axis. */
export interface Norm {
  apply(x: NDArray): NDArray;
}

/** The same source of weights for a layer whose input must not be rounded to 8 bits, in any precision. */
export const finely = (from: Loading): Loading => ({
  ...from,
  options: { ...from.options, precision: from.options.precision === 'exact' ? 'exact' : 'fine' },
});

/** Notes a part by its name. */
export function named<P extends Part>({ options }: Pick<Loading, 'options'>, name: string, part: P): P {
  options.modules?.add(name, part);
  return part;
}

/** NAME.weight `[V, D]`. */
export function loadEmbedding(
  from: Loading,
  name: string,
  shape: readonly [V: number, D: number],
): Embedding {
  return named(from, name, new Embedding(from.load.matrix(`${name}.weight`, shape)));
}

/** NAME.weight `[n]`. */
export const loadRmsNorm = (from: Loading, name: string, n: number, eps: number): RmsNorm =>
  named(from, name, new RmsNorm(from.load.vector(`${name}.weight`, n), eps));

/** NAME.weight `[N, K]` and, when asked for, NAME.bias `[N]`. */
export function loadLinear(
  from: Loading,
  name: string,
  shape: readonly [N: number, K: number],
  bias = false,
): Linear {
  const linear = new Linear(from.load.matrix(`${name}.weight`, shape), {
    precision: from.options.precision,
    bias: bias ? from.load.vector(`${name}.bias`, shape[0]) : undefined,
  });
  return named(from, name, linear);
}

/** NAME.weight `[n]` and, for a layer norm with one, NAME.bias `[n]`. */
export function loadNorm(from: Loading, name: string, n: number, { kind, eps, bias }: NormConfig): Norm {
  if (kind === 'rms') return loadRmsNorm(from, name, n, eps);
  const { load } = from;
  const weight = load.vector(`${name}.weight`, n);
  return named(from, name, new LayerNorm(weight, bias ? load.vector(`${name}.bias`, n) : undefined, eps));
}
