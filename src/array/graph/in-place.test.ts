// What is assigned to States is written where they lie, and nothing reads too late.

import { afterAll, describe, expect, it } from 'vitest';
import { openCpuDevice } from '../../device/cpu/device.ts';
import { openJsDevice } from '../../device/js/device.ts';
import { NDArray } from '../array.ts';
import { compile } from '../compile.ts';
import { rmsNorm } from '../ops/nn/rms-norm.ts';
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
const now = (s: State): NDArray => new NDArray(s.value);
const numbers = (seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * seed));

describe.each(devices)('updates of States on %s', (_, device) => {
  const stateOf = (label: string): State => new State({ device, shape: [n], dtype: 'f32', label });

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

describe.each(devices)('what an update of a State must not break, on %s', (_, device) => {
  /** Compiles with a State of [2, 4] of 1 … 8 and x of ones; results of two runs. */
  const twice = async (
    trace: (s: State, x: NDArray) => Readonly<Record<string, NDArray>>,
  ): Promise<Readonly<Record<string, readonly (readonly number[])[]>>> => {
    const s = new State({ device, shape: [2, 4], dtype: 'f32', label: 's' });
    s.write(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    let names: readonly string[] = [];
    const plan = await compile(
      ({ x }) => {
        const made = trace(s, x);
        names = Object.keys(made);
        return made;
      },
      { device, inputs: { x: { shape: [2, 4], dtype: 'f32' } } },
    );
    const found: Record<string, number[][]> = { s: [] };
    for (let i = 0; i < 2; i++) {
      await plan.run({ inputs: { x: new Float32Array(8).fill(1) } });
      for (const name of names)
        found[name] = [...(found[name] ?? []), [...(await plan.output(name).data())].map(Number)];
      found.s?.push([...new Float32Array((await s.read()).buffer)]);
    }
    plan.dispose();
    s.dispose();
    return found;
  };
  const count = [1, 2, 3, 4, 5, 6, 7, 8];

  it('a value that became a version is read after the next version was written', async () => {
    const { y, s } = await twice((state, x) => {
      const first = now(state).add(x);
      state.assign(first);
      state.assign(now(state).mul(10));
      return { y: first.add(now(state)) };
    });
    expect(y?.[0]).toEqual(count.map((v) => 11 * (v + 1)));
    expect(s?.[1]).toEqual(count.map((v) => ((v + 1) * 10 + 1) * 10));
  });

  it('a value that became the version of two States, one of which goes on', async () => {
    const other = new State({ device, shape: [2, 4], dtype: 'f32', label: 'other' });
    const { s } = await twice((state, x) => {
      const next = now(state).add(x);
      state.assign(next);
      state.assign(now(state).mul(10));
      other.assign(next.add(now(state).sum().mul(0)));
      return { y: x };
    });
    expect(s?.[0]).toEqual(count.map((v) => 10 * (v + 1)));
    expect([...new Float32Array((await other.read()).buffer)]).toEqual(count.map((v) => 10 * (v + 1) + 1));
    other.dispose();
  });

  it('views of the version before are read beside the version after', async () => {
    const { y, z } = await twice((state, x) => {
      const old = now(state).reshape([8]).mul(2);
      const row = now(state).slice([1, 2]).mul(3);
      state.assign(now(state).mul(x).mul(-1));
      return { y: old.add(now(state).reshape([8])), z: row.add(now(state)) };
    });
    expect(y?.[0]).toEqual(count);
    expect(z?.[0]).toEqual(count.map((v, i) => 3 * (5 + (i % 4)) - v));
  });

  it('a pattern does not take a read of the version before to where the update has run', async () => {
    const { y } = await twice((state, x) => {
      const sum = now(state).add(x);
      state.assign(now(state).mul(2));
      return { sum, y: rmsNorm(sum, now(state).sum(0), 0) };
    });
    const squares = (from: number): number =>
      count.slice(from, from + 4).reduce((t, v) => t + (v + 1) ** 2, 0) / 4;
    const want = count.map((v, i) => ((v + 1) / Math.sqrt(squares(i < 4 ? 0 : 4))) * (4 * (i % 4) + 12));
    for (const [i, v] of want.entries()) expect(y?.[0]?.[i]).toBeCloseTo(v, 4);
  });

  it('the version before is read twice, as it lies and by rows', async () => {
    const { s } = await twice((state, x) => {
      state.assign(
        now(state)
          .add(now(state).slice([0, 1]))
          .mul(x),
      );
      return { y: x };
    });
    expect(s?.[0]).toEqual([2, 4, 6, 8, 6, 8, 10, 12]);
    const turned = await twice((state, x) => {
      state.assign(
        now(state)
          .add(now(state).reshape([4, 2]).transpose().reshape([2, 4]))
          .mul(x),
      );
      return { y: x };
    });
    expect(turned.s?.[0]).toEqual([2, 5, 8, 11, 7, 10, 13, 16]);
  });

  it('another plan reads what is there, in both directions', async () => {
    const s = new State({ device, shape: [4], dtype: 'f32', label: 's' });
    const inputs = { x: { shape: [4], dtype: 'f32' } } as const;
    const step = await compile(
      ({ x }) => {
        const next = now(s).mul(2).add(x);
        s.assign(next);
        return { sum: next.sum() };
      },
      { device, inputs },
    );
    const look = await compile(({ x }) => ({ y: now(s).mul(x) }), { device, inputs });
    for (const want of [1, 3, 7]) {
      await step.run({ inputs: { x: [1, 1, 1, 1] } });
      await look.run({ inputs: { x: [1, 2, 3, 4] } });
      expect([...(await look.output('y').data())]).toEqual([want, 2 * want, 3 * want, 4 * want]);
      expect(await step.output('sum').data()).toEqual(Float32Array.of(4 * want));
    }
    step.dispose();
    look.dispose();
    s.dispose();
  });

  it('the result of an op that makes the State smaller or longer dtypes is not written there', async () => {
    const s = new State({ device, shape: [n], dtype: 'bf16', label: 's' });
    const plan = await compile(
      ({ x }) => {
        const next = now(s).cast('f32').add(x);
        s.assign(next); // rounded to bf16
        return { y: next.mul(1) };
      },
      { device, inputs: spec },
    );
    await plan.run({ inputs: { x: new Float32Array(n).fill(1 / 3) } });
    await plan.run({ inputs: { x: new Float32Array(n).fill(1 / 3) } });
    const bf16 = 0.333984375;
    const got = (await plan.output('y').data()) as Float32Array;
    expect(got[n - 1]).toBe(Math.fround(bf16 + Math.fround(1 / 3)));
    plan.dispose();
    s.dispose();
  });
});
