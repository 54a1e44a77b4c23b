// Which experts a model uses: counted while it reads a text, and kept beside it.

import { IngotError } from '../base/errors.ts';
import { type RoutingStatistics, shareOfBusiest } from '../experts/routing.ts';
import { readRouting, recordRouting, routingPath } from '../experts/routing-file.ts';
import { resolveModel } from '../hub/resolve.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { openCheckpoint } from '../weights/open.ts';
import { load } from './load.ts';
import type { LoadOptions } from './types.ts';

export interface StatisticsOptions extends LoadOptions {
  /** Read by the model, its choices of experts added to what is known; without it what is known is told. */
  readonly text?: string | undefined;
  readonly onTokens?: ((done: number, total: number) => void) | undefined;
}

export interface LayerSkew {
  readonly name: string;
  readonly experts: number;
  /** Experts that were never chosen. */
  readonly unused: number;
  /** Share of the choices that the busiest 10, 20 and 50 % of the experts take. */
  readonly busiest10: number;
  readonly busiest20: number;
  readonly busiest50: number;
}

export interface StatisticsReport {
  /** Where they are kept. */
  readonly path: string;
  readonly tokens: number;
  readonly layers: readonly LayerSkew[];
}

/**
 * The routing statistics of a model. Throws `not_found` when there are none and no text to count with, `unsupported` for a model without
 * experts or a device that does not stream them.
 */
export async function routingStatistics(
  name: string,
  { text, onTokens, ...options }: StatisticsOptions = {},
): Promise<StatisticsReport> {
  const { signal, onProgress, onNotice } = options;
  const path = await resolveModel(name, { signal, onProgress, onNotice });
  const counted = text === undefined ? undefined : await count(name, text, { ...options, onTokens });
  const checkpoint = await modelCheckpoint(openCheckpoint(path));
  try {
    return report(path, await statistics(name, path, checkpoint, counted));
  } finally {
    await checkpoint.close();
  }
}

async function count(
  name: string,
  text: string,
  { onTokens, ...options }: Omit<StatisticsOptions, 'text'>,
): Promise<RoutingStatistics> {
  await using model = await load(name, {
    ...options,
    device: options.device ?? 'cpu',
    experts: { ...options.experts, residency: 'streamed' },
  });
  const { tokens } = await model.perplexity(text, {
    signal: options.signal,
    onProgress: ({ tokensDone, tokensTotal }) => onTokens?.(tokensDone, tokensTotal),
  });
  return { tokens, layers: model.routing?.() ?? [] };
}

async function statistics(
  name: string,
  path: string,
  checkpoint: Checkpoint,
  counted: RoutingStatistics | undefined,
): Promise<RoutingStatistics> {
  if (counted !== undefined) return recordRouting(path, checkpoint, counted);
  const known = await readRouting(path, checkpoint);
  if (known !== undefined) return known;
  throw new IngotError(
    'not_found',
    `there are no routing statistics of ${name} (${routingPath(path)}): \`ingot stats ${name} --text FILE\` records some`,
  );
}

const report = (path: string, { tokens, layers }: RoutingStatistics): StatisticsReport => ({
  path: routingPath(path),
  tokens,
  layers: layers.map((layer) => ({
    name: layer.name,
    experts: layer.chosen.length,
    unused: layer.chosen.filter((n) => n === 0).length,
    busiest10: shareOfBusiest(layer, 0.1),
    busiest20: shareOfBusiest(layer, 0.2),
    busiest50: shareOfBusiest(layer, 0.5),
  })),
});
