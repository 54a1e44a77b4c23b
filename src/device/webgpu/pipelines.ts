// Compute pipelines by their source: each is compiled once per device, in the background, many at a time.

import { IngotError } from '../../base/errors.ts';
import { type GpuPass, wgslSource } from '../../kernel/wgsl/contract.ts';

/** A pass as the device runs it. */
export interface CompiledPass {
  readonly layout: GPUBindGroupLayout;
  readonly pipeline: Promise<GPUComputePipeline>;
}

export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #passes = new Map<string, CompiledPass>();
  readonly #layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Starts compiling. `pipeline` rejects with device_failed, naming the pass, with the source's lines numbered. */
  get(pass: GpuPass): CompiledPass {
    const source = wgslSource(pass);
    const known = this.#passes.get(source);
    if (known !== undefined) return known;
    const layout = this.#layout(pass.bindings.map((b) => b.access));
    const pipeline = this.#compile(pass.name, source, layout.pipeline);
    pipeline.catch(() => undefined); // told by the run that needs it
    const made = { layout: layout.group, pipeline };
    this.#passes.set(source, made);
    return made;
  }

  #layout(accesses: readonly ('read' | 'read_write')[]) {
    const key = accesses.join(' ');
    const known = this.#layouts.get(key);
    if (known !== undefined) return known;
    const visibility = 4; // GPUShaderStage.COMPUTE
    const group = this.#device.createBindGroupLayout({
      entries: [
        ...accesses.map(
          (access, binding): GPUBindGroupLayoutEntry => ({
            binding,
            visibility,
            buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
          }),
        ),
        { binding: accesses.length, visibility, buffer: { type: 'uniform' } },
      ],
    });
    const pipeline = this.#device.createPipelineLayout({ bindGroupLayouts: [group] });
    const made = { group, pipeline };
    this.#layouts.set(key, made);
    return made;
  }

  async #compile(name: string, code: string, layout: GPUPipelineLayout): Promise<GPUComputePipeline> {
    this.#device.pushErrorScope('validation');
    const module = this.#device.createShaderModule({ code, label: name });
    const scope = this.#device.popErrorScope();
    try {
      return await this.#device.createComputePipelineAsync({
        label: name,
        layout,
        compute: { module, entryPoint: 'main' },
      });
    } catch (cause) {
      const invalid = await scope.catch(() => null);
      const { messages } = await module.getCompilationInfo().catch(() => ({ messages: [] }));
      throw new IngotError('device_failed', shaderMessage(name, code, messages, invalid, cause), { cause });
    } finally {
      await scope.catch(() => null); // an invalid module is told through the pipeline
    }
  }
}

/** What went wrong with a shader: the compiler's messages with the lines they are about. */
function shaderMessage(
  name: string,
  code: string,
  messages: readonly GPUCompilationMessage[],
  invalid: GPUError | null,
  cause: unknown,
): string {
  const lines = code.split('\n');
  const shown = messages
    .filter((m) => m.type === 'error')
    .slice(0, 5)
    .map((m) => {
      const around = lines
        .map((text, i) => ({ text, number: i + 1 }))
        .slice(Math.max(0, m.lineNum - 3), m.lineNum + 2)
        .map(
          ({ text, number }) => `${number === m.lineNum ? '>' : ' '}${String(number).padStart(5)} ${text}`,
        );
      return [`line ${m.lineNum}: ${m.message}`, ...around].join('\n');
    });
  const reason = invalid?.message ?? (cause instanceof Error ? cause.message : String(cause));
  return `the GPU's compiler refused kernel '${name}': ${shown.length > 0 ? `\n${shown.join('\n')}` : reason}`;
}
