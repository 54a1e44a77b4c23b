// Options that several commands share, and how their values are read.

import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { IngotError } from '../base/errors.ts';
import {
  type CacheKindName,
  cacheKindNames,
  defaultCacheKind,
  type KvBits,
  kvBitsNames,
  kvBitsOf,
} from '../cache/kinds.ts';
import { checkTemplate } from '../engine/presets/modelfile.ts';
import type { DeviceChoice, ExpertOptions, LoadOptions, Precision, TextOptions } from '../engine/types.ts';

export interface ModelFlags {
  readonly device?: DeviceChoice;
  readonly precision?: Precision;
  readonly contextLength?: number;
  readonly memoryLimit?: number;
  readonly expertBytes?: number;
  readonly preferResident?: number;
  readonly dropMisses?: number;
  /** 0 to 1 */
  readonly hot?: number;
  readonly threads?: number;
  readonly maxSequences?: number;
  readonly kv?: CacheKindName;
  readonly kvBits?: KvBits;
  readonly kvBytes?: number;
  readonly kvDir?: string;
  readonly kvKeep?: number;
  readonly prefixBytes?: number;
  readonly prefixDir?: string;
  readonly prefixDirBytes?: number;
  /** A file. */
  readonly template?: string;
}

export interface SamplingFlags {
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly ignoreEos?: boolean;
}

export function integer(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

export function positive(text: string): number {
  const value = integer(text);
  if (value === 0) throw new InvalidArgumentError('It must be at least 1.');
  return value;
}

export function port(text: string): number {
  const value = integer(text);
  if (value > 65_535) throw new InvalidArgumentError('It must be a port, from 0 to 65535.');
  return value;
}

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

export function device(text: string): DeviceChoice {
  if (!/^(auto|cpu|js|webgpu(:\d+)?)$/.test(text)) {
    throw new InvalidArgumentError('Allowed choices are auto, cpu, webgpu, webgpu:N, js.');
  }
  return text as DeviceChoice;
}

const factors: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/** Sizes such as 4GB, 512MiB or 1.5G, in bytes. */
export function size(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?$/i.exec(text.trim());
  const factor = factors[(match?.[2] ?? '').toLowerCase()];
  if (!match || factor === undefined)
    throw new InvalidArgumentError('It must be a size such as 4GB or 512MiB.');
  return Math.floor(Number(match[1]) * factor);
}

/** Shares such as 20% or 0.2. */
export function share(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(%)?$/.exec(text.trim());
  const value = Number(match?.[1] ?? Number.NaN) / (match?.[2] === undefined ? 1 : 100);
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('It must be a share such as 20% or 0.2.');
  return value;
}

export function kvBits(text: string): KvBits {
  const found = kvBitsOf(text);
  if (found === undefined) throw new InvalidArgumentError(`Allowed choices are ${kvBitsNames.join(', ')}.`);
  return found;
}

/** `\n`, `\t` and `\\` in a stop text stand for what they stand for in code. */
const stopText = (text: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  text.replace(/\\([nt\\])/g, (_, c: string) => (c === 'n' ? '\n' : c === 't' ? '\t' : '\\')),
];

export const addModelOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--device <name>', 'where to compute: auto, cpu, webgpu, webgpu:N, js').argParser(device),
    )
    .addOption(
      new Option('--precision <name>', 'fast: 8-bit activations; exact: f32 activations').choices([
        'fast',
        'exact',
      ]),
    )
    .option('--context-length <tokens>', 'room for prompt and answer', positive)
    .option('--memory, --memory-limit <size>', 'most memory to use, for example 4GB', size)
    .option(
      '--expert-bytes <size>',
      'of it for experts; those that have no room are read when they are chosen',
      size,
    )
    .option(
      '--hot <share>',
      'experts to keep in memory, the busiest by `ingot stats`, for example 20%',
      share,
    )
    .option(
      '--prefer-resident <share>',
      "lossy: an expert in memory takes a chosen one's place if it is worth so much less at most",
      share,
    )
    .option(
      '--drop-misses <share>',
      "lossy: leave out experts that would be read, up to this share of a token's weight",
      share,
    )
    .option('--threads <n>', 'worker threads', positive)
    .option('--max-sequences <n>', 'answers that are computed at a time', positive)
    .addOption(
      new Option('--kv <kind>', `how conversations are kept (default: ${defaultCacheKind})`).choices(
        cacheKindNames,
      ),
    )
    .option('--kv-bits <bits>', `what keys and values are stored as: ${kvBitsNames.join(', ')}`, kvBits)
    .option('--kv-bytes <size>', 'most memory for the conversations in progress', size)
    .option('--kv-dir <folder>', 'where a tiered cache has what memory has no room for (default: /var/tmp)')
    .option('--kv-keep <tokens>', 'first tokens that a rotating cache keeps (default: 4: a page)', integer)
    .option('--prefix-bytes <size>', 'most of it that earlier prompts may keep', size)
    .option('--prefix-dir <folder>', 'keep the beginnings of conversations there, for later processes')
    .option('--prefix-dir-bytes <size>', 'most that this folder may hold (default: 8GB)', size);

/** Of commands that answer chats. */
export const addTemplateOption = (command: Command): Command =>
  command.option('--template <file>', "chat template in Jinja, in place of the model's own");

export const addSamplingOptions = (command: Command): Command =>
  command
    .option('-n, --max-tokens <n>', 'longest answer in tokens', integer)
    .option('-t, --temperature <x>', '0 takes the most likely token; default: what the model advises', number)
    .option('--top-k <n>', 'choose among the n most likely tokens', integer)
    .option('--top-p <p>', 'choose among the most likely tokens that together have probability p', number)
    .option('--min-p <p>', 'leave out tokens less likely than p times the likeliest', number)
    .option('--repetition-penalty <x>', 'above 1: avoid tokens that were used', number)
    .option('--presence-penalty <x>', 'subtracted for tokens that were used', number)
    .option('--frequency-penalty <x>', 'subtracted for every use of a token', number)
    .option('--seed <n>', 'same seed, same answer', integer)
    .option('--stop <text>', 'end the answer before this text (may be repeated)', stopText)
    .option('--ignore-eos', 'go on after the end-of-text token');

/** Options for `load`. @throws IngotError `invalid_argument` for an option that the device does not read. */
export function loadOptions(flags: ModelFlags, signal: AbortSignal): LoadOptions {
  if (flags.threads !== undefined && /^webgpu/.test(flags.device ?? ''))
    throw new IngotError('invalid_argument', `--threads means nothing to --device ${flags.device}`);
  return { ...modelOptions(flags), signal };
}

const modelOptions = (flags: ModelFlags): LoadOptions => ({
  device: flags.device,
  precision: flags.precision,
  contextLength: flags.contextLength,
  memoryLimit: flags.memoryLimit,
  threads: flags.threads,
  maxSequences: flags.maxSequences,
  kv: flags.kv,
  kvBits: flags.kvBits,
  kvBytes: flags.kvBytes,
  kvDir: flags.kvDir,
  kvKeep: flags.kvKeep,
  prefixBytes: flags.prefixBytes,
  prefixDir: flags.prefixDir,
  prefixDirBytes: flags.prefixDirBytes,
  ...expertOptions({
    bytes: flags.expertBytes,
    hot: flags.hot,
    preferResident: flags.preferResident,
    dropMisses: flags.dropMisses,
  }),
  chatTemplate: flags.template === undefined ? undefined : readTemplate(flags.template),
});

const expertOptions = (experts: ExpertOptions): Pick<LoadOptions, 'experts'> =>
  Object.values(experts).every((value) => value === undefined) ? {} : { experts };

function readTemplate(path: string): string {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new IngotError('not_found', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  return checkTemplate(source);
}

/** Refuses options that nobody would read, with what they need. */
export function refuseUnread(options: Readonly<Record<string, unknown>>, why: string): void {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== false);
  if (given.length === 0) return;
  throw new IngotError('invalid_argument', `${given.map(([name]) => name).join(' and ')}: ${why}`);
}

export const textOptions = (flags: SamplingFlags, signal: AbortSignal): TextOptions => ({
  maxTokens: flags.maxTokens,
  temperature: flags.temperature,
  topK: flags.topK,
  topP: flags.topP,
  minP: flags.minP,
  repetitionPenalty: flags.repetitionPenalty,
  presencePenalty: flags.presencePenalty,
  frequencyPenalty: flags.frequencyPenalty,
  seed: flags.seed,
  stop: flags.stop,
  ignoreEos: flags.ignoreEos,
  signal,
});
