// The numbers of a generation, for people and as JSON.

import { significant } from '../base/statistics.ts';
import { formatBytes } from '../base/text.ts';
import type { TierUse } from '../cache/tier-use.ts';
import type { GenerateStats } from '../engine/types.ts';

const perSecond = (tokens: number, ms: number): number => (ms > 0 ? (tokens / ms) * 1000 : 0);

/** "31 tokens in 0.21 s (148 tokens/s), prompt 38 tokens in 0.03 s (1270 tokens/s)". */
export function formatStats(stats: GenerateStats): string {
  const part = (tokens: number, ms: number) =>
    `${tokens} tokens in ${(ms / 1000).toFixed(2)} s (${significant(perSecond(tokens, ms), 3)} tokens/s)`;
  const cached = stats.cachedTokens > 0 ? ` after ${stats.cachedTokens} from the cache` : '';
  return `${part(stats.generatedTokens, stats.decodeMs)}, prompt ${part(stats.promptTokens - stats.cachedTokens, stats.prefillMs)}${cached}`;
}

/** "KV cache: 1.2 GB spilled, 9.6 GB read back at 1.9 GB/s; the disk allows 5.1 tokens/s, 88 % of it reached". */
export function formatTier({ bytesWritten, bytesRead, diskGBs, ceiling, reached }: TierUse): string {
  const speed = bytesRead + bytesWritten > 0 ? ` at ${diskGBs.toFixed(2)} GB/s` : '';
  const limit =
    ceiling === undefined || reached === undefined
      ? ''
      : `; the disk allows ${significant(ceiling, 3)} tokens/s, ${(100 * reached).toFixed(0)} % of it reached`;
  return `KV cache: ${formatBytes(bytesWritten)} spilled, ${formatBytes(bytesRead)} read back${speed}${limit}`;
}

export const statsJson = (stats: GenerateStats) => ({
  promptTokens: stats.promptTokens,
  cachedTokens: stats.cachedTokens,
  generatedTokens: stats.generatedTokens,
  prefillMs: Math.round(stats.prefillMs * 10) / 10,
  decodeMs: Math.round(stats.decodeMs * 10) / 10,
  tokensPerSecond: Number(perSecond(stats.generatedTokens, stats.decodeMs).toPrecision(4)),
  stopReason: stats.stopReason,
  ...(stats.experts === undefined ? {} : { experts: stats.experts }),
  ...(stats.kv === undefined ? {} : { kv: stats.kv }),
  ...(stats.logprobs.length > 0 ? { logprobs: stats.logprobs } : {}),
});
