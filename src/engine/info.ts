// What `model.info` and `ingot show` say of a checkpoint.

import type { SamplingOptions } from '../generate/sampling.ts';
import type { ModelConfig } from '../models/contract.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import type { ModelInfo } from './types.ts';

/** Facts of an open checkpoint, and of how it was loaded. */
export function describeCheckpoint(
  name: string,
  checkpoint: Checkpoint,
  config: ModelConfig,
  loaded: {
    readonly contextLength: number;
    readonly weightBytes: number;
    readonly prefixBytes: number;
    readonly sampling: SamplingOptions;
  },
): ModelInfo {
  let parameters = 0;
  const byFormat = new Map<string, number>();
  for (const tensorName of checkpoint.tensors) {
    const tensor = checkpoint.describe(tensorName);
    const elements = tensor.shape.reduce((n, d) => n * d, 1);
    parameters += elements;
    const format = tensor.kind === 'source' ? tensor.format.name : tensor.layout.kind;
    byFormat.set(format, (byFormat.get(format) ?? 0) + elements);
  }
  const [main] = [...byFormat].sort((a, b) => b[1] - a[1]);
  return {
    name,
    family: config.family,
    parameters,
    layers: config.numLayers,
    contextLength: loaded.contextLength,
    trainedContextLength: config.contextLength,
    sampling: loaded.sampling,
    weightBytes: loaded.weightBytes,
    prefixBytes: loaded.prefixBytes,
    format: `${checkpoint.kind} ${main?.[0] ?? ''}`.trim(),
  };
}
