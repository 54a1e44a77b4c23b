// Chains: the dispatches of one layer as phases of one dispatch. They compile for an H100, and a model on the software GPU, where one
// workgroup goes through all phases, gives the golden logits.

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import type { KernelName, Param } from '../../src/kernel/signature.ts';
import { chainAt } from '../../src/kernel/wgsl/chain/chain.ts';
import type { ChainDispatch } from '../../src/kernel/wgsl/chain/phase.ts';
import { type GpuCapabilities, KernelRequest } from '../../src/kernel/wgsl/contract.ts';
import { parseModel } from '../../src/models/registry.ts';
import { packedBytes } from '../../src/quant/layout.ts';
import { memoryLoader } from '../../src/testing/tiny-models.ts';
import { difference, exactBound } from '../models/compare.ts';
import { readGolden } from '../models/goldens.ts';
import { ModelRunner } from '../models/runner.ts';
import { complaint, h100, openNullGpu } from './null-gpu.ts';

interface Layer {
  readonly D: number;
  readonly H: number;
  readonly Hkv: number;
  readonly Dh: number;
  readonly F: number;
  readonly norms: boolean;
  readonly cap: number;
}

const maxRows = 64;
const q4 = { kind: 'q4', group: 32, metaDtype: 'f16' } as const;
const weight = (N: number, K: number): number => packedBytes(q4, N, K);

interface Given {
  readonly kernel: KernelName;
  readonly params: readonly Param[];
  readonly buffers: readonly (readonly [memory: string, bytes: number] | undefined)[];
}

function attentionLayer({ D, H, Hkv, Dh, norms, cap }: Layer): readonly Given[] {
  const [Q, KV] = [H * Dh, Hkv * Dh];
  const row = (n: number): number => 4 * n * maxRows;
  const cache = Hkv * cap * Dh * 2;
  const segment = (N: number) => [N, 3, 32, 1];
  const norm = norms ? (['norm@0', 4 * Dh] as const) : undefined;
  const paging = [
    ['sequences@0', row(1)],
    ['pages@0', 64 * (cap / 32) * 4],
  ] as const;
  return [
    {
      kernel: 'linear',
      params: [1, D, 0, 1e-5, 0, 0, 3, ...segment(Q), ...segment(KV), ...segment(KV)],
      buffers: [
        ['arena0@0', row(D)],
        ['n@0', 4 * D],
        undefined,
        ['wq@0', weight(Q, D)],
        undefined,
        ['arena1@0', row(Q)],
        ['wk@0', weight(KV, D)],
        undefined,
        ['arena2@0', row(KV)],
        ['wv@0', weight(KV, D)],
        undefined,
        ['arena3@0', row(KV)],
      ],
    },
    {
      kernel: 'rope_kv',
      params: [1, H, Hkv, Dh, Dh, 0, 1, norms ? 1e-6 : 0, cap, 1, 0, 64, cap / 32],
      buffers: [
        ['arena1@0', row(Q)],
        ['arena2@0', row(KV)],
        ['arena3@0', row(KV)],
        ['positions@0', row(1)],
        ['freq@0', Dh * 2],
        norm,
        norm && ['norm2@0', norm[1]],
        ['k@0', cache],
        ['v@0', cache],
        ['arena4@0', row(Q)],
        ...paging,
      ],
    },
    {
      kernel: 'attention',
      params: [1, H, Hkv, Dh, cap, 1, 0.125, 0, 0, 0, 64, cap / 32, 0],
      buffers: [
        ['arena4@0', row(Q)],
        ['k@0', cache],
        ['v@0', cache],
        ['positions@0', row(1)],
        undefined,
        ['arena1@0', row(Q)],
        ...paging,
      ],
    },
    {
      kernel: 'linear',
      params: [1, Q, 0, 0, 0, 0, 1, ...segment(D)],
      buffers: [
        ['arena1@0', row(Q)],
        undefined,
        ['arena0@0', row(D)],
        ['wo@0', weight(D, Q)],
        undefined,
        ['arena4@0', row(D)],
      ],
    },
  ];
}

function mlpLayer({ D, F }: Layer): readonly Given[] {
  const row = (n: number): number => 4 * n * maxRows;
  return [
    {
      kernel: 'linear',
      params: [1, D, 0, 1e-5, 0, 1, 2, F, 3, 32, 1, F, 3, 32, 1],
      buffers: [
        ['arena0@0', row(D)],
        ['n@0', 4 * D],
        undefined,
        ['wg@0', weight(F, D)],
        undefined,
        ['arena1@0', row(F)],
        ['wu@0', weight(F, D)],
        undefined,
        undefined,
      ],
    },
    {
      kernel: 'linear',
      params: [1, F, 0, 0, 0, 0, 1, D, 3, 32, 1],
      buffers: [
        ['arena1@0', row(F)],
        undefined,
        ['arena0@0', row(D)],
        ['wd@0', weight(D, F)],
        undefined,
        ['arena2@0', row(D)],
      ],
    },
  ];
}

/** Of qwen3-30b-a3b: router, gate, up and down of E experts. */
function expertsLayer({ D, F, E, k }: Pick<Layer, 'D' | 'F'> & { E: number; k: number }): readonly Given[] {
  const row = (n: number): number => 4 * n * maxRows;
  return [
    {
      kernel: 'rms_norm',
      params: [1, D, 1e-6, 0, 0],
      buffers: [['arena0@0', row(D)], ['n@0', 4 * D], ['arena1@0', row(D)], undefined, undefined, undefined],
    },
    {
      kernel: 'linear',
      params: [1, D, 2, 0, 0, 0, 1, E, 0, 1, 1],
      buffers: [
        ['arena1@0', row(D)],
        undefined,
        undefined,
        ['router@0', 4 * D * E],
        undefined,
        ['arena2@0', row(E)],
      ],
    },
    {
      kernel: 'moe_route',
      params: [1, E, k, 1, 0, 0, 1],
      buffers: [['arena2@0', row(E)], undefined, ['arena3@0', row(k)], ['arena4@0', row(k)]],
    },
    {
      kernel: 'moe_glu',
      params: [1, D, 0, 1, 0, 0, 0, k, E, F, 3, 32, 1],
      buffers: [
        ['arena1@0', row(D)],
        ['arena3@0', row(k)],
        ['wg@0', E * weight(F, D)],
        ['wu@0', E * weight(F, D)],
        undefined,
        undefined,
        undefined,
        ['arena5@0', row(k * F)],
      ],
    },
    {
      kernel: 'moe_down',
      params: [1, F, 0, k, E, D, 3, 32, 1],
      buffers: [
        ['arena5@0', row(k * F)],
        ['arena3@0', row(k)],
        ['arena4@0', row(k)],
        ['wd@0', E * weight(D, F)],
        undefined,
        undefined,
        ['arena0@0', row(D)],
        ['arena6@0', row(D)],
      ],
    },
  ];
}

/** As a device asks for it, with the same choice for every chain. */
function chainOf(given: readonly Given[], caps: GpuCapabilities, choice: string) {
  let first = 0;
  const dispatches = given.map(({ kernel, params, buffers }): ChainDispatch => {
    const bytes = buffers.map((b) => b?.[1] ?? 0);
    const request = new KernelRequest({
      name: kernel,
      params,
      bytes,
      caps,
      scalars: [],
      choose: () => choice,
    });
    first += buffers.length;
    return { request, first: first - buffers.length, memory: buffers.map((b) => b?.[0]) };
  });
  return chainAt(
    dispatches,
    given.map((g) => g.kernel),
    4,
  );
}

const layers: Readonly<Record<string, Layer>> = {
  'SmolLM2-135M': { D: 576, H: 9, Hkv: 3, Dh: 64, F: 1536, norms: false, cap: 8192 },
  'Llama-3.2-1B': { D: 2048, H: 32, Hkv: 8, Dh: 64, F: 8192, norms: false, cap: 8192 },
  'head norms': { D: 2048, H: 32, Hkv: 8, Dh: 64, F: 8192, norms: true, cap: 8192 },
  'heads of 128': { D: 1024, H: 16, Hkv: 8, Dh: 128, F: 3072, norms: true, cap: 8192 },
};

describe('chains', () => {
  let gpu: GPUDevice;
  beforeAll(async () => {
    gpu = await openNullGpu();
  });

  it.each(Object.keys(layers))('of a layer of %s compile', async (name) => {
    const layer = layers[name] as Layer;
    for (const given of [attentionLayer(layer), mlpLayer(layer)]) {
      const chain = chainOf(given, h100, '132x256');
      expect(chain?.count).toBe(given.length);
      expect(chain && (await complaint(gpu, chain.pass))).toBeUndefined();
      expect(chain?.pass.bindings.length).toBeLessThanOrEqual(h100.maxStorageBuffers);
    }
  });

  it.each([
    { D: 2048, F: 1792, E: 32, k: 4 },
    { D: 2048, F: 768, E: 128, k: 8 },
  ])('of $E experts compile', async (layer) => {
    for (const choice of ['132x256', '132x512', '132x1024']) {
      const given = expertsLayer(layer);
      const chain = chainOf(given, h100, choice);
      expect(chain?.count).toBe(given.length);
      expect(chain && (await complaint(gpu, chain.pass))).toBeUndefined();
    }
  });

  it('are left out unless chosen, and where bindings are too few', () => {
    const layer = layers['Llama-3.2-1B'] as Layer;
    expect(chainOf(attentionLayer(layer), h100, 'off')).toBeUndefined();
    expect(chainOf(attentionLayer(layer), { ...h100, maxStorageBuffers: 10 }, '132x256')).toBeUndefined();
  });
});

/** One workgroup at a time is all that a software GPU promises. */
const choices = {
  load: () =>
    Object.fromEntries(['attention', 'mlp', 'experts'].map((name) => [`chain ${name} K64`, '1x256'])),
  save: () => undefined,
};
const software = await openNodeGpu({ software: true, choices }).catch((error: unknown) => error as Error);
const missing = software instanceof Error ? ` (skipped: ${software.message})` : '';

describe.skipIf(missing !== '')(`chains on the software GPU${missing}`, () => {
  afterAll(() => software instanceof Error || software.dispose());

  it.each([
    ['llama3-gqa', ['chain attention', 'chain mlp']],
    ['qwen3-moe', ['chain experts']],
  ])(
    'give the logits of transformers for %s, in steps of one row',
    { timeout: 240_000 },
    async (name, chains) => {
      if (software instanceof Error) return;
      const golden = readGolden(name);
      const compiled = vi.spyOn(software.gpu, 'createComputePipelineAsync');
      const loader = memoryLoader(
        software,
        (name) => golden.tensors.get(name),
        (name) => golden.tensors.has(name),
      );
      const { build, config } = parseModel(golden.config, 'config.json');
      const model = build(loader, { device: software, precision: 'exact' });
      // With a page table the chain of attention binds 14 buffers; this GPU has 12.
      const runner = new ModelRunner(software, model, {
        capacity: 64,
        maxRows: 17,
        kv: 'f32',
        cache: 'standard',
      });
      try {
        const got = await runner.logits(golden.tokens, [17, 1]);
        const { max, worst } = difference(got, golden.logits, golden.vocab);
        const bound = exactBound(config as never, golden.tokens.length, golden.largestLogit);
        expect(max, worst).toBeLessThanOrEqual(bound);
        const names = compiled.mock.calls.map(([{ label }]) => label);
        expect(names).toEqual(expect.arrayContaining(chains));
      } finally {
        runner.dispose();
        model.dispose();
        loader.dispose();
        compiled.mockRestore();
      }
    },
  );
});
