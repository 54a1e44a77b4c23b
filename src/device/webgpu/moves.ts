// Byte moves that the queue cannot do: it copies whole words between different buffers. A small kernel copies any bytes,
// one thread per word of the destination.

import { grid } from '../../kernel/wgsl/contract.ts';
import { roundUp } from './buffer.ts';
import type { Command } from './record.ts';

const threads = 64;

const source = (same: boolean): string => `struct Move { from_byte: u32, to_byte: u32, length: u32 }
@group(0) @binding(0) var<storage, read_write> target_words: array<u32>;
${same ? '' : '@group(0) @binding(1) var<storage, read> source_words: array<u32>;'}
@group(0) @binding(${same ? 1 : 2}) var<uniform> span: Move;
fn source_byte(i: u32) -> u32 {
  return (${same ? 'target_words' : 'source_words'}[i >> 2u] >> ((i & 3u) * 8u)) & 0xffu;
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let word = span.to_byte / 4u + (id.y * count.x + id.x) * ${threads}u + t;
  if (word * 4u >= span.to_byte + span.length) { return; }
  var value = target_words[word];
  for (var b = 0u; b < 4u; b++) {
    let at = word * 4u + b;
    if (at < span.to_byte || at >= span.to_byte + span.length) { continue; }
    value = insertBits(value, source_byte(span.from_byte + at - span.to_byte), b * 8u, 8u);
  }
  target_words[word] = value;
}
`;

/** Bytes of a GPU buffer. */
export interface Place {
  readonly gpu: GPUBuffer;
  readonly offset: number;
}

export class ByteMover {
  readonly #device: GPUDevice;
  readonly #alignment: number;
  readonly #pipelines: { same?: GPUComputePipeline; other?: GPUComputePipeline } = {};

  constructor(device: GPUDevice, alignment: number) {
    this.#device = device;
    this.#alignment = alignment;
  }

  /** Both sides have `length` bytes and do not overlap. `keep` gets a buffer that lives as long as the command. */
  prepare(from: Place, to: Place, length: number, keep: (buffer: GPUBuffer) => void): Command {
    const same = from.gpu === to.gpu;
    const pipeline = this.#pipeline(same);
    const target = same ? this.#window(to, length, from) : this.#window(to, length);
    const source = same ? target : this.#window(from, length);
    const span = this.#device.createBuffer({ label: 'move', size: 16, usage: 0x40, mappedAtCreation: true }); // UNIFORM
    const values = [from.offset - source.offset, to.offset - target.offset, length];
    new Uint32Array(span.getMappedRange()).set(values);
    span.unmap();
    keep(span);
    const bindings = same ? [target] : [target, source];
    const group = this.#device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [...bindings, { buffer: span }].map((resource, binding) => ({ binding, resource })),
    });
    return { pipeline, group, groups: grid(Math.ceil((length + 3) / 4 / threads)) };
  }

  #pipeline(same: boolean): GPUComputePipeline {
    const key = same ? 'same' : 'other';
    this.#pipelines[key] ??= this.#device.createComputePipeline({
      layout: 'auto',
      compute: { module: this.#device.createShaderModule({ code: source(same), label: 'byte move' }) },
    });
    return this.#pipelines[key];
  }

  /** The smallest binding that holds the bytes at a place, and those at another place of the same buffer. */
  #window(
    place: Place,
    length: number,
    other: Place = place,
  ): { buffer: GPUBuffer; offset: number; size: number } {
    const first = Math.min(place.offset, other.offset);
    const last = Math.max(place.offset, other.offset) + length;
    const offset = Math.floor(first / this.#alignment) * this.#alignment;
    return { buffer: place.gpu, offset, size: roundUp(last - offset, 4) };
  }
}
