// Checks a graph between passes: types follow the ops' rules, states are written once per version, names agree.

import { IngotError } from '../../base/errors.ts';
import { isDynamic } from '../../base/shape.ts';
import type { Device } from '../../device/device.ts';
import { scalarRefs } from './attributes.ts';
import { type Graph, type Node, type OpNode, valueType } from './node.ts';
import { formatType, printGraph } from './print.ts';
import { graphNodes } from './trace.ts';

/** Throws an internal error that names the pass and prints the graph when a rule is broken. */
export function verifyGraph(graph: Graph, after: string, device: Device): void {
  const problem = findProblem(graph, device);
  if (problem === null) return;
  const code = problem.user ? 'invalid_argument' : 'internal';
  throw new IngotError(code, `graph after ${after}: ${problem.text}\n${printGraph(graph)}`);
}

interface Problem {
  readonly text: string;
  /** The caller's mistake, not a pass's. */
  readonly user: boolean;
}

function findProblem(graph: Graph, device: Device): Problem | null {
  const scalars = new Map<string, string>();
  const written = new Map<Node, Map<number, OpNode>>();
  for (const node of graphNodes(graph)) {
    const problem =
      checkNames(node, scalars) ??
      checkDevice(node, device) ??
      (node.kind === 'op' ? (checkTypes(node) ?? checkStates(node, written)) : null);
    if (problem !== null) return problem;
  }
  return null;
}

function checkTypes(node: OpNode): Problem | null {
  const inputs = node.inputs.map((v) => (v === null ? null : valueType(v)));
  try {
    const inferred = node.op.infer(inputs, node.attrs).map(formatType).join(', ');
    const found = node.outputs.map(formatType).join(', ');
    if (inferred === found) return null;
    return { user: false, text: `${node.op.name} has outputs ${found}, its rules say ${inferred}` };
  } catch (error) {
    return {
      user: false,
      text: `${node.op.name}: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** A version of a state may be consumed by one writer; the writer must get a state. */
function checkStates(node: OpNode, written: Map<Node, Map<number, OpNode>>): Problem | null {
  for (const input of node.op.inPlace ?? []) {
    const v = node.inputs[input];
    if (v == null || valueType(v).state !== true) {
      return { user: true, text: `${node.op.name} updates operand ${input}, which is not a State` };
    }
    const writers = written.get(v.node) ?? new Map<number, OpNode>();
    written.set(v.node, writers);
    const other = writers.get(v.index);
    if (other !== undefined) {
      return {
        user: true,
        text: `${node.op.name} and ${other.op.name} both update the same version of a State; pass the version the first one returned to the second`,
      };
    }
    writers.set(v.index, node);
  }
  return null;
}

/** A name stands for one dynamic dimension or one scalar. */
function checkNames(node: Node, scalars: Map<string, string>): Problem | null {
  const dims = node.outputs.flatMap((t) =>
    t.shape.filter(isDynamic).map((d) => [d.name, `dimension of at most ${d.max}`]),
  );
  const refs = node.kind === 'op' ? scalarRefs(node.attrs).map((r) => [r.scalar, `${r.type} scalar`]) : [];
  for (const [name = '', meaning = ''] of [...dims, ...refs]) {
    const before = scalars.get(name);
    // A dimension is an i32 scalar of the same name, so programs may compute with it.
    const compatible = before === meaning || isDimension(before) !== isDimension(meaning);
    if (
      before !== undefined &&
      (!compatible || ([before, meaning].some((m) => /^(u32|f32)/.test(m)) && before !== meaning))
    ) {
      return { user: true, text: `${name} is both a ${before} and a ${meaning}` };
    }
    if (before === undefined || isDimension(meaning)) scalars.set(name, meaning);
  }
  return null;
}

const isDimension = (meaning: string | undefined): boolean => meaning?.startsWith('dimension') ?? false;

function checkDevice(node: Node, device: Device): Problem | null {
  if (node.kind !== 'buffer' || node.device === device) return null;
  return {
    user: true,
    text: `${node.role} ${node.label} is on device ${node.device.name}, the graph runs on another device ${device.name}`,
  };
}
