// Memory that the processor writes and the GPU copies from: one read of an expert at a time.

interface Piece {
  /** In the staging memory. */
  readonly from: number;
  readonly to: GPUBuffer;
  readonly offset: number;
  readonly byteLength: number;
}

export class Staging {
  readonly #gpu: GPUDevice;
  readonly #buffer: GPUBuffer;
  #bytes: Promise<Uint8Array>;

  constructor(gpu: GPUDevice, byteLength: number) {
    this.#gpu = gpu;
    this.#buffer = gpu.createBuffer({
      label: 'expert staging',
      size: byteLength,
      usage: 0x6, // MAP_WRITE | COPY_SRC
      mappedAtCreation: true,
    });
    this.#bytes = Promise.resolve(new Uint8Array(this.#buffer.getMappedRange()));
  }

  /** The memory, once the GPU has copied what was sent before. */
  bytes(): Promise<Uint8Array> {
    return this.#bytes;
  }

  /** Submits copies of pieces of the memory. */
  send(pieces: readonly Piece[]): void {
    this.#buffer.unmap();
    const encoder = this.#gpu.createCommandEncoder();
    for (const { from, to, offset, byteLength } of pieces)
      encoder.copyBufferToBuffer(this.#buffer, from, to, offset, byteLength);
    this.#gpu.queue.submit([encoder.finish()]);
    this.#bytes = this.#buffer.mapAsync(2).then(() => new Uint8Array(this.#buffer.getMappedRange())); // GPUMapMode.WRITE
    this.#bytes.catch(() => undefined); // told by the next read, if there is one
  }

  dispose(): void {
    this.#buffer.destroy();
  }
}
