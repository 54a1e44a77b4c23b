// Every kernel of the catalog against plain operations, with its gradients, on plain TypeScript and the CPU; and on a GPU.

import { afterAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../../array/array.ts';
import { compile } from '../../array/compile.ts';
import { ops } from '../../array/ops/list.ts';
import type { Device } from '../../device/device.ts';
import { openJsDevice } from '../../device/js/device.ts';
import { openDevice } from '../../device/open.ts';
import { openNodeGpu } from '../../device/webgpu/node.ts';
import { adamw } from '../../nn/optim/optimizers.ts';
import { applyUpdates } from '../../nn/optim/transform.ts';
import { expectAllClose } from '../../testing/allclose.ts';
import type { Cases } from '../../testing/catalog/case.ts';
import { casesOfOps, catalogCases, hasOwnProgram } from '../../testing/catalog/index.ts';
import { caseResults, differences } from '../../testing/catalog/run.ts';
import * as catalog from './index.ts';

const cpu = await openDevice('cpu');
const gpu = await openNodeGpu({ software: true });
afterAll(() => {
  cpu.dispose();
  gpu.dispose();
});

const all: Cases = Object.fromEntries(
  Object.entries(catalogCases).flatMap(([module, cases]) =>
    Object.entries(cases).map(([name, c]) => [`${module}.${name}`, c]),
  ),
);

const want = await caseResults(cpu, all, 'want');

describe('the catalog', () => {
  it('has a case for every kernel, and at least 95 kernels', () => {
    let count = 0;
    for (const [module, kernels] of Object.entries(catalog)) {
      const covered = Object.keys(catalogCases[module] ?? {}).map((n) => n.split(' ')[0]);
      for (const name of Object.keys(kernels)) {
        count++;
        const op = casesOfOps[name];
        if (op === undefined) expect(covered, `${module}.${name}`).toContain(name);
        else expect(ops.find((o) => o.name === op)?.cases.length, name).toBeGreaterThan(2);
      }
    }
    expect(count).toBeGreaterThanOrEqual(95);
  });

  it('has the step of AdamW that ingot/nn takes: one program over the parameter, with the same numbers', async () => {
    const spec = { shape: [8, 32], dtype: 'f32' as const };
    const options = { beta1: 0.8, beta2: 0.95, eps: 1e-6, weightDecay: 0.1 };
    const { update } = adamw({ learningRate: 0.02, betas: [0.8, 0.95], eps: 1e-6, weightDecay: 0.1 });
    const ours = ({ p, g, m, v, t }: Readonly<Record<'p' | 'g' | 'm' | 'v' | 't', NDArray>>) => {
      const moments = catalog.optimizers.adamwStep(
        { p, g, m, v, learningRate: 0.02, step: t.add(1) },
        options,
      );
      return { ...moments };
    };
    const theirs = ({ p, g, m, v, t }: Readonly<Record<'p' | 'g' | 'm' | 'v' | 't', NDArray>>) => {
      const { updates, state } = update({ w: g }, { count: t, m: { w: m }, v: { w: v } } as never, { w: p });
      const next = state as unknown as Readonly<Record<'m' | 'v', { readonly w: NDArray }>>;
      return { p: applyUpdates({ w: p }, updates).w as NDArray, m: next.m.w, v: next.v.w };
    };
    const given = Float32Array.from({ length: 256 }, (_, i) => Math.sin(i));
    const inputs = { p: spec, g: spec, m: spec, v: spec, t: { shape: [], dtype: 'i32' as const } };
    const results: (readonly ArrayLike<number>[])[] = [];
    for (const fn of [ours, theirs]) {
      using plan = compile(fn, { device: cpu, inputs });
      expect(plan.program.dispatches.filter((d) => d.label.includes('[8, 32]'))).toHaveLength(1);
      await plan.run({
        inputs: { p: given, g: given.map((x) => 1 - x), m: given, v: given.map(Math.abs), t: [2] },
      });
      results.push(await Promise.all(plan.outputs.map((o) => o.data())));
    }
    results[0]?.forEach((x, i) => {
      expectAllClose(x, results[1]?.[i] ?? [], { absolute: 1e-6, relative: 1e-5 }, `result ${i}`);
    });
  });

  it.each<readonly [string, () => Device, boolean]>([
    ['plain TypeScript', openJsDevice, true],
    ['the CPU', () => cpu, true],
    ['a GPU', () => gpu, false],
  ])('computes what its formulas say on %s', async (_, device, gradients) => {
    const own = Object.entries(all).filter(([name]) =>
      hasOwnProgram(...(name.split('.') as [string, string])),
    );
    const some = gradients ? all : Object.fromEntries(own);
    expect(differences(await caseResults(device(), some, 'run', { gradients }), want)).toEqual([]);
  });

  it('has gradients on a GPU, of every way that kernels are made', async () => {
    const names = [
      'activations.mish', // an expression
      'norms.addRmsNorm', // a fold with two results
      'attention.maskedSoftmax', // a fold over a mask
      'loss.softmaxCrossEntropy', // array functions
      'indexing.gatherAdd', // by index
    ];
    const some = Object.fromEntries(names.map((name) => [name, all[name] as Cases[string]]));
    expect(differences(await caseResults(gpu, some, 'run'), want)).toEqual([]);
  });
});
