// sort_rows and topk_rows. A row's elements become keys: the number as an ordered integer with the place below it, so that
// all differ and every order is stable. Sorted runs are merged two by two, every key finding its place by search: in workgroup
// memory up to blocks; then in memory, or only the best k of each block go on.

import { groupIndex } from './common.ts';
import {
  type GpuBinding,
  type GpuKernel,
  type GpuKernelPlan,
  type GpuPass,
  grid,
  type KernelRequest,
} from './contract.ts';
import { orderedKey } from './ordered.ts';
import { findsFew, planTopkFew } from './topk-few.ts';

/** Keys a workgroup sorts at most: 16 KiB of workgroup memory, or less for more of them at a time. */
const blocks = ['2048', '1024', '512'] as const;
const threads = 256;

type SortKernel = 'sort_rows' | 'topk_rows';

const plan = (request: KernelRequest<SortKernel>): GpuKernelPlan => {
  const D = request.constant(request.p.D);
  const k = request.constant(request.p.k);
  const rows = request.bytesOf(request.b.x) / 4 / Math.max(D, 1);
  const block = D <= 512 ? 512 : Number(request.choose(`${request.name} D${D} k${k}`, blocks));
  const sort = new SortPasses(request, block);
  if (D <= block)
    return { variants: [{ passes: [sort.blocks({ from: 'x', length: D, keep: k, to: 'result' })] }] };
  const passes = 4 * k <= block ? sort.select() : sort.merges();
  const bytes = 8 * rows * sort.longest;
  return { variants: [{ passes }], scratch: sort.buffers === 1 ? [bytes] : [bytes, bytes] };
};

export const sortRowsKernel: GpuKernel<'sort_rows'> = { name: 'sort_rows', plan };
export const topkRowsKernel: GpuKernel<'topk_rows'> = {
  name: 'topk_rows',
  plan: (request) =>
    findsFew(request.constant(request.p.D), request.constant(request.p.k))
      ? planTopkFew(request)
      : plan(request),
};

/** Keys in scratch memory, or x before and the result after. */
type Place = 'x' | 0 | 1 | 'result';

const keysBinding = (place: 0 | 1, name: string, access: GpuBinding['access']): GpuBinding => ({
  buffer: { scratch: place },
  name,
  type: 'array<vec2<u32>>',
  access,
});

const entry = (size: number): string => `@compute @workgroup_size(${size})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
`;

const before = `fn before(a: vec2<u32>, b: vec2<u32>) -> bool { return a.x < b.x || (a.x == b.x && a.y < b.y); }
`;

class SortPasses {
  readonly #request: KernelRequest<SortKernel>;
  readonly #D: number;
  readonly #k: number;
  readonly #block: number;
  /** Keys of a row in scratch memory at most. */
  longest = 0;
  /** Scratch buffers in use. */
  buffers = 0;

  get #xBinding(): GpuBinding {
    return { buffer: this.#request.b.x, name: 'x', type: 'array<f32>', access: 'read' };
  }

  get #resultBindings(): readonly GpuBinding[] {
    const { b } = this.#request;
    return [
      { buffer: b.values, name: 'values', type: 'array<f32>', access: 'read_write' },
      { buffer: b.indices, name: 'indices', type: 'array<i32>', access: 'read_write' },
    ];
  }

  constructor(request: KernelRequest<SortKernel>, block: number) {
    this.#request = request;
    this.#block = block;
    this.#D = request.constant(request.p.D);
    this.#k = request.constant(request.p.k);
  }

  /** The best k of each block, again and again, until one block is left. */
  select(): readonly GpuPass[] {
    const passes: GpuPass[] = [];
    let from: Place = 'x';
    let length = this.#D;
    while (length > this.#block) {
      const to: 0 | 1 = from === 0 ? 1 : 0;
      passes.push(this.blocks({ from, length, keep: this.#k, to }));
      length = this.#keptBy(length, this.#k);
      from = to;
    }
    passes.push(this.blocks({ from, length, keep: this.#k, to: 'result' }));
    return passes;
  }

  /** Sorted blocks, then merges of runs. */
  merges(): readonly GpuPass[] {
    const passes: GpuPass[] = [this.blocks({ from: 'x', length: this.#D, keep: this.#block, to: 0 })];
    let from: 0 | 1 = 0;
    for (let run = this.#block; run < this.#D; run *= 2) {
      const to: 0 | 1 = from === 0 ? 1 : 0;
      const last = 2 * run >= this.#D;
      passes.push(this.#merge(from, run, last ? 'result' : to));
      from = to;
    }
    return passes;
  }

  /** Keys that are left of `length` when each block keeps `keep`. */
  #keptBy(length: number, keep: number): number {
    const whole = Math.floor(length / this.#block);
    return whole * keep + Math.min(keep, length % this.#block);
  }

  /** Sorts blocks of a row of `length` keys and writes the first `keep` of each, side by side. */
  blocks(pass: { from: Place; length: number; keep: number; to: Place }): GpuPass {
    const { from, length, keep, to } = pass;
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, Math.min(length, this.#block))));
    const width = Math.min(threads, size / 2);
    const each = size / width;
    const perRow = Math.ceil(length / this.#block);
    const kept = this.#keptBy(length, keep);
    if (typeof to === 'number') this.#uses(to, kept);
    const read =
      from === 'x'
        ? `key_of(row * ${length}u + start + i, start + i)`
        : `keys_in[row * ${length}u + start + i]`;
    const write =
      to === 'result'
        ? `put(row * ${kept}u + start_kept + i, row, keys[i]);`
        : `keys_out[row * ${kept}u + start_kept + i] = keys[i];`;
    return {
      name: `sort blocks of ${size}`,
      bindings: [
        ...(from === 'x' || to === 'result' ? [this.#xBinding] : []),
        ...(typeof from === 'number' ? [keysBinding(from, 'keys_in', 'read')] : []),
        ...(typeof to === 'number' ? [keysBinding(to, 'keys_out', 'read_write')] : this.#resultBindings),
      ],
      code: `${groupIndex}${before}${from === 'x' ? this.#keyOf() : ''}${to === 'result' ? this.#put() : ''}
var<workgroup> keys: array<vec2<u32>, ${size}>;
// where a key goes when its run and the neighbouring one become one: its own place, and those of the other before it
fn merged_place(i: u32, run: u32, key: vec2<u32>) -> u32 {
  let pair = i & ~(2u * run - 1u);
  let other = pair + select(0u, run, (i & run) == 0u);
  var low = 0u;
  var high = run;
  while (low < high) {
    let middle = (low + high) >> 1u;
    if (before(keys[other + middle], key)) { low = middle + 1u; } else { high = middle; }
  }
  return pair + (i & (run - 1u)) + low;
}
${entry(width)}  let group = group_index(id, groups);
  let row = group / ${perRow}u;
  let start = (group % ${perRow}u) * ${this.#block}u;
  let start_kept = (group % ${perRow}u) * ${keep}u;
  let length = select(0u, min(${length}u - start, ${size}u), row < u32(${this.#request.int(this.#request.p.rows)}));
  var own: array<vec2<u32>, ${each}>;
  var place: array<u32, ${each}>;
  for (var i = t; i < ${size}u; i += ${width}u) {
    var key = vec2<u32>(0xffffffffu, 0x80000000u | i); // behind all others
    if (i < length) { key = ${read}; }
    keys[i] = key;
  }
  for (var run = 1u; run < ${size}u; run <<= 1u) {
    workgroupBarrier();
    for (var j = 0u; j < ${each}u; j++) {
      let i = t + j * ${width}u;
      own[j] = keys[i];
      place[j] = merged_place(i, run, own[j]);
    }
    workgroupBarrier();
    for (var j = 0u; j < ${each}u; j++) { keys[place[j]] = own[j]; }
  }
  workgroupBarrier();
  for (var i = t; i < min(length, ${keep}u); i += ${width}u) {
    ${write}
  }
}
`,
      groups: this.#request.sized([this.#request.p.rows], (rows = 0) => grid(rows * perRow)),
    };
  }

  /** Merges sorted runs two by two: an element's place is its own, and how many of the other run come before it. */
  #merge(from: 0 | 1, run: number, to: Place): GpuPass {
    const D = this.#D;
    if (typeof to === 'number') this.#uses(to, D);
    const write =
      to === 'result'
        ? `if (place < ${this.#k}u) { put(row * ${this.#k}u + place, row, key); }`
        : `keys_out[row * ${D}u + place] = key;`;
    return {
      name: `sort merge of ${run}`,
      bindings: [
        ...(to === 'result' ? [this.#xBinding] : []),
        keysBinding(from, 'keys_in', 'read'),
        ...(typeof to === 'number' ? [keysBinding(to, 'keys_out', 'read_write')] : this.#resultBindings),
      ],
      code: `${groupIndex}${before}${to === 'result' ? this.#put() : ''}
${entry(threads)}  let item = group_index(id, groups) * ${threads}u + t;
  let row = item / ${D}u;
  if (row >= u32(${this.#request.int(this.#request.p.rows)})) { return; }
  let i = item % ${D}u;
  let key = keys_in[item];
  let pair = i - i % ${2 * run}u;
  let own = i % ${run}u;
  let in_first = i < pair + ${run}u;
  let other = row * ${D}u + select(pair, min(pair + ${run}u, ${D}u), in_first);
  var low = 0u;
  var high = select(${run}u, min(pair + ${2 * run}u, ${D}u) - min(pair + ${run}u, ${D}u), in_first);
  while (low < high) {
    let middle = (low + high) >> 1u;
    if (before(keys_in[other + middle], key)) { low = middle + 1u; } else { high = middle; }
  }
  let place = pair + own + low;
  ${write}
}
`,
      groups: this.#request.sized([this.#request.p.rows], (rows = 0) =>
        grid(Math.ceil((rows * D) / threads)),
      ),
    };
  }

  #uses(buffer: 0 | 1, length: number): void {
    this.longest = Math.max(this.longest, length);
    this.buffers = Math.max(this.buffers, buffer + 1);
  }

  /** NaN is above every number, -0 equals 0; keys ascend in the order asked for. */
  #keyOf(): string {
    return `${orderedKey}fn key_of(at: u32, place: u32) -> vec2<u32> {
  let key = ordered_key(x[at]);
  return vec2<u32>(select(key, ~key, ${this.#request.int(this.#request.p.descending)} != 0i), place);
}
`;
  }

  #put(): string {
    return `fn put(at: u32, row: u32, key: vec2<u32>) {
  values[at] = x[row * ${this.#D}u + key.y];
  indices[at] = i32(key.y);
}
`;
  }
}
