// moe_glu: act(gate) · up of the chosen experts of each row, in one pass over their weights.

import type { WeightLayout } from '../../quant/layout.ts';
import type { GateForm, Glu, KernelPrecision } from '../signature.ts';
import { type GpuKernel, type GpuPass, grid, type KernelRequest } from './contract.ts';
import { gluFunction } from './linear/epilogue.ts';
import { weightWork } from './linear/geometry.ts';
import { chosenGeometry } from './linear/linear-rows.ts';
import { rowCode } from './linear/rows.ts';
import { layoutOf, octetsOf, weightReader } from './linear/unpack.ts';
import { type PanelWindow, panelsOf, panelWindows } from './linear/windows.ts';
import { rowReader, rowType } from './linear/x-input.ts';
import { type Biases, biasBindings, biased, biasesOf, gateForm } from './moe/gate.ts';
import { absent, heldIn } from './moe/held.ts';
import { moeGluTiles, rowsThenTiles } from './moe/tiles.ts';
import { fail, statusBinding } from './status.ts';

export interface MoeGluShape extends Biases {
  readonly K: number;
  readonly precision: KernelPrecision;
  readonly glu: Glu;
  readonly topk: number;
  readonly experts: number;
  readonly N: number;
  readonly layout: WeightLayout;
  readonly form: GateForm<string>;
}

export function moeGluShape(request: KernelRequest<'moe_glu'>): MoeGluShape {
  return {
    K: request.constant(request.p.K),
    precision: request.named('precision', request.p.precision),
    glu: request.named('glu', request.p.glu),
    topk: request.constant(request.p.topk),
    experts: request.constant(request.p.E),
    N: request.constant(request.p.N),
    layout: layoutOf(request, request.p),
    form: gateForm(request),
    ...biasesOf(request),
  };
}

export const moeGluKernel: GpuKernel<'moe_glu'> = {
  name: 'moe_glu',
  plan(request) {
    const shape = moeGluShape(request);
    const { layout, K, N } = shape;
    const held = heldIn(request, request.b.gate, shape);
    const windows = panelWindows({ layout, K, count: held, unit: panelsOf(N) }, request.caps);
    const few = () => windows.map((w, i) => gluPass(request, { ...shape, held }, w, i === 0));
    return rowsThenTiles(shape, few, moeGluTiles(request));
  },
};

/** The experts of a window. Rows of the product are (row, slot) pairs: each has weights of its own. */
function gluPass(
  request: KernelRequest<'moe_glu'>,
  shape: MoeGluShape & { readonly held: number },
  window: PanelWindow,
  first: boolean,
): GpuPass {
  const { K, N, layout, topk, held, glu } = shape;
  const panels = panelsOf(N);
  const streams = ['gate', 'up'].map((name) => ({
    name,
    reader: weightReader(name, layout, K, window.base),
  }));
  const work = {
    precision: shape.precision,
    rows: 1,
    octets: octetsOf(K),
    panels: panels * topk,
    streams: 2,
    ...weightWork(streams.map((s) => s.reader)),
  };
  const geometry = chosenGeometry(request, `moe_glu ${layout.kind} K${K} N${N} k${topk}`, work);
  const { code, enables, groups } = rowCode({
    geometry,
    work,
    caps: request.caps,
    outputs: [{ streams, panels, store: storeStatement(shape) }],
    input: `${gluFunction(glu, shape.form)}${rowReader('x', K)}var<private> first_panel: u32;
fn x_octet(row: u32, octet: u32) -> Eight { return x_eight(row / ${topk}u, octet); }
`,
    norm: undefined,
    rowCount: `(u32(${request.int(request.p.rows)}) * ${topk}u)`,
    prologue: `  let expert = ids[first_row];
  if (expert < 0 || expert >= ${held}) {
    ${first ? `if (expert != ${absent}) { ${fail('expert_id', 'expert')} }` : ''}
    return;
  }
  if (expert < ${window.first / panels} || expert >= ${(window.first + window.panels) / panels}) { return; }
  first_panel = u32(expert - ${window.first / panels}) * ${panels}u;
`,
    locate: (p, o) => ({ panel: `first_panel + ${p}`, octet: o }),
  });
  return {
    name: `moe_glu ${layout.kind} rows`,
    enables,
    bindings: [
      { buffer: request.b.x, name: 'x', type: rowType(K), access: 'read' },
      { buffer: request.b.ids, name: 'ids', type: 'array<i32>', access: 'read' },
      {
        buffer: request.b.gate,
        name: 'gate',
        type: 'array<vec4<u32>>',
        access: 'read',
        window: window.window,
      },
      { buffer: request.b.up, name: 'up', type: 'array<vec4<u32>>', access: 'read', window: window.window },
      ...biasBindings(shape, [request.b.gateBias, request.b.upBias, request.b.experts]),
      { buffer: request.b.h, name: 'h', type: 'array<f32>', access: 'read_write' },
      ...(first ? [statusBinding] : []),
    ],
    code,
    groups: request.sized([request.p.rows], (rows = 0) => grid(rows * topk * groups)),
  };
}

function storeStatement(shape: MoeGluShape): string {
  const { N, numbered } = shape;
  const at = `u32(${numbered ? 'experts' : 'ids'}[row]) * ${N}u + n`;
  const store = `h[row * ${N}u + n] = glu(${biased(shape, ['v0', 'v1'], at)});`;
  return N % 16 === 0 ? store : `if (n < ${N}u) { ${store} }`;
}
