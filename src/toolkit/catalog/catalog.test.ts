// Every kernel of the catalog against plain operations, with its gradients, on plain TypeScript and the CPU; and on a GPU.

import { afterAll, describe, expect, it } from 'vitest';
import { ops } from '../../array/ops/index.ts';
import type { Device } from '../../device/device.ts';
import { openJsDevice } from '../../device/js/device.ts';
import { openDevice } from '../../device/open.ts';
import { openNodeGpu } from '../../device/webgpu/node.ts';
import type { Cases } from '../../testing/catalog/case.ts';
import { casesOfOps, catalogCases } from '../../testing/catalog/index.ts';
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

  it.each<readonly [string, () => Device, boolean]>([
    ['plain TypeScript', openJsDevice, true],
    ['the CPU', () => cpu, true],
    ['a GPU', () => gpu, false],
  ])('computes what its formulas say on %s', async (_, device, gradients) => {
    const some = gradients
      ? all
      : Object.fromEntries(Object.entries(all).filter(([, c]) => c.variant !== true));
    expect(differences(await caseResults(device(), some, 'run', { gradients }), want)).toEqual([]);
  });
});
