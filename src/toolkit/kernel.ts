// kernel: WGSL written by hand, with a reference in array operations that says what it computes. GPUs run the text; every other
// device, gradients and batches run the reference.

import { NDArray } from '../array/array.ts';
import { tidy } from '../array/lifetime.ts';
import type { OpDef, Operands } from '../array/op.ts';
import { identity } from '../array/ops/memory/identity.ts';
import { fixed } from '../array/ops/operands.ts';
import { backward } from '../array/transform/backward.ts';
import { customFunction } from '../array/transform/custom.ts';
import type { ValueType } from '../array/types.ts';
import type { DType } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { warnOnce } from '../base/log.ts';
import { formatShape } from '../base/shape.ts';
import type { Device } from '../device/device.ts';
import type { GpuKernelPlan, KernelRequest } from '../kernel/wgsl/contract.ts';
import { literal } from '../kernel/wgsl/emit.ts';
import { addUserKernel } from '../kernel/wgsl/user.ts';
import { type KernelResult, named } from './elementwise.ts';
import { type ShownInputs, showPrograms } from './source.ts';

type Sizes = readonly number[];
export type Shapes = Readonly<Record<string, Sizes>>;
export type Arrays = Readonly<Record<string, NDArray>>;

/** What a binding holds; dtypes narrower than a word are seen as `array<u32>`. */
export type Binding =
  | DType
  | { readonly dtype: DType /** WGSL type, such as `array<vec4<f32>>`. */; readonly type: string };

export interface OutputBinding {
  readonly dtype: DType;
  readonly type?: string;
  /** From the shapes of the inputs. */
  shape(inputs: Shapes): Sizes;
}

export interface KernelOptions {
  readonly name: string;
  /** In the order of the operands, by the names of their variables in the text. Operands of other dtypes are cast. */
  readonly inputs: Readonly<Record<string, Binding>>;
  readonly outputs: Readonly<Record<string, OutputBinding>>;
  /** Everything but bindings and constants: helper functions and `@compute @workgroup_size(…) fn main(…)`. */
  readonly wgsl: string;
  /** Workgroups from the shapes of inputs and outputs and the constants. */
  workgroups(
    shapes: Shapes,
    constants: Readonly<Record<string, number>>,
  ): readonly [x: number, y?: number, z?: number];
  /** u32 constants of the text, from the shapes; `NAME_size` (elements of a binding) are there already. */
  constants?(shapes: Shapes): Readonly<Record<string, number>>;
  /**
   * A family: constants that change the speed and not the result, with their candidates, the default first. Which are taken on an adapter
   * is a choice that is measured and kept as data.
   */
  readonly variants?: Readonly<Record<string, readonly number[]>>;
  /** WGSL extensions that the text needs; an adapter without them refuses the kernel. */
  readonly enables?: readonly ('f16' | 'subgroups')[];
  /** The definition, in array operations: one array for one output, else arrays by name. */
  reference(inputs: Arrays): NDArray | Arrays;
  /** Gradients by hand of the inputs named. Default: that of the reference. */
  gradient?(call: { readonly inputs: Arrays; readonly outputs: Arrays; readonly cotangents: Arrays }): Arrays;
}

export interface WrittenKernel {
  (...operands: readonly NDArray[]): KernelResult;
  readonly kernelName: string;
  readonly inputs: readonly string[];
  source(device: Device, operands?: ShownInputs): string;
}

/**
 * A kernel from WGSL and its reference. The result is one array for one output, else arrays by name.
 * @throws IngotError `invalid_argument` for a definition without text, reference, inputs or outputs, for a wrong number of operands, and for a
 * reference whose results are not what the outputs say; `device_failed` with the numbered text where a GPU's compiler refuses it.
 */
export function kernel(options: KernelOptions): WrittenKernel {
  checkOptions(options);
  const { name } = options;
  const inputs = Object.keys(options.inputs);
  const op = kernelOp(options);
  const attrs = { kernel: addUserKernel((request) => planWritten(options, request)) };
  const run = (...operands: NDArray[]): readonly NDArray[] => {
    const typed = operands.map((x, i) => x.cast(dtypeOf(options.inputs[inputs[i] as string] as Binding)));
    return (typed[0] as NDArray).applyMany(op, typed, attrs);
  };
  const whole =
    options.gradient === undefined ? run : customFunction(run, handRule(options, options.gradient));
  const outputs = Object.keys(options.outputs);
  const apply = (...operands: readonly NDArray[]): KernelResult =>
    tidy(() => {
      if (operands.length !== inputs.length || !operands.every((x) => x instanceof NDArray)) {
        throw new IngotError(
          'invalid_argument',
          `${name} takes ${inputs.length} arrays (${inputs.join(', ')}), got ${operands.length}`,
        );
      }
      const results = whole(...operands) as readonly NDArray[];
      return named(results.map((x, i) => [outputs.length === 1 ? undefined : outputs[i], x] as const));
    });
  return Object.assign(apply, {
    kernelName: name,
    inputs,
    source: (device: Device, shown?: ShownInputs) =>
      showPrograms({ what: name, inputs, apply: (...xs) => apply(...(xs as NDArray[])) }, device, shown),
  });
}

const dtypeOf = (b: Binding): DType => (typeof b === 'string' ? b : b.dtype);

function checkOptions(options: KernelOptions): void {
  const { name } = options;
  if (typeof name !== 'string' || name === '')
    throw new IngotError('invalid_argument', 'kernel: name is missing');
  const missing = (part: string, remedy: string): never => {
    throw new IngotError('invalid_argument', `kernel '${name}': ${part} is missing: ${remedy}`);
  };
  if (Object.keys(options.inputs ?? {}).length === 0)
    missing('inputs', "name at least one, as in inputs: { x: 'f32' }");
  if (Object.keys(options.outputs ?? {}).length === 0)
    missing('outputs', "as in outputs: { y: { dtype: 'f32', shape: ({ x }) => x } }");
  if (typeof options.reference !== 'function')
    missing('reference', 'a function of arrays that says what the kernel computes');
  if (typeof options.workgroups !== 'function')
    missing('workgroups', 'how many workgroups run, from the shapes');
  if (
    typeof options.wgsl !== 'string' ||
    !/@compute\b/.test(options.wgsl) ||
    !/\bfn\s+main\b/.test(options.wgsl)
  ) {
    missing('wgsl with an entry point', '@compute @workgroup_size(…) fn main(…)');
  }
  const names = [...Object.keys(options.inputs), ...Object.keys(options.outputs)];
  const twice = names.find((n, i) => names.indexOf(n) !== i);
  if (twice !== undefined) {
    throw new IngotError(
      'invalid_argument',
      `kernel '${name}': '${twice}' is an input and an output: a kernel writes arrays of its own`,
    );
  }
}

/** Shapes by name. Sizes are known: the text is made for them. */
const shapesOf = (names: readonly string[], types: Operands<ValueType | NDArray>, what: string): Shapes =>
  Object.fromEntries(names.map((n, i) => [n, (types[i]?.shape ?? []).map((d) => fixed(d, what))]));

function kernelOp(options: KernelOptions): OpDef<{ readonly kernel: number }> {
  const { name } = options;
  const inputs = Object.keys(options.inputs);
  const outputs = Object.entries(options.outputs);
  const reference = (xs: Operands<NDArray>): readonly NDArray[] =>
    runReference(options, xs as readonly NDArray[]);
  return {
    name,
    infer: (types) => {
      const shapes = shapesOf(inputs, types, name);
      return outputs.map(([, o]) => ({ shape: o.shape(shapes), dtype: o.dtype }));
    },
    reference: () => {
      throw new IngotError('internal', `internal: ${name} is taken apart before it runs`);
    },
    composed: true,
    composite: (xs) => {
      warnOnce(`kernel ${name}`, `kernel '${name}' runs as its reference: this device runs no WGSL.`);
      return reference(xs);
    },
    vjp: ({ inputs: xs, grads }) => {
      const sources = (xs as readonly NDArray[]).map(identity);
      return backward(reference(sources), grads, sources);
    },
    batch: ({ inputs: xs, batched, vmap }) =>
      vmap((list) => reference(list), xs as readonly NDArray[], batched),
    kernel: {
      halfFloats: true,
      emit: ({ inputs: xs, outputs: ys, attrs, emit }) => {
        const present = xs.flatMap((v) => (v === null ? [] : [v]));
        const all = [...present, ...ys];
        emit(
          'user',
          { inputs: present.map((x) => ({ x })), outputs: ys.map((y) => ({ y })) },
          {
            kernel: attrs.kernel,
            inputs: present.map(({ type }) => ({ dtype: type.dtype })),
            outputs: ys.map(({ type }) => ({ dtype: type.dtype })),
            values: all
              .flatMap(({ type }) => [type.shape.length, ...type.shape.map((d) => fixed(d, name))])
              .map((value) => ({ value })),
          },
        );
      },
    },
    cases: [],
  };
}

function runReference(options: KernelOptions, xs: readonly NDArray[]): readonly NDArray[] {
  const { name } = options;
  const inputs = Object.keys(options.inputs);
  const result = options.reference(Object.fromEntries(inputs.map((n, i) => [n, xs[i] as NDArray])));
  const shapes = shapesOf(inputs, xs, name);
  return Object.entries(options.outputs).map(([n, o]) => {
    const y = result instanceof NDArray ? result : result[n];
    const want = o.shape(shapes);
    if (!(y instanceof NDArray) || formatShape(y.shape) !== formatShape(want)) {
      const got = y instanceof NDArray ? formatShape(y.shape) : 'no array';
      throw new IngotError(
        'invalid_argument',
        `kernel '${name}': the reference gives ${got} for output ${n}, which is ${formatShape(want)}`,
      );
    }
    return y.cast(o.dtype);
  });
}

type Gradient = NonNullable<KernelOptions['gradient']>;

function handRule(options: KernelOptions, gradient: Gradient) {
  const inputs = Object.keys(options.inputs);
  const outputs = Object.keys(options.outputs);
  const byName = (names: readonly string[], xs: readonly NDArray[]): Arrays =>
    Object.fromEntries(names.map((n, i) => [n, xs[i] as NDArray]));
  return (primals: readonly NDArray[], cotangents: readonly NDArray[], results: readonly NDArray[]) => {
    const grads = gradient({
      inputs: byName(inputs, primals),
      outputs: byName(outputs, results),
      cotangents: byName(outputs, cotangents),
    });
    return inputs.map((n) => grads[n] ?? null);
  };
}

const words: Readonly<Partial<Record<DType, string>>> = { f32: 'f32', i32: 'i32', u32: 'u32' };
const arrayType = (dtype: DType, type?: string): string => type ?? `array<${words[dtype] ?? 'u32'}>`;

/** The pass of a dispatch: bindings and constants before the text. */
function planWritten(options: KernelOptions, request: KernelRequest<'user'>): GpuKernelPlan {
  const { name, variants = {} } = options;
  const { caps } = request;
  const lacking = options.enables?.find((e) => (e === 'f16' ? !caps.f16 : caps.subgroups === undefined));
  if (lacking !== undefined)
    throw new IngotError('unsupported', `kernel '${name}' needs ${lacking}, which this GPU lacks`);
  const inputs = Object.entries(options.inputs);
  const outputs = Object.entries(options.outputs);
  const shapes = readShapes(
    request,
    [...inputs, ...outputs].map(([n]) => n),
  );
  const given = options.constants?.(shapes) ?? {};
  const sizes = Object.fromEntries(
    Object.entries(shapes).map(([n, s]) => [`${n}_size`, s.reduce((a, b) => a * b, 1)]),
  );
  const chosen = Object.fromEntries(
    Object.entries(variants).map(([n, candidates]) => [
      n,
      Number(request.choose(`kernel ${name} ${n} ${Object.values(sizes).join('x')}`, candidates.map(String))),
    ]),
  );
  const constants = { ...sizes, ...given, ...chosen };
  const declared = Object.entries(constants).map(([n, v]) => `const ${n} = ${literal(v, 'u32')};\n`);
  const [x, y = 1, z = 1] = options.workgroups(shapes, constants);
  if (![x, y, z].every((n) => Number.isInteger(n) && n >= 0 && n <= 65535)) {
    throw new IngotError(
      'invalid_argument',
      `kernel '${name}': ${x} x ${y} x ${z} workgroups; each is an integer of at most 65535`,
    );
  }
  const bindings = [
    ...inputs.map(([n, b], i) => ({
      buffer: request.b.inputs[i]?.x as number,
      name: n,
      type: typeof b === 'string' ? arrayType(b) : b.type,
      access: 'read' as const,
    })),
    ...outputs.map(([n, o], i) => ({
      buffer: request.b.outputs[i]?.y as number,
      name: n,
      type: arrayType(o.dtype, o.type),
      access: 'read_write' as const,
    })),
  ];
  const enables = options.enables === undefined ? {} : { enables: options.enables };
  return {
    variants: [
      {
        passes: [
          { name, bindings, code: `${declared.join('')}${options.wgsl}\n`, groups: [x, y, z], ...enables },
        ],
      },
    ],
  };
}

/** Ranks and sizes follow each other in the values of the dispatch. */
function readShapes(request: KernelRequest<'user'>, names: readonly string[]): Shapes {
  const values = request.p.values.map(({ value }) => request.constant(value));
  let at = 0;
  return Object.fromEntries(
    names.map((n) => {
      const rank = values[at] ?? 0;
      at += rank + 1;
      return [n, values.slice(at - rank, at)];
    }),
  );
}
