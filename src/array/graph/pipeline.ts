// The passes in order, with the verifier between them: values to a device program.

import { isDynamic } from '../../base/shape.ts';
import type { DeviceBuffer, DeviceProgram, ScalarSpec } from '../../device/device.ts';
import type { Slice } from '../op.ts';
import { contiguousOp } from '../ops/shape/contiguous.ts';
import { allPatterns } from '../patterns.ts';
import { scalarRefs } from './attributes.ts';
import { canonicalise } from './canonicalise.ts';
import { expand, type PassContext } from './expand.ts';
import { fuseElementwise } from './fusion/elementwise.ts';
import { fusePatterns } from './fusion/fuse.ts';
import { fuseTogether } from './fusion/together.ts';
import { byteSize, type LoweredProgram, lowerProgram } from './lower.ts';
import { type Graph, type Node, opNode, type Value, valueType } from './node.ts';
import { buildProgram } from './program.ts';
import { isView, schedule } from './schedule.ts';
import { graphNodes, traceGraph } from './trace.ts';
import { GraphVerifier } from './verify.ts';

/** The graph in the form that is scheduled. */
export function optimise(outputs: readonly Value[], effects: readonly Value[], context: PassContext): Graph {
  const { patterns = allPatterns, onMatch } = context;
  const passes: readonly (readonly [string, (g: Graph) => Graph])[] = [
    ['canonicalise', canonicalise],
    ['fusion', (g) => fusePatterns(g, patterns, onMatch)],
    ['expansion', (g) => expand(g, context)],
    ['canonicalise', canonicalise],
    ...(patterns.has('elementwise')
      ? ([
          ['elementwise fusion', (g: Graph) => fuseElementwise(g, onMatch)],
          ['fusion of programs', fuseTogether],
        ] as const)
      : []),
    ['outputs', ownOutputs],
  ];
  let graph = traceGraph(outputs, effects);
  const verifier = new GraphVerifier(context.device);
  verifier.check(graph, 'trace');
  for (const [name, pass] of passes) {
    graph = pass(graph);
    verifier.check(graph, name);
  }
  return graph;
}

/** What compiling a graph gives. */
export interface Assembled {
  readonly program: DeviceProgram;
  /** Buffer of each output; the first use of an output allocated it unless it lives in a state. */
  readonly outputs: readonly {
    readonly buffer: DeviceBuffer;
    readonly offset: number;
    readonly byteLength: number;
  }[];
  /** Buffers allocated for outputs: owned by the caller. */
  readonly allocated: readonly DeviceBuffer[];
  readonly lowered: LoweredProgram;
}

/** Schedules, lowers and places a graph. */
export function assemble(
  graph: Graph,
  context: PassContext,
  inputs: ReadonlyMap<string, DeviceBuffer>,
): Assembled {
  const { device } = context;
  const allocated: DeviceBuffer[] = [];
  try {
    const owned = graph.outputs.filter(isOwned);
    const places = owned.map((value, i) => {
      const buffer = device.allocate(byteSize(valueType(value)), `output ${i}`);
      allocated.push(buffer);
      return { value, buffer };
    });
    const lowered = lowerProgram(schedule(graph), graph, {
      kernels: device.kernels,
      memory: device.memory,
      inputs,
      outputs: places,
    });
    const outputs = graph.outputs.map((v) => outputPlace(lowered, lowered.locate(v)));
    return { program: buildProgram(lowered, scalarSpecs(graph), device.memory), outputs, allocated, lowered };
  } catch (error) {
    for (const buffer of allocated) buffer.dispose();
    throw error;
  }
}

function outputPlace(lowered: LoweredProgram, slice: Slice) {
  const buffer = lowered.storages[slice.storage]?.buffer;
  if (buffer === undefined) throw new Error('an output has no buffer');
  return { buffer, offset: slice.offset, byteLength: slice.byteLength };
}

const firstUse = (outputs: readonly Value[], v: Value): number =>
  outputs.findIndex((o) => o.node === v.node && o.index === v.index);

/** True when the op writes memory of its own. */
const isOwned = (v: Value): boolean =>
  v.node.kind === 'op' && !isView(v.node) && v.node.op.inPlace?.[v.index] === undefined;

/**
 * Copies outputs that would be pieces of something else: views, plan inputs, constants, and what is an output already (equal
 * computations are one node by now). Versions of states stay.
 */
function ownOutputs(graph: Graph): Graph {
  const outputs = graph.outputs.map((v, i) => {
    const stays = (isOwned(v) && firstUse(graph.outputs, v) === i) || valueType(v).state === true;
    return stays ? v : { node: opNode(contiguousOp, [v], {}), index: 0 };
  });
  return { outputs, effects: graph.effects };
}

/** The scalars a graph reads: dynamic dimensions and those in attributes. */
export function scalarSpecs(graph: Graph): readonly ScalarSpec[] {
  const specs = new Map<string, ScalarSpec>();
  const addDims = (node: Node): void => {
    for (const d of node.outputs.flatMap((t) => t.shape.filter(isDynamic))) {
      specs.set(d.name, { name: d.name, type: 'i32' });
    }
  };
  for (const node of graphNodes(graph)) {
    addDims(node);
    if (node.kind !== 'op') continue;
    for (const { scalar, type } of scalarRefs(node.attrs)) {
      if (!specs.has(scalar)) specs.set(scalar, { name: scalar, type });
    }
  }
  return [...specs.values()];
}
