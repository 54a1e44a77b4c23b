// Products of a few rows of x with packed weights, bound by the bandwidth of memory: every weight is loaded once, 16 bytes
// per thread and load, and used for all rows. The WGSL of `linear` with few rows and of the experts of single tokens.
//
// A workgroup stages its rows of x, then teams of its threads multiply a panel each. Of a team, thread l takes the rows
// of quad l & 3 and every so many octets of columns, so that neighbouring threads load neighbouring bytes.

import { groupIndex } from '../common.ts';
import type { GpuEnable } from '../contract.ts';
import { eightStruct, stagingCode } from './activations.ts';
import { type Geometry, reductionOf, segmentOctets, stagingSubgroups } from './geometry.ts';
import { reduceStatements, totalFunction } from './reduce.ts';
import type { RowOutput, RowPlan, RowProgram } from './row-plan.ts';
import { accumulator, products, stageCalls, stagesIn } from './row-units.ts';
import { unpackFunctions } from './unpack.ts';

export interface RowCode {
  readonly code: string;
  readonly enables: readonly GpuEnable[];
  /** Workgroups per block of rows. */
  readonly groups: number;
}

/** Panels that a workgroup serves. */
const panelsPerGroup = ({ teams, rounds }: Geometry): number => teams * rounds;

export function rowCode(program: RowProgram): RowCode {
  const { geometry, work, caps, outputs, norm } = program;
  const segment = segmentOctets(geometry, work, caps) ?? 0;
  const plan: RowPlan = {
    ...program,
    reduction: reductionOf(geometry, work, caps),
    staging: {
      ...geometry,
      rows: work.rows,
      octets: work.octets,
      segment,
      norm,
      subgroups: stagingSubgroups(geometry, caps),
      mail: program.mail,
    },
  };
  const counts = outputs.map(({ panels }) => Math.ceil(panels / panelsPerGroup(geometry)));
  const code = [
    groupIndex,
    unpackFunctions,
    ...outputs.flatMap(({ streams }) => streams.map(({ reader }) => reader.code)),
    eightStruct,
    program.input,
    stagingCode(plan.staging),
    totalFunction(plan.reduction),
    dotFunctions(geometry),
    ...outputs.map((output, i) => outputFunction(plan, output, i)),
    mainFunction(plan, counts),
  ].join('');
  const groups = counts.reduce((a, b) => a + b, 0);
  return { code, enables: usesSubgroups(plan) ? ['subgroups'] : [], groups };
}

const usesSubgroups = ({ reduction, staging }: RowPlan): boolean =>
  reduction.subgroups !== undefined || staging.subgroups !== undefined;

function dotFunctions({ mode }: Geometry): string {
  if (mode === 'f32') return '';
  return `fn dots(w: vec4<u32>, x: u32) -> vec4<i32> {
  return vec4<i32>(dot4I8Packed(w.x, x), dot4I8Packed(w.y, x), dot4I8Packed(w.z, x), dot4I8Packed(w.w, x));
}
fn code_sum(x: vec2<u32>) -> i32 { return dot4I8Packed(x.x, 0x01010101u) + dot4I8Packed(x.y, 0x01010101u); }
`;
}

function mainFunction(plan: RowPlan, counts: readonly number[]): string {
  const { geometry, work, prologue = '', rowCount, caps } = plan;
  const groups = counts.reduce((a, b) => a + b, 0);
  let first = 0;
  const calls = counts.map((count, i) => {
    const call = `output_${i}(group - ${first}u, first_row, t, size);`;
    first += count;
    return i === counts.length - 1 ? `{ ${call} }` : `if (group < ${first}u) { ${call} } else`;
  });
  const { min, max } = (usesSubgroups(plan) ? caps.subgroups : undefined) ?? { min: 1, max: 1 };
  const builtin = min === max ? '' : ', @builtin(subgroup_size) size: u32';
  return `@compute @workgroup_size(${geometry.threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32${builtin}) {
  let index = group_index(id, count);
  let first_row = index / ${groups}u * ${work.rows}u;
  let group = index % ${groups}u;
  if (first_row >= ${rowCount}) { return; }
${min === max ? `  let size = ${min}u;\n` : ''}${prologue}${stagesIn(plan) === 'main' ? stageCalls(plan) : ''}  ${calls.join(' ')}
}
`;
}

/** Multiplies the panels of a workgroup and stores them. */
function outputFunction(plan: RowPlan, output: RowOutput, index: number): string {
  const { geometry, work, reduction } = plan;
  const { threads, teams, rounds } = geometry;
  const { panels, streams, store } = output;
  const names = streams.flatMap((_, s) => Array.from({ length: work.rows }, (_, r) => accumulator(s, r)));
  const results = teams * work.rows * 16;
  const each = 16 * work.rows;
  const panel = rounds === 1 ? `group * ${teams}u` : `(group * ${rounds}u + round) * ${teams}u`;
  const body = `    let p = min(${panel} + team, ${panels - 1}u);
${names.map((name) => `    var ${name} = vec4<f32>();\n`).join('')}${products(plan, output)}${reduceStatements(reduction, names)}    for (var i = t; i < ${results}u; i += ${threads}u) {
      let r = i / 16u % ${work.rows}u;
      let panel = ${panel} + i / ${each}u;
      let n = panel * 16u + i % 16u;
      let row = first_row + r;
${streams.map((_, s) => `      let v${s} = total(i / ${each}u, ${s * work.rows}u + r, i % 16u, size);\n`).join('')}      if (panel < ${panels}u && row < ${plan.rowCount}) { ${store} }
    }
`;
  const loop =
    rounds === 1
      ? `  {\n${body}  }`
      : `  for (var round = 0u; round < ${rounds}u; round++) {\n${body}    workgroupBarrier();\n  }`;
  return `fn output_${index}(group: u32, first_row: u32, t: u32, size: u32) {
  let team = t / ${threads / teams}u;
  let lane = t % ${threads / teams}u;
  let quad = lane & 3u;
${loop}
}
`;
}
