// The inner loop of a product with few rows. A unit is what a thread multiplies with one scale: an octet, or a few
// neighbouring ones, of the four rows of its quad. Loads of several units are issued before the first is multiplied.

import { measures } from './activations.ts';
import type { Geometry } from './geometry.ts';
import type { RowOutput, RowPlan } from './row-plan.ts';

const plus = (text: string, n: number): string => (n === 0 ? text : `${text} + ${n}u`);

/** Variable that sums up a stream's products with a row. */
export const accumulator = (stream: number, row: number): string => `acc_${stream}_${row}`;

/**
 * Where x is staged. `output`: after the first loads of weights are issued, so that the two overlap; `main`: before many
 * panels; `loop`: piece by piece, as it does not fit.
 */
export function stagesIn({ geometry, staging }: RowPlan): 'output' | 'main' | 'loop' {
  if (staging.segment < staging.octets) return 'loop';
  return geometry.rounds === 1 ? 'output' : 'main';
}

/** Statements that stage all of x, or what comes before its pieces. */
export function stageCalls(plan: RowPlan): string {
  const measure = measures(plan.staging) ? '    measure_rows(first_row, t, size);\n' : '';
  return stagesIn(plan) === 'loop' ? measure : `${measure}    stage(first_row, 0u, t, size);\n`;
}

/** Adds up products over all octets. */
export function products(plan: RowPlan, output: RowOutput): string {
  const { segment, octets } = plan.staging;
  const units = unitsOf(plan);
  const loads = loadStatements(plan, output, units);
  const sums = sumStatements(plan, output, units);
  const { steps, unroll } = units;
  const loop = (from: number): string =>
    `    for (var step = ${from}u; step < ${steps}u; step += ${unroll}u) {\n${loads}${sums}    }\n`;
  const once = `    {\n    let step = 0u;\n${loads}${sums}    }\n`;
  const rest = steps <= unroll ? once : loop(0);
  switch (stagesIn(plan)) {
    case 'main':
      return `    let first_octet = 0u;\n${rest}`;
    case 'output': {
      const first = `    let first_octet = 0u;\n    let step = 0u;\n${loads}${stageCalls(plan)}${sums}`;
      return steps <= unroll ? first : `${first}${loop(unroll)}`;
    }
    case 'loop':
      return `${stageCalls(plan)}    for (var first_octet = 0u; first_octet < ${octets}u; first_octet += ${segment}u) {
    stage(first_row, first_octet, t, size);
${rest}    workgroupBarrier();
    }
`;
  }
}

interface Units {
  /** Units between those of neighbouring steps. */
  readonly stride: number;
  /** Units of a segment. */
  readonly units: number;
  readonly steps: number;
  readonly unroll: number;
  /** Some threads have fewer units than others. */
  readonly ragged: boolean;
}

function unitsOf({ geometry, staging }: RowPlan): Units {
  const { run, threads, teams } = geometry;
  const octets = Math.min(staging.segment, staging.octets);
  const stride = threads / teams / 4;
  const units = Math.ceil(octets / run);
  const steps = Math.ceil(units / stride);
  const unroll = Math.min(geometry.unroll, steps);
  const ragged = units % (stride * unroll) !== 0 || staging.octets % octets !== 0;
  return { stride, units, steps, unroll, ragged };
}

const indices = ({ unroll }: Units): readonly number[] => Array.from({ length: unroll }, (_, j) => j);

function loadStatements(plan: RowPlan, output: RowOutput, units: Units): string {
  const starts = indices(units).map((j) => unitStart(plan, units, j));
  const loads = indices(units).map((j) => streamsOf(output, (w, s) => unitLoads(plan.geometry, w, j, s)));
  return [...starts, ...loads].join('');
}

const sumStatements = (plan: RowPlan, output: RowOutput, units: Units): string =>
  indices(units)
    .map((j) => unitProducts(plan, output, { j, segment: plan.staging.segment, ragged: units.ragged }))
    .join('');

type Stream = RowOutput['streams'][number];
const streamsOf = (output: RowOutput, text: (w: Stream, s: number) => string): string =>
  output.streams.map(text).join('');

/** `u`: first octet of unit j within the segment; `p` and `o`: panel and octet of its weights. */
function unitStart(
  { geometry, work, locate = (panel, octet) => ({ panel, octet }) }: RowPlan,
  { stride, units, ragged }: Units,
  j: number,
): string {
  const { run } = geometry;
  const unit = `(${plus('step', j)}) * ${stride}u + (lane >> 2u)`;
  const octet = run === 1 ? unit : `(${unit}) * ${run}u`;
  const start = ragged
    ? `    let live${j} = ${unit} < ${units}u && first_octet + ${octet} < ${work.octets}u;
    let u${j} = select(0u, ${octet}, live${j});
`
    : `    let u${j} = ${octet};\n`;
  const { panel, octet: place } = locate('p', `first_octet + u${j}`);
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
    (_, i) => `    let c${id}_${i} = ${name}_${read}(p${j}, quad, ${plus(`o${j}`, i)});\n`,
  );
  return `${scale}${loads.join('')}`;
}

/** Adds the products of unit j with every row. */
function unitProducts(
  { geometry, work }: RowPlan,
  output: RowOutput,
  { j, segment, ragged }: { j: number; segment: number; ragged: boolean },
): string {
  return Array.from({ length: work.rows }, (_, r) => {
    const row = geometry.mode === 'f32' ? floatRow : int8Row;
    return `    {
      let x_at = ${plus(`u${j}`, r * segment)};
${row(geometry, output, j, (s, value) => `      ${accumulator(s, r)} += ${ragged ? `select(vec4<f32>(), ${value}, live${j})` : value};\n`)}    }
`;
  }).join('');
}

type Add = (stream: number, value: string) => string;

function floatRow({ run }: Geometry, output: RowOutput, j: number, add: Add): string {
  const xs = Array.from({ length: run }, (_, i) => `      let x${i} = x_tile[${plus('x_at', i)}];\n`).join(
    '',
  );
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
      `      let x${i} = x_codes[${plus('x_at', i)}];\n${errors ? `      let e${i} = x_errors[${plus('x_at', i)}];\n` : ''}`,
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
