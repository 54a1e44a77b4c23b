// Checks a graph between passes: types follow the ops' rules, states are written once per version, names agree.

import { IngotError } from '../../base/errors.ts';
import { sameShape } from '../../base/shape.ts';
import type { Device } from '../../device/device.ts';
import type { ScalarType, ValueType } from '../types.ts';
import { scalarRefs } from './attributes.ts';
import { type Graph, type Node, type OpNode, twoDevices, valueType } from './node.ts';
import { formatType, printGraph } from './print.ts';
import { graphNodes } from './trace.ts';

/** Checks the graphs of one compilation: what a pass left alone is not looked at again. */
export class GraphVerifier {
  readonly #device: Device;
  readonly #names: Names = { dims: new Map(), types: new Map() };
  readonly #seen = new Set<Node>();
  #last: Graph | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  /** Throws when a rule is broken: names the pass and prints the graph. internal, or invalid_argument for a caller's mistake. */
  check(graph: Graph, after: string): void {
    if (graph === this.#last) return;
    const problem = this.#findProblem(graph);
    if (problem !== null) {
      const code = problem.user ? 'invalid_argument' : 'internal';
      throw new IngotError(code, `graph after ${after}: ${problem.text}\n${printGraph(graph)}`);
    }
    this.#last = graph;
  }

  #findProblem(graph: Graph): Problem | null {
    const written = new Map<Node, Map<number, OpNode>>();
    for (const node of graphNodes(graph)) {
      const states = node.kind === 'op' && node.op.inPlace !== undefined ? checkStates(node, written) : null;
      if (states !== null) return states;
      if (this.#seen.has(node)) continue;
      this.#seen.add(node);
      const types = node.kind === 'op' ? checkTypes(node) : null;
      const problem = types ?? checkNames(node, this.#names) ?? checkDevice(node, this.#device);
      if (problem !== null) return problem;
    }
    return null;
  }
}

interface Problem {
  readonly text: string;
  /** The caller's mistake, not a pass's. */
  readonly user: boolean;
}

function checkTypes(node: OpNode): Problem | null {
  const inputs = node.inputs.map((v) => (v === null ? null : valueType(v)));
  try {
    const inferred = node.op.infer(inputs, node.attrs);
    const same =
      inferred.length === node.outputs.length && inferred.every((t, i) => sameType(t, node.outputs[i]));
    if (same) return null;
    const [want, found] = [inferred, node.outputs].map((types) => types.map(formatType).join(', '));
    return { user: false, text: `${node.op.name} has outputs ${found}, its rules say ${want}` };
  } catch (error) {
    return {
      user: false,
      text: `${node.op.name}: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

const sameType = (a: ValueType, b: ValueType | undefined): boolean =>
  b !== undefined &&
  a.dtype === b.dtype &&
  a.state === b.state &&
  a.layout === b.layout &&
  sameShape(a.shape, b.shape);

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

/** What each scalar name means so far. */
interface Names {
  readonly dims: Map<string, number>;
  readonly types: Map<string, ScalarType>;
}

/** A name stands for one dynamic dimension or one scalar; a dimension may also be read as an i32 scalar. */
function checkNames(node: Node, { dims, types }: Names): Problem | null {
  for (const t of node.outputs) {
    for (const d of t.shape) {
      if (typeof d === 'number') continue;
      const max = dims.get(d.name) ?? d.max;
      if (max !== d.max) return nameClash(d.name, `a dimension of at most ${max}`, `one of at most ${d.max}`);
      dims.set(d.name, d.max);
    }
  }
  if (node.kind !== 'op') return null;
  for (const { scalar, type } of scalarRefs(node.attrs)) {
    const before = types.get(scalar) ?? (dims.has(scalar) ? 'i32' : type);
    if (before !== type) return nameClash(scalar, `a scalar of type ${before}`, `one of type ${type}`);
    types.set(scalar, type);
  }
  return null;
}

const nameClash = (name: string, one: string, other: string): Problem => ({
  user: true,
  text: `${name} is both ${one} and ${other}`,
});

function checkDevice(node: Node, device: Device): Problem | null {
  if (node.kind !== 'buffer' || node.device === device) return null;
  return {
    user: true,
    text: `${node.role} ${node.label} is on ${twoDevices(node.device, device)}`,
  };
}
