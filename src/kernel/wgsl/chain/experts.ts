// Products with the experts that `route` chose, as phases: what moe_glu and moe_down do for one row.

import type { GpuBinding, GpuCapabilities } from '../contract.ts';
import { gluFunction } from '../linear/epilogue.ts';
import { type RowWork, weightWork } from '../linear/geometry.ts';
import { rowCode } from '../linear/rows.ts';
import { octetsOf, type WeightReader, weightReader } from '../linear/unpack.ts';
import { panelsOf, panelWindows } from '../linear/windows.ts';
import { rowType } from '../linear/x-input.ts';
import { biasBindings, biased } from '../moe/gate.ts';
import type { MoeDownShape } from '../moe-down.ts';
import type { MoeGluShape } from '../moe-glu.ts';
import { type InputRow, mailInput, memoryRow, octetWord, phaseGeometry } from './linear.ts';
import type { ChainDispatch, ChainSize, MailAt, Phase } from './phase.ts';

/** Gate and up; h goes by mail as one row of all chosen experts. */
export function expertsGlu(
  { request, first }: ChainDispatch,
  shape: MoeGluShape,
  input: InputRow,
  mail: MailAt,
  size: ChainSize,
): Phase | undefined {
  const { caps, b } = request.as('moe_glu');
  const { K, N, topk } = shape;
  const panels = panelsOf(N);
  const streams = ['gate', 'up'].map((name) => ({ name, reader: weightReader(name, shape.layout, K) }));
  const work = workOf(shape, {
    octets: octetsOf(K),
    panels: panels * topk,
    readers: streams.map((s) => s.reader),
  });
  const geometry = phaseGeometry(
    work,
    Array.from({ length: topk }, () => panels),
    size,
    caps,
  );
  if (geometry === undefined || !isWhole(shape, caps)) return undefined;
  const row = memoryRow(input);
  const { code, enables, groups } = rowCode({
    geometry,
    work,
    caps,
    outputs: [
      {
        streams,
        panels,
        store: `mail_send(${mail}u + ${octetWord(`(row * ${N}u + n)`, topk * N)}, glu(${biased(shape, ['v0', 'v1'], `route_experts[row] * ${N}u + n`)}));`,
      },
    ],
    input: `${row.code}${gluFunction(shape.glu, shape.form)}`,
    norm: row.norm,
    rowCount: `${topk}u`,
    locate: (p, o) => ({ panel: `route_experts[first_row] * ${panels}u + ${p}`, octet: o }),
  });
  const bindings: GpuBinding[] = [
    ...row.bindings,
    { buffer: first + b.gate, name: 'gate', type: 'array<vec4<u32>>', access: 'read' },
    { buffer: first + b.up, name: 'up', type: 'array<vec4<u32>>', access: 'read' },
    ...biasBindings(shape, [first + b.gateBias, first + b.upBias, first + b.experts]),
  ];
  return { code, enables, bindings, groups: groups * topk };
}

/** The weighted sum of the experts' down projections; `residual` is the number of a buffer of the chain. */
export function expertsDown(
  { request, first }: ChainDispatch,
  shape: MoeDownShape,
  mail: MailAt,
  size: ChainSize,
  residual = first + request.as('moe_down').b.residual,
): Phase | undefined {
  const { caps, b } = request.as('moe_down');
  const { K, N, topk } = shape;
  const [panels, octets] = [panelsOf(N), octetsOf(K)];
  const reader = weightReader('down', shape.layout, K);
  const work = workOf(shape, { octets: octets * topk, panels, readers: [reader] });
  const geometry = phaseGeometry(work, [panels], size, caps);
  if (geometry === undefined || !isWhole(shape, caps)) return undefined;
  const biases = Array.from(
    { length: shape.bias ? topk : 0 },
    (_, s) => ` + route_weights[${s}] * bias[route_experts[${s}] * ${N}u + n]`,
  ).join('');
  const value = `v0${biases}${shape.residual ? ' + residual[n >> 2u][n & 3u]' : ''}`;
  const { code, enables, groups } = rowCode({
    geometry,
    work,
    caps,
    outputs: [{ streams: [{ name: 'down', reader }], panels, store: `y[n] = ${value};` }],
    input: mailInput(mail, topk * K, `route_weights[octet / ${octets}u]`),
    norm: undefined,
    rowCount: '1u',
    mail: true,
    locate: (p, o) => ({
      panel: `route_experts[(${o}) / ${octets}u] * ${panels}u + ${p}`,
      octet: `(${o}) % ${octets}u`,
    }),
  });
  const bindings: GpuBinding[] = [
    { buffer: first + b.down, name: 'down', type: 'array<vec4<u32>>', access: 'read' },
    { buffer: first + b.y, name: 'y', type: 'array<f32>', access: 'read_write' },
  ];
  if (shape.bias) bindings.push({ buffer: first + b.bias, name: 'bias', type: 'array<f32>', access: 'read' });
  if (shape.residual) bindings.push({ buffer: residual, name: 'residual', type: rowType(N), access: 'read' });
  return { code, enables, bindings, groups };
}

const workOf = (
  { precision }: { readonly precision: RowWork['precision'] },
  { octets, panels, readers }: { octets: number; panels: number; readers: readonly WeightReader[] },
): RowWork => ({
  precision,
  rows: 1,
  octets,
  panels,
  streams: readers.length,
  ...weightWork(readers),
});

/** Whether all experts fit one binding, and rows are whole octets and panels. */
const isWhole = ({ K, N, layout, experts }: MoeGluShape | MoeDownShape, caps: GpuCapabilities): boolean =>
  K % 8 === 0 &&
  N % 16 === 0 &&
  panelWindows({ layout, K, count: experts, unit: panelsOf(N) }, caps).length === 1;
