// reduce and mapReduce: kernels over the lines of an axis, from expressions.

import { NDArray } from '../array/array.ts';
import { tidy } from '../array/lifetime.ts';
import type { Term } from '../array/ops/elementwise/elementwise.ts';
import { fixed } from '../array/ops/operands.ts';
import type { DType } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { normalizeAxis } from '../base/shape.ts';
import type { Device } from '../device/device.ts';
import type { FoldProgram } from '../kernel/fold.ts';
import { type KernelResult, named } from './elementwise.ts';
import { addFold, foldOp, numberOperand } from './fold-op.ts';
import { type PassOptions, type ReadFold, readFold, type Sources, typeFold } from './fold-source.ts';
import { checkResultDtype, readOperands, storedDtype } from './operands.ts';
import { type ShownInputs, showPrograms } from './source.ts';

interface CommonOptions {
  /** For messages. */
  readonly name?: string;
  /** The operands in order; default: the names that the sources read, in the order they appear. They broadcast. */
  readonly inputs?: readonly string[];
  /** Default -1. */
  readonly axis?: number;
  /** Dtype of the results. Default: floats as the float operands (f32 without any), integers and truth values as they are. */
  readonly dtype?: DType;
  /** The same in array operations, in place of the derived one: what devices without WGSL and gradients use. */
  readonly composite?: (...operands: NDArray[]) => KernelResult;
}

export interface ReduceOptions extends CommonOptions, PassOptions {
  /** Keeps the axis with size 1. */
  readonly keepDims?: boolean;
}

export interface MapReduceOptions extends CommonOptions {
  /**
   * The passes in order, by name: the result of a pass has its name in later ones and in `write` (`name.part` where it has several).
   */
  readonly passes: Readonly<Record<string, PassOptions>>;
  /** What is written for each element: of the operands, the results of the passes, `i` and `n`. */
  readonly write: Sources;
}

export interface FoldKernel<R extends KernelResult = NDArray> {
  (...operands: readonly Term[]): R;
  readonly kernelName: string;
  readonly inputs: readonly string[];
  /** What runs on a device: WGSL on a GPU. Operands that are not given are like the first that is, or f32 `[1024]`. */
  source(device: Device, operands?: ShownInputs): string;
}

type ByName<S> = S extends string ? NDArray : Readonly<Record<string, NDArray>>;
type Reduced<O extends ReduceOptions> = O extends { readonly finalize: infer F extends Sources }
  ? ByName<F>
  : O extends { readonly init: number | string }
    ? NDArray
    : Readonly<Record<string, NDArray>>;

/**
 * A reduction over one axis: `reduce({ init: 0, update: 'acc + x * x', combine: 'a + b', finalize: 'sqrt(acc)' })` takes `[…, D, …]` to
 * `[…, …]`. It runs in parallel over lines of any length; floats accumulate in f32. Differentiable where `update` is.
 * @throws IngotError `invalid_argument` for a part that is missing and for errors in a source, with line, column and a caret;
 * `shape_mismatch` for operands that do not broadcast; `unsupported` for the gradient of accumulators that are no floats.
 */
export function reduce<const O extends ReduceOptions>(options: O): FoldKernel<Reduced<O>> {
  const {
    name = 'reduce',
    inputs,
    keepDims = false,
    axis = -1,
    dtype,
    init,
    update,
    combine,
    finalize,
  } = options;
  const pass = { init, update, combine, ...(finalize === undefined ? {} : { finalize }) };
  const fold = readFold({ what: name, inputs, passes: { '': pass } });
  return kernelOf(fold, { axis, keepDims, dtype, composite: options.composite }) as FoldKernel<Reduced<O>>;
}

/**
 * Passes over each line of an axis, then a value for each element: a layer norm is
 * `mapReduce({ passes: { mean: {…}, variance: {…} }, write: '(x - mean) * rsqrt(variance + 1e-5)' })`. Any number of passes, any length of
 * lines; a pass sees the results of those before. Differentiable where the updates are. Throws as reduce does.
 */
export function mapReduce<const O extends MapReduceOptions>(options: O): FoldKernel<ByName<O['write']>> {
  const { name = 'mapReduce', inputs, axis = -1, dtype, passes, write } = options;
  if (passes === undefined || Object.keys(passes).length === 0) {
    throw new IngotError(
      'invalid_argument',
      `${name}: passes are missing: give at least one, as in passes: { total: { init: 0, … } }`,
    );
  }
  if (write === undefined) {
    throw new IngotError(
      'invalid_argument',
      `${name}: write is missing: what is written for each element, as in write: 'x / total'`,
    );
  }
  const fold = readFold({ what: name, inputs, passes, write });
  return kernelOf(fold, { axis, keepDims: false, dtype, composite: options.composite }) as FoldKernel<
    ByName<O['write']>
  >;
}

interface Settings {
  readonly axis: number;
  readonly keepDims: boolean;
  readonly dtype: DType | undefined;
  readonly composite: CommonOptions['composite'];
}

function kernelOf(fold: ReadFold, { axis, keepDims, dtype, composite }: Settings): FoldKernel<KernelResult> {
  const { what } = fold;
  checkResultDtype(what, dtype);
  if (!Number.isInteger(axis))
    throw new IngotError('invalid_argument', `${what}: axis must be an integer, got ${String(axis)}`);
  const programs = new Map<string, { readonly kernel: number; readonly program: FoldProgram }>();
  const apply = (...terms: readonly Term[]): KernelResult =>
    tidy(() => {
      const operands = readOperands(what, fold.inputs, terms);
      const arrays = terms.map((t) => (typeof t === 'object' ? t : numberOperand(t)));
      const at = normalizeAxis(axis, operands.shape.length, what);
      const n = fixed(operands.shape[at], what);
      const kinds = fold.inputs.map((name, i) => {
        const array = operands.arrays.find((a) => a.name === name);
        return array?.kind ?? (arrays[i]?.dtype as 'f32');
      });
      const key = `${kinds.join()} ${n}`;
      const made = programs.get(key) ?? add(fold, typeFold(fold, kinds, n), composite);
      programs.set(key, made);
      const { program, kernel } = made;
      const results = program.write ?? program.passes.at(-1)?.finish ?? [];
      const stored = results.map((e) => dtype ?? storedDtype(e.kind, operands));
      // Lines are few: what each of them gives is made in registers and cast afterwards.
      const dtypes = program.write === undefined ? results.map((e) => e.kind) : stored;
      const from = axis < 0 ? axis : axis - operands.shape.length;
      const attrs = { kernel, axis: from, keepDims, dtypes };
      const values = (arrays[0] as NDArray).applyMany(foldOp, arrays, attrs);
      return named(values.map((v, i) => [fold.outputs[i], v.cast(stored[i] as DType)] as const));
    });
  return Object.assign(apply, {
    kernelName: what,
    inputs: fold.inputs,
    source: (device: Device, shown?: ShownInputs) =>
      showPrograms({ what, inputs: fold.inputs, apply }, device, shown),
  });
}

function add(fold: ReadFold, program: FoldProgram, composite: CommonOptions['composite']) {
  const inOrder = (result: KernelResult): readonly NDArray[] =>
    result instanceof NDArray ? [result] : fold.outputs.map((n) => result[n ?? ''] as NDArray);
  const made = composite && ((operands: readonly NDArray[]) => inOrder(composite(...operands)));
  return { kernel: addFold(fold.what, program, made), program };
}
