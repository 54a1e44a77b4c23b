// The numbers of streamed experts, for people.

import { significant } from '../base/statistics.ts';
import { formatBytes } from '../base/text.ts';
import type { ExpertUse } from '../experts/use.ts';

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

/**
 * "experts: 81 % of 4,608 were in memory, 1.2 GB read at 1.9 GB/s; the disk allows 5.1 tokens/s, 88 % of it reached; 4.2 % of the choices
 * gave way".
 */
export function formatExperts(use: ExpertUse): string {
  const { hitRate, requests, bytesRead, diskGBs, ceiling, reached, substituted } = use;
  const read = bytesRead > 0 ? `, ${formatBytes(bytesRead)} read at ${diskGBs.toFixed(2)} GB/s` : '';
  const limit =
    ceiling === undefined || reached === undefined
      ? ''
      : `; the disk allows ${significant(ceiling, 3)} tokens/s, ${percent(reached)} of it reached`;
  const lost =
    substituted === undefined ? '' : `; ${(100 * substituted).toFixed(1)} % of the choices gave way`;
  return `experts: ${percent(hitRate)} of ${requests.toLocaleString('en-US')} were in memory${read}${limit}${lost}`;
}

/** "81 % in memory, 1.2 GB read, 4.2 % gave way, 88 % of 5.1 tokens/s" for the table of `ps`. */
export function formatExpertsShort(experts: {
  readonly requests: number;
  readonly hits: number;
  readonly bytes_read: number;
  readonly substituted_share?: number;
  readonly ceiling?: number;
  readonly share_of_ceiling?: number;
}): string {
  const { requests, hits, bytes_read, substituted_share, ceiling, share_of_ceiling } = experts;
  return [
    `${percent(requests > 0 ? hits / requests : 1)} in memory`,
    `${formatBytes(bytes_read)} read`,
    ...(substituted_share === undefined ? [] : [`${(100 * substituted_share).toFixed(1)} % gave way`]),
    ...(ceiling === undefined || share_of_ceiling === undefined
      ? []
      : [`${percent(share_of_ceiling)} of ${significant(ceiling, 3)} tokens/s`]),
  ].join(', ');
}
