// The array library beside the machine: kernels against a native copy and the arithmetic peak, evaluation and plans of small operations,
// and a step of training a GPT of 10 million parameters. All in one run, so that shares mean something.

import type { Array as NDArray } from '../src/array/array.ts';
import { compile, type Outputs } from '../src/array/compile.ts';
import { setDefaultDevice } from '../src/array/context.ts';
import { evaluate, fromData } from '../src/array/creation.ts';
import { crossEntropy } from '../src/array/functions/losses.ts';
import { tidy } from '../src/array/lifetime.ts';
import { layerNorm } from '../src/array/ops/nn/layer-norm.ts';
import { rmsNorm } from '../src/array/ops/nn/rms-norm.ts';
import { cumsum } from '../src/array/ops/scan/cumsum.ts';
import { significant } from '../src/base/statistics.ts';
import { type CpuDevice, openCpuDevice } from '../src/device/cpu/device.ts';
import { cpuReport } from '../src/device/cpu/doctor.ts';
import { clipByGlobalNorm } from '../src/nn/optim/clipping.ts';
import { adamw } from '../src/nn/optim/optimizers.ts';
import { chain } from '../src/nn/optim/transform.ts';
import { trainingStep } from '../src/nn/training-step.ts';
import { BenchGpt, gptShape } from './gpt.ts';

/** One row of the result. */
export interface ArrayRow {
  readonly name: string;
  /** Best of the runs, in microseconds. */
  readonly us: number;
  /** What bounds it, and the part of that which is reached; absent where nothing but time is asked. */
  readonly limit?: { readonly what: string; readonly share: number };
}

const megabytes = 64;
const rows = 4096;
const columns = (megabytes << 20) / 4 / rows;

/** Best time of a plan of `fn`, by the device's own clock, in nanoseconds. */
async function kernelTime(
  device: CpuDevice,
  shapes: Record<string, readonly number[]>,
  fn: (x: Record<string, NDArray>) => Outputs,
): Promise<number> {
  const inputs = Object.fromEntries(
    Object.entries(shapes).map(([k, shape]) => [k, { shape, dtype: 'f32' as const }]),
  );
  using plan = compile(fn, { device, inputs, profile: true });
  for (const [name, shape] of Object.entries(shapes)) {
    plan.write(
      name,
      new Float32Array(shape.reduce((p, d) => p * d, 1)).map((_, i) => 0.5 + (i % 13) / 13),
    );
  }
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 7; run++) {
    await plan.run();
    const ns = plan.profile().reduce((sum, d) => sum + d.ns, 0);
    if (run > 0) best = Math.min(best, ns);
  }
  return best;
}

/** Best time of `fn`, in microseconds, of `count` calls in a row. */
async function callTime(count: number, fn: () => Promise<void>): Promise<number> {
  for (let i = 0; i < count; i++) await fn();
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    for (let i = 0; i < count; i++) await fn();
    best = Math.min(best, ((performance.now() - start) * 1000) / count);
  }
  return best;
}

type Unary = (x: NDArray) => NDArray;
const chainOf8: Unary = (x) => x.mul(1.5).add(0.25).square().sub(x).tanh().mul(x).abs().add(1);

const moving: readonly (readonly [name: string, fn: Unary])[] = [
  ['8 elementwise operations', chainOf8],
  ['softmax of rows', (x) => x.softmax()],
  ['rmsNorm of rows', (x) => rmsNorm(x, null, 1e-5)],
  ['layerNorm of rows', (x) => layerNorm(x, null, null, 1e-5)],
  ['cumsum of rows', (x) => cumsum(x, 1)],
  ['transpose', (x) => x.transpose()],
];

export async function arrayRows(log: (line: string) => void): Promise<readonly ArrayRow[]> {
  const device = openCpuDevice();
  setDefaultDevice(device);
  const found: ArrayRow[] = [];
  const put = (row: ArrayRow): void => {
    found.push(row);
    log(format(row));
  };
  const { f32Tflops } = await cpuReport();
  const shape = [rows, columns];
  const bytes = megabytes << 20;
  const copy = await kernelTime(device, { x: shape }, ({ x }) => x as NDArray);
  const perByte = copy / (2 * bytes);
  const share = (ns: number, moved: number) => ({ what: 'copy bandwidth', share: (moved * perByte) / ns });
  put({ name: `copy of ${megabytes} MiB (${(1 / perByte).toFixed(1)} GB/s)`, us: copy / 1000 });
  for (const [name, fn] of moving) {
    const ns = await kernelTime(device, { x: shape }, ({ x }) => fn(x as NDArray));
    put({ name: `${name}, ${megabytes} MiB`, us: ns / 1000, limit: share(ns, 2 * bytes) });
  }
  const sum = await kernelTime(device, { x: shape }, ({ x }) => (x as NDArray).sum(-1));
  put({ name: `sum of rows, ${megabytes} MiB`, us: sum / 1000, limit: share(sum, bytes) });
  const ids = fromData(Int32Array.from({ length: rows }, (_, i) => (i * 2477) % rows));
  const gather = await kernelTime(device, { x: shape }, ({ x }) => (x as NDArray).take(ids, 0));
  put({ name: `rows by index, ${megabytes} MiB`, us: gather / 1000, limit: share(gather, 2 * bytes) });
  const n = 1024;
  const product = await kernelTime(device, { a: [n, n], b: [n, n] }, ({ a, b }) =>
    (a as NDArray).matmul(b as NDArray),
  );
  const peak = { what: 'f32 peak', share: (2 * n ** 3) / product / (1000 * f32Tflops) };
  put({ name: `matmul f32 ${n}`, us: product / 1000, limit: peak });
  await smallThings(device, put, perByte);
  await training(device, put);
  device.dispose();
  return found;
}

async function smallThings(device: CpuDevice, put: (row: ArrayRow) => void, perByte: number): Promise<void> {
  for (const count of [16, 1 << 20]) {
    const [x, y] = [1, 2].map((v) => fromData(new Float32Array(count).fill(v))) as [NDArray, NDArray];
    const us = await callTime(count === 16 ? 2000 : 30, async () => {
      const z = x.add(y);
      await evaluate(z);
      z.dispose();
    });
    const limit = { what: 'copy bandwidth', share: (12 * count * perByte) / (us * 1000) };
    put({ name: `eager add of ${count} elements`, us, ...(count === 16 ? {} : { limit }) });
  }
  using plan = compile(
    ({ x }) => {
      let y = x as NDArray;
      for (let i = 0; i < 500; i++) y = y.add(1).sum(0, true); // two dispatches that cannot become one
      return y;
    },
    { device, inputs: { x: { shape: [1, 16], dtype: 'f32' } } },
  );
  put({
    name: `plan of ${plan.program.dispatches.length} tiny operations`,
    us: await callTime(20, async () => void (await plan.run())),
  });
}

async function training(device: CpuDevice, put: (row: ArrayRow) => void): Promise<void> {
  const { batch, length, vocabulary } = gptShape;
  const model = tidy(() => new BenchGpt());
  const step = await trainingStep(model, {
    device,
    optimizer: chain(clipByGlobalNorm(1), adamw({ learningRate: 1e-3 })),
    inputs: { x: { shape: [batch, length], dtype: 'i32' }, y: { shape: [batch, length], dtype: 'i32' } },
    loss: ({ x, y }) => crossEntropy(model.forward(x), y, { reduction: 'mean' }),
  });
  const tokens = Int32Array.from({ length: batch * length }, (_, i) => (i * 7919) % vocabulary);
  const us = await callTime(1, async () => void (await step.run({ x: tokens, y: tokens })));
  put({
    name: `training step, GPT of ${(model.parameterCount / 1e6).toFixed(1)} M, ${batch} x ${length}`,
    us,
  });
  step.dispose();
}

export const format = ({ name, us, limit }: ArrayRow): string =>
  `${name.padEnd(48)} ${significant(us).toString().padStart(10)} us${limit === undefined ? '' : `  ${(100 * limit.share).toFixed(0).padStart(4)} % of ${limit.what}`}`;
