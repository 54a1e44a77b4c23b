// What `model.info` and `ingot show` say of a checkpoint.

import type { CacheKindName } from '../cache/kinds.ts';
import type { SamplingOptions } from '../generate/sampling.ts';
import type { ModelConfig } from '../models/contract.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import type { MemoryDivision } from './residency.ts';
import type { ModelInfo } from './types.ts';

/** Facts of an open checkpoint, and of how it was loaded. */
export function describeCheckpoint(
  name: string,
  checkpoint: Checkpoint,
  config: ModelConfig,
  loaded: {
    readonly contextLength: number;
    readonly weightBytes: number;
    readonly memory: MemoryDivision;
    readonly kv: CacheKindName;
    readonly prefixBytes: number;
    readonly sampling: SamplingOptions;
    readonly defaults: ModelInfo['defaults'];
  },
): ModelInfo {
  const parameters = checkpoint.tensors.reduce((n, tensor) => n + elementsOf(checkpoint, tensor), 0);
  return {
    name,
    family: config.family,
    parameters,
    layers: config.numLayers,
    contextLength: loaded.contextLength,
    trainedContextLength: config.contextLength,
    sampling: loaded.sampling,
    defaults: loaded.defaults,
    weightBytes: loaded.weightBytes,
    memory: loaded.memory,
    kv: loaded.kv,
    prefixBytes: loaded.prefixBytes,
    format: formatOf(checkpoint),
  };
}

const elementsOf = (checkpoint: Checkpoint, name: string): number =>
  checkpoint.describe(name).shape.reduce((n, d) => n * d, 1);

/** Kind of the checkpoint and the format that most of its weights have, such as `GGUF Q4_1`. */
export function formatOf(checkpoint: Checkpoint): string {
  const byFormat = new Map<string, number>();
  for (const name of checkpoint.tensors) {
    const tensor = checkpoint.describe(name);
    const format = tensor.kind === 'source' ? tensor.format.name : tensor.layout.kind;
    byFormat.set(format, (byFormat.get(format) ?? 0) + elementsOf(checkpoint, name));
  }
  const [main] = [...byFormat].sort((a, b) => b[1] - a[1]);
  return `${checkpoint.kind} ${main?.[0] ?? ''}`.trim();
}
