// How a model's memory is divided, in words.

import { formatBytes } from '../base/text.ts';
import type { MemoryDivision } from './residency.ts';

/** "memory 1.3 GB: dense weights 402 MB, experts 512 MB of 4.7 GB (one token uses 590 MB), …". */
export function formatDivision({
  streamed,
  limit,
  dense,
  experts,
  allExperts,
  cycle,
  kv,
  prefix,
  kvToken,
  working,
}: MemoryDivision): string {
  const part = streamed
    ? `experts ${formatBytes(experts)} of ${formatBytes(allExperts)} (one token uses ${formatBytes(cycle)})`
    : `experts ${formatBytes(experts)}`;
  return [
    `memory${limit === undefined ? '' : ` ${formatBytes(limit)}`}: dense weights ${formatBytes(dense)}`,
    ...(allExperts > 0 ? [part] : []),
    `conversations ${formatBytes(kv)} (${formatBytes(kvToken)} a token; earlier prompts ${formatBytes(prefix)} of it)`,
    `working memory ${formatBytes(working)}`,
  ].join(', ');
}
