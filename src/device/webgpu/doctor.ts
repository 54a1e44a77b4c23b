// What a GPU can do, measured: copy bandwidth, the cost of a dispatch, the peak of its matrix instructions.

import { IngotError } from '../../base/errors.ts';
import type { SubgroupMatrixShape } from '../../kernel/wgsl/contract.ts';
import type { WebGpuDevice } from './device.ts';

export interface GpuReport {
  readonly description: string;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  /** Bytes read and written per second when copying, 10^9. Undefined without timestamps, as all that follows. */
  readonly copyGBs: number | undefined;
  /** Microseconds of a small dispatch that depends on the one before. */
  readonly dispatchUs: number | undefined;
  /** Milliseconds from submitting one dispatch to its mapped result. */
  readonly roundTripMs: number;
  /** f16 subgroup matrices with f32 sums, 10^12 operations/s; undefined without them. */
  readonly matrixTflops: number | undefined;
}

const shownLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'minStorageBufferOffsetAlignment',
] as const;

/** What streaming experts hangs on: bytes per second, and the seconds that a step stops for at each layer with experts. */
export async function gpuSpeed(
  device: WebGpuDevice,
): Promise<{ readonly bytesPerSecond: number; readonly stopSeconds: number }> {
  const timer = device.canTime ? new GpuTimer(device.gpu) : undefined;
  try {
    return {
      bytesPerSecond:
        timer === undefined ? Number.POSITIVE_INFINITY : 1e9 * (await copyBandwidth(device, timer)),
      stopSeconds: (await roundTrip(device)) / 1000,
    };
  } finally {
    timer?.dispose();
  }
}

/** Measures a GPU; takes about a second. */
export async function gpuReport(device: WebGpuDevice): Promise<GpuReport> {
  const { gpu, caps } = device;
  const timer = device.canTime ? new GpuTimer(gpu) : undefined;
  try {
    return {
      description: device.description,
      features: [...gpu.features].sort(),
      limits: Object.fromEntries(shownLimits.map((name) => [name, gpu.limits[name]])),
      copyGBs: timer && (await copyBandwidth(device, timer)),
      dispatchUs: timer && (await dispatchCost(gpu, timer)),
      roundTripMs: await roundTrip(device),
      matrixTflops: timer && (await matrixPeak(gpu, timer, caps.subgroupMatrices)),
    };
  } finally {
    timer?.dispose();
  }
}

/** Copies at the adapter's best: bytes read plus bytes written, 10^9 per second. */
export async function copyBandwidth(device: WebGpuDevice, timer = new GpuTimer(device.gpu)): Promise<number> {
  const { gpu, caps } = device;
  const software = /swiftshader|llvmpipe/i.test(device.description);
  const bytes = Math.min(software ? 2 ** 24 : 2 ** 29, 2 ** Math.floor(Math.log2(caps.maxBindingBytes)));
  const buffers = [0, 1].map(() => gpu.createBuffer({ size: bytes, usage: 0x80 }));
  const pipeline = await makePipeline(
    gpu,
    `@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = (id.y * n.x + id.x) * 256u + t;
  y[i] = x[i];
}`,
  );
  const group = bind(gpu, pipeline, buffers);
  const groups = bytes / 16 / 256;
  const ns = await timer.fastest(6, (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(Math.min(groups, 32768), Math.max(1, groups / 32768));
  });
  for (const b of buffers) b.destroy();
  return (2 * bytes) / ns;
}

const increment = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) { x[id.x] += 1.0; }`;

async function dispatchCost(gpu: GPUDevice, timer: GpuTimer): Promise<number> {
  const buffer = gpu.createBuffer({ size: 2 ** 16, usage: 0x80 });
  const pipeline = await makePipeline(gpu, increment);
  const group = bind(gpu, pipeline, [buffer]);
  const count = 200;
  const ns = await timer.fastest(4, (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < count; i++) pass.dispatchWorkgroups(128);
  });
  buffer.destroy();
  return ns / count / 1000;
}

async function roundTrip(device: WebGpuDevice): Promise<number> {
  const buffer = device.allocate(256, 'round trip');
  const times: number[] = [];
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    await device.read(buffer, 0, 256);
    times.push(performance.now() - start);
  }
  buffer.dispose();
  return times.sort((a, b) => a - b)[times.length >> 1] ?? 0;
}

async function matrixPeak(
  gpu: GPUDevice,
  timer: GpuTimer,
  shapes: readonly SubgroupMatrixShape[],
): Promise<number | undefined> {
  const shape = shapes.find((s) => s.component === 'f16' && s.result === 'f32');
  if (shape === undefined) return undefined;
  const { m, n, k } = shape;
  const rounds = 1024;
  const groups = 1024;
  const left = `subgroup_matrix_left<f16, ${k}, ${m}>`;
  const right = `subgroup_matrix_right<f16, ${n}, ${k}>`;
  const pipeline = await makePipeline(
    gpu,
    `enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
@group(0) @binding(0) var<storage, read> x: array<f16>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) id: vec3<u32>) {
  let a0 = subgroupMatrixLoad<${left}, row_major>(&x, 0u, ${k}u);
  let a1 = subgroupMatrixLoad<${left}, row_major>(&x, ${m * k}u, ${k}u);
  let b0 = subgroupMatrixLoad<${right}, row_major>(&x, 0u, ${n}u);
  let b1 = subgroupMatrixLoad<${right}, row_major>(&x, ${n * k}u, ${n}u);
  var c00: subgroup_matrix_result<f32, ${n}, ${m}>;
  var c01: subgroup_matrix_result<f32, ${n}, ${m}>;
  var c10: subgroup_matrix_result<f32, ${n}, ${m}>;
  var c11: subgroup_matrix_result<f32, ${n}, ${m}>;
  for (var i = 0u; i < ${rounds}u; i++) {
    c00 = subgroupMatrixMultiplyAccumulate(a0, b0, c00);
    c01 = subgroupMatrixMultiplyAccumulate(a0, b1, c01);
    c10 = subgroupMatrixMultiplyAccumulate(a1, b0, c10);
    c11 = subgroupMatrixMultiplyAccumulate(a1, b1, c11);
  }
  let at = id.x * ${4 * m * n}u;
  subgroupMatrixStore<row_major>(&y, at, c00, ${n}u);
  subgroupMatrixStore<row_major>(&y, at + ${m * n}u, c01, ${n}u);
  subgroupMatrixStore<row_major>(&y, at + ${2 * m * n}u, c10, ${n}u);
  subgroupMatrixStore<row_major>(&y, at + ${3 * m * n}u, c11, ${n}u);
}`,
  );
  const buffers = [4 * Math.max(m, n) * k, 4 * 4 * m * n * groups].map((size) =>
    gpu.createBuffer({ size, usage: 0x80 }),
  );
  const group = bind(gpu, pipeline, buffers);
  const ns = await timer.fastest(4, (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(groups);
  });
  for (const b of buffers) b.destroy();
  // Each workgroup of 128 threads is 4 subgroups of 32, or more smaller ones, that all do the same.
  const subgroups = 128 / (gpu.adapterInfo.subgroupMaxSize ?? 32);
  return (groups * subgroups * 4 * rounds * 2 * m * n * k) / ns / 1000;
}

async function makePipeline(gpu: GPUDevice, code: string): Promise<GPUComputePipeline> {
  try {
    return await gpu.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: gpu.createShaderModule({ code }) },
    });
  } catch (cause) {
    throw new IngotError('device_failed', `the GPU refused a measuring kernel: ${String(cause)}`, { cause });
  }
}

const bind = (gpu: GPUDevice, pipeline: GPUComputePipeline, buffers: readonly GPUBuffer[]): GPUBindGroup =>
  gpu.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });

/** Times one compute pass with timestamps. */
class GpuTimer {
  readonly #gpu: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #readback: GPUBuffer;

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
    this.#queries = gpu.createQuerySet({ type: 'timestamp', count: 2 });
    this.#resolved = gpu.createBuffer({ size: 16, usage: 0x204 }); // QUERY_RESOLVE | COPY_SRC
    this.#readback = gpu.createBuffer({ size: 16, usage: 0x9 }); // MAP_READ | COPY_DST
  }

  /** Nanoseconds of the fastest of several runs, after one that does not count. */
  async fastest(runs: number, record: (pass: GPUComputePassEncoder) => void): Promise<number> {
    let best = Number.POSITIVE_INFINITY;
    for (let run = 0; run <= runs; run++) {
      const encoder = this.#gpu.createCommandEncoder();
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet: this.#queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
      });
      record(pass);
      pass.end();
      encoder.resolveQuerySet(this.#queries, 0, 2, this.#resolved, 0);
      encoder.copyBufferToBuffer(this.#resolved, 0, this.#readback, 0, 16);
      this.#gpu.queue.submit([encoder.finish()]);
      await this.#readback.mapAsync(1);
      const [start = 0n, end = 0n] = new BigUint64Array(this.#readback.getMappedRange());
      if (run > 0) best = Math.min(best, Number(end - start));
      this.#readback.unmap();
    }
    return best;
  }

  dispose(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#readback.destroy();
  }
}
