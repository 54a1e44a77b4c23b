// smartPatch of a function or module: measures every fusion of its plan alone and all that paid together, and keeps what is faster
// and gives the same results.

import type { NDArray } from '../array/array.ts';
import { compile } from '../array/compile.ts';
import {
  allPatterns,
  namesIn,
  type PatternName,
  type PatternSet,
  patternName,
  patternNames,
  patternNeeds,
} from '../array/patterns.ts';
import type { Plan } from '../array/plan.ts';
import { epsilon, isFloat, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { summarize } from '../base/statistics.ts';
import type { Device } from '../device/device.ts';
import { type Patch, type PatchableFunction, patchFunction } from './patch.ts';

/** What a function or module is measured with. */
export interface FunctionSample {
  /** Its inputs by name, of the shapes it will get; in the order of `forward` for a module. */
  readonly inputs: Readonly<Record<string, NDArray>>;
  readonly device: Device;
  /** Rounds that count. Default 9. */
  readonly rounds?: number | undefined;
}

/** What was measured of one fusion, against the same plan without it. */
export interface FunctionEvidence {
  readonly pattern: PatternName;
  readonly count: number;
  /** Fusions that were on in both plans, because it finds nothing without them. */
  readonly beside: readonly PatternName[];
  /** Speed with it over speed without: medians of interleaved rounds. */
  readonly speed: number;
  /** Of any result, as a share of the largest number of that result. */
  readonly difference: number;
  /** Whether that is at most 16 roundings of the result's dtype. */
  readonly equal: boolean;
  readonly kept: boolean;
}

export interface FunctionPatch extends Patch {
  readonly evidence: readonly FunctionEvidence[];
  /** All that was kept together, over the plan as written. */
  readonly together: { readonly speed: number; readonly difference: number };
}

interface Options {
  readonly exclude?: readonly PatternName[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number, what: string) => void) | undefined;
}

export async function smartPatchFunction(
  target: PatchableFunction,
  { inputs, device, rounds = 9 }: FunctionSample,
  { exclude = [], signal, onProgress }: Options,
): Promise<FunctionPatch> {
  checkCount('rounds', rounds);
  if (typeof inputs !== 'object' || inputs === null || device === undefined) {
    throw new IngotError('invalid_argument', 'smartPatch of a function or module takes { inputs, device }');
  }
  const excluded = exclude.map(patternName);
  const specs = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
  );
  const data: Record<string, TypedArray> = {};
  for (const [name, array] of Object.entries(inputs)) data[name] = await array.data();
  const planOf = (patterns: PatternSet): Plan =>
    compile(target as never, { device, inputs: specs as never, patterns: namesIn(patterns) });
  const bench = new Bench(planOf, data, { rounds, signal });
  const counts = planOf(allPatterns).patterns;
  const candidates = patternNames.filter((p) => counts[p] !== undefined && !excluded.includes(p));
  const evidence: FunctionEvidence[] = [];
  for (const [i, pattern] of candidates.entries()) {
    onProgress?.(i, candidates.length + 1, pattern);
    const beside = (patternNeeds[pattern] ?? []).filter((name) => candidates.includes(name));
    const fused = new Set([...beside, pattern]);
    const found = await bench.pair(new Set(beside), fused);
    const count = planOf(fused).patterns[pattern] ?? 0;
    evidence.push({ pattern, count, beside, ...found, kept: found.equal && count > 0 && found.speed > 1 });
  }
  onProgress?.(candidates.length, candidates.length + 1, 'together');
  const { kept, speed, difference } = await bench.together(evidence);
  const final = evidence.map((e) => ({ ...e, kept: kept.has(e.pattern) }));
  onProgress?.(candidates.length + 1, candidates.length + 1, 'together');
  return { ...patchFunction(target, kept, []), evidence: final, together: { speed, difference } };
}

export function checkCount(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new IngotError('invalid_argument', `${name} must be an integer of at least 1, got ${value}`);
}

interface Results {
  readonly data: readonly TypedArray[];
  readonly ms: number;
}

/** Runs pairs of plans of one function in turn. */
class Bench {
  readonly #planOf: (patterns: PatternSet) => Plan;
  readonly #inputs: Readonly<Record<string, TypedArray>>;
  readonly #options: { readonly rounds: number; readonly signal: AbortSignal | undefined };

  constructor(
    planOf: (patterns: PatternSet) => Plan,
    inputs: Readonly<Record<string, TypedArray>>,
    options: { readonly rounds: number; readonly signal: AbortSignal | undefined },
  ) {
    this.#planOf = planOf;
    this.#inputs = inputs;
    this.#options = options;
  }

  async pair(a: PatternSet, b: PatternSet) {
    const [plain, fused] = [this.#planOf(a), this.#planOf(b)];
    const [want, got] = [await this.#run(plain), await this.#run(fused)];
    const compared = plain.outputs.map(({ dtype }, i) => {
      const difference = differenceOf(want.data[i] ?? [], got.data[i] ?? []);
      return { difference, equal: difference <= (isFloat(dtype) ? 16 * epsilon(dtype) : 0) };
    });
    const ratios: number[] = [];
    for (let round = 0; round < this.#options.rounds; round++) {
      const first = await this.#run(round % 2 === 0 ? plain : fused);
      const second = await this.#run(round % 2 === 0 ? fused : plain);
      ratios.push(round % 2 === 0 ? first.ms / second.ms : second.ms / first.ms);
    }
    return {
      speed: summarize(ratios).median,
      difference: Math.max(0, ...compared.map((c) => c.difference)),
      equal: compared.every((c) => c.equal),
    };
  }

  /** Those that paid alone, or all that changed nothing where that is faster; without the least of them as long as they differ. */
  async together(evidence: readonly FunctionEvidence[]) {
    const paid = evidence.filter((e) => e.kept).sort((a, b) => b.speed - a.speed);
    const all: PatternSet = new Set(evidence.filter((e) => e.equal).map((e) => e.pattern));
    const few: PatternSet = new Set(paid.map((e) => e.pattern));
    if (all.size > few.size && (await this.pair(few, all)).speed > 1) {
      const found = await this.pair(new Set(), all);
      if (found.equal) return { kept: all, ...found };
    }
    for (;;) {
      const kept: PatternSet = new Set(paid.map((e) => e.pattern));
      const found = await this.pair(new Set(), kept);
      if (kept.size === 0 || found.equal) return { kept, ...found };
      paid.pop();
    }
  }

  async #run(plan: Plan): Promise<Results> {
    this.#options.signal?.throwIfAborted();
    const start = performance.now();
    const outputs = await plan.run({ inputs: this.#inputs });
    const data: TypedArray[] = [];
    for (const output of outputs) data.push(await output.data());
    return { data, ms: performance.now() - start };
  }
}

/** Largest difference as a share of the largest number; NaN where one alone is NaN counts as infinite. */
function differenceOf(want: ArrayLike<number>, got: ArrayLike<number>): number {
  let [largest, most] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    const [a, b] = [want[i] as number, got[i] as number];
    if (Object.is(a, b)) continue;
    const difference = Math.abs(a - b);
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    most = Math.max(most, difference);
  }
  for (let i = 0; i < want.length; i++) {
    const size = Math.abs(want[i] as number);
    if (Number.isFinite(size)) largest = Math.max(largest, size);
  }
  return most === 0 ? 0 : most / Math.max(largest, Number.MIN_VALUE);
}
