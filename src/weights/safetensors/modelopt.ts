// What NVIDIA's ModelOpt writes: FP8 with a scale for each tensor, and NVFP4, whose e4m3 scales are multiplied by one for the whole tensor.
// https://github.com/NVIDIA/Model-Optimizer

import { IngotError } from '../../base/errors.ts';
import type { JsonObject } from '../json.ts';
import { nvfp4Tensor } from './compressed.ts';
import { fp8Scheme } from './fp8.ts';
import type { Scheme } from './scheme.ts';

const algorithms = ['FP8', 'FP8_PER_CHANNEL_PER_TOKEN', 'NVFP4', 'MIXED_PRECISION'];

/** Throws unsupported for algorithms that store something else. */
export function modeloptScheme({ quant_algo: algorithm }: JsonObject, file: string): Scheme {
  if (algorithm !== undefined && !algorithms.includes(algorithm as string)) {
    throw new IngotError(
      'unsupported',
      `${file}: ModelOpt's ${JSON.stringify(algorithm)?.slice(0, 40)} is not supported; use ${algorithms.join(', ')}, MLX or GGUF weights`,
    );
  }
  const fp8 = fp8Scheme(undefined);
  return (entry, entries) => {
    const part = /^(.*)\.(weight|weight_scale|weight_scale_2|input_scale)$/.exec(entry.name);
    const [weight, scale, whole] = ['weight', 'weight_scale', 'weight_scale_2'].map((name) =>
      entries.get(`${part?.[1]}.${name}`),
    );
    if (part === null || whole === undefined || weight?.dtype !== 'U8') return fp8(entry, entries);
    if (entry !== weight) return [];
    if (scale === undefined) return 'has no weight_scale beside it';
    return [nvfp4Tensor(weight, scale, whole, (each, all) => each * all)];
  };
}
