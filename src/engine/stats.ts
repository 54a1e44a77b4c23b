// Numbers of one generation, before it has begun.

import type { TierUse } from '../cache/tier-use.ts';
import type { ExpertUse } from '../experts/use.ts';
import type { GenerateProgress } from '../generate/job.ts';
import type { GeneratedToken } from '../generate/runner.ts';

export interface MutableStats extends GenerateProgress {
  readonly logprobs: GeneratedToken[];
  experts?: ExpertUse | undefined;
  kv?: TierUse | undefined;
}

export const newStats = (): MutableStats => ({
  promptTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
  queueMs: 0,
  prefillMs: 0,
  decodeMs: 0,
  stopReason: undefined,
  logprobs: [],
});
