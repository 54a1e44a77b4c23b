// Brings a checkpoint's tensors onto a device: asks for them while a model is built, then reads, packs and writes them all at
// once. Files are read in pieces into a few reused buffers, so memory holds the packed weights and little else.

import { IngotError } from '../base/errors.ts';
import type { Device, DeviceBuffer } from '../device/device.ts';
import { packedBytes, type WeightLayout } from '../quant/layout.ts';
import type { Checkpoint } from './checkpoint.ts';
import { loadedBytes } from './chunks.ts';
import { type LoadJob, type LoadJobOptions, runJobs } from './load-jobs.ts';
import {
  type CheckpointTensor,
  dimensions,
  expertName,
  fileOf,
  formatTensor,
  type PackedTensor,
  type SourceTensor,
} from './tensor.ts';

/** A packed matrix `[N, K]`, or E of them, on a device. */
export interface LoadedMatrix {
  readonly name: string;
  readonly shape: readonly [number, number] | readonly [number, number, number];
  readonly layout: WeightLayout;
  readonly buffer: DeviceBuffer;
}

/** `length` f32 values on a device. */
export interface LoadedVector {
  readonly name: string;
  readonly length: number;
  readonly buffer: DeviceBuffer;
}

/** Makes what models compute with out of what was loaded. */
export interface LoadFactory<W, V> {
  matrix(loaded: LoadedMatrix): W;
  vector(loaded: LoadedVector): V;
}

export interface LoaderOptions extends LoadJobOptions {
  /** Bytes that weights may take on the device. */
  readonly memoryLimit?: number;
  /** Where matrices are that somebody else brings to the device, by name: they are neither loaded nor disposed here. */
  readonly elsewhere?: (name: string) => DeviceBuffer | undefined;
  /** Matrices of packed files are copied, not mapped: what is mapped leaves memory when the system wants it for something else. */
  readonly copyPacked?: boolean;
}

/**
 * The weight loader that models are built with. `matrix`, `experts`, `vector` and `floats` check names and shapes and give handles
 * whose buffers are filled by `run`. Each tensor is loaded once, however often it is asked for.
 */
export class CheckpointLoader<W, V> {
  readonly #checkpoint: Checkpoint;
  readonly #device: Device;
  readonly #factory: LoadFactory<W, V>;
  readonly #options: LoaderOptions;
  readonly #matrices = new Map<string, W>();
  readonly #vectors = new Map<string, V>();
  readonly #buffers: DeviceBuffer[] = [];
  readonly #asked = new Set<string>();
  #jobs: LoadJob[] = [];
  #bytes = 0;

  constructor(
    checkpoint: Checkpoint,
    device: Device,
    factory: LoadFactory<W, V>,
    options: LoaderOptions = {},
  ) {
    this.#checkpoint = checkpoint;
    this.#device = device;
    this.#factory = factory;
    this.#options = options;
    checkMemory(checkpoint, checkpointBytes(checkpoint), options.memoryLimit);
  }

  has(name: string): boolean {
    return this.#checkpoint.has(name);
  }

  /** Tensors of the checkpoint that nobody has asked for so far. */
  get unasked(): string[] {
    return this.#checkpoint.tensors.filter(
      (name) => !this.#asked.has(name) && !this.#asked.has(expertName(name)?.stacked ?? ''),
    );
  }

  /** Device bytes of everything asked for so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A matrix `[N, K]`. Throws missing_tensor or shape_mismatch. */
  matrix(name: string, shape: readonly [number, number]): W {
    return this.#matrix(name, shape);
  }

  /**
   * The matrices `[E, N, K]` of E experts: by the name of the stack (`….experts.gate_proj.weight`), or by the list of
   * their own names. Either works whichever form the file has. Throws missing_tensor or shape_mismatch.
   */
  experts(names: string | readonly string[], shape: readonly [number, number, number]): W {
    if (typeof names === 'string') return this.#matrix(names, shape);
    const first = names[0] ?? '';
    const stacked = expertName(first)?.stacked ?? first;
    if (this.has(stacked)) return this.#matrix(stacked, shape);
    for (const name of names) this.#describe(name, shape.slice(1));
    throw new IngotError(
      'unsupported',
      `${this.#checkpoint.path}: the experts of ${stacked} differ in format or number; quantise them alike`,
    );
  }

  /** A vector of n values as f32. Throws missing_tensor or shape_mismatch. */
  vector(name: string, n: number): V {
    const known = this.#vectors.get(name);
    const tensor = this.#describe(name, [n]);
    if (known !== undefined) return known;
    const buffer = this.#allocate(n * 4, name);
    this.#jobs.push({ tensor, buffer });
    const made = this.#factory.vector({ name, length: n, buffer });
    this.#vectors.set(name, made);
    return made;
  }

  /**
   * A matrix `[N, K]`, or a stack of them, of any format as f32, row by row. Throws missing_tensor or shape_mismatch; where
   * values must be whole numbers `below` one, `run` rejects with bad_file for others.
   */
  floats(name: string, shape: readonly number[], below?: number): V {
    const known = this.#vectors.get(name);
    const tensor = this.#describe(name, shape);
    if (known !== undefined) return known;
    const length = shape.reduce((product, n) => product * n, 1);
    const buffer = this.#allocate(length * 4, name);
    this.#jobs.push({ tensor, buffer, floats: true, ...(below === undefined ? {} : { below }) });
    const made = this.#factory.vector({ name, length, buffer });
    this.#vectors.set(name, made);
    return made;
  }

  /**
   * Loads all that was asked for. On failure or abort every buffer is released before it rejects (with the signal's reason
   * when aborted).
   */
  async run(): Promise<void> {
    const jobs = this.#jobs;
    this.#jobs = [];
    try {
      await runJobs(jobs, this.#device, this.#options);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Releases all weights. */
  dispose(): void {
    for (const buffer of this.#buffers.splice(0)) buffer.dispose();
    this.#matrices.clear();
    this.#vectors.clear();
    this.#jobs = [];
  }

  #describe(name: string, shape: readonly number[]): CheckpointTensor {
    const tensor = this.#checkpoint.describe(name);
    this.#asked.add(name);
    const same = tensor.shape.length === shape.length && tensor.shape.every((d, i) => d === shape[i]);
    if (same) return tensor;
    throw new IngotError(
      'shape_mismatch',
      `${fileOf(tensor)}: tensor ${name}: the config needs [${shape.join(', ')}], the file has ${formatTensor(tensor)}`,
      { details: { name, expected: shape, found: tensor.shape } },
    );
  }

  #matrix(name: string, shape: LoadedMatrix['shape']): W {
    const tensor = this.#describe(name, shape);
    const known = this.#matrices.get(name);
    if (known !== undefined) return known;
    const layout = tensor.kind === 'packed' ? tensor.layout : tensor.format.layout;
    const buffer =
      this.#options.elsewhere?.(name) ??
      (tensor.kind === 'packed' ? this.#packed(tensor) : this.#source(tensor, shape));
    const made = this.#factory.matrix({ name, shape, layout, buffer });
    this.#matrices.set(name, made);
    return made;
  }

  #source(tensor: SourceTensor, shape: LoadedMatrix['shape']): DeviceBuffer {
    const { matrices, rows, columns } = dimensions(shape);
    const buffer = this.#allocate(matrices * packedBytes(tensor.format.layout, rows, columns), tensor.name);
    this.#jobs.push({ tensor, buffer });
    return buffer;
  }

  /** Packed matrices are mapped; those of experts in blocks and without a path (bytes in memory) they are copied. */
  #packed(tensor: PackedTensor): DeviceBuffer {
    const { source, offset, bytes, name } = tensor;
    if (source.path === undefined || tensor.stride !== undefined || this.#options.copyPacked === true) {
      const buffer = this.#allocate(bytes, name);
      this.#jobs.push({ tensor, buffer });
      return buffer;
    }
    const buffer = this.#device.map(source.path, offset, bytes, name);
    this.#bytes += bytes;
    this.#buffers.push(buffer);
    return buffer;
  }

  #allocate(bytes: number, name: string): DeviceBuffer {
    checkMemory(this.#checkpoint, this.#bytes + bytes, this.#options.memoryLimit);
    const buffer = this.#device.allocate(bytes, name);
    this.#bytes += bytes;
    this.#buffers.push(buffer);
    return buffer;
  }
}

/** Device bytes that all tensors of a checkpoint take, experts counted once. */
export function checkpointBytes(checkpoint: Checkpoint): number {
  let bytes = 0;
  for (const name of checkpoint.tensors) {
    const expert = expertName(name);
    if (expert !== undefined && checkpoint.has(expert.stacked)) continue;
    bytes += loadedBytes(checkpoint.describe(name));
  }
  return bytes;
}

function checkMemory(checkpoint: Checkpoint, bytes: number, limit: number | undefined): void {
  if (limit === undefined || bytes <= limit) return;
  const gigabytes = (n: number): string => `${(n / 1e9).toFixed(2)} GB`;
  throw new IngotError(
    'out_of_memory',
    `${checkpoint.path}: its weights take ${gigabytes(bytes)} (${bytes} bytes) and the memory limit is ` +
      `${gigabytes(limit)} (${limit} bytes); raise the limit or use a smaller or more strongly quantised model`,
    { details: { bytes, limit } },
  );
}
