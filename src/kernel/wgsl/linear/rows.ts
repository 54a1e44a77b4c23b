// Products of a few rows of x with packed weights, bound by the bandwidth of memory: every weight is loaded once, 16 bytes
// per thread and load, and used for all rows. The WGSL of `linear` with few rows and of the experts of single tokens.
//
// A workgroup stages its rows of x, then teams of its threads multiply a panel each. Of a team, thread l takes the rows
// of quad l & 3 and every so many octets of columns, so that neighbouring threads load neighbouring bytes.

import { groupIndex } from '../common.ts';
import type { GpuCapabilities, GpuEnable } from '../contract.ts';
import { eightStruct, stagingCode } from './activations.ts';
import { type Geometry, type RowWork, reductionOf, segmentOctets } from './geometry.ts';
import { reduceStatements, totalFunction } from './reduce.ts';
import { unpackFunctions, type WeightReader } from './unpack.ts';

/** A matrix, or gate and up together, whose rows are outputs. */
export interface RowOutput {
  /** Readers of the matrices by the name of their binding. */
  readonly streams: readonly { readonly name: string; readonly reader: WeightReader }[];
  /** Panels of this pass. */
  readonly panels: number;
  /** Statement that stores column `n` of `row` from the values `v0` and `v1`. */
  readonly store: string;
}

export interface RowProgram {
  readonly geometry: Geometry;
  readonly work: RowWork;
  readonly caps: GpuCapabilities;
  readonly outputs: readonly RowOutput[];
  /** Module-scope WGSL with `x_octet(row, octet) -> Eight`, `norm_octet` with a norm, and what `store` calls. */
  readonly input: string;
  readonly norm: { readonly K: number; readonly eps: string } | undefined;
  /** u32 expression: rows of the run. */
  readonly rowCount: string;
  /** Statements before anything else, given `first_row` and `t`; may leave the function in uniform control flow. */
  readonly prologue?: string;
  /** Where the weights of panel `p` of the pass for octet `o` of x are, as expressions. Default: there. */
  readonly locate?: (p: string, o: string) => { readonly panel: string; readonly octet: string };
}

export interface RowCode {
  readonly code: string;
  readonly enables: readonly GpuEnable[];
  /** Workgroups per block of rows. */
  readonly groups: number;
}

/** Panels that a workgroup serves. */
const panelsPerGroup = ({ teams, rounds }: Geometry): number => teams * rounds;

export function rowCode(program: RowProgram): RowCode {
  const { geometry, work, caps, outputs } = program;
  const reduction = reductionOf(geometry, work, caps);
  const segment = segmentOctets(geometry, work, caps) ?? 0;
  const counts = outputs.map(({ panels }) => Math.ceil(panels / panelsPerGroup(geometry)));
  const groups = counts.reduce((a, b) => a + b, 0);
  const subgroups = reduction.subgroups !== undefined;
  const staging = { ...geometry, rows: work.rows, octets: work.octets, segment, norm: program.norm };
  const code = [
    groupIndex,
    unpackFunctions,
    ...outputs.flatMap(({ streams }) => streams.map(({ reader }) => reader.code)),
    eightStruct,
    program.input,
    stagingCode(staging),
    totalFunction(reduction),
    dotFunctions(geometry),
    ...outputs.map((output, i) => outputFunction(program, output, i, segment)),
    mainFunction(program, counts, segment, subgroups),
  ].join('');
  return { code, enables: subgroups ? ['subgroups'] : [], groups };
}

function dotFunctions({ mode }: Geometry): string {
  if (mode === 'f32') return '';
  return `fn dots(w: vec4<u32>, x: u32) -> vec4<i32> {
  return vec4<i32>(dot4I8Packed(w.x, x), dot4I8Packed(w.y, x), dot4I8Packed(w.z, x), dot4I8Packed(w.w, x));
}
fn code_sum(x: vec2<u32>) -> i32 { return dot4I8Packed(x.x, 0x01010101u) + dot4I8Packed(x.y, 0x01010101u); }
`;
}

function mainFunction(
  program: RowProgram,
  counts: readonly number[],
  segment: number,
  subgroups: boolean,
): string {
  const { geometry, work, norm, prologue = '', rowCount } = program;
  const groups = counts.reduce((a, b) => a + b, 0);
  let first = 0;
  const calls = counts.map((count, i) => {
    const call = `output_${i}(group - ${first}u, first_row, t, size);`;
    first += count;
    return i === counts.length - 1 ? `{ ${call} }` : `if (group < ${first}u) { ${call} } else`;
  });
  const size = subgroups ? ', @builtin(subgroup_size) size: u32' : '';
  return `@compute @workgroup_size(${geometry.threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32${size}) {
  let index = group_index(id, count);
  let first_row = index / ${groups}u * ${work.rows}u;
  let group = index % ${groups}u;
  if (first_row >= ${rowCount}) { return; }
${subgroups ? '' : '  let size = 1u;\n'}${prologue}${norm === undefined ? '' : '  measure_rows(first_row, t);\n'}${
  segment >= work.octets ? '  stage(first_row, 0u, t);\n' : ''
}  ${calls.join(' ')}
}
`;
}

/** Multiplies the panels of a workgroup and stores them. */
function outputFunction(program: RowProgram, output: RowOutput, index: number, segment: number): string {
  const { geometry, work, caps } = program;
  const { threads, teams, rounds } = geometry;
  const { panels, streams, store } = output;
  const reduction = reductionOf(geometry, work, caps);
  const names = streams.flatMap((_, s) => Array.from({ length: work.rows }, (_, r) => acc(s, r)));
  const results = teams * work.rows * 16;
  const body = `    let p = min((group * ${rounds}u + round) * ${teams}u + team, ${panels - 1}u);
${names.map((name) => `    var ${name} = vec4<f32>();\n`).join('')}${products(program, output, segment)}${reduceStatements(reduction, names)}    for (var i = t; i < ${results}u; i += ${threads}u) {
      let r = i / 16u % ${work.rows}u;
      let panel = (group * ${rounds}u + round) * ${teams}u + i / ${16 * work.rows}u;
      let n = panel * 16u + i % 16u;
      let row = first_row + r;
${streams.map((_, s) => `      let v${s} = total(i / ${16 * work.rows}u, ${s * work.rows}u + r, i % 16u, size);\n`).join('')}      if (panel < ${panels}u && row < ${program.rowCount}) { ${store} }
    }
`;
  const loop =
    rounds === 1
      ? `  {\n    let round = 0u;\n${body}  }`
      : `  for (var round = 0u; round < ${rounds}u; round++) {\n${body}    workgroupBarrier();\n  }`;
  return `fn output_${index}(group: u32, first_row: u32, t: u32, size: u32) {
  let team = t / ${threads / teams}u;
  let lane = t % ${threads / teams}u;
  let quad = lane & 3u;
${loop}
}
`;
}

const acc = (stream: number, row: number): string => `acc_${stream}_${row}`;

/** Adds up products over all octets, segment by segment where x does not fit. */
function products(program: RowProgram, output: RowOutput, segment: number): string {
  const { octets } = program.work;
  if (segment >= octets) return `    let first_octet = 0u;\n${segmentProducts(program, output, segment)}`;
  return `    for (var first_octet = 0u; first_octet < ${octets}u; first_octet += ${segment}u) {
    stage(first_row, first_octet, t);
${segmentProducts(program, output, segment)}    workgroupBarrier();
    }
`;
}

/** Units of a segment: every thread its share, `unroll` at a time. */
function segmentProducts(program: RowProgram, output: RowOutput, segment: number): string {
  const { geometry, work } = program;
  const { run, threads, teams } = geometry;
  const stride = threads / teams / 4;
  const units = Math.ceil(Math.min(segment, work.octets) / run);
  const steps = Math.ceil(units / stride);
  const unroll = Math.min(geometry.unroll, steps);
  const ragged = units % (stride * unroll) !== 0 || work.octets % Math.min(segment, work.octets) !== 0;
  const indices = Array.from({ length: unroll }, (_, j) => j);
  const at = indices.map((j) => unitStart(program, { j, stride, units, ragged })).join('');
  const loads = indices.map((j) => streamsOf(output, (w, s) => unitLoads(geometry, w, j, s))).join('');
  const sums = indices.map((j) => unitProducts(program, output, { j, segment, ragged })).join('');
  const body = `${at}${loads}${sums}`;
  if (steps <= unroll) return `    {\n    let step = 0u;\n${body}    }\n`;
  return `    for (var step = 0u; step < ${steps}u; step += ${unroll}u) {\n${body}    }\n`;
}

type Stream = RowOutput['streams'][number];
const streamsOf = (output: RowOutput, text: (w: Stream, s: number) => string): string =>
  output.streams.map(text).join('');

/** `u`: first octet of unit j within the segment; `p` and `o`: panel and octet of its weights. */
function unitStart(
  { geometry, work, locate = (panel, octet) => ({ panel, octet }) }: RowProgram,
  { j, stride, units, ragged }: { j: number; stride: number; units: number; ragged: boolean },
): string {
  const { run } = geometry;
  const unit = `(step + ${j}u) * ${stride}u + (lane >> 2u)`;
  const octet = run === 1 ? `(${unit})` : `(${unit}) * ${run}u`;
  const start = ragged
    ? `    let live${j} = ${unit} < ${units}u && first_octet + ${octet} < ${work.octets}u;
    let u${j} = select(0u, ${octet}, live${j});
`
    : `    let u${j} = ${octet};\n`;
  const { panel, octet: place } = locate('p', `(first_octet + u${j})`);
  return `${start}    let p${j} = ${panel};
    let o${j} = ${place};
`;
}

function unitLoads({ mode, run }: Geometry, { name, reader }: Stream, j: number, s: number): string {
  const id = `${s}_${j}`;
  const scale = reader.quantized
    ? `    let s${id} = ${name}_scale(p${j}, quad, o${j});
${reader.zero === undefined ? `    let m${id} = ${name}_offset(p${j}, quad, o${j});\n` : ''}`
    : '';
  const read = mode === 'f32' ? 'raw' : 'codes';
  const loads = Array.from(
    { length: run },
    (_, i) => `    let c${id}_${i} = ${name}_${read}(p${j}, quad, o${j}${i === 0 ? '' : ` + ${i}u`});\n`,
  );
  return `${scale}${loads.join('')}`;
}

/** Adds the products of unit j with every row. */
function unitProducts(
  { geometry, work }: RowProgram,
  output: RowOutput,
  { j, segment, ragged }: { j: number; segment: number; ragged: boolean },
): string {
  return Array.from({ length: work.rows }, (_, r) => {
    const row = geometry.mode === 'f32' ? floatRow : int8Row;
    return `    {
      let x_at = u${j}${r === 0 ? '' : ` + ${r * segment}u`};
${row(geometry, output, j, (s, value) => `      ${acc(s, r)} += ${ragged ? `select(vec4<f32>(), ${value}, live${j})` : value};\n`)}    }
`;
  }).join('');
}

type Add = (stream: number, value: string) => string;

function floatRow({ run }: Geometry, output: RowOutput, j: number, add: Add): string {
  const xs = Array.from({ length: run }, (_, i) => `      let x${i} = x_tile[x_at + ${i}u];\n`).join('');
  const offsets = output.streams.some(({ reader }) => reader.quantized && reader.zero !== 0);
  const parts = Array.from({ length: run }, (_, i) => `dot(x${i}.a + x${i}.b, vec4<f32>(1.0))`);
  const sum = offsets ? `      let x_sum = ${parts.join(' + ')};\n` : '';
  const terms = (s: number): string =>
    Array.from({ length: run }, (_, i) =>
      Array.from(
        { length: 8 },
        (_, k) => `c${s}_${j}_${i}[${k}] * x${i}.${k < 4 ? 'a' : 'b'}[${k % 4}]`,
      ).join(' + '),
    ).join(' + ');
  return `${xs}${sum}${streamsOf(output, ({ reader }, s) => {
    if (!reader.quantized) return add(s, terms(s));
    const { zero } = reader;
    if (zero === undefined) return add(s, `s${s}_${j} * (${terms(s)}) + m${s}_${j} * x_sum`);
    return add(s, `s${s}_${j} * (${terms(s)}${zero === 0 ? '' : ` + ${zero}.0 * x_sum`})`);
  })}`;
}

function int8Row({ mode, run }: Geometry, output: RowOutput, j: number, add: Add): string {
  const each = (text: (i: number) => string, glue: string): string =>
    Array.from({ length: run }, (_, i) => text(i)).join(glue);
  const errors = mode === 'int8x2';
  const load = each(
    (i) =>
      `      let x${i} = x_codes[x_at + ${i}u];\n${errors ? `      let e${i} = x_errors[x_at + ${i}u];\n` : ''}`,
    '',
  );
  const sums = output.streams.some(({ reader }) => reader.zero !== 0);
  const sumOf = (x: string): string => each((i) => `code_sum(${x}${i})`, ' + ');
  const sum = sums
    ? `      let x_sum = ${sumOf('x')};\n${errors ? `      let e_sum = ${sumOf('e')};\n` : ''}`
    : '';
  const dot = (x: string, s: number, zero: number | undefined): string => {
    const all = each(
      (i) => `dots(c${s}_${j}_${i}.a, ${x}${i}.x) + dots(c${s}_${j}_${i}.b, ${x}${i}.y)`,
      ' + ',
    );
    return `vec4<f32>(${all}${zero === undefined || zero === 0 ? '' : ` + vec4<i32>(${zero} * ${x}_sum)`})`;
  };
  const both = (main: string, error: string): string => (errors ? `(${main} + ${error} * ${1 / 254})` : main);
  return `${load}      let x_scale = x_scales[x_at >> 2u];
${sum}${streamsOf(output, ({ reader: { zero } }, s) => {
  const d = both(dot('x', s, zero), dot('e', s, zero));
  const scaled = `s${s}_${j} * x_scale * ${d}`;
  if (zero !== undefined) return add(s, scaled);
  return add(s, `${scaled} + m${s}_${j} * (x_scale * ${both('f32(x_sum)', 'f32(e_sum)')})`);
})}`;
}
