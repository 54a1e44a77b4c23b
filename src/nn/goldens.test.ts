// Layers and optimisers give what MLX's and PyTorch's give (tools/goldens/nn.py), with their gradients, on plain TypeScript and native kernels.

import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../array/array.ts';
import { setDefaultDevice } from '../array/context.ts';
import { evaluate, fromData } from '../array/creation.ts';
import { tidy } from '../array/lifetime.ts';
import { treeArrays } from '../array/transform/tree.ts';
import { openCpuDevice } from '../device/cpu/device.ts';
import { openJsDevice } from '../device/js/device.ts';
import { expectAllClose } from '../testing/allclose.ts';
import { valueAndGrad } from './differentiate.ts';
import * as nn from './index.ts';

interface Golden {
  readonly dtype?: 'i32';
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
type Goldens = Readonly<Record<string, Golden>>;

interface LayerCase {
  readonly layer: string;
  readonly args: readonly unknown[];
  readonly mode: 'train' | 'eval';
  readonly parameters: Goldens;
  readonly inputs: readonly Golden[];
  readonly want: readonly Golden[];
  readonly weights: readonly Golden[];
  readonly gradients: Goldens;
  readonly after: Goldens;
  readonly tolerance: number;
  /** Parameters and floats of the inputs in these dtypes. */
  readonly halves: Readonly<
    Record<'bf16' | 'f16', readonly { readonly dtype: string; readonly data: readonly number[] }[]>
  >;
}

interface OptimizerCase {
  readonly optimizer: string;
  readonly options: object;
  readonly keys: readonly string[];
  readonly steps: readonly Goldens[];
  readonly tolerance: number;
}

const goldens = JSON.parse(readFileSync(new URL('../../tests/goldens/nn.json', import.meta.url), 'utf8')) as {
  readonly start: Goldens;
  readonly gradients: readonly Goldens[];
  readonly layers: readonly LayerCase[];
  readonly optimizers: readonly OptimizerCase[];
  readonly clipping: { readonly maxNorm: number; readonly norm: number; readonly want: Goldens };
  readonly schedules: readonly {
    readonly schedule: string;
    readonly args: readonly unknown[];
    readonly at: readonly number[];
    readonly want: readonly number[];
  }[];
};

const make = ({ dtype, shape, data }: Golden): NDArray => fromData(data, shape, { dtype: dtype ?? 'f32' });
const makeAll = (list: Goldens): Record<string, NDArray> =>
  Object.fromEntries(Object.entries(list).map(([k, v]) => [k, make(v)]));
const close = async (got: NDArray, want: Golden, tolerance: number, what: string): Promise<void> => {
  expect(got.shape, what).toEqual(want.shape);
  const scale = Math.max(1, ...want.data.map(Math.abs));
  expectAllClose(
    await got.data(),
    [...want.data],
    { absolute: tolerance * scale, relative: tolerance },
    what,
  );
};

type Result = NDArray | readonly NDArray[];
type AnyLayer = nn.Module & { forward(...xs: NDArray[]): Result };
const listOf = (r: Result): readonly NDArray[] => (Array.isArray(r) ? r : [r]) as readonly NDArray[];
const classes = nn as unknown as Record<string, new (...args: readonly unknown[]) => AnyLayer>;

const native = (() => {
  try {
    return openCpuDevice();
  } catch {
    return undefined;
  }
})();
afterAll(() => native?.dispose());
const devices = [openJsDevice(), ...(native === undefined ? [] : [native])];

describe.each(devices.map((d) => [d.name, d] as const))('on %s', (_, device) => {
  for (const c of goldens.layers) {
    it(`${c.layer} ${JSON.stringify(c.args)} ${c.mode} ${c.inputs.map((x) => `[${x.shape}]`).join(' ')}`, async () => {
      setDefaultDevice(device);
      const Layer = classes[c.layer];
      if (Layer === undefined) throw new Error(`no layer ${c.layer}`);
      const layer = new Layer(...c.args).train(c.mode === 'train');
      layer.update(makeAll(c.parameters), { strict: true });
      const inputs = c.inputs.map(make);
      const results = listOf(tidy(() => layer.forward(...inputs)));
      for (const [i, want] of c.want.entries())
        await close(results[i] as NDArray, want, c.tolerance, `result ${i}`);
      for (const [path, want] of Object.entries(c.after)) {
        await close(layer.parameters()[path] as NDArray, want, c.tolerance, path);
      }
      if (Object.keys(c.gradients).length > 0) {
        layer.update(makeAll(c.parameters));
        const weighted = (): NDArray =>
          listOf(layer.forward(...inputs))
            .map((y, i) => y.mul(make(c.weights[i] as Golden)).sum())
            .reduce((a, b) => a.add(b));
        const [, gradients] = valueAndGrad(layer, weighted)();
        expect(Object.keys(gradients).sort()).toEqual(Object.keys(c.gradients).sort());
        for (const [path, want] of Object.entries(c.gradients)) {
          await close(gradients[path] as NDArray, want, 4 * c.tolerance, `gradient of ${path}`);
        }
      }
      layer.dispose();
    });
  }

  for (const c of goldens.layers) {
    it.each(['bf16', 'f16'] as const)(
      `${c.layer} ${JSON.stringify(c.args)} ${c.mode} in %s`,
      async (half) => {
        setDefaultDevice(device);
        const Layer = classes[c.layer] as new (...args: readonly unknown[]) => AnyLayer;
        const layer = new Layer(...c.args).train(c.mode === 'train');
        const cast = (x: NDArray): NDArray => (x.dtype === 'f32' ? x.cast(half) : x);
        layer.update(Object.fromEntries(Object.entries(makeAll(c.parameters)).map(([k, x]) => [k, cast(x)])));
        const results = listOf(layer.forward(...c.inputs.map((x) => cast(make(x)))));
        for (const [i, { dtype, data }] of c.halves[half].entries()) {
          const got = results[i] as NDArray;
          expect(got.dtype, `result ${i}`).toBe(dtype);
          // both round between their operations, each at places of its own
          const scale = Math.max(1, ...data.map(Math.abs));
          const bound = (half === 'bf16' ? 2 ** -8 : 2 ** -11) * 6;
          expectAllClose(
            await got.data(),
            [...data],
            { absolute: bound * scale, relative: bound },
            `result ${i}`,
          );
        }
        layer.dispose();
      },
    );
  }

  for (const c of goldens.optimizers) {
    it(`${c.optimizer} ${JSON.stringify(c.options)}`, async () => {
      setDefaultDevice(device);
      const makers = nn.optim as unknown as Record<string, (options: object) => nn.optim.GradientTransform>;
      const optimizer = makers[c.optimizer]?.(c.options);
      if (optimizer === undefined) throw new Error(`no optimiser ${c.optimizer}`);
      const pick = (list: Goldens): Record<string, NDArray> =>
        Object.fromEntries(c.keys.map((k) => [k, make(list[k] as Golden)]));
      let parameters: nn.Parameters = pick(goldens.start);
      let state = optimizer.init(parameters);
      for (const [i, want] of c.steps.entries()) {
        const result = optimizer.update(pick(goldens.gradients[i] as Goldens), state, parameters);
        parameters = nn.optim.applyUpdates(parameters, result.updates);
        state = result.state;
        await evaluate(...treeArrays(parameters), ...treeArrays(state));
        for (const [k, w] of Object.entries(want))
          await close(parameters[k] as NDArray, w, c.tolerance, `step ${i}, ${k}`);
      }
    });
  }
});

it('clipping scales all gradients together', async () => {
  setDefaultDevice(devices[0] as (typeof devices)[0]);
  const { maxNorm, norm, want } = goldens.clipping;
  const [clipped, found] = nn.optim.clipGradNorm(makeAll(goldens.gradients[0] as Goldens), maxNorm);
  expect(await found.item()).toBeCloseTo(norm, 5);
  for (const [k, w] of Object.entries(want)) await close(clipped[k] as NDArray, w, 2e-6, k);
});

it.each(goldens.schedules.map((s) => [s.schedule, s] as const))(
  'schedule %s',
  async (_, { schedule, args, at, want }) => {
    const makers = nn.optim as unknown as Record<string, (...args: readonly unknown[]) => nn.optim.Schedule>;
    const f = makers[schedule]?.(...args);
    const got = await Promise.all(at.map((t) => f?.(fromData([t], [], { dtype: 'i32' })).item()));
    expectAllClose(got as number[], [...want], { absolute: 1e-7, relative: 1e-5 }, schedule);
  },
);
