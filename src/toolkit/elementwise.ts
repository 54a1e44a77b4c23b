// elementwise: a kernel from one expression, or from a function of arrays. It becomes ordinary nodes of the graph, so it fuses
// with what is before and behind it, has a gradient, and maps over batches.

import { NDArray } from '../array/array.ts';
import { nextNodeId, resolve } from '../array/graph/node.ts';
import { tidy } from '../array/lifetime.ts';
import type { Term } from '../array/ops/elementwise/elementwise.ts';
import { withGradient } from '../array/ops/memory/identity.ts';
import { stored } from '../array/ops/memory/stored.ts';
import { sumTo } from '../array/ops/reduce/sum.ts';
import { type DType, isFloat } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import { type Expr, input } from '../kernel/expr.ts';
import { type KernelSource, readSource, typeSource } from '../kernel/language/check.ts';
import { lowerExprs } from './lower-expr.ts';
import { checkResultDtype, type Operands, readOperands, storedDtype, widened } from './operands.ts';
import { type ShownInputs, showPrograms } from './source.ts';

export interface ElementwiseOptions {
  /** For messages. Default `elementwise`. */
  readonly name?: string;
  /** The operands in order. Default: the names that the source reads, in the order they appear. */
  readonly inputs?: readonly string[];
  /** Dtype of the results. Default: floats as the float operands (f32 without any), integers and truth values as they are. */
  readonly dtype?: DType;
  /**
   * Gradient by hand in place of the derived one: for each input an expression of the inputs, the results (`y`, or by their names),
   * and their cotangents (`g`, or `g.name`). Inputs left out have none.
   */
  readonly gradient?: Readonly<Record<string, string>>;
}

/** One array, or arrays by the names that the source gives its results. */
export type KernelResult = NDArray | Readonly<Record<string, NDArray>>;
type ResultOf<S> = S extends `${string}{${string}` ? Readonly<Record<string, NDArray>> : NDArray;

export interface ElementwiseKernel<R extends KernelResult = NDArray> {
  /** Operands broadcast; numbers take the type of what they are used with. */
  (...operands: readonly Term[]): R;
  readonly kernelName: string;
  /** Names of the operands. */
  readonly inputs: readonly string[];
  /** What runs on a device: WGSL on a GPU, tile programs on the CPU. Operands that are not given are like the first that is, or f32 `[1024]`. */
  source(device: Device, operands?: ShownInputs): string;
}

/**
 * A kernel of one expression, `elementwise('x * tanh(log(1 + exp(x)))')`, in the language of docs/kernels.md: types f32, i32, u32 and
 * bool, `let`, `fn`, `?:`, several results as `{ sum: a + b, product: a * b }`. Or of a function of arrays that uses elementwise
 * operations only. Floats are computed in f32, whatever dtype they are stored in.
 * @throws IngotError `invalid_argument` with line, column and a caret for a source with an error; types are checked when the kernel
 * is applied. `shape_mismatch` for operands that do not broadcast.
 */
export function elementwise<const S extends string>(
  source: S,
  options?: ElementwiseOptions,
): ElementwiseKernel<ResultOf<S>>;
export function elementwise<R extends KernelResult>(
  fn: (...operands: NDArray[]) => R,
  options?: ElementwiseOptions,
): ElementwiseKernel<R>;
export function elementwise(
  source: string | ((...operands: NDArray[]) => KernelResult),
  options: ElementwiseOptions = {},
): ElementwiseKernel<KernelResult> {
  const what = options.name ?? 'elementwise';
  checkResultDtype(what, options.dtype);
  const body =
    typeof source === 'function' ? tracedBody(what, source, options) : writtenBody(what, source, options);
  const rules = gradientRules(what, body, options);
  const apply = (...terms: readonly Term[]): KernelResult =>
    tidy(() => {
      const operands = readOperands(what, body.inputs, terms);
      const results = body.results(operands);
      const kept = results.map(({ name, value }) => {
        const kind = value.dtype as 'f32' | 'i32' | 'u32' | 'bool';
        const dtype = options.dtype ?? storedDtype(kind, operands);
        const whole = value.broadcastTo(operands.shape);
        return { name, value: kind === 'f32' && isFloat(dtype) ? stored(whole, dtype) : whole.cast(dtype) };
      });
      const values = rules === undefined ? kept.map((r) => r.value) : withRules(rules, operands, kept);
      return named(kept.map((r, i) => [r.name, values[i] as NDArray] as const));
    });
  return Object.assign(apply, {
    kernelName: what,
    inputs: body.inputs,
    source: (device: Device, shown?: ShownInputs) =>
      showPrograms({ what, inputs: body.inputs, apply }, device, shown),
  });
}

interface Named {
  readonly name: string | undefined;
  readonly value: NDArray;
}

interface Body {
  readonly inputs: readonly string[];
  /** In registers: f32, i32, u32 or bool. */
  results(operands: Operands): readonly Named[];
}

function writtenBody(what: string, text: string, options: ElementwiseOptions): Body {
  const source = readSource(what, text, options.inputs);
  return {
    inputs: options.inputs ?? source.freeNames,
    results: (operands) => evaluateSource(source, operands),
  };
}

/** The results of a source over operands of one shape. */
function evaluateSource(
  source: KernelSource,
  operands: Operands,
  more: readonly Named[] = [],
): readonly Named[] {
  const { arrays, numbers, shape } = operands;
  const all = [...arrays.map(({ name, x }) => ({ name, value: x })), ...more];
  const values = all.map(({ value }) => widened(value, shape));
  const scope = new Map<string, Expr | number>(
    all.map(({ name }, i) => [name ?? '', input(i, values[i]?.dtype as 'f32')]),
  );
  for (const { name, value } of numbers) scope.set(name, Number(value));
  const typed = typeSource(source, scope);
  const lowered = lowerExprs(
    typed.map((r) => r.expr),
    values,
  );
  return typed.map((r, i) => ({ name: r.name, value: lowered[i] as NDArray }));
}

function tracedBody(
  what: string,
  fn: (...operands: NDArray[]) => KernelResult,
  options: ElementwiseOptions,
): Body {
  const inputs = options.inputs ?? Array.from({ length: fn.length }, (_, i) => `x${i}`);
  return {
    inputs,
    results: ({ arrays, numbers, shape }) => {
      if (numbers.length > 0) {
        throw new IngotError(
          'invalid_argument',
          `${what}: ${numbers[0]?.name} is a number; a traced function takes arrays: make one with full()`,
        );
      }
      const first = nextNodeId();
      const result = fn(...arrays.map(({ x }) => widened(x, shape)));
      const results: Named[] =
        result instanceof NDArray
          ? [{ name: undefined, value: result }]
          : Object.entries(result).map(([name, value]) => ({ name, value }));
      for (const { value } of results) checkElementwise(what, value, first);
      return results;
    },
  };
}

/** Throws invalid_argument for an op that looks at more than one element. */
function checkElementwise(what: string, result: NDArray, first: number): void {
  if (!(result instanceof NDArray)) {
    throw new IngotError('invalid_argument', `${what}: the function must return an array, or arrays by name`);
  }
  const stack = [resolve(result.value).node];
  const seen = new Set(stack);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.kind !== 'op' || node.id < first) continue;
    const { op } = node;
    if (op.elementwise === undefined && op.forwards !== true && node.inputs.length > 0) {
      throw new IngotError(
        'invalid_argument',
        `${what}: the function uses ${op.name}, which is no elementwise operation: take it out of the kernel, or use reduce() or mapReduce()`,
      );
    }
    for (const v of node.inputs) {
      const next = v === null ? undefined : resolve(v).node;
      if (next === undefined || seen.has(next)) continue;
      seen.add(next);
      stack.push(next);
    }
  }
}

type Rules = ReadonlyMap<string, KernelSource>;

function gradientRules(what: string, body: Body, { gradient }: ElementwiseOptions): Rules | undefined {
  if (gradient === undefined) return undefined;
  return new Map(
    Object.entries(gradient).map(([name, text]) => {
      if (!body.inputs.includes(name)) {
        throw new IngotError(
          'invalid_argument',
          `${what}: gradient of '${name}', which is no input; there is ${body.inputs.join(', ')}`,
        );
      }
      return [name, readSource(`gradient of ${name} in ${what}`, text)];
    }),
  );
}

function withRules(rules: Rules, operands: Operands, results: readonly Named[]): readonly NDArray[] {
  const primals = operands.arrays.map((a) => a.x);
  return withGradient(
    results.map((r) => r.value),
    primals,
    (inputs, cotangents, outputs) => {
      const arrays = operands.arrays.map((a, i) => ({ ...a, x: inputs[i] as NDArray }));
      const more = results.flatMap(({ name }, i) => [
        { name: name ?? 'y', value: outputs[i] as NDArray },
        { name: name === undefined ? 'g' : `g.${name}`, value: cotangents[i] as NDArray },
      ]);
      return operands.arrays.map(({ name, x }) => {
        const rule = rules.get(name);
        if (rule === undefined) return null;
        const known = [...operands.numbers, ...arrays, ...more].map((v) => v.name ?? '');
        readSource(rule.what, rule.text, known); // an unknown name is told with those there are
        const [made] = evaluateSource(rule, { ...operands, arrays }, more);
        return sumTo((made as Named).value.broadcastTo(operands.shape), x.shape).cast(x.dtype);
      });
    },
  );
}

/** One result without a name is the array itself. */
export function named(results: readonly (readonly [string | undefined, NDArray])[]): KernelResult {
  const [first] = results;
  if (first !== undefined && first[0] === undefined) return first[1];
  return Object.fromEntries(results.map(([name, x]) => [name ?? '', x]));
}
