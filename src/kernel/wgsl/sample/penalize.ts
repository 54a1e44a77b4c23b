// penalize: penalties of tokens that occurred, masks and biases, on logits in place.

import { groupIndex } from '../common.ts';
import { type GpuBinding, type GpuKernel, type GpuPass, grid, type KernelRequest } from '../contract.ts';
import { rowSettings } from './settings.ts';

const threads = 256;

const header = `${groupIndex}const minus_infinity_bits = 0xff800000u;
`;
const signature = `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = group_index(id, count) * ${threads}u + t;
`;

const logits: GpuBinding = { buffer: 0, name: 'logits', type: 'array<u32>', access: 'read_write' };

/** Every logit by itself. A mask comes before the biases here: it leaves -infinity, which a bias does not change. */
function elementPass(request: KernelRequest): GpuPass {
  const [counts, masks] = [request.has(2), request.has(3)];
  const settings = rowSettings(1, [
    ...(counts ? (['repetition', 'presence', 'frequency', 'slot'] as const) : []),
    ...(masks ? (['mask'] as const) : []),
  ]);
  const V = `u32(${request.int(1)})`;
  const read = (buffer: number, name: string): GpuBinding => ({
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
      logits,
      ...settings.bindings,
      ...(counts ? [read(2, 'counts')] : []),
      ...(masks ? [read(3, 'masks')] : []),
    ],
    code: `${header}${settings.code}${signature}  if (i >= u32(${request.int(0)}) * ${V}) { return; }
  let row = i / ${V};
  let token = i % ${V};
  var bits = logits[i];
  var x = bitcast<f32>(bits);
${counts ? penalty : ''}${masks ? mask : ''}  logits[i] = bits;
}
`,
    groups: ([B = 0, V = 0]) => grid(Math.ceil((B * V) / threads)),
  };
}

function biasPass(request: KernelRequest): GpuPass {
  const read = (buffer: number, name: string, type: string): GpuBinding => ({
    buffer,
    name,
    type,
    access: 'read',
  });
  return {
    name: 'penalize bias',
    bindings: [
      logits,
      read(4, 'bias_rows', 'array<i32>'),
      read(5, 'bias_ids', 'array<i32>'),
      read(6, 'bias_values', 'array<f32>'),
    ],
    code: `${header}${signature}  if (i >= u32(${request.int(4)})) { return; }
  let row = bias_rows[i];
  let token = bias_ids[i];
  if (row < 0 || row >= ${request.int(0)} || token < 0 || token >= ${request.int(1)}) { return; }
  let at = u32(row) * u32(${request.int(1)}) + u32(token);
  logits[at] = bitcast<u32>(bitcast<f32>(logits[at]) + bias_values[i]);
}
`,
    groups: (params) => grid(Math.ceil((params[4] ?? 0) / threads)),
  };
}

/** Buffers logits, settings, counts?, masks?, biasRows?, biasIds?, biasValues?; params B, V, S, M, n. */
export const penalizeKernel: GpuKernel = {
  name: 'penalize',
  plan(request) {
    const passes = [
      ...(request.has(2) || request.has(3) ? [elementPass(request)] : []),
      ...(request.has(4) ? [biasPass(request)] : []),
    ];
    return { variants: [{ passes }] };
  },
};
