// Numbers of streamed experts in the answers of every protocol; clients that know none of it pass it over.

import type { ExpertCounters } from '../../device/expert-stream.ts';
import type { ExpertUse } from '../../experts/use.ts';

const speed = ({ ceiling, reached }: Pick<ExpertUse, 'ceiling' | 'reached'>) =>
  ceiling === undefined || reached === undefined ? {} : { ceiling, share_of_ceiling: reached };

const substituted = (share: number | undefined) => (share === undefined ? {} : { substituted_share: share });

/** Beside the tokens in an answer's usage; nothing where experts are not streamed. */
export const expertUsage = (use: ExpertUse | undefined) =>
  use === undefined
    ? {}
    : {
        experts: {
          requests: use.requests,
          hit_rate: use.hitRate,
          bytes_read: use.bytesRead,
          ...substituted(use.substituted),
          ...speed(use),
        },
      };

/** Of a model since it was loaded; how near its last answer came to what the disk allows. */
export const expertTotals = (
  counters: Pick<ExpertCounters, 'requests' | 'hits' | 'bytesRead' | 'choices' | 'swapped' | 'dropped'>,
  last: ExpertUse | undefined,
) => ({
  requests: counters.requests,
  hits: counters.hits,
  bytes_read: counters.bytesRead,
  ...substituted(counters.choices > 0 ? (counters.swapped + counters.dropped) / counters.choices : undefined),
  ...(last === undefined ? {} : speed(last)),
});
