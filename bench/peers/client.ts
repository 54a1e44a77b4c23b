// Starts a peer's process, finds the settings it is fastest with, and speaks to it as a contestant.

import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { RunTimes } from '../../src/generate/timing.ts';
import type { Contestant } from '../contestant.ts';
import { processCpuSeconds } from '../machine.ts';
import type { PeerReply, PeerRequest, PeerSettings } from './protocol.ts';

type Child = ChildProcessByStdio<Writable, Readable, null>;

/** Installs the peer into `folder` (its own package.json and lock) unless it is there. Runs no install scripts. */
export function installPeer(folder: string, log: (line: string) => void): void {
  const installed = join(folder, 'node_modules/node-llama-cpp/package.json');
  const wanted = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  if (existsSync(installed)) {
    const { version } = JSON.parse(readFileSync(installed, 'utf8')) as { version: string };
    if (version === wanted.dependencies['node-llama-cpp']) return;
  }
  log('installing node-llama-cpp into bench/peers (once) ...');
  const npm = spawnSync('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0) {
    throw new Error(
      `npm ci in ${folder} failed; use --no-peer to run without the peer.\n${npm.stderr.slice(-2000)}`,
    );
  }
}

/** One request at a time; the reply to the last one. */
class PeerProcess {
  readonly #child: Child;
  readonly #lines: AsyncIterator<string>;

  constructor(script: string, folder: string) {
    this.#child = spawn(process.execPath, [script, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async ask<Op extends PeerRequest['op']>(
    request: PeerRequest & { op: Op },
  ): Promise<Extract<PeerReply, { ok: Op }>> {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`the peer's process ended during "${request.op}"`);
    const reply = JSON.parse(value) as PeerReply;
    if ('error' in reply) throw new Error(`peer: ${reply.error}`);
    return reply as Extract<PeerReply, { ok: Op }>;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    await this.ask({ op: 'close' });
    await ended;
  }
}

export interface PeerOptions {
  readonly script: string;
  readonly folder: string;
  readonly path: string;
  readonly contextLength: number;
  readonly threads: number;
  readonly device: 'cpu' | 'webgpu';
  readonly log: (line: string) => void;
}

/** What a setting is tried on, and the time that counts. */
export interface Trial {
  readonly prompt: readonly number[];
  readonly decode: number;
  readonly cost: (times: RunTimes) => number;
}

export interface Peer extends Contestant {
  /** Picks the settings with the smallest time in `trial`, so that the comparison is with the peer's best. */
  tune(trial: Trial): Promise<void>;
}

/** Opens node-llama-cpp on a model. `tune` must be called before `run`. */
export async function openPeer(options: PeerOptions): Promise<Peer> {
  const peer = new PeerProcess(options.script, options.folder);
  const opened = await peer.ask({
    op: 'open',
    path: options.path,
    contextLength: options.contextLength,
    gpu: options.device === 'webgpu',
  });
  const candidates = candidateSettings(options.threads, opened.defaultThreads);
  let settings: PeerSettings | undefined;
  return {
    name: 'node-llama-cpp',
    version: opened.version,
    get settings() {
      return { ...settings };
    },
    async tune(trial) {
      let best = Number.POSITIVE_INFINITY;
      for (const candidate of candidates) {
        await peer.ask({ op: 'configure', settings: candidate });
        // Short first: more threads than cores can be a hundred times slower, and that shows in a few tokens.
        const short = Math.min(trial.decode, 4);
        const { times: probe } = await peer.ask({ op: 'run', prompt: trial.prompt, decode: short });
        const estimate = (trial.cost(probe) * (trial.decode || 1)) / (short || 1);
        if (estimate > 3 * best) {
          options.log(
            `  peer with ${describe(candidate)}: about ${estimate.toFixed(0)} ms, not tried further`,
          );
          continue;
        }
        const { times } = await peer.ask({ op: 'run', prompt: trial.prompt, decode: trial.decode });
        const cost = trial.cost(times);
        options.log(`  peer with ${describe(candidate)}: ${cost.toFixed(1)} ms`);
        if (cost < best) [best, settings] = [cost, candidate];
      }
      if (settings) await peer.ask({ op: 'configure', settings });
    },
    cpuSeconds: () => processCpuSeconds(peer.pid),
    run: async (prompt, decode) => (await peer.ask({ op: 'run', prompt, decode })).times,
    dispose: () => peer.close(),
  };
}

/** The given threads with flash attention on and off, one thread (small models), and the peer's own default. */
function candidateSettings(threads: number, defaultThreads: number): PeerSettings[] {
  const others = [1, defaultThreads].filter((n) => n !== threads);
  return [
    { threads, flashAttention: true },
    { threads, flashAttention: false },
    ...others.map((n) => ({ threads: n, flashAttention: 'auto' as const })),
  ];
}

const describe = (s: PeerSettings): string => `${s.threads} threads, flash attention ${s.flashAttention}`;
