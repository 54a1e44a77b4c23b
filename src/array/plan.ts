// A compiled function: writes inputs, replays the device program, reads outputs.

import { bytesPerElement, type DType, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { countValue, elementCount, formatShape, isDynamic, type Shape } from '../base/shape.ts';
import type { CompiledProgram, Device, DeviceBuffer, DeviceProgram, ScalarSpec } from '../device/device.ts';
import { aligned } from './evaluate.ts';
import type { Graph, Node } from './graph/node.ts';
import { printGraph } from './graph/print.ts';
import { release } from './lifetime.ts';
import { typedView } from './ops/operands.ts';

interface PlanInput {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly buffer: DeviceBuffer;
}

interface OutputPlace extends PlanInput {
  readonly offset: number;
  readonly byteLength: number;
}

export interface PlanParts {
  readonly device: Device;
  readonly graph: Graph;
  readonly program: DeviceProgram;
  readonly compiled: CompiledProgram;
  readonly inputs: readonly PlanInput[];
  readonly outputs: readonly OutputPlace[];
  /** Disposed with the plan. */
  readonly owned: readonly DeviceBuffer[];
  /** Leaves whose buffers the plan holds. */
  readonly constants: readonly Node[];
}

export interface RunArguments {
  /** Elements by input name; an input that is left out keeps what was written before. */
  readonly inputs?: Readonly<Record<string, TypedArray | readonly number[]>>;
  /** Scalars by name. The size of a dynamic dimension may be left out when an input given here has it. */
  readonly scalars?: Readonly<Record<string, number>>;
}

/** An output of a plan: holds the result of the last run. */
export class PlanOutput {
  readonly name: string;
  /** With dynamic sizes; `data` has those of the last run. */
  readonly shape: Shape;
  readonly dtype: DType;
  readonly #device: Device;
  readonly #place: OutputPlace;
  readonly #scalars: () => Readonly<Record<string, number>>;

  constructor(device: Device, place: OutputPlace, scalars: () => Readonly<Record<string, number>>) {
    this.name = place.name;
    this.shape = place.shape;
    this.dtype = place.dtype;
    this.#device = device;
    this.#place = place;
    this.#scalars = scalars;
  }

  /** Elements of the last run, row-major; f16 and bf16 as their bits. */
  async data(): Promise<TypedArray> {
    const elements = countValue(elementCount(this.shape), this.#scalars());
    const { buffer, offset } = this.#place;
    const bytes = await this.#device.read(buffer, offset, elements * bytesPerElement(this.dtype));
    return typedView(this.dtype, aligned(bytes));
  }
}

export class Plan {
  readonly outputs: readonly PlanOutput[];
  /** Dispatches, arena size and scalars, for inspection. */
  readonly program: DeviceProgram;
  readonly #parts: PlanParts;
  readonly #scalars: readonly ScalarSpec[];
  #last: Readonly<Record<string, number>> = {};
  #tail: Promise<void> = Promise.resolve();
  #disposed = false;

  /** Made by compile. */
  constructor(parts: PlanParts) {
    this.#parts = parts;
    this.program = parts.program;
    this.#scalars = parts.program.scalars;
    this.outputs = parts.outputs.map((place) => new PlanOutput(parts.device, place, () => this.#last));
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** The output of this name. Throws invalid_argument when there is none. */
  output(name: string): PlanOutput {
    const found = this.outputs.find((o) => o.name === name);
    if (found !== undefined) return found;
    const names = this.outputs.map((o) => o.name).join(', ');
    throw new IngotError('invalid_argument', `the plan has no output ${name}; it has ${names}`);
  }

  /** Writes the first elements of an input. No run may be in flight. */
  write(name: string, data: TypedArray | readonly number[]): void {
    this.#check();
    const input = this.#input(name);
    const elements = asTyped(input, data);
    const capacity = countValue(elementCount(input.shape));
    if (elements.length > capacity) {
      throw new IngotError(
        'invalid_argument',
        `input ${name} ${formatShape(input.shape)} holds ${capacity} elements, got ${elements.length}`,
      );
    }
    this.#parts.device.write(input.buffer, 0, elements);
  }

  /**
   * Writes the inputs given, runs, and resolves to the outputs. Runs of a plan queue up. Rejects with invalid_argument
   * when an input's length or a scalar does not fit, before anything is written.
   */
  run(args: RunArguments = {}): Promise<readonly PlanOutput[]> {
    const result = this.#tail.then(() => this.#run(args));
    this.#tail = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  async #run({ inputs = {}, scalars = {} }: RunArguments): Promise<readonly PlanOutput[]> {
    this.#check();
    const values = this.#resolveScalars(inputs, scalars);
    for (const [name, data] of Object.entries(inputs))
      this.#checkLength(this.#input(name), data.length, values);
    for (const [name, data] of Object.entries(inputs)) this.write(name, data);
    await this.#parts.compiled.run(values);
    this.#last = values;
    return this.outputs;
  }

  /** Time per dispatch of the last run when compiled with profile. */
  profile(): readonly { readonly label: string; readonly ns: number }[] {
    return this.#parts.compiled.profile();
  }

  /** The graph that was scheduled, as text. */
  print(): string {
    return printGraph(this.#parts.graph);
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

  #input(name: string): PlanInput {
    const found = this.#parts.inputs.find((i) => i.name === name);
    if (found !== undefined) return found;
    const names = this.#parts.inputs.map((i) => i.name).join(', ');
    throw new IngotError('invalid_argument', `the plan has no input ${name}; it has ${names}`);
  }

  /** All scalars of the program: those given, and dynamic sizes that follow from the inputs. */
  #resolveScalars(
    inputs: NonNullable<RunArguments['inputs']>,
    scalars: Readonly<Record<string, number>>,
  ): Readonly<Record<string, number>> {
    const values: Record<string, number> = { ...scalars };
    for (const [name, data] of Object.entries(inputs)) {
      const count = elementCount(this.#input(name).shape);
      if (count.dyn !== undefined && count.mul > 0) values[count.dyn.name] ??= data.length / count.mul;
    }
    for (const name of Object.keys(scalars)) {
      if (this.#scalars.some((s) => s.name === name) || this.#dynamicNames().has(name)) continue;
      throw new IngotError(
        'invalid_argument',
        `the plan has no scalar ${name}; it has ${this.#scalarNames()}`,
      );
    }
    for (const spec of this.#scalars)
      checkScalar(spec, values[spec.name], this.#dynamicNames().get(spec.name));
    return values;
  }

  #dynamicNames(): ReadonlyMap<string, number> {
    return dynamicSizes(this.#parts);
  }

  #scalarNames(): string {
    return this.#scalars.map((s) => s.name).join(', ') || 'none';
  }

  #checkLength(input: PlanInput, length: number, scalars: Readonly<Record<string, number>>): void {
    const expected = countValue(elementCount(input.shape), scalars);
    if (length === expected) return;
    const dyn = input.shape.find(isDynamic);
    const now = dyn === undefined ? '' : ` with ${dyn.name} = ${scalars[dyn.name]}`;
    throw new IngotError(
      'invalid_argument',
      `input ${input.name} ${formatShape(input.shape)}${now} needs ${expected} elements, got ${length}`,
    );
  }
}

const sizes = new WeakMap<PlanParts, ReadonlyMap<string, number>>();

/** Capacity of each dynamic dimension of a plan. */
function dynamicSizes(parts: PlanParts): ReadonlyMap<string, number> {
  const known = sizes.get(parts);
  if (known !== undefined) return known;
  const shapes = [...parts.inputs, ...parts.outputs].map((t) => t.shape);
  const found = new Map(shapes.flatMap((s) => s.filter(isDynamic).map((d) => [d.name, d.max] as const)));
  sizes.set(parts, found);
  return found;
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
function asTyped({ name, dtype }: PlanInput, data: TypedArray | readonly number[]): TypedArray {
  const empty = typedView(dtype, new Uint8Array(0));
  if (ArrayBuffer.isView(data)) {
    if (data.constructor === empty.constructor) return data;
    throw new IngotError(
      'invalid_argument',
      `input ${name} is ${dtype} and takes a ${empty.constructor.name}, got a ${data.constructor.name}`,
    );
  }
  const typed = typedView(dtype, new Uint8Array(data.length * bytesPerElement(dtype)));
  typed.set(data);
  return typed;
}
