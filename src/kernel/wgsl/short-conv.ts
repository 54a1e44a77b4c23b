// short_conv: a causal convolution of each channel over a few positions. A thread has a channel and walks the rows, so it
// reads a sequence's state before it writes it.

import { groupIndex } from './common.ts';
import { type GpuBinding, type GpuKernel, grid, read } from './contract.ts';
import { pageSize } from './kv-slots.ts';

const threads = 64;

/**
 * Buffers state [slots, taps - 1, C], x [rows, C], weight [C, taps], positions, bias? [C], sequences?, pageTable?, y [rows, C];
 * params rows, C, taps, slots, S, maxPages.
 */
export const shortConvKernel: GpuKernel<'short_conv'> = {
  name: 'short_conv',
  plan(request) {
    const { p, b } = request;
    const [C, taps] = [request.constant(p.C), request.constant(p.taps)];
    const [slots, maxPages] = [request.constant(p.slots), request.constant(p.maxPages)];
    const [biased, paged] = [request.has(request.b.bias), request.has(request.b.sequences)];
    const bindings: GpuBinding[] = [
      { buffer: request.b.state, name: 'state', type: 'array<f32>', access: 'read_write' },
      read(b.x, 'x', 'array<f32>'),
      read(b.weight, 'weight', 'array<f32>'),
      read(b.positions, 'positions', 'array<i32>'),
      ...(biased ? [read(b.bias, 'bias', 'array<f32>')] : []),
      ...(paged
        ? [read(b.sequences, 'sequences', 'array<i32>'), read(b.pageTable, 'page_table', 'array<i32>')]
        : []),
      { buffer: request.b.y, name: 'y', type: 'array<f32>', access: 'read_write' },
    ];
    const slotOf = paged
      ? `  if (position >= ${maxPages * pageSize}) { return -1; }
  let page = page_table[sequences[row] * ${maxPages} + position / ${pageSize}];
  return select(page, -1, page < 0 || page >= ${slots});`
      : '  return 0;';
    const other = paged ? 'sequences[row] != sequences[row - 1u]' : 'false';
    const ends = paged ? 'row + 1u == rows || sequences[row + 1u] != sequences[row]' : 'row + 1u == rows';
    const pageEnds = paged ? ` || (position + 1) % ${pageSize} == 0` : '';
    const code = `${groupIndex}fn slot_of(row: u32, position: i32) -> i32 {
${slotOf}
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let c = group_index(id, groups) * ${threads}u + t;
  if (c >= ${C}u) { return; }
  let rows = u32(${request.int(request.p.rows)});
  var w: array<f32, ${taps}>;
  for (var k = 0u; k < ${taps}u; k++) { w[k] = weight[c * ${taps}u + k]; }
  var inputs: array<f32, ${taps}>;
  for (var row = 0u; row < rows; row++) {
    let position = positions[row];
    if (row == 0u || ${other}) {
      let slot = select(-1, slot_of(row, max(position - 1, 0)), position > 0);
      for (var k = 1u; k < ${taps}u; k++) {
        inputs[k] = 0.0;
        if (slot >= 0) { inputs[k] = state[(u32(slot) * ${taps - 1}u + k - 1u) * ${C}u + c]; }
      }
    }
    for (var k = 1u; k < ${taps}u; k++) { inputs[k - 1u] = inputs[k]; }
    inputs[${taps - 1}u] = x[row * ${C}u + c];
    var sum = ${biased ? 'bias[c]' : '0.0'};
    for (var k = 0u; k < ${taps}u; k++) { sum += w[k] * inputs[k]; }
    y[row * ${C}u + c] = sum;
    if (${ends}${pageEnds}) {
      let slot = slot_of(row, position);
      if (slot >= 0) {
        for (var k = 1u; k < ${taps}u; k++) { state[(u32(slot) * ${taps - 1}u + k - 1u) * ${C}u + c] = inputs[k]; }
      }
    }
  }
}
`;
    const pass = { name: 'short_conv', bindings, code, groups: () => grid(Math.ceil(C / threads)) };
    return { variants: [{ passes: [pass] }] };
  },
};
