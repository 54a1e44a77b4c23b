import { describe, expect, it } from 'vitest';
import { openJsDevice } from '../../device/js/device.ts';
import { expectAllClose } from '../../testing/allclose.ts';
import { caseTensor } from '../../testing/case-data.ts';
import { NDArray } from '../array.ts';
import { compile } from '../compile.ts';
import { setDefaultDevice } from '../context.ts';
import { fromData } from '../creation.ts';
import { logSumExp } from '../derived.ts';
import { opNode } from '../graph/node.ts';
import { tidy } from '../lifetime.ts';
import type { OpCase, OpDef } from '../op.ts';
import { ops } from '../ops/list.ts';
import { stopGradient } from '../ops/memory/identity.ts';
import { checkpoint, customFunction } from './custom.ts';
import { grad, jvp, valueAndGrad, vjp } from './grad.ts';
import { vmap } from './vmap.ts';

const device = openJsDevice();
setDefaultDevice(device);
const numbers = async (x: NDArray): Promise<number[]> => [...(await x.data())];
const close = async (got: NDArray, want: readonly number[], tolerance = 1e-5): Promise<void> =>
  expectAllClose(await numbers(got), want, { absolute: tolerance, relative: tolerance }, 'result');
const x = fromData([0.5, -1, 2]);

describe('gradients', () => {
  it('are those of the argument, also where it is used twice, and zero where it is not used', async () => {
    await close(grad((a: NDArray) => a.mul(a).mul(a).sum())(x), [0.75, 3, 12]);
    await close(grad((_: NDArray) => fromData([3]).sum())(x), [0, 0, 0]);
    await close(grad((a: NDArray) => a.mul(x).sum())(x), [0.5, -1, 2]); // the other x is a constant
    await close(grad((a: NDArray) => stopGradient(a).mul(a).sum())(x), [0.5, -1, 2]);
  });

  it('have the tree of the argument', async () => {
    const params = { layers: [{ w: fromData([1, 2]) }, { w: fromData([3]), name: 'out' }] };
    const loss = (p: typeof params): NDArray =>
      (p.layers[0] as { w: NDArray }).w
        .square()
        .sum()
        .mul((p.layers[1] as { w: NDArray }).w.sum());
    const [value, grads] = valueAndGrad(loss)(params);
    expect(await numbers(value)).toEqual([15]);
    const tree = grads as typeof params;
    await close((tree.layers[0] as { w: NDArray }).w, [6, 12]);
    await close((tree.layers[1] as { w: NDArray }).w, [5]);
    expect((tree.layers[1] as { name: string }).name).toBe('out');
  });

  it('of several arguments, and results beside the loss', async () => {
    const [value, grads] = valueAndGrad((a: NDArray, b: NDArray) => [a.mul(b).sum(), a.add(b)], [0, 1])(
      x,
      x.square(),
    );
    await close((value as NDArray[])[1] as NDArray, [0.75, 0, 6]);
    const [da, db] = grads as unknown as NDArray[];
    await close(da as NDArray, [0.25, 1, 4]);
    await close(db as NDArray, [0.5, -1, 2]);
  });

  it('of higher order', async () => {
    const third = grad((a: NDArray) =>
      grad((b: NDArray) => grad((c: NDArray) => c.pow(4).sum())(b).sum())(a).sum(),
    );
    await close(third(x), [12, -24, 48], 1e-4);
    await close(grad((a: NDArray) => grad((b: NDArray) => b.mul(a).square().sum())(x).sum())(x), [1, 4, 16]); // d/da sum(2 b a²) at b = x is 4 b a
  });

  it('flow through a plan', async () => {
    const plan = compile(({ a }) => valueAndGrad((b: NDArray) => b.exp().sum())(a), {
      device,
      inputs: { a: { shape: [2], dtype: 'f32' } },
    });
    const [value, g] = await plan.run({ inputs: { a: [0, 1] } });
    expect((await value?.data())?.[0]).toBeCloseTo(1 + Math.E, 5);
    expect((await g?.data())?.[1]).toBeCloseTo(Math.E, 5);
    plan.dispose();
  });

  it('of products with zeros, of sorted and of largest elements', async () => {
    await close(grad((a: NDArray) => a.prod())(fromData([2, 0, 3])), [0, 6, 0]);
    await close(grad((a: NDArray) => a.prod())(fromData([0, 0, 3])), [0, 0, 0]);
    await close(
      grad((a: NDArray) =>
        a
          .sort()
          .mul(fromData([1, 10, 100]))
          .sum(),
      )(x),
      [10, 1, 100],
    );
    await close(
      grad((a: NDArray) =>
        a
          .topk(2)[0]
          .mul(fromData([1, 10]))
          .sum(),
      )(x),
      [10, 0, 1],
    );
    await close(grad((a: NDArray) => logSumExp(a))(fromData([1, 1])), [0.5, 0.5]);
  });

  it('name what is wrong', () => {
    expect(() => grad((a: NDArray) => a)(x)).toThrow(/must return one float, got f32 \[3\]; reduce it/);
    expect(() => grad((a: NDArray) => a.sum())(x.cast('i32'))).toThrow(/argument 0 is i32; only floats/);
    expect(() => grad((a: NDArray) => a.sum(), 1)(x)).toThrow(/argument 1 is not among the 1 given/);
    expect(() => grad((_: NDArray) => 3 as never)(x)).toThrow(/must return an array/);
    expect(() => vjp((a) => a, [x], [x, x])).toThrow(/1 are needed, got 2/);
    expect(() => jvp((a) => a, [x], [fromData([1])])).toThrow(/tangent 0 must have shape \[3\], got \[1\]/);
  });
});

describe('jvp', () => {
  it('is the product with the Jacobian', async () => {
    const [[y], [t]] = jvp((a) => a.sin().mul(a), [x], [fromData([1, 0, 2])]) as [[NDArray], [NDArray]];
    const f = (v: number): number => Math.sin(v) + v * Math.cos(v);
    await close(
      y,
      [0.5, -1, 2].map((v) => Math.sin(v) * v),
    );
    await close(t, [f(0.5), 0, 2 * f(2)]);
    const [, [none]] = jvp((_) => fromData([1]), [x], [x]) as [unknown, [NDArray]];
    await close(none, [0]);
  });

  it('of a gradient is a Hessian-vector product', async () => {
    const [, [hv]] = jvp(
      grad((a: NDArray) => a.pow(3).sum()),
      [x],
      [fromData([1, 1, 1])],
    ) as [unknown, [NDArray]];
    await close(hv, [3, -6, 12], 1e-4);
  });
});

describe('vmap', () => {
  const m = fromData([[1, 2, 3], [4, 5, 6]]); // biome-ignore format: a matrix

  it('maps over the axes given', async () => {
    await close(vmap((a: NDArray) => a.sum())(m), [6, 15]);
    await close(vmap((a: NDArray) => a.sum(), 1)(m), [5, 7, 9]);
    const outer = vmap((a: NDArray, b: NDArray) => a.mul(b), [0, null])(m, fromData([1, 10, 100]));
    await close(outer, [1, 20, 300, 4, 50, 600]);
    expect(vmap((a: NDArray) => a.mul(2), 1, 1)(m).shape).toEqual([2, 3]);
    await close(vmap((a: NDArray) => (a.shape.length === 1 ? fromData([7]) : a))(m), [7, 7]);
  });

  it('composes with itself and with gradients', async () => {
    const pairs = vmap((a: NDArray) => vmap((b: NDArray) => a.mul(b).sum())(m))(m);
    await close(pairs, [14, 32, 32, 77]);
    await close(vmap(grad((a: NDArray) => a.square().sum()))(m), [2, 4, 6, 8, 10, 12]);
    await close(grad((a: NDArray) => vmap((r: NDArray) => r.prod())(a).sum())(m), [6, 3, 2, 30, 24, 20]);
    const jacobian = vmap((v: NDArray) => vjp((a) => a.square(), [x], [v])[1][0] as NDArray);
    await close(jacobian(fromData([[1, 0, 0], [0, 1, 0], [0, 0, 1]])), [1, 0, 0, 0, -2, 0, 0, 0, 4]); // biome-ignore format: the identity
  });

  it('names batches that differ', () => {
    expect(() => vmap((a: NDArray, b: NDArray) => a.add(b))(m, x)).toThrow(
      /array 1 of shape \[3\] has a batch of 3, array 0 of 2/,
    );
    expect(() => vmap((a: NDArray) => a, null)(m)).toThrow(/no argument has a batch axis/);
  });

  /** Cases of arrays: weights and states are of all examples. */
  const arrayCases = (op: OpDef): readonly OpCase<object>[] =>
    op.cases.filter(
      (c) => c.inputs.length > 0 && c.inputs.every((s) => s === null || (!s.weight && !s.state)),
    );

  for (const op of ops.filter((o) => o.inPlace === undefined && arrayCases(o).length > 0)) {
    it(`of ${op.name} is a loop over examples`, async () => {
      for (const [n, c] of arrayCases(op).slice(0, 8).entries()) {
        for (const flags of patterns(c.inputs.length)) await checkBatch(op, c, flags, n);
      }
    });
  }

  /** All operands differ between examples, or only one of them does. */
  const patterns = (n: number): readonly (readonly boolean[])[] =>
    n === 1
      ? [[true]]
      : [
          Array.from({ length: n }, () => true),
          ...Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, k) => k === i)),
        ];

  async function checkBatch(
    op: OpDef,
    c: OpCase<object>,
    flags: readonly boolean[],
    seed: number,
  ): Promise<void> {
    const size = 3;
    const operands = c.inputs.map((s, i) => {
      if (s === null) return null;
      const one = (b: number): NDArray => {
        const t = caseTensor(s, seed * 31 + i + (flags[i] ? b * 1000 : 0));
        return fromData(t.data, t.shape, { dtype: t.dtype });
      };
      return Array.from({ length: size }, (_, b) => one(b));
    });
    if (operands.some((o, i) => o === null && flags[i])) return;
    const apply = (list: readonly (NDArray | null)[]): readonly NDArray[] => {
      const node = opNode(
        op,
        list.map((a) => a?.value ?? null),
        c.attrs,
      );
      return node.outputs.map((_, index) => new NDArray({ node, index }));
    };
    const present = operands.flatMap((o, i) => (o === null ? [] : [{ o, i }]));
    const args = present.map(({ o, i }) =>
      flags[i]
        ? tidy(() =>
            (o[0] as NDArray)
              .apply(
                stackOp,
                o.map((e) => e.reshape([1, ...e.shape])),
                { axis: 0 },
              )
              .reshape([size, ...(o[0] as NDArray).shape]),
          )
        : (o[0] as NDArray),
    );
    const batched = vmap(
      (...list: NDArray[]) => {
        let next = 0;
        return apply(operands.map((o) => (o === null ? null : (list[next++] as NDArray))));
      },
      present.map(({ i }) => (flags[i] ? 0 : null)),
    )(...args) as unknown as readonly NDArray[];
    for (let b = 0; b < size; b++) {
      const want = tidy(() => apply(operands.map((o) => o?.[b] ?? null)));
      for (const [j, w] of want.entries()) {
        const all = batched[j] as NDArray;
        const got = await numbers(all);
        const single = await numbers(w);
        const part = got.slice(b * single.length, (b + 1) * single.length);
        expectAllClose(
          part,
          single,
          w.dtype === 'bf16' ? { absolute: 3e-2, relative: 3e-2 } : { absolute: 2e-3, relative: 2e-3 },
          `${op.name} (${c.name}) example ${b}`,
        );
      }
    }
  }
});

const stackOp = ops.find((o) => o.name === 'concat') as OpDef<{ axis: number }>;

describe('own gradients', () => {
  it('replace those of the function, alone and for each example', async () => {
    const clipped = customFunction(
      (a: NDArray) => a.square(),
      ([a], [g]) => (g as NDArray).mul((a as NDArray).mul(2).minimum(1)),
    );
    await close(clipped(x), [0.25, 1, 4]);
    await close(grad((a: NDArray) => clipped(a).sum())(x), [1, -2, 1]);
    const rows = fromData([[0.5, -1], [2, 0.25]]); // biome-ignore format: a matrix
    await close(grad((a: NDArray) => vmap((r: NDArray) => clipped(r).sum())(a).sum())(rows), [1, -2, 1, 0.5]);
  });

  it('of checkpoint compute the function again', async () => {
    const f = (a: NDArray): NDArray => a.sin().exp().sum();
    await close(grad((a: NDArray) => checkpoint(f)(a))(x), await numbers(grad(f)(x)));
    const dispatches = async (g: (a: NDArray) => NDArray): Promise<number> => {
      const plan = compile(({ a }) => grad(g)(a), {
        device,
        inputs: { a: { shape: [3], dtype: 'f32' } },
        patterns: [],
      });
      const count = plan.program.dispatches.filter((d) => d.kernel.name === 'sin').length;
      plan.dispose();
      return count;
    };
    expect(await dispatches((a) => f(a))).toBe(1);
    expect(await dispatches((a) => checkpoint(f)(a))).toBe(1); // the forward pass is not needed for the gradient
    expect(await dispatches((a) => checkpoint(f)(a).square())).toBe(2);
  });
});
