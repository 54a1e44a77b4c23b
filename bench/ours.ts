// Ingot as a contestant: through the same public `load` and `generate` that a user calls.

import { load } from '../src/engine/load.ts';
import { timeTokens } from '../src/generate/timing.ts';
import type { Contestant } from './contestant.ts';
import { processCpuSeconds } from './machine.ts';

export interface OursOptions {
  readonly path: string;
  readonly version: string;
  readonly contextLength: number;
  readonly precision: 'fast' | 'exact';
  readonly threads: number;
  readonly device: 'cpu' | 'webgpu';
}

/** Loads a model on a device. */
export async function openOurs(options: OursOptions): Promise<Contestant> {
  const { path, contextLength, precision, threads, device } = options;
  // The rounds of the cases share prompts, and every run begins with an empty cache.
  const model = await load(path, { device, precision, contextLength, threads, prefixBytes: 0 });
  return {
    name: 'ingot',
    version: options.version,
    settings: { precision, threads, device },
    cpuSeconds: () => processCpuSeconds(process.pid),
    run: (prompt, decode) =>
      timeTokens(model.generate(prompt, { maxTokens: decode + 1, temperature: 0, ignoreEos: true }), decode),
    dispose: async () => model.dispose(),
  };
}
