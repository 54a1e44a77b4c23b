// Messages between the benchmark and a peer's process: one JSON object per line on stdin and stdout.

import type { RunTimes } from '../../src/generate/timing.ts';

export interface PeerSettings {
  /** Worker threads. */
  readonly threads: number;
  readonly flashAttention: boolean | 'auto';
}

export type PeerRequest =
  | { readonly op: 'open'; readonly path: string; readonly contextLength: number; readonly gpu: boolean }
  | { readonly op: 'configure'; readonly settings: PeerSettings }
  | { readonly op: 'run'; readonly prompt: readonly number[]; readonly decode: number }
  | { readonly op: 'close' };

export type PeerReply =
  | { readonly ok: 'open'; readonly version: string; readonly defaultThreads: number }
  | { readonly ok: 'configure' }
  | { readonly ok: 'run'; readonly times: RunTimes }
  | { readonly ok: 'close' }
  | { readonly error: string };
