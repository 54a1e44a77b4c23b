// Modules from a weight loader: shapes come from the config, names from the family's table.

import { Linear } from '../../nn/linear.ts';
import { RmsNorm } from '../../nn/rms-norm.ts';
import type { BuildOptions, WeightLoader } from '../contract.ts';

/** What blocks load with. */
export interface Loading {
  readonly load: WeightLoader;
  readonly options: BuildOptions;
}

/** The same source of weights for a layer that is exact in every precision. */
export const exactly = (from: Loading): Loading => ({
  ...from,
  options: { ...from.options, precision: 'exact' },
});

/** NAME.weight `[N, K]` and, when asked for, NAME.bias `[N]`. */
export function loadLinear(
  from: Loading,
  name: string,
  shape: readonly [N: number, K: number],
  bias = false,
): Linear {
  return new Linear(from.load.matrix(`${name}.weight`, shape), {
    precision: from.options.precision,
    bias: bias ? from.load.vector(`${name}.bias`, shape[0]) : undefined,
  });
}

/** NAME.weight `[n]`. */
export const loadNorm = (from: Loading, name: string, n: number, eps: number): RmsNorm =>
  new RmsNorm(from.load.vector(`${name}.weight`, n), eps);
