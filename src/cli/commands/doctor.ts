// ingot doctor: what this machine has, what Ingot uses of it, and how fast it is.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { significant } from '../../base/statistics.ts';
import { formatBytes } from '../../base/text.ts';
import { type CacheKindName, cacheKindNames, type KvBits } from '../../cache/kinds.ts';
import type { CpuReport } from '../../device/cpu/doctor.ts';
import type { GpuList } from '../../device/webgpu/report.ts';
import { formatDivision } from '../../engine/division.ts';
import type { ModelOutlook } from '../../engine/outlook.ts';
import type { DeviceChoice } from '../../engine/types.ts';
import { type Context, printJson } from '../context.ts';
import { device, kvBits, positive, refuseUnread, size } from '../options.ts';
import { formatFacts, formatTable } from '../table.ts';

interface Report {
  readonly version: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: CpuReport | undefined;
  /** Why there are no native kernels. */
  readonly cpuProblem: string | undefined;
  readonly cache: { readonly folder: string; readonly freeBytes: number | undefined };
  readonly packageIndexes: readonly string[];
  readonly forcedLevel: string | undefined;
}

export function register(program: Command, context: Context): void {
  program
    .command('doctor')
    .description('show what this machine has, which kernels are in use, and measured speeds')
    .argument(
      '[model]',
      'say whether it runs here and how fast: preset, short name, user/repo of the hub, address or path',
    )
    .option('--memory, --memory-limit <size>', 'with a model: most memory to use', size)
    .option(
      '--device <name>',
      'with a model: where it would run, cpu (default), webgpu or webgpu:N',
      modelDevice,
    )
    .addOption(new Option('--kv <kind>', 'with a model: how conversations are kept').choices(cacheKindNames))
    .option('--kv-bits <bits>', 'with a model: what keys and values are stored as', kvBits)
    .option('--kv-bytes <size>', 'with a model: most memory for conversations', size)
    .option('--context-length <tokens>', 'with a model: the longest conversation', positive)
    .option('--gpu', 'look at the GPUs instead: features, limits, measured speeds, what is missing')
    .option('--json', 'print one JSON document')
    .action(async (name: string | undefined, flags: DoctorFlags) => {
      if (name !== undefined) return await foresee(context, name, flags);
      refuseUnread(
        {
          '--memory': flags.memoryLimit,
          '--device': flags.device,
          '--kv': flags.kv,
          '--kv-bits': flags.kvBits,
          '--kv-bytes': flags.kvBytes,
          '--context-length': flags.contextLength,
        },
        'needs a model',
      );
      if (flags.gpu === true) {
        const list = await context.engine.listGpus();
        if (flags.json === true) printJson(context.stdout, list);
        else context.stdout.write(formatGpus(list));
        return;
      }
      const report = await examine(context);
      if (flags.json === true) printJson(context.stdout, report);
      else context.stdout.write(formatReport(report));
    });
}

/** The doctor knows processors and GPUs; which of them `auto` is depends on the machine. */
function modelDevice(text: string): DeviceChoice {
  if (/^(cpu|webgpu(:\d+)?)$/.test(text)) return device(text);
  throw new InvalidArgumentError('Allowed choices are cpu, webgpu, webgpu:N.');
}

interface DoctorFlags {
  readonly gpu?: boolean;
  readonly memoryLimit?: number;
  readonly device?: DeviceChoice;
  readonly kv?: CacheKindName;
  readonly kvBits?: KvBits;
  readonly kvBytes?: number;
  readonly contextLength?: number;
  readonly json?: boolean;
}

async function foresee(context: Context, name: string, flags: DoctorFlags): Promise<void> {
  const { signal } = context;
  const { memoryLimit, device, kv, kvBits: bits, kvBytes, contextLength } = flags;
  const asked = { memoryLimit, device, kv, kvBits: bits, kvBytes, contextLength };
  const outlook = await context.engine.outlook(name, { ...asked, signal });
  if (flags.json === true) printJson(context.stdout, outlook);
  else context.stdout.write(formatOutlook(outlook));
}

/** Facts and a sentence with the answer. */
export function formatOutlook(outlook: ModelOutlook): string {
  const { division, problem, speed, statistics, measuredMisses, diskBandwidth } = outlook;
  const rate = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB/s`;
  const tokens = (n: number): string => (Number.isFinite(n) ? `${significant(n, 3)} tokens/s` : 'no limit');
  const by = measuredMisses
    ? 'by what its runs here chose'
    : statistics === undefined
      ? 'all experts chosen alike; a first run counts, and `ingot stats`'
      : `by statistics of ${statistics} tokens`;
  const miss =
    speed &&
    division?.streamed &&
    `${(100 * speed.missRate).toFixed(speed.missRate < 0.1 ? 1 : 0)} % of a token's experts are read (${by})`;
  return formatFacts([
    ['model', outlook.model],
    ['place', outlook.place],
    ['weights', `${formatBytes(outlook.weightBytes)}, dense ${formatBytes(outlook.denseBytes)}`],
    [
      'runs here',
      problem === undefined
        ? division?.streamed
          ? 'yes, experts read from disk'
          : 'yes, all in memory'
        : 'no',
    ],
    ['why not', problem],
    ['division', division && formatDivision(division)],
    ['context', outlook.contextLength === undefined ? undefined : `${outlook.contextLength} tokens`],
    ['memory bandwidth', rate(outlook.memoryBandwidth)],
    ['disk bandwidth', diskBandwidth === undefined ? undefined : rate(diskBandwidth)],
    ['misses', miss || undefined],
    ['memory allows', speed && tokens(speed.memory)],
    ['disk allows', speed && division?.streamed ? tokens(speed.disk) : undefined],
    ['at most', speed && tokens(speed.ceiling)],
    ['expected', speed && tokens(speed.expected)],
  ]);
}

async function examine(context: Context): Promise<Report> {
  const [{ freeBytes }, { packageIndexes }, { withoutLogin }] = await Promise.all([
    import('../../hub/disk.ts'),
    import('../../hub/pip.ts'),
    import('../../hub/http.ts'),
  ]);
  let cpu: CpuReport | undefined;
  let cpuProblem: string | undefined;
  try {
    cpu = await context.engine.cpuReport();
  } catch (error) {
    cpuProblem = error instanceof Error ? error.message : String(error);
  }
  const free = await freeBytes(await existing(context.env.hfHubCache));
  const indexes = await packageIndexes(context.env);
  return {
    version: context.version,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu,
    cpuProblem,
    cache: { folder: context.env.hfHubCache, freeBytes: Number.isFinite(free) ? free : undefined },
    packageIndexes: indexes.urls.map(withoutLogin),
    forcedLevel: context.env.level,
  };
}

/** The nearest folder above `path` that exists, for asking its disk. */
async function existing(path: string): Promise<string> {
  const [{ existsSync }, { dirname }] = await Promise.all([import('node:fs'), import('node:path')]);
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

function formatReport(report: Report): string {
  const { cpu, cache } = report;
  const facts = formatFacts([
    ['ingot', `${report.version}, Node ${report.node}, ${report.platform}`],
    ['cpu', cpu?.cpu],
    ['native kernels', report.cpuProblem === undefined ? undefined : `none: ${report.cpuProblem}`],
    ['threads', cpu?.threads],
    ['memory', cpu && `${formatBytes(cpu.memory.totalBytes)}, ${formatBytes(cpu.memory.freeBytes)} free`],
    ['memory bandwidth', cpu && `${cpu.bandwidthGBs.toFixed(1)} GB/s`],
    ['int8 peak', cpu && peak(cpu.int8Tops, 'TOPS')],
    ['bf16 peak', cpu && peak(cpu.bf16Tflops, 'TFLOPS')],
    ['f32 peak', cpu && peak(cpu.f32Tflops, 'TFLOPS')],
    [
      'model cache',
      `${cache.folder}${cache.freeBytes === undefined ? '' : `, ${formatBytes(cache.freeBytes)} free`}`,
    ],
    ['package index', report.packageIndexes.join(', ')],
    ['forced level', report.forcedLevel],
  ]);
  if (!cpu) return facts;
  const levels = cpu.levels.map(({ name, status }) => [name, status]);
  return `${facts}\n${formatTable([['SIMD LEVEL', 'STATUS'], ...levels])}`;
}

const peak = (value: number, unit: string): string =>
  value > 0 ? `${value.toPrecision(3)} ${unit}` : 'no instruction on this CPU';

function formatGpus({ gpus, problem }: GpuList): string {
  const parts = gpus.map((gpu, i) =>
    formatFacts([
      [`webgpu:${i}`, `${gpu.description}${gpu.software ? ' (software: only used when asked for)' : ''}`],
      ['features', gpu.features.join(', ')],
      ['copy bandwidth', gpu.copyGBs === undefined ? 'no timestamps' : `${gpu.copyGBs.toPrecision(3)} GB/s`],
      ['dispatch', gpu.dispatchUs === undefined ? undefined : `${gpu.dispatchUs.toFixed(2)} us`],
      ['round trip', `${gpu.roundTripMs.toFixed(3)} ms`],
      [
        'matrix peak',
        gpu.matrixTflops === undefined ? 'no f16 subgroup matrices' : `${gpu.matrixTflops.toFixed(0)} TFLOPS`,
      ],
      ...Object.entries(gpu.limits).map(([name, value]): [string, string] => [name, String(value)]),
    ]),
  );
  if (problem !== undefined) parts.push(formatFacts([['missing', problem]]));
  return parts.join('\n');
}
