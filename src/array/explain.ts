// What a plan does, as a table: one line for each op that runs, with its kernels, the bytes it touches and its arithmetic.

import { formatShape } from '../base/shape.ts';
import type { Dispatch } from '../device/device.ts';
import { costOf } from './cost.ts';
import { type OpNode, valueType } from './graph/node.ts';

/** An op that runs, and the kernels it was lowered to. */
export interface Step {
  readonly node: OpNode;
  readonly kernels: readonly string[];
}

export interface StepCost {
  readonly op: string;
  readonly kernels: readonly string[];
  /** Shapes of the results. */
  readonly shapes: readonly string[];
  /** Touched at least once; dynamic sizes count at their capacity. */
  readonly bytes: number;
  readonly flops: number;
}

/** What each op of a plan costs. */
export const stepCosts = (steps: readonly Step[]): readonly StepCost[] =>
  steps.map(({ node, kernels }) => ({
    op: node.op.name,
    kernels,
    shapes: node.outputs.map((t) => `${t.dtype}${formatShape(t.shape)}`),
    ...costOf(
      node.op,
      node.inputs.map((v) => (v === null ? null : valueType(v))),
      node.attrs,
    ),
  }));

const units = ['', 'k', 'M', 'G', 'T'];
/** Three digits and a prefix: 1.23 M. */
function short(x: number): string {
  const power = x < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(x) / 3));
  return power === 0 ? `${x} ` : `${(x / 1000 ** power).toPrecision(3)} ${units[power]}`;
}

export interface ExplainedProgram {
  readonly steps: readonly Step[];
  readonly dispatches: readonly Dispatch[];
  /** Working memory. */
  readonly arenaBytes: number;
}

/** The table, and a line of sums. */
export function explainProgram({ steps, dispatches, arenaBytes }: ExplainedProgram): string {
  const costs = stepCosts(steps);
  const rows = costs.map((c) => [
    c.kernels.join(' + '),
    c.kernels.length === 1 && c.kernels[0] === c.op ? '' : c.op,
    c.shapes.join(' '),
    `${short(c.bytes)}B`,
    `${short(c.flops)}flop`,
  ]);
  const table = [['kernel', 'op', 'result', 'bytes', 'arithmetic'], ...rows];
  const widths = [0, 1, 2, 3, 4].map((i) => Math.max(...table.map((row) => row[i]?.length ?? 0)));
  const lines = table.map((row) =>
    row
      .map((cell, i) => (i < 3 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  const sum = (pick: (c: StepCost) => number): string => short(costs.reduce((n, c) => n + pick(c), 0));
  const total = `${sum((c) => c.bytes)}B, ${sum((c) => c.flops)}flop`;
  lines.push(`${dispatches.length} kernels, ${total}, ${short(arenaBytes)}B of working memory`);
  return lines.join('\n');
}
