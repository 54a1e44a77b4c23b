// assertMatches and assertGradientMatches: a function of arrays against another one, on random operands, with a report that says
// how far off it is and where.

import { NDArray } from '../array/array.ts';
import { compile, type Outputs } from '../array/compile.ts';
import { currentDevice } from '../array/context.ts';
import { promote } from '../array/ops/elementwise/elementwise.ts';
import { grad } from '../array/transform/grad.ts';
import { type DType, epsilon, isFloat } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import { type Bound, compare } from './allclose.ts';
import { normal as normalNumber, randomNumbers } from './case-data.ts';

type Sizes = readonly number[];
export type ArrayFunction = (...operands: NDArray[]) => Outputs;

export interface MatchOptions {
  /** Cases: the shapes of all operands of each. */
  readonly shapes: readonly (readonly Sizes[])[];
  /** Each case runs with each: one dtype for all operands, or one for each operand. Default f32. */
  readonly dtypes?: readonly (DType | readonly DType[])[];
  /** Where the function runs; default: the default device. */
  readonly devices?: readonly Device[];
  /** |got - want| <= absolute + relative |want|. Default: 32 roundings of the shortest dtype for both. */
  readonly bound?: Partial<Bound>;
  /** Operands in place of random ones: floats are normal by default, integers 0 to 7. */
  readonly values?: (operand: number, index: number) => number;
  readonly seed?: number;
}

/** Runs both functions on every case, dtype and device. Rejects with an `internal` error that has the report of the first mismatch. */
export async function assertMatches(
  fn: ArrayFunction,
  reference: ArrayFunction,
  options: MatchOptions,
): Promise<void> {
  await everyCase(options, async (c, bound) => {
    const got = await run(fn, c);
    const want = await run(reference, c);
    check(got, want, { ...bound }, c.label);
  });
}

/**
 * Compares gradients of sum(fn(…) r), for random numbers r, with respect to every float operand: with those of the reference, or
 * without one with differences of `fn` along random directions. Rejects as assertMatches does.
 */
export async function assertGradientMatches(
  fn: (...operands: NDArray[]) => NDArray,
  reference: ((...operands: NDArray[]) => NDArray) | null,
  options: MatchOptions,
): Promise<void> {
  await everyCase(options, async (c, bound) => {
    const places = c.operands.flatMap((o, i) => (isFloat(o.dtype) ? [i] : []));
    if (places.length === 0)
      throw new IngotError('invalid_argument', `${c.label}: no operand is a float, so there is no gradient`);
    const gradientOf = (f: typeof fn): ArrayFunction => {
      const loss = (...xs: NDArray[]): NDArray => {
        const y = f(...xs.slice(0, -1));
        return y
          .cast('f32')
          .mul((xs.at(-1) as NDArray).reshape(y.shape))
          .sum();
      };
      return (...xs) => (grad(loss, places)(...xs) as readonly NDArray[]).map((g) => g.cast('f32'));
    };
    const size = await sizeOf(fn, c);
    const weights: Operand = { dtype: 'f32', shape: [size], data: normal(size, c.seed + 977) };
    const all = { ...c, operands: [...c.operands, weights] };
    const got = await run(gradientOf(fn), all);
    if (reference === null) await checkDifferences(fn, got, places, all);
    else check(got, await run(gradientOf(reference), all), bound, `${c.label}, gradients`);
  });
}

interface Operand {
  readonly dtype: DType;
  readonly shape: Sizes;
  readonly data: Float64Array;
}

interface MatchCase {
  readonly label: string;
  readonly device: Device;
  readonly seed: number;
  readonly operands: readonly Operand[];
}

async function everyCase(
  options: MatchOptions,
  run: (c: MatchCase, bound: Bound) => Promise<void>,
): Promise<void> {
  const { shapes, dtypes = ['f32'], devices = [currentDevice()], seed = 42, bound, values } = options;
  if (shapes.length === 0)
    throw new IngotError('invalid_argument', 'shapes is empty: there is nothing to compare');
  for (const device of devices) {
    for (const dtype of dtypes) {
      for (const [k, list] of shapes.entries()) {
        const operands = list.map((shape, i): Operand => {
          const own = typeof dtype === 'string' ? dtype : dtype[i];
          if (own === undefined)
            throw new IngotError('invalid_argument', `operand ${i} has no dtype among ${String(dtype)}`);
          const n = shape.reduce((a, b) => a * b, 1);
          const data =
            values === undefined
              ? randomData(own, n, seed + 31 * k + i)
              : Float64Array.from({ length: n }, (_, j) => values(i, j));
          return { dtype: own, shape, data };
        });
        const e = Math.max(...operands.map((o) => (isFloat(o.dtype) ? 32 * epsilon(o.dtype) : 0)), 2 ** -19);
        const shown = operands.map((o) => `${o.dtype}[${o.shape}]`).join(', ');
        await run(
          { label: `${device.name} on ${shown}`, device, seed, operands },
          { absolute: bound?.absolute ?? e, relative: bound?.relative ?? e },
        );
      }
    }
  }
}

const randomData = (dtype: DType, n: number, seed: number): Float64Array =>
  isFloat(dtype)
    ? normal(n, seed)
    : normal(n, seed).map((x) => (dtype === 'bool' ? Number(x > 0) : Math.floor(Math.abs(x * 1e4)) % 8));

function normal(n: number, seed: number): Float64Array {
  const uniform = randomNumbers(seed);
  return Float64Array.from({ length: n }, () => normalNumber(uniform));
}

/** Results by name, in f32 unless they are integers. Operands enter in f32 and are cast, so that every device has the same. */
async function run(fn: ArrayFunction, { device, operands }: MatchCase): Promise<ReadonlyMap<string, Result>> {
  const wide = (dtype: DType): DType => (isFloat(dtype) ? 'f32' : dtype === 'u32' ? 'u32' : 'i32');
  const inputs = Object.fromEntries(
    operands.map(({ shape, dtype }, i) => [`x${i}`, { shape, dtype: wide(dtype) }]),
  );
  const traced = (given: Readonly<Record<string, NDArray>>): Readonly<Record<string, NDArray>> => {
    const result = fn(...operands.map(({ dtype }, i) => (given[`x${i}`] as NDArray).cast(dtype)));
    const named = result instanceof NDArray ? { result } : Object.fromEntries(Object.entries(result));
    return Object.fromEntries(
      Object.entries(named).map(([n, x]) => [
        n,
        x.cast(promote(x.dtype, isFloat(x.dtype) ? 'f32' : x.dtype)),
      ]),
    );
  };
  using plan = compile(traced, { device, inputs });
  await plan.run({ inputs: Object.fromEntries(operands.map(({ data }, i) => [`x${i}`, [...data]])) });
  const results = new Map<string, Result>();
  for (const o of plan.outputs) results.set(o.name, { shape: o.shape.map(Number), data: await o.data() });
  return results;
}

interface Result {
  readonly shape: Sizes;
  readonly data: ArrayLike<number>;
}

async function sizeOf(fn: ArrayFunction, c: MatchCase): Promise<number> {
  const [first] = (await run(fn, c)).values();
  return first?.data.length ?? 0;
}

function check(
  got: ReadonlyMap<string, Result>,
  want: ReadonlyMap<string, Result>,
  bound: Bound,
  label: string,
): void {
  const names = [...want.keys()];
  if ([...got.keys()].join() !== names.join()) {
    throw new IngotError(
      'internal',
      `${label}: results ${[...got.keys()].join(', ')}, expected ${names.join(', ')}`,
    );
  }
  for (const name of names) {
    const [g, w] = [got.get(name) as Result, want.get(name) as Result];
    const what = names.length === 1 ? label : `${label}, ${name}`;
    if (g.shape.join() !== w.shape.join()) {
      throw new IngotError(
        'internal',
        `${what}: shape [${g.shape.join(', ')}], expected [${w.shape.join(', ')}]`,
      );
    }
    const { ok, report, worst } = compare(g.data, w.data, bound);
    if (!ok)
      throw new IngotError('internal', `${what}: ${report} at [${place(worst.index, w.shape).join(', ')}]`);
  }
}

/** Indices of a flat place. */
function place(index: number, shape: Sizes): readonly number[] {
  let rest = index;
  return shape
    .toReversed()
    .map((d) => {
      const i = rest % d;
      rest = Math.floor(rest / d);
      return i;
    })
    .reverse();
}

/** Directional derivatives of each operand, by central differences of two steps: what they differ by bounds their error. */
async function checkDifferences(
  fn: (...operands: NDArray[]) => NDArray,
  gradients: ReadonlyMap<string, Result>,
  places: readonly number[],
  c: MatchCase,
): Promise<void> {
  const weights = c.operands.at(-1) as Operand;
  const loss = async (operand: number, direction: Float64Array, step: number): Promise<number> => {
    const moved = c.operands
      .slice(0, -1)
      .map((o, i) =>
        i === operand ? { ...o, data: o.data.map((v, j) => v + step * (direction[j] as number)) } : o,
      );
    const [result] = (await run(fn, { ...c, operands: moved })).values();
    return dot(result?.data ?? [], weights.data);
  };
  for (const [k, operand] of places.entries()) {
    const { data, dtype } = c.operands[operand] as Operand;
    if (dtype !== 'f32')
      throw new IngotError(
        'invalid_argument',
        `${c.label}: differences of ${dtype} say nothing; give a reference`,
      );
    const direction = normal(data.length, c.seed + 131 * k);
    const h = 2 ** -8;
    const [a, b, d, e] = [
      await loss(operand, direction, h),
      await loss(operand, direction, -h),
      await loss(operand, direction, 2 * h),
      await loss(operand, direction, -2 * h),
    ];
    const fine = (a - b) / (2 * h);
    const coarse = (d - e) / (4 * h);
    const rule = dot([...gradients.values()][k]?.data ?? [], direction);
    const scale = Math.abs(a) + Math.abs(b) + weights.data.reduce((s, w) => s + Math.abs(w), 0);
    const bound = 4 * Math.abs(fine - coarse) + (scale * 2 ** -22) / h + 1e-3 * Math.abs(fine);
    if (Math.abs(rule - fine) <= bound) continue;
    throw new IngotError(
      'internal',
      `${c.label}: the gradient of operand ${operand} gives ${rule} along a direction, differences give ${fine} (bound ${bound.toExponential(2)})`,
    );
  }
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
};
