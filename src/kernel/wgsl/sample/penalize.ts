// penalize: penalties of tokens that occurred, masks and biases, on logits in place.

import type { BufferPlace } from '../../signature.ts';
import { groupIndex } from '../common.ts';
import {
  type GpuBinding,
  type GpuKernel,
  type GpuPass,
  grid,
  type KernelRequest,
  read,
} from '../contract.ts';
import { rowSettings } from './settings.ts';

const threads = 256;

const header = `${groupIndex}const minus_infinity_bits = 0xff800000u;
`;
const signature = `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = group_index(id, count) * ${threads}u + t;
`;

const logitsOf = (request: KernelRequest<'penalize'>): GpuBinding => ({
  buffer: request.b.logits,
  name: 'logits',
  type: 'array<u32>',
  access: 'read_write',
});

/** Every logit by itself. A mask comes before the biases here: it leaves -infinity, which a bias does not change. */
function elementPass(request: KernelRequest<'penalize'>): GpuPass {
  const [counts, masks] = [request.has(request.b.counts), request.has(request.b.masks)];
  const settings = rowSettings(request.b.settings, [
    ...(counts ? (['repetition', 'presence', 'frequency', 'slot'] as const) : []),
    ...(masks ? (['mask'] as const) : []),
  ]);
  const V = `u32(${request.int(request.p.V)})`;
  const read = (buffer: BufferPlace, name: string): GpuBinding => ({
    buffer,
    name,
    type: 'array<i32>',
    access: 'read',
  });
  const penalty = `  let slot = row_slot(row);
  if (slot >= 0) {
    let n = counts[u32(slot) * ${V} + token];
    if (n > 0) {
      let scaled = select(x * row_repetition(row), x / row_repetition(row), x > 0.0);
      x = scaled - row_presence(row) - row_frequency(row) * f32(n);
      bits = bitcast<u32>(x);
    }
  }
`;
  const mask = `  let mask = row_mask(row);
  if (mask >= 0) {
    let allowed = u32(masks[u32(mask) * ((${V} + 31u) / 32u) + token / 32u]) >> (token % 32u);
    if ((allowed & 1u) == 0u) { bits = minus_infinity_bits; }
  }
`;
  return {
    name: 'penalize',
    bindings: [
      logitsOf(request),
      ...settings.bindings,
      ...(counts ? [read(request.b.counts, 'counts')] : []),
      ...(masks ? [read(request.b.masks, 'masks')] : []),
    ],
    code: `${header}${settings.code}${signature}  if (i >= u32(${request.int(request.p.B)}) * ${V}) { return; }
  let row = i / ${V};
  let token = i % ${V};
  var bits = logits[i];
  var x = bitcast<f32>(bits);
${counts ? penalty : ''}${masks ? mask : ''}  logits[i] = bits;
}
`,
    groups: request.sized([request.p.B, request.p.V], (B = 0, V = 0) => grid(Math.ceil((B * V) / threads))),
  };
}

function biasPass(request: KernelRequest<'penalize'>): GpuPass {
  return {
    name: 'penalize bias',
    bindings: [
      logitsOf(request),
      read(request.b.biasRows, 'bias_rows', 'array<i32>'),
      read(request.b.biasIds, 'bias_ids', 'array<i32>'),
      read(request.b.biasValues, 'bias_values', 'array<f32>'),
    ],
    code: `${header}${signature}  if (i >= u32(${request.int(request.p.n)})) { return; }
  let row = bias_rows[i];
  let token = bias_ids[i];
  if (row < 0 || row >= ${request.int(request.p.B)} || token < 0 || token >= ${request.int(request.p.V)}) { return; }
  let at = u32(row) * u32(${request.int(request.p.V)}) + u32(token);
  logits[at] = bitcast<u32>(bitcast<f32>(logits[at]) + bias_values[i]);
}
`,
    groups: request.sized([request.p.n], (n = 0) => grid(Math.ceil(n / threads))),
  };
}

export const penalizeKernel: GpuKernel<'penalize'> = {
  name: 'penalize',
  plan(request) {
    const passes = [
      ...(request.has(request.b.counts) || request.has(request.b.masks) ? [elementPass(request)] : []),
      ...(request.has(request.b.biasRows) ? [biasPass(request)] : []),
    ];
    return { variants: [{ passes }] };
  },
};
