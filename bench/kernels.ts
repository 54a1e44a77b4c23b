// Single kernels on a GPU, as a share of its copy bandwidth: what quantised matrix-vector products, elementwise chains and
// row kernels reach, from the GPU's own timestamps.

import type { NDArray } from '../src/array/array.ts';
import { compile, type Outputs } from '../src/array/compile.ts';
import { silu } from '../src/array/ops/elementwise/silu.ts';
import { linear } from '../src/array/ops/linear/linear.ts';
import { rmsNorm } from '../src/array/ops/nn/rms-norm.ts';
import { softmax } from '../src/array/ops/reduce/softmax.ts';
import { Weight } from '../src/array/weight.ts';
import { fileChoices } from '../src/device/webgpu/choice-file.ts';
import type { WebGpuDevice } from '../src/device/webgpu/device.ts';
import { copyBandwidth } from '../src/device/webgpu/doctor.ts';
import { openNodeGpu } from '../src/device/webgpu/node.ts';
import { packedBytes, type WeightLayout } from '../src/quant/layout.ts';

interface KernelCase {
  readonly name: string;
  /** Bytes that a perfect kernel moves. */
  readonly bytes: number;
  /** Nanoseconds of the fastest of the runs. */
  run(device: WebGpuDevice): Promise<number>;
}

const layout = (kind: 'q4' | 'q8' | 'f16'): WeightLayout => ({
  kind,
  group: kind === 'f16' ? 1 : 32,
  metaDtype: 'f16',
});

/** Fastest of several runs of a plan of one dispatch. */
async function time(
  device: WebGpuDevice,
  inputs: Record<string, readonly number[]>,
  fn: (args: Record<string, NDArray>) => Outputs,
) {
  const specs = Object.fromEntries(
    Object.entries(inputs).map(([name, shape]) => [name, { shape, dtype: 'f32' as const }]),
  );
  using plan = compile(fn, { device, inputs: specs, profile: true });
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 6; run++) {
    await plan.run();
    const ns = plan.profile().reduce((sum, d) => sum + d.ns, 0);
    if (run > 0) best = Math.min(best, ns);
  }
  return best;
}

const matrix = (kind: 'q4' | 'q8' | 'f16', N: number, K: number, rows = 1): KernelCase => {
  const bytes = packedBytes(layout(kind), N, K);
  return {
    name: `linear ${kind} [${N}, ${K}], ${rows === 1 ? '1 row' : `${rows} rows`}`,
    bytes,
    async run(device) {
      const buffer = device.allocate(bytes, 'weight');
      const chunk = new Uint8Array(16 << 20).map((_, i) => (i * 31) & 0x37); // finite scales
      for (let at = 0; at < bytes; at += chunk.length) {
        device.write(buffer, at, chunk.subarray(0, Math.min(chunk.length, bytes - at)));
      }
      using w = new Weight({ device, buffer, layout: layout(kind), shape: [N, K] });
      return await time(device, { x: [rows, K] }, ({ x }) => linear(x as NDArray, w, { precision: 'fast' }));
    },
  };
};

const rows = (name: string, shape: readonly number[], fn: (x: NDArray) => NDArray): KernelCase => ({
  name: `${name} [${shape.join(', ')}]`,
  bytes: 2 * 4 * shape.reduce((n, d) => n * d, 1),
  run: (device) => time(device, { x: shape }, ({ x }) => fn(x as NDArray)),
});

const cases: readonly KernelCase[] = [
  matrix('q4', 128_256, 2048),
  matrix('q4', 65_536, 4096),
  matrix('q8', 65_536, 2048),
  matrix('f16', 32_768, 2048),
  matrix('q4', 16_384, 2048),
  matrix('q4', 2048, 8192),
  matrix('q4', 2048, 2048),
  {
    name: 'silu(a) * b + 1 [16384, 4096]',
    bytes: 3 * 4 * 16_384 * 4096,
    run: (device) =>
      time(device, { a: [16_384, 4096], b: [16_384, 4096] }, ({ a, b }) =>
        silu(a as NDArray)
          .mul(b as NDArray)
          .add(1),
      ),
  },
  rows('rmsNorm', [16_384, 4096], (x) => rmsNorm(x, null, 1e-5)),
  rows('softmax', [16_384, 4096], (x) => softmax(x)),
];

/** One line per kernel. Needs a GPU with timestamps. */
export async function kernelTable(): Promise<string> {
  const device = await openNodeGpu({ choices: fileChoices });
  try {
    const copy = await copyBandwidth(device);
    const lines = [`${device.description}: copy ${copy.toFixed(0)} GB/s`];
    for (const c of cases) {
      const ns = await c.run(device);
      const rate = c.bytes / ns;
      lines.push(
        `${c.name.padEnd(36)} ${(ns / 1000).toFixed(1).padStart(9)} us ${rate.toFixed(0).padStart(6)} GB/s ${((100 * rate) / copy).toFixed(0).padStart(4)} %`,
      );
    }
    return `${lines.join('\n')}\n`;
  } finally {
    device.dispose();
  }
}
