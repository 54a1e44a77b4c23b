// What a command may touch: streams, settings, the engine. Tests hand in their own.

import { constants } from 'node:os';
import type { Env } from '../base/env.ts';
import type { CpuReport } from '../device/cpu/doctor.ts';
import type { GpuList } from '../device/webgpu/report.ts';
import type { BenchOptions, BenchReport } from '../engine/bench.ts';
import type { ConvertOptions, ConvertResult } from '../engine/convert.ts';
import type { ModelDetails } from '../engine/inspect.ts';
import type { ModelOutlook, OutlookOptions } from '../engine/outlook.ts';
import type { PackOptions, PackResult } from '../engine/pack.ts';
import type { StatisticsOptions, StatisticsReport } from '../engine/routing-statistics.ts';
import type { Load } from '../engine/types.ts';
import type { ValidateOptions } from '../engine/validate.ts';
import type { ResolveOptions } from '../hub/resolve.ts';
import type { Capsule } from '../patch/capsule.ts';
import type { RunningServer, ServerOptions } from '../server/server.ts';

export interface Output {
  write(text: string): void;
  readonly isTTY: boolean;
  readonly columns: number;
}

/** The engine behind the commands; every function imports its module when it is first called. */
export interface Engine {
  readonly load: Load;
  readonly resolve: (name: string, options: ResolveOptions) => Promise<string>;
  readonly inspect: (nameOrPath: string) => Promise<ModelDetails>;
  readonly pack: (nameOrPath: string, options: PackOptions) => Promise<PackResult>;
  readonly convert: (nameOrPath: string, options: ConvertOptions) => Promise<ConvertResult>;
  readonly routingStatistics: (nameOrPath: string, options: StatisticsOptions) => Promise<StatisticsReport>;
  readonly outlook: (nameOrPath: string, options: OutlookOptions) => Promise<ModelOutlook>;
  readonly bench: (nameOrPath: string, options: BenchOptions) => Promise<BenchReport>;
  readonly validate: (nameOrPath: string, options: ValidateOptions) => Promise<Capsule>;
  readonly cpuReport: () => Promise<CpuReport>;
  readonly listGpus: () => Promise<GpuList>;
  readonly serve: (options: ServerOptions) => Promise<RunningServer>;
}

export interface Context {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly env: Env;
  /** Aborted by the first Ctrl-C, or when the process is asked to end; its reason is an Interrupt. */
  readonly signal: AbortSignal;
  /** Ctrl-C is another program's, one that runs in this terminal, until the returned function is called. */
  readonly leaveInterrupts?: (() => () => void) | undefined;
  readonly engine: Engine;
  readonly version: string;
}

/** A stream of the process as an Output. Writing to a closed pipe ends the process quietly, as other tools do. */
export function outputOf(stream: NodeJS.WriteStream): Output {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    write: (text) => void stream.write(text),
    get isTTY() {
      return stream.isTTY === true;
    },
    get columns() {
      return stream.columns || 80;
    },
  };
}

/** Why a command was ended from outside. */
export class Interrupt extends Error {
  override readonly name = 'AbortError';
  /** What shells call it: 128 and the signal's number. */
  readonly exitCode: number;
  constructor(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') {
    super(`interrupted by ${signal}`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/** One JSON document on one line. */
export const printJson = (out: Output, value: unknown): void => out.write(`${JSON.stringify(value)}\n`);

/** Text of a model as a terminal may show it: no control characters besides line breaks and tabs. */
export const harmless = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
