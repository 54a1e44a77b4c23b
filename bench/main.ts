// `npm run bench -- [decode|prefill] [SHAPE...] [--device webgpu] [--no-peer] [--runs N] [--save]`: measures
// Ingot and its peer on the same file, turn by turn; `serve` and `soak` put a server under load. Progress goes to stderr, one
// JSON line per case to stdout.

import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { significant, summarize } from '../src/base/statistics.ts';
import { size } from '../src/cli/options.ts';
import { openCpuDevice } from '../src/device/cpu/device.ts';
import { openDevice } from '../src/device/open.ts';
import { arrayRows } from './arrays.ts';
import { type BenchCase, cases, type Limits, randomPrompt } from './cases.ts';
import { catalogTable, rowText } from './catalog.ts';
import { checkGpu } from './check.ts';
import type { Contestant } from './contestant.ts';
import { benchFormats, formatsTable } from './formats.ts';
import { type Hardware, openHardware } from './hardware.ts';
import { kernelTable } from './kernels.ts';
import { benchKv } from './kv.ts';
import { loadWarning, watchOthers } from './machine.ts';
import { benchMasks } from './masks.ts';
import { modelFile } from './model-file.ts';
import { openOurs } from './ours.ts';
import { installPeer, openPeer, type Peer } from './peers/client.ts';
import { type BenchResult, table } from './report.ts';
import { benchServe } from './serve.ts';
import { type BenchShape, shapes, streamShapes } from './shapes.ts';
import { benchSoak } from './soak.ts';
import { benchStream } from './stream.ts';
import { type StreamRequest, streamChild } from './stream-child.ts';
import { benchStreamGpu } from './stream-gpu.ts';

const log = (line: string): void => void process.stderr.write(`${line}\n`);

interface ServerCase {
  readonly name: 'serve' | 'soak';
  readonly model: string;
  /** Of the soak. */
  readonly minutes: number;
}

/** A model in less memory than it takes. */
interface StreamCase {
  readonly shape: BenchShape;
  readonly limit: number | undefined;
}

interface Options {
  readonly stream: StreamCase | undefined;
  /** Attention over keys and values as codes instead of models. */
  readonly kv: boolean;
  /** The array library instead of models. */
  readonly arrays: boolean;
  /** Products of every weight layout instead of models. */
  readonly formats: boolean;
  /** What constraints cost instead; grammars whose name has this. */
  readonly masks: string | undefined;
  /** A server under load instead of single runs. */
  readonly server: ServerCase | undefined;
  readonly cases: readonly BenchCase[];
  readonly shapes: readonly BenchShape[];
  readonly peer: boolean;
  readonly runs: number;
  readonly precision: 'fast' | 'exact';
  readonly device: 'cpu' | 'webgpu';
  /** Single kernels against the copy bandwidth instead of models. */
  readonly kernels: boolean;
  /** The kernels of the catalog instead of models. */
  readonly catalog: boolean;
  /** Modules or kernels of it, or layouts; none: all. */
  readonly only: readonly string[];
  /** The conformance suite on the GPU instead. */
  readonly check: boolean;
  readonly save: boolean;
  readonly json: boolean;
}

const usage = `usage: npm run bench -- [decode|prefill] [${shapes.map(({ name }) => name).join('|')}] [options]
       npm run bench -- serve [--runs N]   64 streams, 16 against one, a second turn, aborted requests
       npm run bench -- kv [--save]        attention of a decode step at 16,384 positions, by what keys and values are stored as
       npm run bench -- formats [NAME...] [--save]   products of every weight layout: one row by the bandwidth, 256 by Q4_0
       npm run bench -- array [--save]     array operations and a training step, as shares of the machine's limits
       npm run bench -- kernels [MODULE...] [--device D]   the catalog: share of a copy, and against plain operations
       npm run bench -- masks [WORDS]      masks of constraints, of all grammars or those whose name has WORDS
       npm run bench -- soak [--minutes N] an hour of mixed requests: does the memory grow?
       npm run bench -- stream [moe8b|moe30b|dsv4x6] [--memory SIZE]   a model in less memory than it takes (default a quarter)
       npm run bench -- stream [...] --device webgpu   the same on a GPU with 25, 50 and 100 % of the experts, and all resident
  --model NAME         the model of serve and soak, default smollm2:135m
  --no-peer            measure Ingot alone
  --runs N             runs per case, default 5; the median counts
  --precision P        fast (default) or exact
  --device D           cpu (default) or webgpu; the peer then runs on Vulkan
  --check              with --device webgpu: no benchmark but every op's test cases on this GPU
  --kernels            with --device webgpu: single kernels, as a share of the copy bandwidth
  --json               no table, only JSON lines
  --save               append the lines to bench/results/
INGOT_THREADS sets the threads of both sides.`;

/** Undefined when help was asked for. Throws with the usage on anything it does not know. */
function parseOptions(args: readonly string[]): Options | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    allowNegative: true,
    options: {
      peer: { type: 'boolean', default: true },
      runs: { type: 'string', default: '5' },
      minutes: { type: 'string', default: '60' },
      memory: { type: 'string' },
      model: { type: 'string', default: 'smollm2:135m' },
      precision: { type: 'string', default: 'fast' },
      device: { type: 'string', default: 'cpu' },
      kernels: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const [first] = positionals;
  const server = first === 'serve' || first === 'soak' ? first : undefined;
  const streams = first === 'stream';
  const arrays = first === 'array';
  const kv = first === 'kv';
  const catalog = first === 'kernels';
  const formats = first === 'formats';
  const masks = first === 'masks' ? positionals.slice(1).join(' ') : undefined;
  const own = server !== undefined || streams || arrays || kv || catalog || formats;
  const named = masks !== undefined ? [] : own ? positionals.slice(1) : positionals;
  const known = [...cases, ...shapes, ...(streams ? streamShapes : [])];
  const unknown = catalog || formats ? [] : named.filter((p) => !known.some(({ name }) => name === p));
  const [runs, minutes] = [Number(values.runs), Number(values.minutes)];
  const { precision, device } = values;
  if (unknown.length > 0) throw new Error(`unknown case or model: ${unknown.join(', ')}\n${usage}`);
  if (!Number.isInteger(runs) || runs < 1)
    throw new Error(`--runs ${values.runs}: expected a positive whole number`);
  if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes}: expected a positive number`);
  if (precision !== 'fast' && precision !== 'exact')
    throw new Error(`--precision ${precision}: expected fast or exact`);
  if (device !== 'cpu' && device !== 'webgpu') throw new Error(`--device ${device}: expected cpu or webgpu`);
  const picked = <T extends { readonly name: string }>(all: readonly T[]): readonly T[] => {
    const some = all.filter((one) => named.includes(one.name));
    return some.length > 0 ? some : all;
  };
  return {
    stream: streams
      ? {
          shape: [...shapes, ...streamShapes].find(
            ({ name }) => name === (named[0] ?? 'moe8b'),
          ) as BenchShape,
          limit: values.memory === undefined ? undefined : size(values.memory),
        }
      : undefined,
    kv,
    arrays,
    formats,
    masks,
    server: server && { name: server, model: values.model, minutes },
    cases: picked(cases),
    shapes: picked(shapes),
    peer: values.peer,
    runs,
    precision,
    device,
    kernels: values.kernels,
    catalog,
    only: catalog || formats ? named : [],
    check: values.check,
    save: values.save,
    json: values.json,
  };
}

/** Rows of the catalog, and with --save a line for each in bench/results/kernels/catalog.jsonl, which docs/catalog.md shows. */
async function runCatalog({ device: name, runs, save, only }: Options, root: string): Promise<void> {
  const device = await openDevice(name);
  try {
    const folder = join(root, 'bench/results/kernels');
    if (save) mkdirSync(folder, { recursive: true });
    await catalogTable(device, {
      runs,
      only,
      onRow(row) {
        process.stdout.write(rowText(row));
        const line = JSON.stringify({ device: device.description, ...row });
        if (save) appendFileSync(join(folder, 'catalog.jsonl'), `${line}\n`);
      },
    });
  } finally {
    device.dispose();
  }
}

/** The package's folder, whether this runs from dist/ or from source. */
function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    try {
      const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name?: string };
      if (name === 'ingot') return folder;
    } catch {
      if (folder === dirname(folder)) throw new Error('package.json of ingot not found above the benchmark');
    }
  }
}

interface Measured {
  readonly ours: readonly number[];
  readonly peers: readonly number[];
  readonly otherCpus: number;
}

/** A GPU at rest lowers its clock, and takes about half a second of work to raise it again: milliseconds of runs. */
const busyMs = 700;

/** A measured run; on a GPU right after other work of the same kind. */
async function timed(benchCase: BenchCase, shape: BenchShape, who: Contestant, round: number, gpu: boolean) {
  const start = performance.now();
  for (let k = 0; gpu && performance.now() - start < busyMs; k++) {
    await who.run(randomPrompt(shape, benchCase.promptTokens, 1000 + k), benchCase.decodeTokens);
  }
  return benchCase.tokensPerSecond(
    await who.run(randomPrompt(shape, benchCase.promptTokens, round), benchCase.decodeTokens),
  );
}

/** Ours, peer, ours, peer, ... with the same prompt in each round, after one round that does not count. */
async function interleave(
  benchCase: BenchCase,
  shape: BenchShape,
  runs: number,
  ours: Contestant,
  peer: Contestant | undefined,
  gpu: boolean,
): Promise<Measured> {
  const result = { ours: [] as number[], peers: [] as number[], otherCpus: [] as number[] };
  for (let round = 0; round <= runs; round++) {
    const watch = watchOthers(() => ours.cpuSeconds() + (peer?.cpuSeconds() ?? 0));
    const mine = await timed(benchCase, shape, ours, round, gpu);
    const theirs = peer && (await timed(benchCase, shape, peer, round, gpu));
    const others = watch.stop();
    if (round === 0) continue;
    result.ours.push(mine);
    if (theirs !== undefined) result.peers.push(theirs);
    result.otherCpus.push(others);
    log(
      `  ${round}: ingot ${significant(mine)}${theirs === undefined ? '' : `, peer ${significant(theirs)}`} tok/s`,
    );
  }
  return { ...result, otherCpus: summarize(result.otherCpus).median };
}

async function runCase(
  benchCase: BenchCase,
  shape: BenchShape,
  options: Options,
  ours: Contestant,
  peer: Peer | undefined,
  hardware: Hardware,
  before: Limits,
): Promise<BenchResult> {
  log(`${benchCase.name} ${shape.name}`);
  const prompt = randomPrompt(shape, benchCase.promptTokens, -1);
  await peer?.tune({ prompt, decode: benchCase.decodeTokens, cost: benchCase.cost });
  const measured = await interleave(benchCase, shape, options.runs, ours, peer, hardware.device !== 'cpu');
  // The limit is what the machine reached at best: before the case, or now.
  const after = await hardware.limits();
  const limits = {
    bandwidthGBs: significant(Math.max(before.bandwidthGBs, after.bandwidthGBs), 3),
    tops: significant(Math.max(before.tops, after.tops), 3),
  };
  const { median, ...spread } = summarize(measured.ours);
  const theirs = measured.peers.length > 0 ? summarize(measured.peers) : undefined;
  if (measured.otherCpus > 0.05) {
    log(`  warning: other processes kept ${measured.otherCpus.toFixed(2)} CPUs busy during the runs`);
  }
  return {
    case: benchCase.name,
    model: shape.name,
    tokensPerSecond: significant(median),
    spread: { min: significant(spread.min), max: significant(spread.max) },
    runs: options.runs,
    ...(peer && theirs
      ? {
          peer: {
            name: peer.name,
            version: peer.version,
            tokensPerSecond: significant(theirs.median),
            spread: { min: significant(theirs.min), max: significant(theirs.max) },
            settings: peer.settings,
          },
          ratio: significant(median / theirs.median, 3),
        }
      : {}),
    bandwidthGBs: limits.bandwidthGBs,
    [hardware.device === 'cpu' ? 'int8Tops' : 'matrixTflops']: limits.tops,
    shareOfLimit: significant(median / benchCase.ceiling(shape, limits), 3),
    ...hardware.description,
    precision: options.precision,
    otherCpus: significant(measured.otherCpus, 2),
    ...today(ours.version),
  };
}

function save(root: string, result: { readonly cpu: string }): void {
  const folder = join(root, 'bench/results');
  const cpu = result.cpu.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  mkdirSync(folder, { recursive: true });
  appendFileSync(join(folder, `${cpu}.jsonl`), `${JSON.stringify(result)}\n`);
}

/** What ends every line of results. */
const today = (version: string) => ({ version, node: process.version, date: new Date().toISOString() });

/** Prints a line of results, and keeps it where that was asked for. */
function report<Line extends { readonly cpu: string }>(result: Line, options: Options, root: string): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (options.save) save(root, result);
}

async function runStream(
  { shape, limit }: StreamCase,
  options: Options,
  root: string,
  version: string,
): Promise<void> {
  if (options.device === 'webgpu') {
    const { cpu } = (await openHardware('webgpu')).description;
    const rows = await benchStreamGpu({ shape, runs: options.runs, device: 'webgpu', log });
    return report({ ...rows, cpu, ...today(version) }, options, root);
  }
  const measured = await benchStream({ root, shape, limit, runs: options.runs, log });
  const { cpu } = (await openHardware('cpu')).description;
  report({ ...measured, cpu, ...today(version) }, options, root);
}

async function runArrayCase(options: Options, root: string, version: string): Promise<void> {
  const { description } = await openHardware('cpu');
  const rows = await arrayRows(log);
  report({ case: 'array', rows, ...description, ...today(version) }, options, root);
}

async function runFormatsCase(options: Options, root: string, version: string): Promise<void> {
  const device = openCpuDevice();
  try {
    const { cpu, threads, level } = device.info;
    const { only, runs } = options;
    const rows = await benchFormats(device, {
      only,
      runs,
      onRow: ({ layout, oneRow, manyRows }) =>
        log(`  ${layout}: ${(100 * oneRow.share).toFixed(0)} %, ${(100 * manyRows.share).toFixed(0)} %`),
    });
    if (!options.json) process.stdout.write(formatsTable(rows));
    const line = { case: 'formats', rows, cpu, threads, level, ...today(version) };
    if (options.json) process.stdout.write(`${JSON.stringify(line)}\n`);
    if (options.save) save(root, line);
  } finally {
    device.dispose();
  }
}

async function runKvCase(options: Options, root: string, version: string): Promise<void> {
  const { description } = await openHardware('cpu');
  const rows = await benchKv({ positions: 16_384, runs: options.runs }, log);
  report({ case: 'kv', rows, ...description, ...today(version) }, options, root);
}

async function runServerCase(
  { name, model, minutes }: ServerCase,
  options: Options,
  root: string,
  version: string,
): Promise<void> {
  const { description } = await openHardware('cpu');
  const measured =
    name === 'serve'
      ? await benchServe(root, model, { runs: options.runs, log })
      : await benchSoak(root, model, { minutes, log, stop: interrupted() });
  report({ case: name, model, ...measured, ...description, ...today(version) }, options, root);
}

/** Aborted by Ctrl-C; a second one ends the process. */
function interrupted(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  return controller.signal;
}

async function main(): Promise<void> {
  if (process.argv[2] === 'stream-child') {
    const request = JSON.parse(readFileSync(0, 'utf8')) as StreamRequest;
    return void process.stdout.write(JSON.stringify(await streamChild(request)));
  }
  const options = parseOptions(process.argv.slice(2));
  if (!options) return void process.stdout.write(`${usage}\n`);
  const root = packageRoot();
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const warning = loadWarning();
  if (warning) log(`warning: ${warning}`);
  if (options.stream) return runStream(options.stream, options, root, version);
  if (options.arrays) return runArrayCase(options, root, version);
  if (options.formats) return runFormatsCase(options, root, version);
  if (options.kv) return runKvCase(options, root, version);
  if (options.masks !== undefined) {
    const { description } = await openHardware('cpu');
    const sizes = await benchMasks(options.masks, log);
    return report({ case: 'masks', sizes, ...description, ...today(version) }, options, root);
  }
  if (options.server) return runServerCase(options.server, options, root, version);
  if (options.check) {
    if (!(await checkGpu(log))) process.exitCode = 1;
    return;
  }
  if (options.kernels) return void process.stdout.write(await kernelTable());
  if (options.catalog) return runCatalog(options, root);
  if (options.peer) installPeer(join(root, 'bench/peers'), log);
  const results: BenchResult[] = [];
  const hardware = await openHardware(options.device);
  for (const shape of options.shapes) {
    const path = await modelFile(shape);
    const limits = await hardware.limits();
    const [contextLength, threads] = [1024, hardware.description.threads];
    const { precision, device } = options;
    const ours = await openOurs({ path, version, contextLength, threads, precision, device });
    const peer = options.peer
      ? await openPeer({
          script: join(root, 'dist/bench/peers/llama-cpp.js'),
          folder: join(root, 'bench/peers'),
          path,
          contextLength,
          threads,
          device,
          log,
        })
      : undefined;
    try {
      for (const benchCase of options.cases) {
        const result = await runCase(benchCase, shape, options, ours, peer, hardware, limits);
        results.push(result);
        report(result, options, root);
      }
    } finally {
      await peer?.dispose();
      await ours.dispose();
    }
  }
  if (!options.json) log(`\n${table(results)}`);
}

try {
  await main();
} catch (error) {
  log(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
