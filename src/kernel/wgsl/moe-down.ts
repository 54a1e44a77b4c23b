// moe_down: the weighted sum of the chosen experts' down projections, plus a residual. The experts of a row are one product
// over topk · K columns, so that nothing is summed up through memory.

import type { WeightLayout } from '../../quant/layout.ts';
import type { KernelPrecision } from '../signature.ts';
import { type GpuKernel, type GpuPass, grid, type KernelRequest } from './contract.ts';
import { weightWork } from './linear/geometry.ts';
import { chosenGeometry } from './linear/linear-rows.ts';
import { rowCode } from './linear/rows.ts';
import { layoutOf, octetsOf, weightReader } from './linear/unpack.ts';
import { type PanelWindow, panelsOf, panelWindows } from './linear/windows.ts';
import { rowReader, rowType } from './linear/x-input.ts';
import { absent, heldIn } from './moe/held.ts';
import { moeDownTiles, rowsThenTiles } from './moe/tiles.ts';
import { fail, statusBinding } from './status.ts';

export interface MoeDownShape {
  readonly K: number;
  readonly precision: KernelPrecision;
  readonly topk: number;
  readonly experts: number;
  readonly N: number;
  readonly layout: WeightLayout;
  readonly residual: boolean;
  readonly bias: boolean;
  /** The bias goes by numbers of its own. */
  readonly numbered: boolean;
}

export function moeDownShape(request: KernelRequest<'moe_down'>): MoeDownShape {
  return {
    K: request.constant(request.p.K),
    precision: request.named('precision', request.p.precision),
    topk: request.constant(request.p.topk),
    experts: request.constant(request.p.E),
    N: request.constant(request.p.N),
    layout: layoutOf(request, request.p),
    residual: request.has(request.b.residual),
    bias: request.has(request.b.bias),
    numbered: request.has(request.b.experts),
  };
}

export const moeDownKernel: GpuKernel<'moe_down'> = {
  name: 'moe_down',
  plan(request) {
    const shape = moeDownShape(request);
    const { layout, K, N } = shape;
    const held = heldIn(request, request.b.down, shape);
    const windows = panelWindows({ layout, K, count: held, unit: panelsOf(N) }, request.caps);
    const few = () => windows.map((w, i) => downPass(request, { ...shape, held }, w, i === 0));
    const { variants, ...plan } = rowsThenTiles(shape, few, moeDownTiles(request));
    return { ...plan, variants: variants.map((v, i) => (i === 0 ? { ...v, wholeRows: true } : v)) };
  },
};

type HeldShape = MoeDownShape & { readonly held: number };

/** Adds what the experts of a window give; the first one starts with the residual. */
function downPass(
  request: KernelRequest<'moe_down'>,
  shape: HeldShape,
  window: PanelWindow,
  first: boolean,
): GpuPass {
  const { K, N, layout, topk } = shape;
  const panels = panelsOf(N);
  const octets = octetsOf(K);
  const reader = weightReader('down', layout, K, window.base);
  const work = {
    precision: shape.precision,
    rows: 1,
    octets: octets * topk,
    panels,
    streams: 1,
    ...weightWork([reader]),
  };
  const geometry = chosenGeometry(request, `moe_down ${layout.kind} K${K} N${N} k${topk}`, work);
  const residual = shape.residual && first;
  const { code, enables, groups } = rowCode({
    geometry,
    work,
    caps: request.caps,
    outputs: [{ streams: [{ name: 'down', reader }], panels, store: storeStatement(shape, residual, first) }],
    input: inputFunctions(shape),
    norm: undefined,
    rowCount: `u32(${request.int(request.p.rows)})`,
    prologue: slotStatements(shape, window, first),
    locate: (p, o) => ({
      panel: `slot_panels[(${o}) / ${octets}u] + ${p}`,
      octet: `(${o}) % ${octets}u`,
    }),
  });
  return {
    name: `moe_down ${layout.kind} rows`,
    enables,
    bindings: [
      { buffer: request.b.h, name: 'h', type: rowType(K), access: 'read' },
      { buffer: request.b.ids, name: 'ids', type: 'array<i32>', access: 'read' },
      { buffer: request.b.weights, name: 'weights', type: 'array<f32>', access: 'read' },
      {
        buffer: request.b.down,
        name: 'down',
        type: 'array<vec4<u32>>',
        access: 'read',
        window: window.window,
      },
      ...(shape.bias
        ? [{ buffer: request.b.bias, name: 'bias', type: 'array<f32>', access: 'read' } as const]
        : []),
      ...(shape.numbered
        ? [{ buffer: request.b.experts, name: 'experts', type: 'array<i32>', access: 'read' } as const]
        : []),
      ...(residual
        ? [{ buffer: request.b.residual, name: 'residual', type: 'array<f32>', access: 'read' } as const]
        : []),
      { buffer: request.b.y, name: 'y', type: 'array<f32>', access: 'read_write' },
      ...(first ? [statusBinding] : []),
    ],
    code,
    groups: request.sized([request.p.rows], (rows = 0) => grid(rows * groups)),
  };
}

/** `x_octet`: the row's h, one slot after the other, times the weight of the slot. */
function inputFunctions({ K, topk }: MoeDownShape): string {
  const octets = octetsOf(K);
  return `${rowReader('h', K)}var<workgroup> slot_panels: array<u32, ${topk}>;
var<workgroup> slot_weights: array<f32, ${topk}>;
fn x_octet(row: u32, octet: u32) -> Eight {
  let slot = octet / ${octets}u;
  let v = h_eight(row * ${topk}u + slot, octet % ${octets}u);
  return Eight(v.a * slot_weights[slot], v.b * slot_weights[slot]);
}
`;
}

/** Where the slots' experts are. An expert outside the window gets the weight 0. */
function slotStatements({ N, topk, held }: HeldShape, window: PanelWindow, first: boolean): string {
  const panels = panelsOf(N);
  const from = window.first / panels;
  const to = from + window.panels / panels;
  return `  if (t < ${topk}u) {
    let expert = ids[first_row * ${topk}u + t];
${first ? `    if ((expert < 0 || expert >= ${held}) && expert != ${absent}) { ${fail('expert_id', 'expert')} }\n` : ''}    let here = expert >= ${from} && expert < ${to};
    slot_panels[t] = u32(select(0, expert - ${from}, here)) * ${panels}u;
    slot_weights[t] = select(0.0, weights[first_row * ${topk}u + t], here);
  }
  workgroupBarrier();
`;
}

function storeStatement(
  { N, topk, bias, numbered }: MoeDownShape,
  residual: boolean,
  first: boolean,
): string {
  const at = `row * ${N}u + n`;
  const before = residual ? ` + residual[${at}]` : first ? '' : ` + y[${at}]`;
  // A slot whose expert is outside the window has the weight 0.
  const biases = Array.from(
    { length: bias ? topk : 0 },
    (_, s) =>
      ` + slot_weights[${s}] * bias[u32(${numbered ? 'experts' : 'ids'}[row * ${topk}u + ${s}u]) * ${N}u + n]`,
  ).join('');
  const store = `y[${at}] = v0${biases}${before};`;
  const there = `ids[row * ${topk}u] != ${absent}`;
  return `if (${N % 16 === 0 ? there : `n < ${N}u && ${there}`}) { ${store} }`;
}
