// Numbers of slots without the processor: where all experts of a layer are there, the GPU looks up what its router chose, and the run
// goes on. What was chosen is written down and read with the results of the run.

import { grid } from '../../kernel/wgsl/contract.ts';
import { absent } from '../../kernel/wgsl/moe/held.ts';
import { roundUp } from './buffer.ts';
import type { ExpertUse } from './expert-uses.ts';
import type { Place } from './moves.ts';
import type { Command } from './record.ts';

const threads = 64;

/** Numbers that are no expert's are absent, and written down as they are. */
const code = `struct Span { from_id: u32, ids: u32, row: u32, experts: i32, log: u32 }
@group(0) @binding(0) var<storage, read> ids: array<i32>;
@group(0) @binding(1) var<storage, read> table: array<i32>;
@group(0) @binding(2) var<storage, read_write> numbers: array<i32>;
@group(0) @binding(3) var<storage, read_write> log: array<i32>;
@group(0) @binding(4) var<uniform> span: Span;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = (id.y * count.x + id.x) * ${threads}u + t;
  if (i >= span.ids) { return; }
  let e = ids[span.from_id + i];
  log[span.log + i] = e;
  var slot = ${absent};
  if (e >= 0i && e < span.experts) { slot = table[span.row + u32(e)]; }
  numbers[i] = slot;
}
`;

export interface SlotNumbersParts {
  readonly gpu: GPUDevice;
  /** Bytes that the start of a binding is a multiple of. */
  readonly alignment: number;
  /** Where kernels read the numbers of slots, and where choices are written down. */
  readonly numbers: GPUBuffer;
  readonly log: GPUBuffer;
  readonly find: (use: ExpertUse) => Place;
}

/** The dispatches of a program that look up slots, made when they are first needed. */
export class SlotNumbers {
  readonly #parts: SlotNumbersParts;
  readonly #made = new Map<ExpertUse, Omit<Command, 'groups'>>();
  readonly #spans: GPUBuffer[] = [];
  #pipeline: GPUComputePipeline | undefined;

  constructor(parts: SlotNumbersParts) {
    this.#parts = parts;
  }

  /** What writes the slots of the ids of `rows` rows. */
  command(use: ExpertUse, rows: number): Command {
    let made = this.#made.get(use);
    if (made === undefined) {
      made = this.#make(use);
      this.#made.set(use, made);
    }
    return { ...made, groups: grid(Math.ceil((rows * use.topk) / threads)) };
  }

  dispose(): void {
    for (const span of this.#spans.splice(0)) span.destroy();
  }

  #make(use: ExpertUse): Omit<Command, 'groups'> {
    const { gpu, alignment, numbers, log, find } = this.#parts;
    this.#pipeline ??= gpu.createComputePipeline({
      layout: 'auto',
      compute: { module: gpu.createShaderModule({ code, label: 'slots of experts' }) },
    });
    const ids = find(use);
    const offset = ids.offset - (ids.offset % alignment);
    const { table, row } = use.stream.table(use.layer);
    const span = gpu.createBuffer({
      label: 'slots of experts',
      size: 32,
      usage: 0x40,
      mappedAtCreation: true,
    }); // UNIFORM
    const experts = use.stream.layers[use.layer]?.experts ?? 0;
    const words = [(ids.offset - offset) / 4, use.ids.byteLength / 4, row, experts, use.logAt];
    new Uint32Array(span.getMappedRange()).set(words);
    span.unmap();
    this.#spans.push(span);
    const size = roundUp(ids.offset - offset + use.ids.byteLength, 4);
    const bindings = [
      { buffer: ids.gpu, offset, size },
      ...[table, numbers, log, span].map((buffer) => ({ buffer })),
    ];
    const group = gpu.createBindGroup({
      layout: this.#pipeline.getBindGroupLayout(0),
      entries: bindings.map((resource, binding) => ({ binding, resource })),
    });
    return { pipeline: this.#pipeline, group };
  }
}
