// A whole step of training as one plan: loss, gradients, optimiser, and the parameters updated where they lie.

import { NDArray } from '../array/array.ts';
import { compileOf, type InputSpec } from '../array/compile.ts';
import { currentDevice } from '../array/context.ts';
import { evaluate, fromData } from '../array/creation.ts';
import { foldIn, key, withKey } from '../array/functions/random.ts';
import { tidy } from '../array/lifetime.ts';
import { identity } from '../array/ops/memory/identity.ts';
import type { Plan } from '../array/plan.ts';
import { mapTree, treeArrays, withArrays } from '../array/transform/tree.ts';
import { State } from '../array/weight.ts';
import type { TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import { lossAndGradients } from './differentiate.ts';
import type { Module, Parameters } from './module.ts';
import { applyUpdates, type GradientTransform, type TransformState } from './optim/transform.ts';

type Inputs = Readonly<Record<string, InputSpec>>;
type Arrays<I extends Inputs> = { readonly [K in keyof I]: NDArray };

export interface TrainingStepOptions<I extends Inputs> {
  readonly optimizer: GradientTransform;
  /** Shapes and dtypes of what a step is given. */
  readonly inputs: I;
  /** The loss (shape []) of a batch, alone or in a list with arrays by name that run() gives too. */
  readonly loss: (
    inputs: Arrays<I>,
  ) => NDArray | readonly [loss: NDArray, metrics: Readonly<Record<string, NDArray>>];
  /** Default: that of arrays. */
  readonly device?: Device;
  /** Of dropout and other random numbers in the loss. Default 0. */
  readonly seed?: number;
  /** The optimiser's state to go on from; default its first one. */
  readonly state?: TransformState;
}

/** Numbers of a step: the loss and the metrics; those of several elements are arrays. */
export type StepResult = { readonly loss: number } & Readonly<Record<string, number | TypedArray>>;

/**
 * Compiles a step of training, with the fusions that `patch` set for the module. The parameters move into memory that runs update in place; `sync()` brings them back into the
 * module, which keeps the old ones until then. Throws invalid_argument for a module without trainable parameters and for a loss of another shape.
 */
export async function trainingStep<I extends Inputs>(
  module: Module,
  options: TrainingStepOptions<I>,
): Promise<TrainingStep<I>> {
  const { optimizer, device = currentDevice(), seed = 0 } = options;
  const parameters = module.parameters();
  const trainable = Object.keys(module.trainableParameters());
  const begin = tidy(() => options.state ?? optimizer.init(pick(parameters, trainable)));
  const memory = new TrainingMemory(device, { parameters, optimizer: begin });
  try {
    await memory.fill({ parameters, optimizer: begin });
    const base = key(seed);
    const plan = compileOf(
      module,
      (inputs) => traceStep({ module, options, memory, trainable, base, inputs: inputs as Arrays<I> }),
      {
        device,
        inputs: options.inputs,
      },
    );
    if (options.state === undefined) for (const x of treeArrays(begin)) x.dispose();
    return new TrainingStep<I>({ module, memory, plan, inputs: options.inputs });
  } catch (error) {
    memory.dispose();
    throw error;
  }
}

const pick = (from: Parameters, paths: readonly string[]): Parameters =>
  Object.fromEntries(paths.map((path) => [path, from[path] as NDArray]));

interface Trees {
  readonly parameters: Parameters;
  readonly optimizer: TransformState;
}

/** Parameters and the optimiser's arrays as States, and the number of steps. */
class TrainingMemory {
  readonly #tree: Trees;
  readonly #states: ReadonlyMap<NDArray, State>;
  readonly steps: State;

  constructor(device: Device, tree: Trees) {
    this.#tree = tree;
    const states = new Map<NDArray, State>();
    mapTree(tree, (x, path) => {
      const shape = x.shape.map(Number);
      states.set(x, new State({ device, shape, dtype: x.dtype, label: path }));
      return x;
    });
    this.#states = states;
    this.steps = new State({ device, shape: [1], dtype: 'i32', label: 'steps' });
  }

  state(x: NDArray): State {
    return this.#states.get(x) as State;
  }

  /** Trees like those given, of what is in memory. */
  present(): Trees {
    return mapTree(this.#tree, (x) => new NDArray(this.state(x).value)) as Trees;
  }

  /** Makes the arrays of trees like those given the next content. */
  assign(next: Trees): readonly NDArray[] {
    const places = treeArrays(this.#tree);
    return treeArrays(next).map((x, i) => this.state(places[i] as NDArray).assign(x));
  }

  async fill(trees: Trees): Promise<void> {
    const assigned = this.assign(trees);
    await evaluate(...assigned);
    for (const x of assigned) x.dispose();
  }

  /** Copies of what is in memory. */
  async read(): Promise<Trees> {
    const arrays = treeArrays(this.#tree);
    const copies: NDArray[] = [];
    for (const x of arrays) {
      const data = await this.state(x).data();
      const shape = x.shape.map(Number);
      copies.push(
        x.dtype === 'f16' || x.dtype === 'bf16'
          ? fromData(data, shape).cast(x.dtype)
          : fromData(data, shape, { dtype: x.dtype }),
      );
    }
    return withArrays(this.#tree, copies) as Trees;
  }

  dispose(): void {
    for (const state of this.#states.values()) state.dispose();
    this.steps.dispose();
  }
}

interface StepTrace<I extends Inputs> {
  readonly module: Module;
  readonly options: TrainingStepOptions<I>;
  readonly memory: TrainingMemory;
  readonly trainable: readonly string[];
  readonly base: NDArray;
  readonly inputs: Arrays<I>;
}

/** The graph of a step; updates of States are effects of the trace. */
function traceStep<I extends Inputs>({ module, options, memory, trainable, base, inputs }: StepTrace<I>) {
  const now = memory.present();
  const steps = new NDArray(memory.steps.value);
  const chosen = pick(now.parameters, trainable);
  const { value, gradients, buffers } = withKey(foldIn(base, identity(steps)), () =>
    module.withParameters(now.parameters, () => lossAndGradients(module, chosen, () => options.loss(inputs))),
  );
  const [loss, metrics] = Array.isArray(value)
    ? (value as readonly [NDArray, Record<string, NDArray>])
    : [value as NDArray, {}];
  if ('loss' in metrics)
    throw new IngotError('invalid_argument', 'trainingStep: a metric cannot have the name loss');
  const { updates, state } = options.optimizer.update(gradients, now.optimizer, chosen);
  const next = { ...now.parameters, ...applyUpdates(chosen, updates), ...buffers };
  memory.assign({ parameters: next, optimizer: state });
  memory.steps.assign(identity(steps).add(1));
  return { ...metrics, loss };
}

interface TrainingStepParts<I extends Inputs> {
  readonly module: Module;
  readonly memory: TrainingMemory;
  readonly plan: Plan;
  readonly inputs: I;
}

/** A compiled step of training, and the memory of what it trains. */
export class TrainingStep<I extends Inputs = Inputs> {
  readonly #parts: TrainingStepParts<I>;

  /** Made by trainingStep. */
  constructor(parts: TrainingStepParts<I>) {
    this.#parts = parts;
  }

  /** Runs a step on a batch. Steps queue up: the next one can be given before this one ends. */
  async run(inputs: { readonly [K in keyof I]: TypedArray | readonly number[] }): Promise<StepResult> {
    const outputs = await this.#parts.plan.run({ inputs });
    const values: Record<string, number | TypedArray> = {};
    for (const output of outputs) {
      const data = await output.data();
      values[output.name] = output.shape.length === 0 ? (data[0] as number) : data;
    }
    return values as StepResult;
  }

  /** Brings the parameters as they are now into the module, whose old ones are freed. */
  async sync(): Promise<void> {
    const { module, memory } = this.#parts;
    const { parameters, optimizer } = await memory.read();
    for (const x of treeArrays(optimizer)) x.dispose();
    const old = module.parameters();
    module.update(parameters);
    for (const x of Object.values(old)) x.dispose();
  }

  /** A copy of the optimiser's state, to go on from later. */
  async optimizerState(): Promise<TransformState> {
    const { parameters, optimizer } = await this.#parts.memory.read();
    for (const x of Object.values(parameters)) x.dispose();
    return optimizer;
  }

  /** The graph of the step, as text. */
  print(): string {
    return this.#parts.plan.print();
  }

  /** Kernels of the step, with bytes and arithmetic, as a table. */
  explain(): string {
    return this.#parts.plan.explain();
  }

  /** Frees the memory of the step. The module keeps the parameters of the last sync(). */
  dispose(): void {
    this.#parts.plan.dispose();
    this.#parts.memory.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}
