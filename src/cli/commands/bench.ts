// ingot bench MODEL: speed of a model on this machine, beside the machine's limits.

import type { Command } from 'commander';
import { significant } from '../../base/statistics.ts';
import { formatBytes } from '../../base/text.ts';
import type { BenchReport, Speed } from '../../engine/bench.ts';
import { type Context, printJson } from '../context.ts';
import { addModelOptions, loadOptions, type ModelFlags, positive } from '../options.ts';
import { createProgress, progressCallbacks } from '../progress.ts';
import { formatFacts, formatTable } from '../table.ts';

interface BenchFlags extends ModelFlags {
  readonly prompt?: number;
  readonly tokens?: number;
  readonly runs?: number;
  readonly json?: boolean;
}

export function register(program: Command, context: Context): void {
  const command = program
    .command('bench')
    .description("measure a model's speed against the machine's limits")
    .argument('<model>', 'short name, user/repo of the hub, or path')
    .option('--prompt <tokens>', 'length of the prompt, default 512', positive)
    .option('--tokens <n>', 'tokens to decode after the first, default 64', positive)
    .option('--runs <n>', 'runs of which the median counts, default 5', positive)
    .option('--json', 'print one JSON document');
  addModelOptions(command).action((name: string, flags: BenchFlags) => bench(context, name, flags));
}

async function bench(context: Context, name: string, flags: BenchFlags): Promise<void> {
  const progress = createProgress(context.stderr);
  const counter = createProgress(context.stderr, { unit: 'tokens' });
  const report = await context.engine
    .bench(name, {
      ...loadOptions(flags, context.signal),
      ...progressCallbacks(progress),
      promptTokens: flags.prompt,
      decodeTokens: flags.tokens,
      runs: flags.runs,
      onTokens: (done, total) => {
        progress.finish();
        counter.update('Measuring', done, total);
      },
    })
    .finally(() => {
      progress.finish();
      counter.finish();
    });
  if (flags.json === true) printJson(context.stdout, asJson(context, report));
  else context.stdout.write(formatReport(report));
}

const asJson = (context: Context, report: BenchReport) => {
  const speed = ({ median, min, max, limit }: Speed) => ({
    tokensPerSecond: significant(median),
    spread: { min: significant(min), max: significant(max) },
    ...(limit === undefined
      ? {}
      : { limit: significant(limit), shareOfLimit: significant(median / limit, 3) }),
  });
  const { cpu } = report;
  return {
    model: report.model.name,
    device: report.device,
    promptTokens: report.promptTokens,
    decodeTokens: report.decodeTokens,
    runs: report.runs,
    prefill: speed(report.prefill),
    decode: speed(report.decode),
    ...(report.perToken ? { perToken: report.perToken } : {}),
    ...(cpu
      ? {
          bandwidthGBs: significant(cpu.bandwidthGBs, 3),
          int8Tops: significant(cpu.int8Tops, 3),
          cpu: cpu.cpu,
          threads: cpu.threads,
          level: levelOf(cpu),
        }
      : {}),
    version: context.version,
    node: process.version,
  };
};

const levelOf = (cpu: NonNullable<BenchReport['cpu']>): string =>
  cpu.levels.find(({ status }) => status === 'in use')?.name ?? '';

function formatReport(report: BenchReport): string {
  const { model, cpu, perToken, promptTokens, decodeTokens } = report;
  const facts = formatFacts([
    ['model', `${model.name}: ${model.family}, ${model.format}, ${formatBytes(model.weightBytes)}`],
    ['device', cpu ? `${cpu.cpu}, ${cpu.threads} threads, ${levelOf(cpu)}` : report.device],
    ['limits', cpu && `${cpu.bandwidthGBs.toFixed(1)} GB/s, ${significant(cpu.int8Tops, 3)} int8 TOPS`],
    [
      'per token',
      perToken && `${formatBytes(perToken.bytes)}, ${(perToken.weights / 1e6).toFixed(0)} M weights`,
    ],
  ]);
  const row = (label: string, { median, min, max, limit }: Speed): string[] => [
    label,
    String(significant(median, 3)),
    `${significant(min, 3)}-${significant(max, 3)}`,
    ...(limit === undefined
      ? []
      : [String(significant(limit, 3)), `${((100 * median) / limit).toFixed(0)} %`]),
  ];
  const header = ['', 'TOKENS/S', 'SPREAD', ...(cpu ? ['LIMIT', 'OF LIMIT'] : [])];
  const rows = [
    row(`prefill of ${promptTokens}`, report.prefill),
    row(`decode of ${decodeTokens} after ${promptTokens}`, report.decode),
  ];
  return `${facts}\n${formatTable([header, ...rows], [1, 2, 3, 4])}`;
}
