// Elementwise programs of one shape that read the same arrays, or one of which reads the other -> one program with several
// results: what they share is read once, and a value that one program makes for another need not go through memory.

import type { DType } from '../../../base/dtype.ts';
import { elementCount, type Shape, sameShape } from '../../../base/shape.ts';
import { type TileAttrs, tileOp } from '../../ops/elementwise/tile.ts';
import type {
  ElementwiseConstant,
  ElementwiseInstruction,
  ElementwiseProgram,
} from '../../ops/elementwise/tile-params.ts';
import { operand } from '../../ops/operands.ts';
import { attributeKey } from '../attributes.ts';
import { type Graph, isOp, type Node, type OpNode, opNode, type Value, valueType } from '../node.ts';
import { graphNodes, type Lookup, rewriteGraph, sameValue, usersOf } from '../trace.ts';
import { afterUpdates, maxInputs, maxInstructions, opcodeOf, stateReaders } from './elementwise.ts';

/** Most results of a program; with the inputs they are the streams of a kernel. */
const maxResults = 6;

/** Programs that run as one, producers first. */
interface Group {
  readonly members: OpNode[];
  readonly shape: Shape;
  /** Place of the first member in the order of the graph: nothing before it depends on the group. */
  readonly first: number;
}

export function fuseTogether(graph: Graph): Graph {
  const groups = new Grouping(graph).groups();
  const groupOf = new Map<Node, Group>();
  for (const g of groups) for (const m of g.members) groupOf.set(m, g);
  const users = usersOf(graph);
  return rewriteGraph(graph, (node, _, lookup, assign) => {
    const group = groupOf.get(node);
    if (group === undefined) return undefined;
    const results = group.members.filter((m) =>
      (users.get(m) ?? []).some((u) => u === null || groupOf.get(u) !== group),
    );
    const made = joined(group, results, lookup);
    const valuesAt = (m: OpNode): readonly Value[] => [
      { node: made, index: Math.max(0, results.indexOf(m)) },
    ];
    for (const m of group.members) if (m !== node) assign(m, valuesAt(m));
    return valuesAt(node as OpNode);
  });
}

class Grouping {
  readonly #nodes: readonly Node[];
  readonly #place: ReadonlyMap<Node, number>;
  readonly #late: ReadonlySet<Node>;
  readonly #early: ReadonlySet<Node>;
  readonly #groups: Group[] = [];
  readonly #groupOf = new Map<Node, Group>();
  /** Groups that read a node. */
  readonly #readers = new Map<Node, Group[]>();

  constructor(graph: Graph) {
    this.#nodes = graphNodes(graph);
    this.#late = afterUpdates(this.#nodes);
    this.#early = stateReaders(this.#nodes);
    this.#place = new Map(this.#nodes.map((n, i) => [n, i]));
  }

  /** Groups of more than one program. */
  groups(): readonly Group[] {
    for (const node of this.#nodes) if (node.kind === 'op' && isProgram(node)) this.#put(node);
    return this.#groups.filter((g) => g.members.length > 1);
  }

  #put(node: OpNode): void {
    const { shape } = operand(node.outputs, 0);
    const sources = inputNodes(node);
    const near = sources.flatMap((n) => [this.#groupOf.get(n), ...(this.#readers.get(n) ?? [])]);
    const group = [...new Set(near)].find((g) => g !== undefined && this.#takes(g, node, shape));
    const own = group ?? { members: [], shape, first: this.#place.get(node) ?? 0 };
    if (group === undefined) this.#groups.push(own);
    own.members.push(node);
    this.#groupOf.set(node, own);
    for (const n of sources) {
      const known = this.#readers.get(n) ?? [];
      this.#readers.set(n, known);
      if (!known.includes(own)) known.push(own);
    }
  }

  #takes(group: Group, node: OpNode, shape: Shape): boolean {
    if (group.members.length >= maxResults || !sameShape(group.shape, shape)) return false;
    const shared = node.inputs.some(
      (v) => v !== null && (group.members.includes(v.node as OpNode) || reads(group, v)),
    );
    if (!shared || !readsWhatIsStored(group, node)) return false;
    const all = [...group.members, node];
    if (all.some((m) => this.#early.has(m)) && all.some((m) => this.#late.has(m))) return false;
    const instructions = all.reduce((n, m) => n + programOf(m).instructions.length, 0);
    if (instructions > maxInstructions || externals(all).length > maxInputs) return false;
    return !this.#dependsOutside(group, node);
  }

  /** Whether a way from the group to the node goes through an op outside. */
  #dependsOutside(group: Group, node: OpNode): boolean {
    const seen = new Set<Node>(group.members);
    const stack = inputNodes(node).filter((n) => !seen.has(n));
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      const other = this.#groupOf.get(at);
      const fused = other === undefined || other === group ? [at] : other.members;
      if (seen.has(at) || fused.every((m) => (this.#place.get(m) ?? 0) < group.first)) continue;
      for (const m of fused) {
        seen.add(m);
        for (const input of inputNodes(m)) {
          if (group.members.includes(input as OpNode)) return true;
          if (!seen.has(input)) stack.push(input);
        }
      }
    }
    return false;
  }
}

const inputNodes = (node: Node): readonly Node[] =>
  node.kind === 'op' ? node.inputs.flatMap((v) => (v === null ? [] : [v.node])) : [];

/** Elementwise programs with one result of some size. */
function isProgram(node: OpNode): boolean {
  if (node.outputs.length !== 1 || (!isOp(node, tileOp) && opcodeOf(node) === undefined)) return false;
  const count = elementCount(operand(node.outputs, 0).shape);
  if (count.dyn === undefined && count.mul <= 1) return false;
  return node.inputs.length > 0 && node.inputs.every((v) => v !== null);
}

/** Whether a member reads the same array, of the size that the program runs over. */
const reads = (group: Group, v: Value): boolean =>
  sameShape(valueType(v).shape, group.shape) &&
  group.members.some((m) => m.inputs.some((own) => sameValue(own, v)));

/** What a member made must mean the same in a register as in memory: shorter dtypes round or wrap when they are stored. */
const readsWhatIsStored = (group: Group, node: OpNode): boolean =>
  node.inputs.every((v) => {
    if (v === null || !group.members.includes(v.node as OpNode)) return true;
    return ['f32', 'i32', 'u32', 'bool'].includes(valueType(v).dtype);
  });

/** A program of one instruction for an op that is not a chain. */
function programOf(node: OpNode): ElementwiseProgram {
  if (isOp(node, tileOp)) return (node as OpNode & { readonly attrs: TileAttrs }).attrs;
  const opcode = opcodeOf(node);
  const n = node.inputs.length;
  if (opcode === undefined || opcode === 'copy') return { constants: [], instructions: [], results: [0] };
  return { constants: [], instructions: [{ opcode, args: node.inputs.map((_, i) => i) }], results: [n] };
}

/** Arrays that members read and none of them makes. */
function externals(members: readonly OpNode[]): readonly Value[] {
  const found: Value[] = [];
  for (const v of members.flatMap((m) => m.inputs)) {
    if (v === null || members.includes(v.node as OpNode) || found.some((f) => sameValue(f, v))) continue;
    found.push(v);
  }
  return found;
}

/** One tile op of the members, whose outputs are `results`. */
function joined({ members, shape }: Group, results: readonly OpNode[], lookup: Lookup): OpNode {
  const inputs = externals(members);
  const constants: ElementwiseConstant[] = [];
  const keys: string[] = [];
  for (const c of members.flatMap((m) => programOf(m).constants)) {
    const key = attributeKey(c);
    if (keys.includes(key)) continue;
    keys.push(key);
    constants.push(c);
  }
  const base = inputs.length + constants.length;
  const instructions: ElementwiseInstruction[] = [];
  const made = new Map<Node, number>();
  for (const member of members) {
    const program = programOf(member);
    const read = member.inputs.map((v) => {
      const value = v as Value;
      return made.get(value.node) ?? inputs.findIndex((i) => sameValue(i, value));
    });
    const start = base + instructions.length;
    const own = read.length + program.constants.length;
    const registerOf = (r: number): number => {
      if (r < read.length) return read[r] as number;
      if (r >= own) return start + r - own;
      return inputs.length + keys.indexOf(attributeKey(program.constants[r - read.length]));
    };
    instructions.push(
      ...program.instructions.map(({ opcode, args }) => ({ opcode, args: args.map(registerOf) })),
    );
    made.set(member, registerOf(operand(program.results, 0)));
  }
  const dtypes = results.map((m): DType => operand(m.outputs, 0).dtype);
  const attrs = {
    shape,
    dtypes,
    constants,
    instructions,
    results: results.map((m) => made.get(m) as number),
  };
  return opNode(tileOp, inputs.map(lookup), attrs);
}
