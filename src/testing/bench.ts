// bench.compare: the time of functions of arrays beside each other, interleaved, and beside a copy of as many bytes.

import type { NDArray } from '../array/array.ts';
import { compile, type Outputs } from '../array/compile.ts';
import { currentDevice } from '../array/context.ts';
import { typedView } from '../array/ops/operands.ts';
import type { Plan } from '../array/plan.ts';
import { bytesPerElement, type DType } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';

type Sizes = readonly number[];

/** An operand: its sizes, or with a dtype of its own in place of the case's. */
export type BenchOperand = Sizes | { readonly shape: Sizes; readonly dtype: DType };

const typed = (operand: BenchOperand, dtype: DType): { readonly shape: Sizes; readonly dtype: DType } =>
  'shape' in operand ? operand : { shape: operand, dtype };

export interface CompareOptions {
  /** Cases: the shapes of all operands of each; indices and the like say their dtype: `{ shape: [8], dtype: 'i32' }`. */
  readonly shapes: readonly (readonly BenchOperand[])[];
  /** Each case runs with each dtype. Default f32. */
  readonly dtypes?: readonly DType[];
  readonly device?: Device;
  /** Runs before measuring. Default 3. */
  readonly warmup?: number;
  /** Measured runs of every function, taken in turns. Default 15. */
  readonly runs?: number;
  /** False for a function by name runs its operations one by one. */
  readonly fusion?: Readonly<Record<string, boolean>>;
}

/** One function on one case. */
export interface Measurement {
  readonly name: string;
  readonly shapes: readonly Sizes[];
  readonly dtype: DType;
  /** Median time of a run. */
  readonly microseconds: number;
  /** Half the distance between the quartiles, over the median. */
  readonly spread: number;
  /** Bytes of operands and results. */
  readonly bytes: number;
  readonly gigabytesPerSecond: number;
  /** Time of a copy that moves as many bytes, over the time. */
  readonly shareOfCopy: number;
  /** Time of the first function over the time: above 1 is faster. */
  readonly ratio: number;
}

export interface CompareResult {
  readonly device: string;
  readonly measurements: readonly Measurement[];
  /** One line for each measurement. */
  readonly table: string;
  /** One JSON object per line. */
  readonly json: string;
}

/**
 * Times functions of arrays, each compiled to a plan: medians of interleaved runs after a warm-up, by the device's own clock where it
 * has one. Operands are zeros. Throws invalid_argument without functions or shapes.
 */
export async function compare(
  functions: Readonly<Record<string, (...operands: NDArray[]) => Outputs>>,
  options: CompareOptions,
): Promise<CompareResult> {
  const { shapes, dtypes = ['f32'], device = currentDevice(), warmup = 3, runs = 15, fusion = {} } = options;
  if (Object.keys(functions).length === 0 || shapes.length === 0) {
    throw new IngotError('invalid_argument', 'bench.compare: give functions by name, and shapes');
  }
  const measurements: Measurement[] = [];
  for (const dtype of dtypes) {
    for (const operands of shapes) {
      measurements.push(...(await measure(functions, { operands, dtype, device, warmup, runs, fusion })));
    }
  }
  const json = measurements.map((m) => JSON.stringify({ device: device.description, ...m })).join('\n');
  return { device: device.description, measurements, table: tableOf(measurements), json };
}

interface Settings {
  readonly operands: readonly BenchOperand[];
  readonly dtype: DType;
  readonly device: Device;
  readonly warmup: number;
  readonly runs: number;
  readonly fusion: Readonly<Record<string, boolean>>;
}

/** A GPU at rest lowers its clock, and takes about half a second of work to raise it again. */
const wakeMs = 700;

const count = (shape: readonly unknown[]): number => shape.reduce<number>((n, d) => n * Number(d), 1);

async function measure(
  functions: Readonly<Record<string, (...operands: NDArray[]) => Outputs>>,
  { operands, dtype, device, warmup, runs, fusion }: Settings,
): Promise<readonly Measurement[]> {
  const types = operands.map((operand) => typed(operand, dtype));
  const inputs = Object.fromEntries(types.map((type, i) => [`x${i}`, type]));
  const plans = new Map<string, { readonly plan: Plan; readonly bytes: number; readonly times: number[] }>();
  const copies = new Map<number, { readonly plan: Plan; readonly times: number[] }>();
  try {
    for (const [name, fn] of Object.entries(functions)) {
      const traced = (given: Readonly<Record<string, NDArray>>): Outputs =>
        fn(...operands.map((_, i) => given[`x${i}`] as NDArray));
      const plan = compile(traced, {
        device,
        inputs,
        profile: true,
        ...(fusion[name] === false ? { patterns: [] } : {}),
      });
      types.forEach((type, i) => {
        touch(plan, `x${i}`, type);
      });
      const all = [...types, ...plan.outputs];
      const bytes = all.reduce((n, t) => n + count(t.shape) * bytesPerElement(t.dtype), 0);
      plans.set(name, { plan, bytes, times: [] });
      if (!copies.has(bytes)) copies.set(bytes, { plan: copyPlan(device, bytes), times: [] });
    }
    const all = [...plans.values(), ...copies.values()];
    const round = async (keep: boolean): Promise<void> => {
      for (const { plan, times } of all) {
        const us = await timeOf(plan);
        if (keep) times.push(us);
      }
    };
    const awake = performance.now() + (device.name === 'webgpu' ? wakeMs : 0);
    for (let i = 0; i < warmup || performance.now() < awake; i++) await round(false);
    for (let i = 0; i < runs; i++) await round(true);
  } finally {
    for (const { plan } of [...plans.values(), ...copies.values()]) plan.dispose();
  }
  const [first] = plans.values();
  return [...plans].map(([name, { bytes, times }]) => {
    const us = quantile(times, 0.5);
    return {
      name,
      shapes: types.map(({ shape }) => shape),
      dtype,
      microseconds: us,
      spread: (quantile(times, 0.75) - quantile(times, 0.25)) / 2 / us,
      bytes,
      gigabytesPerSecond: bytes / us / 1e3,
      shareOfCopy: quantile(copies.get(bytes)?.times ?? [], 0.5) / us,
      ratio: quantile(first?.times ?? [], 0.5) / us,
    };
  });
}

/** Reads half of the bytes and writes the other half. */
function copyPlan(device: Device, bytes: number): Plan {
  const x = { shape: [Math.max(1, Math.round(bytes / 8))], dtype: 'f32' } as const;
  const plan = compile((given: { x: NDArray }) => given.x.add(1), { device, inputs: { x }, profile: true });
  touch(plan, 'x', x);
  return plan;
}

/** Writes zeros: memory that nobody has written may be one page that is read again and again. */
function touch(plan: Plan, name: string, { shape, dtype }: { readonly shape: Sizes; readonly dtype: DType }) {
  plan.write(name, typedView(dtype, new Uint8Array(count(shape) * bytesPerElement(dtype))));
}

/** Microseconds of one run: of its dispatches where the device tells, else until it is over. */
async function timeOf(plan: Plan): Promise<number> {
  const before = performance.now();
  await plan.run();
  const whole = (performance.now() - before) * 1e3;
  const ns = plan.profile().reduce((sum, d) => sum + d.ns, 0);
  return ns > 0 ? ns / 1e3 : whole;
}

function quantile(times: readonly number[], q: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)] ?? 0, sorted[Math.ceil(at)] ?? 0];
  return low + (high - low) * (at - Math.floor(at));
}

function tableOf(measurements: readonly Measurement[]): string {
  const width = Math.max(...measurements.map((m) => m.name.length));
  const lines = measurements.map((m) => {
    const shapes = m.shapes.map((s) => `[${s.join(', ')}]`).join(' ');
    const numbers = [
      `${m.microseconds.toFixed(1).padStart(10)} us`,
      `±${(100 * m.spread).toFixed(0)} %`.padStart(6),
      `${m.gigabytesPerSecond.toFixed(1).padStart(8)} GB/s`,
      `${(100 * m.shareOfCopy).toFixed(0).padStart(4)} % of copy`,
      `${m.ratio.toFixed(2).padStart(6)}x`,
    ];
    return `${m.name.padEnd(width)}  ${m.dtype} ${shapes}  ${numbers.join('  ')}`;
  });
  return `${lines.join('\n')}\n`;
}
