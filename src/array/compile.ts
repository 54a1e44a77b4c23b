// compile: traces a function of arrays once and gives a plan that a device replays. Inputs, outputs and scalars have names.

import type { DType } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { checkShape, type Shape } from '../base/shape.ts';
import type { Device } from '../device/device.ts';
import { NDArray } from './array.ts';
import { type TraceContext, withTrace } from './context.ts';
import { attributeKey } from './graph/attributes.ts';
import { byteSize } from './graph/lower.ts';
import { inputNode, type Value, valueType } from './graph/node.ts';
import { assemble, optimise } from './graph/pipeline.ts';
import { graphNodes } from './graph/trace.ts';
import { retain, tidy } from './lifetime.ts';
import { operand } from './ops/operands.ts';
import { type PatchSetting, patchSetting } from './patched.ts';
import {
  type PatternChoice,
  type PatternName,
  type PatternSet,
  patternKey,
  resolvePatterns,
} from './patterns.ts';
import { Plan } from './plan.ts';

export interface InputSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

export interface CompileOptions<I extends Readonly<Record<string, InputSpec>>> {
  readonly device: Device;
  readonly inputs: I;
  /** Records the time of each dispatch: plan.profile(). */
  readonly profile?: boolean;
  /**
   * The fusions of the plan: `[]` runs every op as written, one dispatch each; `{ rope_kv: false }` all but one. Default: what
   * `patch` of `ingot/patch` set for the function, else all.
   */
  readonly patterns?: PatternChoice | undefined;
}

/** A function of arrays by name, and what such a function may return. */
export type TracedFunction<I> = (inputs: { readonly [K in keyof I]: NDArray }) => Outputs;

/** What can be compiled: a function, or a module, whose `forward` gets the inputs in their order. */
export type Traced<I> = TracedFunction<I> | { forward(...inputs: NDArray[]): Outputs };

/** What a compiled function returns: one array, a list, or arrays by name. */
export type Outputs = NDArray | readonly NDArray[] | Readonly<Record<string, NDArray>>;

const plans = new WeakMap<object, Map<string, Plan>>();
const deviceIds = new WeakMap<Device, number>();
let devices = 0;

/**
 * The plan of `target` for inputs of these shapes and dtypes. Sizes may be dynamic (dynDim): the plan then takes the size as
 * the scalar of that name. Arrays and weights that it closes over are constants of the plan; States are updated by its
 * runs. Arrays made inside it belong to the plan: make what outlives it before. The same function with the same signature gives the same plan until it is disposed.
 */
export function compile<I extends Readonly<Record<string, InputSpec>>>(
  target: Traced<I>,
  options: CompileOptions<I>,
): Plan {
  return compileOf(target, target, options);
}

/** `compile` with the fusions that `patch` set for `owner`: for a function that is made around a module. */
export function compileOf<I extends Readonly<Record<string, InputSpec>>>(
  owner: object,
  target: Traced<I>,
  options: CompileOptions<I>,
): Plan {
  if (options?.device === undefined || typeof options.inputs !== 'object') {
    throw new IngotError(
      'invalid_argument',
      'compile needs { device, inputs }: where the plan runs, and shape and dtype of each input by name, as in ' +
        "{ x: { shape: [2, 3], dtype: 'f32' } }. Without a plan, arrays are compiled when they are evaluated, once for each shape",
    );
  }
  const { device, inputs, profile = false } = options;
  const patched = patchSetting(owner);
  const patterns = resolvePatterns(options.patterns, patched?.patterns);
  const id = deviceIds.get(device) ?? devices++;
  deviceIds.set(device, id);
  const signature = `${id} ${profile} ${patternKey(patterns)} ${attributeKey(inputs)}`;
  const known = plans.get(target) ?? new Map<string, Plan>();
  plans.set(target, known);
  const before = known.get(signature);
  if (before !== undefined && !before.disposed) return before;
  const plan = trace(functionOf(target), { device, inputs, profile, patterns });
  if (patched !== undefined && options.patterns === undefined) checkPatch(patched, plan);
  known.set(signature, plan);
  return plan;
}

/** What the plan of a function does: its kernels, the bytes they touch and their arithmetic, as a table. */
export function explain<I extends Readonly<Record<string, InputSpec>>>(
  target: Traced<I>,
  options: CompileOptions<I>,
): string {
  const known = new Set(plans.get(target)?.values());
  const plan = compile(target, options);
  try {
    return plan.explain();
  } finally {
    if (!known.has(plan)) plan.dispose();
  }
}

const functionOf = <I extends Readonly<Record<string, InputSpec>>>(target: Traced<I>): TracedFunction<I> =>
  typeof target === 'function' ? target : (inputs) => target.forward(...Object.values<NDArray>(inputs));

/** Throws invalid_argument when a pattern that `patch` was asked for has nothing to do in the plan. */
function checkPatch({ wanted, onPlan }: PatchSetting, plan: Plan): void {
  const idle = wanted.find((name) => plan.patterns[name] === undefined);
  if (idle === undefined) {
    onPlan(plan.patterns);
    return;
  }
  plan.dispose();
  throw new IngotError(
    'invalid_argument',
    `pattern ${idle} matches nothing here: leave it out of patch(), or compile with patterns of its own`,
    { details: { pattern: idle, found: plan.patterns } },
  );
}

interface Settings<I> {
  readonly device: Device;
  readonly inputs: I & Readonly<Record<string, InputSpec>>;
  readonly profile: boolean;
  readonly patterns: PatternSet;
}

function trace<I extends Readonly<Record<string, InputSpec>>>(
  fn: TracedFunction<I>,
  settings: Settings<I>,
): Plan {
  const { device, inputs } = settings;
  const context: TraceContext = { device, states: new Map() };
  return withTrace(context, () =>
    tidy(() => {
      const args = Object.fromEntries(
        Object.entries(inputs).map(([name, { shape, dtype }]) => {
          checkShape(shape, `input ${name}`);
          return [name, new NDArray({ node: inputNode(name, { shape, dtype }), index: 0 })];
        }),
      ) as { readonly [K in keyof I]: NDArray };
      const named = nameOutputs(fn(args));
      const outputs = named.map(([, array]) => array.value);
      const names = named.map(([name]) => name);
      return build({ ...settings, names, outputs, effects: [...context.states.values()] });
    }),
  );
}

interface Results {
  readonly device: Device;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly profile: boolean;
  readonly patterns: PatternSet;
  readonly names: readonly string[];
  readonly outputs: readonly Value[];
  readonly effects: readonly Value[];
}

function build({ device, inputs, profile, patterns, names, outputs, effects }: Results): Plan {
  const counts: Partial<Record<PatternName, number>> = {};
  const context = {
    device,
    patterns,
    wrap: (v: Value): NDArray => new NDArray(v),
    onMatch: (name: PatternName, times: number): void => {
      counts[name] = (counts[name] ?? 0) + times;
    },
  };
  const graph = optimise(outputs, effects, context);
  const buffers = new Map(
    Object.entries(inputs).map(([name, { shape, dtype }]) => [
      name,
      device.allocate(byteSize({ shape, dtype }), `input ${name}`),
    ]),
  );
  try {
    const assembled = assemble(graph, context, buffers);
    // The plan holds the constants it reads, also those made while tracing.
    const constants = graphNodes(graph).filter((n) => n.kind === 'buffer');
    for (const node of constants) retain(node);
    const program = { ...assembled.program, chains: patterns.has('chains') };
    const compiled = device.compile(program, { profile });
    if (compiled.chains !== undefined && compiled.chains > 0) counts.chains = compiled.chains;
    return new Plan({
      device,
      graph,
      program,
      compiled,
      patterns: counts,
      steps: assembled.lowered.steps,
      inputs: [...buffers].map(([name, buffer]) => ({ name, ...operand([inputs[name] ?? null], 0), buffer })),
      outputs: assembled.outputs.map((place, i) => {
        const { shape, dtype } = valueType(operand(outputs, i));
        return { name: operand(names, i), shape, dtype, ...place };
      }),
      owned: [...buffers.values(), ...assembled.allocated],
      constants,
    });
  } catch (error) {
    for (const buffer of buffers.values()) buffer.dispose();
    throw error;
  }
}

function nameOutputs(result: Outputs): readonly (readonly [string, NDArray])[] {
  if (result instanceof NDArray) return [['0', result]];
  const entries = Object.entries(result);
  for (const [name, array] of entries) {
    if (array instanceof NDArray) continue;
    throw new IngotError('invalid_argument', `output ${name} of the compiled function is not an array`);
  }
  return entries;
}
