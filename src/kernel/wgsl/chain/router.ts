// The router of a mixture of experts as two phases. It is too small for one workgroup per panel: workgroups take slices of its columns
// and send partial logits. Then every workgroup adds them up and chooses the experts.

import type { GpuBinding } from '../contract.ts';
import { eightStruct, rowSum } from '../linear/activations.ts';
import type { LinearSegment } from '../linear/shape.ts';
import { octetsOf, unpackFunctions, weightReader } from '../linear/unpack.ts';
import { panelsOf, panelWindows } from '../linear/windows.ts';
import type { MoeRouteShape } from '../moe-route.ts';
import { memoryRow, type NormedRow } from './linear.ts';
import type { ChainDispatch, ChainSize, MailAt, Phase } from './phase.ts';

/** Partial logits that a workgroup has to read, at most. */
const mostWords = 2048;

interface Logits {
  /** Of partial logits: those of a slice side by side. */
  readonly mail: MailAt;
  readonly slices: number;
}

const quadsOf = (experts: number): number => 4 * panelsOf(experts);

/** Slices of columns: few enough to read, and where possible one unit of four experts and eight columns a thread. */
export function routerSlices({ experts }: MoeRouteShape, K: number, { threads, groups }: ChainSize): number {
  const octets = octetsOf(K);
  const wanted = Math.min(
    groups,
    Math.floor(mostWords / experts),
    Math.ceil((quadsOf(experts) * octets) / threads),
  );
  return Math.ceil(octets / Math.ceil(octets / Math.max(1, wanted)));
}

/** Partial logits; undefined where the matrix does not fit. */
export function routerPhase(
  { request, first }: ChainDispatch,
  { w, N, layout }: LinearSegment,
  input: NormedRow,
  { mail, slices }: Logits,
  { threads }: ChainSize,
): Phase | undefined {
  const { caps } = request;
  const { K } = input;
  const windows = panelWindows({ layout, K, count: panelsOf(N), unit: 1 }, caps);
  const quads = quadsOf(N);
  if (windows.length !== 1 || threads % quads !== 0) return undefined;
  const fixed = caps.subgroups?.min === caps.subgroups?.max ? caps.subgroups : undefined;
  const octets = octetsOf(K);
  const slice = Math.ceil(octets / slices);
  const lanes = threads / quads;
  const row = memoryRow(input);
  const bindings: GpuBinding[] = [
    ...row.bindings,
    { buffer: first + w, name: 'router', type: 'array<vec4<u32>>', access: 'read' },
  ];
  const products = Array.from({ length: 8 }, (_, j) => `q[${j}] * v.${j < 4 ? 'a' : 'b'}[${j % 4}]`).join(
    ' + ',
  );
  const code = `${unpackFunctions}${weightReader('router', layout, K).code}${eightStruct}${row.code}${rowSum({ threads, subgroups: fixed })}var<workgroup> cells: array<vec4<f32>, ${threads}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let quad = t % ${quads}u;
  let end = min((id.x + 1u) * ${slice}u, ${octets}u);
  var sum = vec4<f32>();
  for (var o = id.x * ${slice}u + t / ${quads}u; o < end; o += ${lanes}u) {
    let q = router_values(quad >> 2u, quad & 3u, o);
    let v = scaled(x_octet(0u, o), 1.0, norm_octet(o));
    sum += ${products};
  }
  var squares = 0.0;
  for (var o = t; o < ${octets}u; o += ${threads}u) { squares += squares_of(x_octet(0u, o)); }
  cells[t] = sum;
  let norm = inverseSqrt(row_sum(squares, t, ${fixed?.min ?? 1}u) / ${K}.0 + ${input.norm.eps});
  for (var e = t; e < ${N}u; e += ${threads}u) {
    var logit = 0.0;
    for (var i = 0u; i < ${lanes}u; i++) { logit += cells[i * ${quads}u + (e >> 2u)][e & 3u]; }
    mail_send(${mail}u + id.x * ${N}u + e, logit * norm);
  }
}
`;
  return { enables: fixed ? ['subgroups'] : [], bindings, code, groups: slices };
}

/** The choice, once in every workgroup: calls `route`. `correction` is the number of its buffer in the chain. */
export function routePhase(
  { experts, corrected }: MoeRouteShape,
  correction: number,
  { mail, slices }: Logits,
  { threads, groups }: ChainSize,
): Phase {
  const words = Array.from({ length: slices }, (_, s) => `mail_read(${mail + s * experts}u + e)`).join(' + ');
  const code = `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  for (var e = t; e < ${experts}u; e += ${threads}u) {
    ${corrected ? 'route_correction[e] = correction[e];' : ''}
    loop {
      route_logits[e] = ${words};
      if (!mail_again()) { break; }
    }
  }
  workgroupBarrier();
  route(t);
}
`;
  const bindings: GpuBinding[] = corrected
    ? [{ buffer: correction, name: 'correction', type: 'array<f32>', access: 'read' }]
    : [];
  return { enables: [], bindings, code, groups };
}
