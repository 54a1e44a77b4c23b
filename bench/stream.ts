// A Mixture-of-Experts model in less memory than it takes: tokens per second inside a control group, against the ceiling that disk and
// memory set by the run's own miss rate.

import { type ChildProcess, spawn } from 'node:child_process';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { significant, summarize } from '../src/base/statistics.ts';
import { formatBytes } from '../src/base/text.ts';
import { loadAddon } from '../src/device/cpu/addon.ts';
import { packModel } from '../src/engine/pack.ts';
import { besidePath } from '../src/experts/beside.ts';
import { defaultReaders } from '../src/experts/store.ts';
import { randomPrompt } from './cases.ts';
import { openHardware } from './hardware.ts';
import { processCpuSeconds, watchOthers } from './machine.ts';
import { memoryGroup } from './memory-group.ts';
import { modelFile } from './model-file.ts';
import { type BenchShape, bytesPerToken, bytesPerWeight } from './shapes.ts';
import type { StreamReply, StreamRequest } from './stream-child.ts';

export interface StreamOptions {
  readonly root: string;
  readonly shape: BenchShape;
  /** Bytes of memory; default a quarter of the model's file. */
  readonly limit: number | undefined;
  readonly runs: number;
  readonly log: (line: string) => void;
}

const promptTokens = 64;
const decodeTokens = 24;

export async function benchStream({ root, shape, limit, runs, log }: StreamOptions): Promise<object> {
  const path = await modelFile(shape);
  const { size } = await stat(path);
  const memoryLimit = limit ?? Math.floor(size / 4);
  if ((await stat(besidePath(path)).catch(() => undefined)) === undefined) {
    log(`packing the experts of ${path} ...`);
    await packModel(path, { experts: true });
  }
  const hardware = await openHardware('cpu');
  const { bandwidthGBs } = await hardware.limits();
  const block = shape.inner * shape.hidden * 3 * bytesPerWeight.Q4_0;
  const beside = besidePath(path);
  const diskBytes = await bestReads(beside, block);
  const group = memoryGroup(memoryLimit);
  if (group === undefined) log('there are no control groups here: nothing bounds the memory but the plan');
  const request: StreamRequest = {
    path,
    memoryLimit,
    threads: hardware.description.threads,
    contextLength: 512,
    prompts: Array.from({ length: runs + 1 }, (_, round) => randomPrompt(shape, promptTokens, round)),
    decode: decodeTokens,
  };
  let pid = 0;
  const watch = watchOthers(() => processCpuSeconds(pid));
  let reply: StreamReply;
  try {
    for (const file of [path, beside]) await forgetPages(file);
    reply = await inGroup(root, request, group?.enter, (child) => {
      pid = child.pid ?? 0;
    });
  } finally {
    log(`peak of the group, page cache included: ${formatBytes(group?.peakBytes() ?? Number.NaN)}`);
    group?.remove();
  }
  const otherCpus = watch.stop();
  // What the disk gave at best: alone, or in a run.
  const inRuns = reply.runs.map(({ bytesRead, busyNs }) => (1e9 * bytesRead) / Math.max(1, busyNs));
  const diskBytesPerSecond = Math.max(diskBytes, await bestReads(beside, block), ...inRuns);
  const measured = reply.runs.slice(1).map((run) => {
    const ms = run.tokenMs.reduce((sum, each) => sum + each, 0);
    const perToken = run.bytesRead / decodeTokens;
    const disk = perToken > 0 ? diskBytesPerSecond / perToken : Number.POSITIVE_INFINITY;
    const memory = (bandwidthGBs * 1e9) / bytesPerToken(shape);
    const speed = (1000 * decodeTokens) / ms;
    return {
      speed,
      ceiling: Math.min(disk, memory),
      missRate: 1 - run.hits / Math.max(1, run.requests),
      ownDisk: run.bytesRead / Math.max(1, run.busyNs),
      firstTokenMs: run.firstTokenMs,
    };
  });
  const median = (pick: (run: (typeof measured)[number]) => number): number =>
    summarize(measured.map(pick)).median;
  const { min, max } = summarize(measured.map(({ speed }) => speed));
  return {
    case: 'stream',
    model: shape.name,
    modelBytes: size,
    limitBytes: memoryLimit,
    streamed: reply.streamed,
    expertBytes: reply.expertBytes,
    peakRssBytes: reply.peakRss,
    insideLimit: reply.peakRss <= memoryLimit,
    tokensPerSecond: significant(median(({ speed }) => speed)),
    spread: { min: significant(min), max: significant(max) },
    runs,
    firstTokenMs: significant(median(({ firstTokenMs }) => firstTokenMs)),
    missRate: significant(
      median(({ missRate }) => missRate),
      3,
    ),
    diskGBs: significant(diskBytesPerSecond / 1e9, 3),
    diskGBsInRun: significant(
      median(({ ownDisk }) => ownDisk),
      3,
    ),
    bandwidthGBs: significant(bandwidthGBs, 3),
    ceiling: significant(median(({ ceiling }) => ceiling)),
    shareOfCeiling: significant(
      median(({ speed, ceiling }) => speed / ceiling),
      3,
    ),
    group: group === undefined ? 'none' : 'control group',
    otherCpus: significant(otherCpus, 2),
    ...hardware.description,
  };
}

/** The best of three: the disk is not alone ours. */
async function bestReads(path: string, block: number): Promise<number> {
  const { size } = await stat(path);
  const once = (): number => loadAddon().measureReads(path, size, block, defaultReaders, 0.7);
  return Math.max(once(), once(), once());
}

/** Writes out what the page cache has of a file, so that it can be dropped: pages belong to the group that first read them. */
async function forgetPages(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await new Promise<void>((resolve) => {
    const dd = spawn('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none'], { stdio: 'ignore' });
    dd.once('error', () => resolve());
    dd.once('exit', () => resolve());
  });
}

async function inGroup(
  root: string,
  request: StreamRequest,
  enter: string | undefined,
  onStart: (child: ChildProcess) => void,
): Promise<StreamReply> {
  const script = join(root, 'dist/bench/main.js');
  const command = `${enter === undefined ? '' : `${enter} && `}exec '${process.execPath}' '${script}' stream-child`;
  const child = spawn('sh', ['-c', command], { stdio: ['pipe', 'pipe', 'inherit'] });
  onStart(child);
  child.stdin.end(JSON.stringify(request));
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.once('close', (...ended) => resolve(ended));
  });
  if (code !== 0) throw new Error(`the measured process ended with ${signal ?? code}`);
  return JSON.parse(text) as StreamReply;
}
