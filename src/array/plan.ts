// A compiled function: a run writes inputs, replays the device program and captures outputs, as one job of the device.

import { bytesPerElement, type DType, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { type Count, countValue, elementCount, formatShape, isDynamic, type Shape } from '../base/shape.ts';
import type {
  BufferRange,
  CompiledProgram,
  Device,
  DeviceBuffer,
  DeviceProgram,
  ScalarSpec,
  Transfers,
} from '../device/device.ts';
import { explainProgram, type Step, type StepCost, stepCosts } from './explain.ts';
import type { Graph, Node } from './graph/node.ts';
import { printGraph } from './graph/print.ts';
import { release } from './lifetime.ts';
import { typedView } from './ops/operands.ts';
import type { PatternCounts } from './patterns.ts';
import {
  type EndedRun,
  type OutputPlace,
  outputRange,
  PlanOutput,
  type Scalars,
  SNAPSHOT_BYTES,
} from './plan-output.ts';

interface PlanInput {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly buffer: DeviceBuffer;
}

export interface PlanParts {
  readonly device: Device;
  readonly graph: Graph;
  readonly program: DeviceProgram;
  readonly compiled: CompiledProgram;
  readonly patterns: PatternCounts;
  readonly steps: readonly Step[];
  readonly inputs: readonly PlanInput[];
  readonly outputs: readonly OutputPlace[];
  /** Disposed with the plan. */
  readonly owned: readonly DeviceBuffer[];
  /** Leaves whose buffers the plan holds. */
  readonly constants: readonly Node[];
}

export interface RunArguments {
  /** Elements by input name; an input that is left out keeps what the run before had. */
  readonly inputs?: Readonly<Record<string, TypedArray | readonly number[]>>;
  /**
   * Outputs of the run submitted before this one, by the name of the input that takes their elements. Both have elements
   * of one size in bytes; the bits are copied.
   */
  readonly feed?: Readonly<Record<string, string>>;
  /** Scalars by name. The size of a dynamic dimension may be left out when an input given here has it. */
  readonly scalars?: Scalars;
}

/** An input, and what every run needs to know of it. */
interface Slot {
  readonly input: PlanInput;
  readonly count: Count;
  /** Bytes of an element. */
  readonly width: number;
  /** Makes the typed array of this many elements that the input stores. */
  readonly make: (length: number) => TypedArray;
  readonly arrays: TypedArray['constructor'];
}

/** Number of elements that a run gives an input. */
interface Given {
  readonly slot: Slot;
  readonly elements: number;
}

export class Plan {
  /** Hold the result of the last run that ended. */
  readonly outputs: readonly PlanOutput[];
  /** Dispatches, arena size and scalars, for inspection. */
  readonly program: DeviceProgram;
  /** How often each fusion applied. */
  readonly patterns: PatternCounts;
  readonly #parts: PlanParts;
  readonly #slots: ReadonlyMap<string, Slot>;
  /** Capacity of each dynamic dimension. */
  readonly #dynamic: ReadonlyMap<string, number>;
  #submitted: Scalars | undefined;
  #ended: EndedRun = { scalars: {}, captured: undefined };
  #disposed = false;

  /** Made by compile. */
  constructor(parts: PlanParts) {
    this.#parts = parts;
    this.program = parts.program;
    this.patterns = parts.patterns;
    this.#slots = new Map(parts.inputs.map((input) => [input.name, slotOf(input)]));
    this.#dynamic = dynamicSizes(parts);
    this.outputs = this.#outputsOf(() => this.#ended);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Resolves when runs need not wait for the device's compilers; rejects when they refused the plan. */
  get ready(): Promise<void> {
    return this.#parts.compiled.ready ?? Promise.resolve();
  }

  /** Scalars of the run submitted last. */
  get submitted(): Scalars {
    return this.#submitted ?? {};
  }

  /** The output of this name. Throws invalid_argument when there is none. */
  output(name: string): PlanOutput {
    return named(this.outputs, name, 'output');
  }

  /** Writes the first elements of an input. No run may be in flight. */
  write(name: string, data: TypedArray | readonly number[]): void {
    this.#check();
    const slot = this.#slot(name);
    const elements = asTyped(slot, data);
    const { shape, buffer } = slot.input;
    const capacity = countValue(slot.count);
    if (elements.length > capacity) {
      throw new IngotError(
        'invalid_argument',
        `input ${name} ${formatShape(shape)} holds ${capacity} elements, got ${elements.length}`,
      );
    }
    this.#parts.device.write(buffer, 0, elements);
  }

  /**
   * Writes the inputs given, runs, and resolves to the outputs of this run, in the order the function returned them.
   * Arguments are captured by the call; runs queue up on the device, so the next one can be submitted before this one
   * ends. Rejects with invalid_argument when an input's length or a scalar does not fit, before anything is written.
   */
  async run(args: RunArguments = {}): Promise<readonly PlanOutput[]> {
    this.#check();
    const { inputs = {}, feed = {}, scalars = {}, ...unread } = args;
    for (const name of Object.keys(unread)) {
      throw new IngotError(
        'invalid_argument',
        `plan.run takes { inputs, feed, scalars } and not ${name}; arrays are given as { inputs: { name: numbers } }`,
        { details: { argument: name } },
      );
    }
    const given: Given[] = [];
    const writes: { readonly to: BufferRange; readonly data: TypedArray }[] = [];
    for (const name of Object.keys(inputs)) {
      const slot = this.#slot(name);
      const data = asTyped(slot, inputs[name] ?? []);
      given.push({ slot, elements: data.length });
      if (data.length > 0) writes.push({ to: rangeOf(slot, data.length), data });
    }
    const copies: { readonly from: BufferRange; readonly to: BufferRange }[] = [];
    for (const name of Object.keys(feed)) {
      const { slot, elements, from } = this.#fed(name, feed[name] ?? '', inputs);
      given.push({ slot, elements });
      copies.push({ from, to: rangeOf(slot, elements) });
    }
    const values = this.#resolveScalars(given, scalars);
    for (const { slot, elements } of given) checkLength(slot, elements, values);
    const reads = this.#reads(values);
    const transfers: Transfers = { writes, copies, reads: reads ?? [] };
    this.#submitted = values;
    const captured = await this.#parts.compiled.run(values, transfers);
    const ended = { scalars: values, captured: reads && captured };
    this.#ended = ended;
    return this.#outputsOf(() => ended);
  }

  /** Time per dispatch of the last run when compiled with profile. */
  profile(): readonly { readonly label: string; readonly ns: number }[] {
    return this.#parts.compiled.profile();
  }

  /** The graph that was scheduled, as text. */
  print(): string {
    return printGraph(this.#parts.graph);
  }

  /** Its kernels with the bytes they touch and their arithmetic, as a table. */
  explain(): string {
    const { program, steps } = this.#parts;
    return explainProgram({ steps, dispatches: program.dispatches, arenaBytes: program.arenaBytes });
  }

  /** What explain() prints, as data. */
  costs(): readonly StepCost[] {
    return stepCosts(this.#parts.steps);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#parts.compiled.dispose();
    for (const buffer of this.#parts.owned) buffer.dispose();
    for (const node of this.#parts.constants) release(node);
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  #check(): void {
    if (this.#disposed) throw new IngotError('disposed', 'the plan is disposed');
  }

  #outputsOf(run: () => EndedRun): readonly PlanOutput[] {
    const { device, outputs } = this.#parts;
    return outputs.map((place, i) => new PlanOutput(device, place, i, run));
  }

  #slot(name: string): Slot {
    return this.#slots.get(name) ?? unknown(name, 'input', this.#parts.inputs);
  }

  /** What feeds an input from an output of the run before. */
  #fed(
    name: string,
    from: string,
    inputs: NonNullable<RunArguments['inputs']>,
  ): Given & { readonly from: BufferRange } {
    const slot = this.#slot(name);
    const output = named(this.#parts.outputs, from, 'output');
    const refuse = (reason: string): never => {
      throw new IngotError('invalid_argument', `input ${name} cannot be fed from output ${from}: ${reason}`);
    };
    if (this.#submitted === undefined) return refuse('the plan has not run');
    if (inputs[name] !== undefined) return refuse('it is among the inputs too');
    if (slot.width !== bytesPerElement(output.dtype)) {
      return refuse(`it is ${slot.input.dtype}, not ${output.dtype}`);
    }
    const range = outputRange(output, this.#submitted);
    return { slot, elements: range.byteLength / slot.width, from: range };
  }

  /** The bytes of all outputs, or undefined when they are too many to capture with every run. */
  #reads(scalars: Scalars): readonly BufferRange[] | undefined {
    const ranges = this.#parts.outputs.map((place) => outputRange(place, scalars));
    const total = ranges.reduce((sum, r) => sum + r.byteLength, 0);
    return total <= SNAPSHOT_BYTES ? ranges : undefined;
  }

  /** All scalars of the program: those given, and dynamic sizes that follow from the inputs. */
  #resolveScalars(given: readonly Given[], scalars: Scalars): Scalars {
    const specs = this.program.scalars;
    const values: Record<string, number> = { ...scalars };
    for (const { slot, elements } of given) {
      const { count } = slot;
      if (count.dyn !== undefined && count.mul > 0) values[count.dyn.name] ??= elements / count.mul;
    }
    for (const name of Object.keys(scalars)) {
      if (this.#dynamic.has(name) || specs.some((s) => s.name === name)) continue;
      const names = specs.map((s) => s.name).join(', ') || 'none';
      throw new IngotError('invalid_argument', `the plan has no scalar ${name}; it has ${names}`);
    }
    for (const spec of specs) checkScalar(spec, values[spec.name], this.#dynamic.get(spec.name));
    return values;
  }
}

/** The one of this name. Throws invalid_argument with the names there are. */
const named = <T extends { readonly name: string }>(list: readonly T[], name: string, what: string): T =>
  list.find((x) => x.name === name) ?? unknown(name, what, list);

function unknown(name: string, what: string, list: readonly { readonly name: string }[]): never {
  const names = list.map((x) => x.name).join(', ');
  throw new IngotError('invalid_argument', `the plan has no ${what} ${name}; it has ${names}`);
}

function slotOf(input: PlanInput): Slot {
  const width = bytesPerElement(input.dtype);
  const make = (length: number): TypedArray => typedView(input.dtype, new Uint8Array(length * width));
  return { input, count: elementCount(input.shape), width, make, arrays: make(0).constructor };
}

/** The first elements of an input. */
const rangeOf = ({ input, width }: Slot, elements: number): BufferRange => ({
  kind: 'buffer',
  buffer: input.buffer,
  offset: 0,
  byteLength: elements * width,
});

/** Capacity of each dynamic dimension of a plan. */
function dynamicSizes({ inputs, outputs }: PlanParts): ReadonlyMap<string, number> {
  const dims = [...inputs, ...outputs].flatMap((t) => t.shape.filter(isDynamic));
  return new Map(dims.map((d) => [d.name, d.max]));
}

function checkLength({ input, count }: Slot, length: number, scalars: Scalars): void {
  const expected = countValue(count, scalars);
  if (length === expected) return;
  const { name, shape } = input;
  const dyn = shape.find(isDynamic);
  const now = dyn === undefined ? '' : ` with ${dyn.name} = ${scalars[dyn.name]}`;
  throw new IngotError(
    'invalid_argument',
    `input ${name} ${formatShape(shape)}${now} needs ${expected} elements, got ${length}`,
  );
}

function checkScalar({ name, type }: ScalarSpec, value: number | undefined, max: number | undefined): void {
  if (value === undefined) {
    throw new IngotError('invalid_argument', `scalar ${name} (${type}) is missing; pass it in scalars`);
  }
  const low = type === 'i32' && max === undefined ? -(2 ** 31) : 0;
  const high = max ?? (type === 'u32' ? 2 ** 32 - 1 : 2 ** 31 - 1);
  const fits =
    type === 'f32' ? !Number.isNaN(value) : Number.isInteger(value) && value >= low && value <= high;
  if (fits) return;
  const range = type === 'f32' ? 'a number' : `an integer from ${low} to ${high}`;
  throw new IngotError('invalid_argument', `scalar ${name} is ${value}; it must be ${range}`, {
    details: { name, value, max },
  });
}

/** The elements as the typed array the input stores. Throws invalid_argument for another kind of typed array. */
function asTyped({ input, make, arrays }: Slot, data: TypedArray | readonly number[]): TypedArray {
  if (ArrayBuffer.isView(data)) {
    if (data.constructor === arrays) return data;
    throw new IngotError(
      'invalid_argument',
      `input ${input.name} is ${input.dtype} and takes a ${arrays.name}, got a ${data.constructor.name}`,
    );
  }
  const typed = make(data.length);
  typed.set(data);
  return typed;
}
