// penalize: penalties of tokens that occurred, masks and biases, on logits in place.

import { groupIndex } from '../common.ts';
import { type GpuBinding, type GpuKernel, type GpuPass, grid, type KernelRequest } from '../contract.ts';
import { bufferSettings, paramSettings, type Settings } from './settings.ts';

const threads = 256;

const header = `${groupIndex}const minus_infinity_bits = 0xff800000u;
`;
const signature = `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = group_index(id, count) * ${threads}u + t;
`;

const logits: GpuBinding = { buffer: 0, name: 'logits', type: 'array<u32>', access: 'read_write' };

interface Penalties {
  readonly settings: Settings;
  /** Rows and vocabulary as u32 expressions. */
  readonly rows: string;
  readonly V: string;
  readonly counts: number | undefined;
  readonly masks: number | undefined;
  readonly groups: GpuPass['groups'];
}

/** Every logit by itself. A mask comes before the biases here: it leaves -infinity, which a bias does not change. */
function elementPass({ settings, rows, V, counts, masks, groups }: Penalties): GpuPass {
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
      ...(counts === undefined ? [] : [read(counts, 'counts')]),
      ...(masks === undefined ? [] : [read(masks, 'masks')]),
    ],
    code: `${header}${settings.code}${signature}  if (i >= ${rows} * ${V}) { return; }
  let row = i / ${V};
  let token = i % ${V};
  var bits = logits[i];
  var x = bitcast<f32>(bits);
${counts === undefined ? '' : penalty}${masks === undefined ? '' : mask}  logits[i] = bits;
}
`,
    groups,
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

/**
 * Buffers logits, settings, counts?, masks?, biasRows?, biasIds?, biasValues?; params B, V, S, M, n. Or for one row, buffers
 * logits, counts; params V, repetition, presence, frequency.
 */
export const penalizeKernel: GpuKernel = {
  name: 'penalize',
  plan(request) {
    if (request.bytes.length === 2) {
      const pass = elementPass({
        settings: paramSettings(request, { slot: '0i', repetition: 1, presence: 2, frequency: 3 }),
        rows: '1u',
        V: `u32(${request.int(0)})`,
        counts: 1,
        masks: undefined,
        groups: ([V = 0]) => grid(Math.ceil(V / threads)),
      });
      return { variants: [{ passes: [pass] }] };
    }
    const buffer = (i: number): number | undefined => (request.has(i) ? i : undefined);
    const [counts, masks] = [buffer(2), buffer(3)];
    const passes = [
      elementPass({
        settings: bufferSettings(1, [
          ...(counts === undefined ? [] : (['repetition', 'presence', 'frequency', 'slot'] as const)),
          ...(masks === undefined ? [] : (['mask'] as const)),
        ]),
        rows: `u32(${request.int(0)})`,
        V: `u32(${request.int(1)})`,
        counts,
        masks,
        groups: ([B = 0, V = 0]) => grid(Math.ceil((B * V) / threads)),
      }),
    ];
    return {
      variants: [
        {
          passes: [
            ...(counts === undefined && masks === undefined ? [] : passes),
            ...(request.has(4) ? [biasPass(request)] : []),
          ],
        },
      ],
    };
  },
};
