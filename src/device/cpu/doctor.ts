// What this machine can do, measured by the workers that run the models.

import { freemem, totalmem } from 'node:os';
import type { CompiledProgram, DeviceProgram } from '../device.ts';
import { type CpuDevice, openCpuDevice } from './device.ts';

export interface CpuReport {
  readonly cpu: string;
  readonly threads: number;
  readonly levels: readonly {
    readonly name: string;
    readonly status: 'in use' | 'available' | 'not on this CPU';
  }[];
  /** Sequential read of memory far larger than the caches, all threads, GB/s (10^9). */
  readonly bandwidthGBs: number;
  /** int8 multiply-add peak, all threads, 10^12 operations/s (a multiply-add is two). 0 where there is no instruction. */
  readonly int8Tops: number;
  /** bf16 tile or dot product peak, 10^12 operations/s; 0 without either. */
  readonly bf16Tflops: number;
  readonly f32Tflops: number;
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
}

const megabyte = 1 << 20;

const single = (
  name: string,
  buffers: DeviceProgram['dispatches'][0]['buffers'],
  params: number[],
): DeviceProgram => ({
  dispatches: [{ kernel: { kind: 'native', name }, buffers, params, label: name }],
  arenaBytes: 64 * 64,
  scalars: [],
});

/** Runs a one-dispatch program `runs` times; seconds of the fastest. */
async function fastest(
  device: CpuDevice,
  program: DeviceProgram,
  runs: number,
): Promise<{ seconds: number; output: number }> {
  const compiled = device.compile(program, { profile: true });
  try {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < runs; i++) best = Math.min(best, await secondsOf(compiled));
    const output = new DataView(compiled.readArena(0, 8).slice().buffer).getFloat64(0, true);
    return { seconds: best, output };
  } finally {
    compiled.dispose();
  }
}

async function secondsOf(compiled: CompiledProgram): Promise<number> {
  await compiled.run({});
  return (compiled.profile()[0]?.ns ?? 0) / 1e9;
}

/** Memory that is read to measure the bandwidth. */
export interface BandwidthProbe extends Disposable {
  /** GB/s of a pass over all of it. */
  read(): Promise<number>;
}

/** A probe over `bytes`, which should be many times the caches. */
export function openBandwidthProbe(device: CpuDevice, bytes: number): BandwidthProbe {
  const data = device.allocate(bytes, 'bandwidth probe');
  // Touch every page first: untouched anonymous memory is one shared zero page.
  const chunk = new Uint8Array(16 * megabyte).fill(1);
  for (let at = 0; at < bytes; at += chunk.length)
    device.write(data, at, chunk.subarray(0, Math.min(chunk.length, bytes - at)));
  const buffers = [
    { kind: 'buffer', buffer: data, offset: 0, byteLength: bytes },
    { kind: 'arena', offset: 0, byteLength: 64 * 8 },
  ] as const;
  // Which way is faster differs between CPUs.
  const ways = [0, 2048].map((ahead) =>
    device.compile(single('measure_read', buffers, [ahead]), { profile: true }),
  );
  return {
    async read() {
      let best = Number.POSITIVE_INFINITY;
      for (const way of ways) best = Math.min(best, await secondsOf(way));
      return bytes / best / 1e9;
    },
    [Symbol.dispose]() {
      for (const way of ways) way.dispose();
      data.dispose();
    },
  };
}

/** Read bandwidth in GB/s over a buffer of `bytes`. */
export async function measureBandwidth(device: CpuDevice, bytes = 768 * megabyte, runs = 5): Promise<number> {
  using probe = openBandwidthProbe(device, bytes);
  let best = 0;
  for (let i = 0; i < runs; i++) best = Math.max(best, await probe.read());
  return best;
}

/** Peak of one multiply kernel in 10^12 operations per second. */
async function measurePeak(device: CpuDevice, kernel: string): Promise<number> {
  const output = [{ kind: 'arena', offset: 0, byteLength: 8 }] as const;
  const run = (rounds: number) => fastest(device, single(kernel, output, [rounds]), 3);
  const probe = await run(100_000);
  if (probe.output === 0) return 0;
  // Long enough (about 50 ms) that clocks settle and timer error does not matter.
  const { seconds, output: ops } = await run(Math.max(100_000, Math.round((100_000 * 0.05) / probe.seconds)));
  return ops / seconds / 1e12;
}

/** Bandwidth and peaks of this machine; takes about a second. */
export async function cpuReport(device: CpuDevice = openCpuDevice()): Promise<CpuReport> {
  const { cpu, threads, level, levels } = device.info;
  return {
    cpu,
    threads,
    levels: levels.map(({ name, supported }) => ({
      name,
      status: name === level ? 'in use' : supported ? 'available' : 'not on this CPU',
    })),
    bandwidthGBs: await measureBandwidth(device),
    int8Tops: await measurePeak(device, 'measure_int8'),
    bf16Tflops: await measurePeak(device, 'measure_bf16'),
    f32Tflops: await measurePeak(device, 'measure_f32'),
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
  };
}
