import { afterEach, describe, expect, it, vi } from 'vitest';
import { openJsDevice } from '../device/js/device.ts';
import { compile } from './compile.ts';
import { setDefaultDevice } from './context.ts';
import { evaluate, fromData } from './creation.ts';
import { tidy } from './lifetime.ts';
import { State } from './weight.ts';

const device = openJsDevice();
const compiled = vi.spyOn(device, 'compile');
setDefaultDevice(device);
afterEach(() => {
  compiled.mockClear();
  expect(device.statistics().liveBuffers).toBe(0);
});

/** Names of the dispatches of every program compiled since the test began. */
const dispatches = (): readonly string[] =>
  compiled.mock.calls.flatMap(([program]) => program.dispatches.map((d) => d.kernel.name));

describe('lazy evaluation', () => {
  it('compiles a shape of graph once, whatever buffers and numbers are in it', async () => {
    const seen: number[][] = [];
    for (const n of [2, 3, -5]) {
      const [x, y] = [fromData([n, 1]), fromData([1, n])];
      const z = tidy(() => x.mul(n).add(y).sub(n));
      seen.push([...(await z.data())]);
      for (const a of [x, y, z]) a.dispose();
    }
    expect(seen).toEqual([
      [3, 2],
      [7, 3],
      [31, -5],
    ]);
    expect(compiled).toHaveBeenCalledTimes(1);
  });

  it('tells apart what differs: shapes, dtypes, which operands are one, which numbers are equal', async () => {
    const x = fromData([1, 2]);
    const y = fromData([3, 4]);
    const i = fromData(new Int32Array([1, 2]));
    const m = fromData([1, 2], [1, 2]);
    const results = tidy(() => [x.add(y), x.add(x), i.add(i), m.add(m), x.add(1).mul(1), x.add(1).mul(2)]);
    const values: number[][] = [];
    for (const r of results) values.push([...(await r.data())]);
    expect(values).toEqual([
      [4, 6],
      [2, 4],
      [2, 4],
      [2, 4],
      [2, 3],
      [4, 6],
    ]);
    expect(compiled).toHaveBeenCalledTimes(6);
    for (const a of [x, y, i, m, ...results]) a.dispose();
  });

  it('keeps what is held and costs more than an elementwise pass', async () => {
    const x = fromData([4, 1, 3]);
    const held = tidy(() => x.sort());
    const [a, b] = [tidy(() => held.add(1)), tidy(() => held.mul(2))];
    expect([...(await a.data())]).toEqual([2, 4, 5]);
    expect([...(await b.data())]).toEqual([2, 6, 8]);
    expect(dispatches().filter((name) => name === 'sort')).toHaveLength(1);
    for (const h of [x, held, a, b]) h.dispose();
  });

  it('keeps an elementwise result that other pending arrays need, or that is needed a second time', async () => {
    const x = fromData([1, 2]);
    const held = x.exp();
    const [a, b] = [tidy(() => held.add(1)), tidy(() => held.mul(2))];
    await evaluate(a);
    await evaluate(b);
    const c = tidy(() => held.max());
    await evaluate(c);
    expect(dispatches()).toEqual(['tile', 'tile', 'max']); // exp and add in one pass, and exp is kept
    for (const h of [held, a, b, c]) h.dispose();

    compiled.mockClear();
    const chain = x.sin();
    const first = tidy(() => chain.add(1));
    await evaluate(first);
    expect(dispatches()).toEqual(['tile']); // one pass over memory
    const second = tidy(() => chain.add(1).abs());
    await evaluate(second); // now it is kept
    compiled.mockClear();
    const third = tidy(() => chain.sum());
    await evaluate(third);
    expect(dispatches()).toEqual(['sum']);
    for (const h of [x, chain, first, second, third]) h.dispose();
  });

  it('gives equal arrays memory of their own each', async () => {
    const [x, y] = [fromData([1, 2]), fromData([3, 4])];
    const sums = tidy(() => [x.add(y), x.add(y)] as const);
    await evaluate(...sums);
    expect([...(await sums[0].data())]).toEqual([4, 6]);
    sums[0].dispose();
    expect([...(await sums[1].data())]).toEqual([4, 6]);
    for (const a of [x, y, sums[1]]) a.dispose();
  });

  it('runs graphs of 10,000 nodes', async () => {
    const x = fromData([1]);
    const y = tidy(() => {
      let at = x;
      for (let i = 0; i < 5000; i++) at = at.add(1).reshape([1, 1]).sum(0);
      return at;
    });
    expect([...(await y.data())]).toEqual([5001]);
    x.dispose();
    y.dispose();
  });

  it('gives evaluations under way their own memory', async () => {
    const inputs = Array.from({ length: 8 }, (_, i) => fromData([i, i * i]));
    const results = inputs.map((x) => tidy(() => x.square().add(x)));
    const values = await Promise.all(results.map((r) => r.data()));
    expect(values.map((v) => [...v])).toEqual(inputs.map((_, i) => [i * i + i, i ** 4 + i * i]));
    for (const h of [...inputs, ...results]) h.dispose();
  });
});

describe('State.assign', () => {
  it('replaces the elements, lazily and in order', async () => {
    const state = new State({ device, shape: [2], dtype: 'f32', label: 's' });
    const x = fromData([1, 2]);
    const steps = tidy(() => {
      const one = state.assign(x);
      const two = state.assign(one.mul(10));
      return [one, two];
    });
    expect([...(await state.data())]).toEqual([10, 20]);
    const again = tidy(() => state.assign(fromData([5])));
    await evaluate(again);
    expect([...(await state.data())]).toEqual([5, 5]);
    for (const h of [x, ...steps, again, state]) h.dispose();
  });

  it('is an update of every run of a plan', async () => {
    const state = new State({ device, shape: [2], dtype: 'f32', label: 's' });
    const plan = compile(({ x }) => state.assign(x.add(tidy(() => x.mul(0)))), {
      device,
      inputs: { x: { shape: [2], dtype: 'f32' } },
    });
    await plan.run({ inputs: { x: [3, 4] } });
    expect([...(await state.data())]).toEqual([3, 4]);
    plan.dispose();
    state.dispose();
  });

  it('refuses another shape', () => {
    const state = new State({ device, shape: [2], dtype: 'f32', label: 's' });
    const x = fromData([1, 2, 3]);
    expect(() => state.assign(x)).toThrow(/broadcast/);
    x.dispose();
    state.dispose();
  });
});
