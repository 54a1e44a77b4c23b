// Which scheme a config says that its tensors are quantised by. What is not read is refused by name, with what to use in its place.

import { IngotError } from '../../base/errors.ts';
import { isJsonObject, type JsonObject } from '../json.ts';
import { type NfStates, nfScheme } from './bitsandbytes.ts';
import { compressedScheme, compressedWeights } from './compressed.ts';
import { fp8Blocks, fp8Scheme } from './fp8.ts';
import { gptOssScheme } from './gpt-oss.ts';
import { gptqQuantization, gptqScheme } from './gptq.ts';
import { mlxQuantization, mlxScheme } from './mlx.ts';
import { modeloptScheme } from './modelopt.ts';
import type { Scheme } from './scheme.ts';

/** Scheme of each `quant_method`, of the config's `quantization_config` and the file's name. */
const methods: Readonly<Record<string, (config: JsonObject, file: string, states: NfStates) => Scheme>> = {
  mlx: (config, file) => mlxScheme(mlxQuantization(config, file)),
  fp8: (config, file) => fp8Scheme(fp8Blocks(config, file)),
  fbgemm_fp8: () => fp8Scheme(undefined),
  mxfp4: () => gptOssScheme,
  'compressed-tensors': (config, file) => compressedScheme(compressedWeights(config, file)),
  gptq: (config, file) => gptqScheme(gptqQuantization(config, 'gptq', file)),
  awq: (config, file) => gptqScheme(gptqQuantization(config, 'awq', file)),
  bitsandbytes: nfScheme,
  modelopt: modeloptScheme,
};

/**
 * The schemes of a config, to be asked in turn. Throws unsupported for a method this build does not read, FileFormatError for
 * parameters that are none. `states` are those of the file's tensors (`readStates`).
 */
export function quantizationSchemes(config: JsonObject, file: string, states: NfStates): readonly Scheme[] {
  const foreign = config.quantization_config;
  const method = isJsonObject(foreign) ? foreign.quant_method : undefined;
  // MLX writes both keys with the same contents, without a method.
  if (!isJsonObject(foreign) || typeof method !== 'string') {
    return [mlxScheme(mlxQuantization(config.quantization ?? foreign, file)), gptOssScheme];
  }
  const scheme = Object.hasOwn(methods, method) ? methods[method]?.(foreign, file, states) : undefined;
  if (scheme === undefined) {
    throw new IngotError(
      'unsupported',
      `${file}: quantisation method ${JSON.stringify(method.slice(0, 40))} is not supported; use plain weights, ` +
        `those of ${Object.keys(methods).join(', ')}, or a GGUF file`,
    );
  }
  return isJsonObject(config.quantization)
    ? [scheme, mlxScheme(mlxQuantization(config.quantization, file))]
    : [scheme, mlxScheme(undefined)];
}
