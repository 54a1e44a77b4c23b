// How many dispatches a layer of each family takes where WGSL kernels run it: each costs a GPU's time to start.

import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/array/compile.ts';
import { dynDim } from '../../src/base/shape.ts';
import { PagedCache } from '../../src/cache/paged.ts';
import { pagesFor } from '../../src/cache/sizes.ts';
import type { Device, DeviceProgram, Dispatch } from '../../src/device/device.ts';
import { findGpuKernel } from '../../src/kernel/wgsl/index.ts';
import { jsDevice } from './devices.ts';
import { loadGraph } from './from-files.ts';

/** Lowers as a GPU does, and runs nothing. */
const recorder: Device = {
  name: 'recorder',
  kernels: 'native',
  memory: 'separate',
  rebinds: jsDevice.rebinds,
  description: 'records what it is told',
  allocate: (bytes, label) => jsDevice.allocate(bytes, label),
  map: (...args) => jsDevice.map(...args),
  write: (...args) => jsDevice.write(...args),
  read: (...args) => jsDevice.read(...args),
  supports: (kernel) => findGpuKernel(kernel) !== undefined,
  compile: () => ({
    run: () => Promise.resolve([]),
    profile: () => [],
    readArena: (_, length) => new Uint8Array(length),
    dispose: () => {},
  }),
  statistics: () => jsDevice.statistics(),
  dispose: () => {},
};

/** Dispatches by the layer whose weights they, or those before them, read; without what comes before and after the layers. */
function byLayer(program: DeviceProgram): ReadonlyMap<number, readonly Dispatch[]> {
  const layers = new Map<number, Dispatch[]>();
  let layer = -1;
  for (const dispatch of program.dispatches) {
    const names = dispatch.buffers.map((b) => (b.kind === 'buffer' ? b.buffer.label : ''));
    if (names.some((name) => lastNorm.test(name))) layer = Number.POSITIVE_INFINITY;
    const numbers = names.flatMap((name) => [...name.matchAll(/^(?:model\.layers|blk)\.(\d+)\./g)]);
    layer = Math.max(layer, ...numbers.map(([, n]) => Number(n)));
    if (layer >= 0 && Number.isFinite(layer)) layers.set(layer, [...(layers.get(layer) ?? []), dispatch]);
  }
  return layers;
}

/** Norms behind the last layer. */
const lastNorm = /^model\.(norm|embedding_norm|final_layernorm|hc_head)/;

const capacity = 64;

async function programOf(path: string): Promise<DeviceProgram> {
  const { model, dispose } = await loadGraph(recorder, path, capacity);
  const cache = new PagedCache(recorder, model.config.memory, {
    pages: pagesFor(capacity),
    contextLength: capacity,
    maxSequences: 1,
    maxRows: 8,
    dtype: 'f16',
  });
  const rows = dynDim('rows', 8);
  const plan = compile((x) => model.hidden(x.ids, x.positions, cache.view(x)), {
    device: recorder,
    inputs: {
      ids: { shape: [rows], dtype: 'i32' },
      positions: { shape: [rows], dtype: 'i32' },
      ...cache.inputs(rows),
    },
  });
  plan.dispose();
  cache.dispose();
  dispose();
  return plan.program;
}

const bars = { dense: 8, experts: 11 } as const;

/** Families over the bars, and by how much. */
const over: Readonly<Record<string, number>> = {
  // Latent attention turns rows and heads around with copies, and groups of experts are chosen from op by op.
  'families/deepseek2': 21,
  'families/deepseek2-groups': 32,
  'families/deepseek3': 35,
  'families/deepseek3-plain': 22,
  'families/deepseek3.2': 41,
  'families/deepseek4': 75,
  'families/deepseek4-release': 68,
  'families/deepseek4-small': 75,
  'families/glm4-moe-groups': 10,
  // Queries and keys are normed whole, by a dispatch each.
  'families/olmo2': 2,
  'families/olmo3': 2,
  'families/olmoe': 3,
  'families/phi-qknorm': 1,
  // The shared expert has a gate of its own.
  'families/qwen2-moe': 2,
  'families/qwen2-moe-mixed': 2,
};

const root = new URL('../goldens/', import.meta.url);
const checkpoints = ['families', 'models'].flatMap((folder) =>
  readdirSync(new URL(`${folder}/`, root))
    .sort()
    .map((name) => `${folder}/${name}`),
);

describe('dispatches of a layer', () => {
  it.each(checkpoints)('%s', async (name) => {
    const layers = byLayer(await programOf(new URL(`${name}/`, root).pathname));
    const found = [...layers.values()].map((list) => {
      const kernels = list.map(({ kernel }) => kernel.name);
      const bar = kernels.includes('moe_down') ? bars.experts : bars.dense;
      return { kernels, over: kernels.length - bar };
    });
    const worst = found.toSorted((x, y) => y.over - x.over)[0];
    expect(worst?.over, worst?.kernels.join(' ')).toBeLessThanOrEqual(over[name] ?? 0);
  });
});
