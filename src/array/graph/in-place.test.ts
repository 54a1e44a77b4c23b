// What is assigned to States is written where they lie, and nothing reads too late.

import { afterAll, describe, expect, it } from 'vitest';
import { openCpuDevice } from '../../device/cpu/device.ts';
import { openJsDevice } from '../../device/js/device.ts';
import { NDArray } from '../array.ts';
import { compile } from '../compile.ts';
import { State } from '../weight.ts';

const devices = [
  ['js', openJsDevice()],
  ['cpu', openCpuDevice()],
] as const;
afterAll(() => {
  for (const [, device] of devices) device.dispose();
});

const n = 700;
const spec = { x: { shape: [n], dtype: 'f32' } } as const;
const numbers = (seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * seed));

describe.each(devices)('updates of States on %s', (_, device) => {
  const stateOf = (label: string): State => new State({ device, shape: [n], dtype: 'f32', label });
  const now = (s: State): NDArray => new NDArray(s.value);

  it('are not copied: momentum and parameter take no other memory', async () => {
    const [p, m] = [stateOf('p'), stateOf('m')];
    p.write(numbers(2));
    m.write(numbers(3));
    const plan = await compile(
      ({ x }) => {
        const moment = now(m).mul(0.9).add(x);
        p.assign(now(p).sub(moment.mul(0.5)));
        m.assign(moment);
        return { loss: x.sum() };
      },
      { device, inputs: spec },
    );
    expect(plan.program.dispatches.filter((d) => d.label.startsWith('assign'))).toEqual([]);
    expect(plan.program.arenaBytes).toBe(0);
    let [want, moment] = [numbers(2), numbers(3)];
    for (let step = 0; step < 3; step++) {
      await plan.run({ inputs: { x: numbers(step + 5) } });
      moment = moment.map((v, i) =>
        Math.fround(Math.fround(v * Math.fround(0.9)) + (numbers(step + 5)[i] ?? 0)),
      );
      want = want.map((v, i) => Math.fround(v - Math.fround((moment[i] ?? 0) * 0.5)));
    }
    const got = new Float32Array((await p.read()).buffer);
    const worst = got.reduce((m, v, i) => Math.max(m, Math.abs(v - (want[i] ?? 0))), 0);
    expect(worst).toBeLessThan(1e-5);
    plan.dispose();
    for (const s of [p, m]) s.dispose();
  });

  it('are copied where another op still reads what was there, or reads it in another order', async () => {
    const [a, b, c] = [stateOf('a'), stateOf('b'), stateOf('c')];
    for (const [i, s] of [a, b, c].entries()) s.write(numbers(i + 2));
    const plan = await compile(
      ({ x }) => {
        const [before, other, third] = [now(a), now(b), now(c)];
        a.assign(other.add(x)); // a and b are exchanged
        b.assign(before.add(x));
        c.assign(third.slice([n - 1, -n - 1, -1]).add(x)); // reversed
        return { loss: x.sum() };
      },
      { device, inputs: spec },
    );
    await plan.run({ inputs: { x: numbers(9) } });
    const [x, wantA, wantB, wantC] = [numbers(9), numbers(3), numbers(2), numbers(4).reverse()];
    for (const [s, want] of [
      [a, wantA],
      [b, wantB],
      [c, wantC],
    ] as const) {
      const got = new Float32Array((await s.read()).buffer);
      expect(got).toEqual(want.map((v, i) => Math.fround(v + (x[i] ?? 0))));
      s.dispose();
    }
    plan.dispose();
  });

  it('are written once where a State is a result, too', async () => {
    const s = stateOf('s');
    const plan = await compile(
      ({ x }) => {
        const old = now(s).mul(1);
        const next = now(s).add(x);
        s.assign(next);
        return { old, next };
      },
      { device, inputs: spec },
    );
    await plan.run({ inputs: { x: numbers(1) } });
    await plan.run({ inputs: { x: numbers(1) } });
    expect(await plan.output('old').data()).toEqual(numbers(1));
    expect(await plan.output('next').data()).toEqual(numbers(1).map((v) => Math.fround(v + v)));
    plan.dispose();
    s.dispose();
  });
});

it('a piece of a State that is read late stops writing in place', async () => {
  const device = devices[0][1];
  const s = new State({ device, shape: [4], dtype: 'f32', label: 's' });
  s.write(Float32Array.of(1, 2, 3, 4));
  const plan = await compile(
    ({ x }) => {
      const old = new NDArray(s.value);
      const next = old.mul(10);
      s.assign(next);
      return { y: old.slice([0, 2]).add(next.sum()).add(x) };
    },
    { device, inputs: { x: { shape: [2], dtype: 'f32' } } },
  );
  const [y] = await plan.run({ inputs: { x: [0, 0] } });
  expect([...((await (y as { data(): Promise<ArrayLike<number>> }).data()) as Float32Array)]).toEqual([
    101, 102,
  ]);
  plan.dispose();
  s.dispose();
});
