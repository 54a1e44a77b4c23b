// Programs of lazy evaluation, kept by the shape of their graph: the second evaluation of a shape compiles nothing. A kept
// program runs over other buffers (Device.rebinds) and takes the numbers that were written into the graph as scalars.

import { isFloat } from '../base/dtype.ts';
import type { CompiledProgram, Device, DeviceBuffer } from '../device/device.ts';
import { currentDevice } from './context.ts';
import { type Layout, layoutKey } from './eager-key.ts';
import type { Wrap } from './evaluate.ts';
import { byteSize } from './graph/lower.ts';
import {
  type BufferNode,
  isOp,
  type Node,
  type OpNode,
  opNode,
  type Value,
  valueType,
} from './graph/node.ts';
import { assemble, optimise } from './graph/pipeline.ts';
import { graphNodes, rewriteGraph } from './graph/trace.ts';
import { release, retain, tidy } from './lifetime.ts';
import { fullOp } from './ops/creation/full.ts';
import { isScalarRef, type ScalarType } from './types.ts';

/** What a device keeps; the program used longest ago goes first. One that takes a quarter of the bytes is not kept. */
const limits = { programs: 512, bytes: 256 * 2 ** 20 };

interface EagerProgram {
  readonly compiled: CompiledProgram;
  /** Buffers it was compiled with: those of the leaves in the order of the key, then those of the outputs. */
  readonly leaves: readonly DeviceBuffer[];
  readonly outputs: readonly Output[];
  /** Leaves made while compiling, which belong to the program. */
  readonly constants: readonly BufferNode[];
  /** Working memory and constants. */
  readonly bytes: number;
  running: number;
}

/** An output is memory of its own, or that of the State it updates. */
type Output =
  | {
      readonly kind: 'own';
      readonly buffer: DeviceBuffer;
      readonly byteLength: number;
      readonly label: string;
    }
  | { readonly kind: 'leaf'; readonly leaf: number };

/** Programs of a device by key, the last used last. */
class ProgramCache {
  readonly #programs = new Map<string, EagerProgram>();
  #bytes = 0;

  get(key: string): EagerProgram | undefined {
    const program = this.#programs.get(key);
    if (program === undefined) return undefined;
    this.#programs.delete(key);
    this.#programs.set(key, program);
    return program;
  }

  /** Keeps a program, and lets go of others to make room. False when it is too large. */
  keep(key: string, program: EagerProgram): boolean {
    if (program.bytes * 4 > limits.bytes) return false;
    this.#programs.set(key, program);
    this.#bytes += program.bytes;
    for (const [oldKey, old] of this.#programs) {
      if (this.#programs.size <= limits.programs && this.#bytes <= limits.bytes) break;
      if (old !== program && old.running === 0) this.#drop(oldKey, old);
    }
    return true;
  }

  clear(): void {
    for (const [key, program] of this.#programs) if (program.running === 0) this.#drop(key, program);
  }

  #drop(key: string, program: EagerProgram): void {
    this.#programs.delete(key);
    this.#bytes -= program.bytes;
    disposeProgram(program);
  }
}

const caches = new WeakMap<Device, ProgramCache>();

/** Lets go of the programs that a device keeps for evaluation, and of the constants in them. */
export const clearCache = (device: Device = currentDevice()): void => caches.get(device)?.clear();

/**
 * Computes every output of `nodes` and gives the buffer of each. `order` has all nodes of the graph, producers first. Leaves must
 * be on `device`.
 */
export async function runEagerly(
  nodes: readonly OpNode[],
  order: readonly Node[],
  device: Device,
  wrap: Wrap,
): Promise<readonly DeviceBuffer[]> {
  const outputs = nodes.flatMap((node) => node.outputs.map((_, index) => ({ node, index })));
  if (!device.rebinds) return runOnce(outputs, device, wrap);
  const layout = layoutKey(outputs, order);
  const cache = caches.get(device) ?? new ProgramCache();
  caches.set(device, cache);
  const known = cache.get(layout.key);
  if (known !== undefined) return runKept(known, layout, device);
  const program = build(outputs, layout, device, wrap);
  const isKept = cache.keep(layout.key, program);
  try {
    return await runKept(program, layout, device);
  } finally {
    if (!isKept) disposeProgram(program);
  }
}

function disposeProgram({ compiled, constants }: EagerProgram): void {
  compiled.dispose();
  for (const node of constants) release(node);
}

async function runKept(
  program: EagerProgram,
  layout: Layout,
  device: Device,
): Promise<readonly DeviceBuffer[]> {
  const rebound = new Map<DeviceBuffer, DeviceBuffer>();
  program.leaves.forEach((compiledWith, i) => {
    const leaf = layout.leaves[i];
    if (leaf !== undefined) rebound.set(compiledWith, leaf);
  });
  const made: DeviceBuffer[] = [];
  const results = program.outputs.map((o): DeviceBuffer => {
    if (o.kind === 'leaf') return layout.leaves[o.leaf] as DeviceBuffer;
    const buffer = device.allocate(o.byteLength, o.label);
    made.push(buffer);
    rebound.set(o.buffer, buffer);
    return buffer;
  });
  program.running++;
  try {
    await program.compiled.run(layout.scalars, undefined, rebound);
    return results;
  } catch (error) {
    for (const buffer of made) buffer.dispose();
    throw error;
  } finally {
    program.running--;
  }
}

/** Compiles for the outputs with numbers as scalars. The buffers it compiles with are stand-ins afterwards. */
function build(outputs: readonly Value[], layout: Layout, device: Device, wrap: Wrap): EagerProgram {
  const own = new Set(layout.leaves);
  const constants: BufferNode[] = [];
  return tidy(() => {
    const graph = optimise(withScalars(outputs, layout), [], { device, wrap });
    const { program, outputs: places, allocated } = assemble(graph, { device, wrap }, new Map());
    try {
      const compiled = device.compile(program);
      for (const node of graphNodes(graph)) {
        if (node.kind !== 'buffer' || own.has(node.buffer)) continue;
        retain(node);
        constants.push(node);
      }
      return {
        compiled,
        leaves: layout.leaves,
        outputs: places.map(({ buffer }, i): Output => {
          const leaf = layout.leaves.indexOf(buffer);
          if (leaf >= 0) return { kind: 'leaf', leaf };
          const value = outputs[i] as Value;
          const label = value.node.kind === 'op' ? value.node.op.name : 'result';
          return { kind: 'own', buffer, byteLength: byteSize(valueType(value)), label };
        }),
        constants,
        bytes: constants.reduce((n, c) => n + c.buffer.byteLength, program.arenaBytes),
        running: 0,
      };
    } finally {
      for (const buffer of allocated) buffer.dispose(); // each run makes its own
    }
  });
}

/** The graph with the numbers of the layout as plan scalars. */
function withScalars(outputs: readonly Value[], { names }: Layout): readonly Value[] {
  return rewriteGraph({ outputs, effects: [] }, (node) => {
    if (!isOp(node, fullOp)) return undefined;
    const scalar = scalarOf(node, names);
    if (scalar === undefined) return undefined;
    return [{ node: opNode(fullOp, [], { ...node.attrs, value: scalar }), index: 0 }];
  }).outputs;
}

function scalarOf(node: OpNode, names: Layout['names']) {
  const { value, dtype } = node.attrs as Parameters<typeof fullOp.infer>[1];
  if (isScalarRef(value)) return undefined;
  const type: ScalarType | undefined = isFloat(dtype)
    ? 'f32'
    : dtype === 'i32' || dtype === 'u32'
      ? dtype
      : undefined;
  const scalar = names.get(`${dtype} ${value}`);
  return type === undefined || scalar === undefined ? undefined : { scalar, type };
}

/** For devices that bind buffers when they compile. */
async function runOnce(
  outputs: readonly Value[],
  device: Device,
  wrap: Wrap,
): Promise<readonly DeviceBuffer[]> {
  const leaves: BufferNode[] = [];
  const { places, allocated, compiled } = tidy(() => {
    const graph = optimise(outputs, [], { device, wrap });
    const assembled = assemble(graph, { device, wrap }, new Map());
    for (const leaf of graphNodes(graph)) {
      if (leaf.kind !== 'buffer') continue;
      retain(leaf);
      leaves.push(leaf);
    }
    return {
      places: assembled.outputs,
      allocated: assembled.allocated,
      compiled: device.compile(assembled.program),
    };
  });
  try {
    await compiled.run({});
    return places.map((p) => p.buffer);
  } catch (error) {
    for (const buffer of allocated) buffer.dispose();
    throw error;
  } finally {
    compiled.dispose();
    for (const leaf of leaves) release(leaf);
  }
}
