// Runs a variant of a kernel's plan on a GPU without a program around it: to test variants that a device would not pick.

import { type GpuKernelPlan, type GpuPass, wgslSource } from '../../src/kernel/wgsl/contract.ts';

const storage = 0x80 | 0x8 | 0x4; // STORAGE | COPY_DST | COPY_SRC

/**
 * Contents of the buffers after the first variant that takes `params`.
 * @param buffers Bytes of each, multiples of 4; absent ones are empty.
 * @param scalars Words of the uniform block.
 */
export async function runPlan(
  gpu: GPUDevice,
  plan: GpuKernelPlan,
  params: readonly number[],
  buffers: readonly Uint8Array[],
  scalars: readonly number[] = [],
): Promise<readonly Uint8Array[]> {
  const variant = plan.variants.find((v) => v.when?.(params) !== false);
  if (variant === undefined) throw new RangeError(`no variant takes ${params.join(', ')}`);
  const made: GPUBuffer[] = [];
  const create = (size: number, usage: number, data?: Uint8Array): GPUBuffer => {
    const buffer = gpu.createBuffer({ size: Math.max(16, size), usage });
    if (data !== undefined) gpu.queue.writeBuffer(buffer, 0, data as Uint8Array<ArrayBuffer>);
    made.push(buffer);
    return buffer;
  };
  const own = buffers.map((b) => create(b.byteLength, storage, b));
  const scratch = (plan.scratch ?? []).map((bytes) => create(Math.ceil(bytes / 16) * 16, storage));
  const status = create(16, storage);
  const words = new Int32Array(64);
  words.set(scalars);
  const uniform = create(256, 0x40 | 0x8, new Uint8Array(words.buffer)); // UNIFORM | COPY_DST
  const encoder = gpu.createCommandEncoder();
  for (const pass of variant.passes) {
    await recordPass(gpu, encoder, pass, params, uniform, ({ buffer }) => {
      if (buffer === 'status') return status;
      return typeof buffer === 'number' ? own[buffer] : scratch[buffer.scratch];
    });
  }
  const reads = own.map((buffer) => {
    const to = create(buffer.size, 0x1 | 0x8); // MAP_READ | COPY_DST
    encoder.copyBufferToBuffer(buffer, 0, to, 0, buffer.size);
    return to;
  });
  gpu.queue.submit([encoder.finish()]);
  const results = await Promise.all(
    reads.map(async (buffer, i) => {
      await buffer.mapAsync(1);
      return new Uint8Array(buffer.getMappedRange().slice(0, buffers[i]?.byteLength));
    }),
  );
  for (const buffer of made) buffer.destroy();
  return results;
}

async function recordPass(
  gpu: GPUDevice,
  encoder: GPUCommandEncoder,
  pass: GpuPass,
  params: readonly number[],
  uniform: GPUBuffer,
  find: (binding: GpuPass['bindings'][number]) => GPUBuffer | undefined,
): Promise<void> {
  const groups = typeof pass.groups === 'function' ? pass.groups(params) : pass.groups;
  if (groups.includes(0)) return;
  const module = gpu.createShaderModule({ code: wgslSource(pass), label: pass.name });
  const { messages } = await module.getCompilationInfo();
  const error = messages.find((m) => m.type === 'error');
  if (error !== undefined)
    throw new Error(`${pass.name}, line ${error.lineNum}: ${error.message}\n${wgslSource(pass)}`);
  const entries = pass.bindings.map((b, binding) => ({
    binding,
    visibility: 4,
    buffer: { type: b.access === 'read' ? 'read-only-storage' : 'storage' } as const,
  }));
  const uniformEntry = { binding: entries.length, visibility: 4, buffer: { type: 'uniform' } as const };
  const layout = gpu.createBindGroupLayout({ entries: [...entries, uniformEntry] });
  const pipeline = await gpu.createComputePipelineAsync({
    layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: 'main' },
  });
  const bound = pass.bindings.map((b, binding) => {
    const buffer = find(b);
    if (buffer === undefined) throw new RangeError(`${pass.name}: no buffer for ${b.name}`);
    const { offset = 0, byteLength = buffer.size } = b.window ?? {};
    return { binding, resource: { buffer, offset, size: Math.ceil(byteLength / 4) * 4 } };
  });
  const group = gpu.createBindGroup({
    layout,
    entries: [...bound, { binding: bound.length, resource: { buffer: uniform } }],
  });
  const compute = encoder.beginComputePass();
  compute.setPipeline(pipeline);
  compute.setBindGroup(0, group);
  compute.dispatchWorkgroups(...groups);
  compute.end();
}
