import { describe, expect, it } from 'vitest';
import { dynDim } from '../../base/shape.ts';
import { openJsDevice } from '../../device/js/device.ts';
import { compile } from '../compile.ts';
import { arange, evaluate, fromData, full, scalar } from '../creation.ts';
import { addOp } from '../ops/elementwise/add.ts';
import { count } from '../ops/reduce/count.ts';
import { penalize } from '../ops/sampling/penalize.ts';
import { settingsWords } from '../ops/sampling/row-settings.ts';
import type { Plan } from '../plan.ts';
import { State } from '../weight.ts';
import { inputNode, opNode } from './node.ts';
import { printGraph } from './print.ts';
import { topologicalOrder } from './trace.ts';
import { GraphVerifier } from './verify.ts';

const device = openJsDevice();
const kernels = (plan: { program: { dispatches: readonly { kernel: { name: string } }[] } }): string[] =>
  plan.program.dispatches.map((d) => d.kernel.name);

describe('views', () => {
  it('reshape and contiguous slices cost no dispatch', async () => {
    const plan = compile(({ x }) => x.mul(x).reshape([2, 3, 2]).slice([1, 2]).reshape([6]).sum(), {
      device,
      inputs: { x: { shape: [4, 3], dtype: 'f32' } },
    });
    expect(kernels(plan)).toEqual(['mul', 'sum']);
    await plan.run({ inputs: { x: Float32Array.from({ length: 12 }, (_, i) => i) } });
    expect([...(await plan.outputs[0]!.data())]).toEqual([36 + 49 + 64 + 81 + 100 + 121]);
  });

  it('copies pieces that are not contiguous, also right of a dynamic size', async () => {
    const n = dynDim('n', 5);
    const plan = compile(({ x }) => [x.slice(null, [1, 2]), x.transpose().slice([1, 2]).reshape([n])], {
      device,
      inputs: { x: { shape: [n, 2], dtype: 'f32' } },
    });
    await plan.run({ inputs: { x: [1, 2, 3, 4, 5, 6] } });
    for (const out of plan.outputs) expect([...(await out.data())]).toEqual([2, 4, 6]);
    await plan.run({ inputs: { x: [7, 8] } });
    for (const out of plan.outputs) expect([...(await out.data())]).toEqual([8]);
  });

  it('copies outputs that would be inputs, constants or pieces of others', async () => {
    const c = fromData([5, 6], [2], { device });
    const plan = compile(({ x }) => ({ x, c, half: x.slice([0, 1]), twice: x.add(x), again: x.add(x) }), {
      device,
      inputs: { x: { shape: [2], dtype: 'f32' } },
    });
    await plan.run({ inputs: { x: [1, 2] } });
    plan.write('x', [9, 9]);
    const read = async (name: string): Promise<number[]> => [...(await plan.output(name).data())];
    expect(await read('x')).toEqual([1, 2]);
    expect(await read('c')).toEqual([5, 6]);
    expect(await read('half')).toEqual([1]);
    expect(await read('twice')).toEqual([2, 4]);
    expect(await read('again')).toEqual([2, 4]);
  });
});

describe('ops that may overwrite', () => {
  it('take the memory of an input that nothing else reads, and only then', async () => {
    const counts = fromData(new Int32Array([1, 0]), [1, 2], { device });
    const settings = fromData(settingsWords([{ presence: 1, slot: 0 }]), [1, 12], { device });
    const inputs = { x: { shape: [1, 2], dtype: 'f32' as const } };
    const slices = (plan: Plan, op: string) =>
      plan.program.dispatches.find((d) => d.kernel.name === op)?.buffers;
    const alone = compile(({ x }) => penalize(x.exp().reshape([1, 2]), settings, { counts }).sum(), {
      device,
      inputs,
    });
    const ends = (plan: Plan) => [slices(plan, 'penalize')!.at(0), slices(plan, 'penalize')!.at(-1)];
    const [source, target] = ends(alone);
    expect(target).toEqual(source);
    const shared = compile(
      ({ x }) => {
        const y = x.exp().reshape([1, 2]);
        return [penalize(y, settings, { counts }).sum(), y.max()];
      },
      { device, inputs },
    );
    const [kept, changed] = ends(shared);
    expect(changed).not.toEqual(kept);
    for (const plan of [alone, shared]) {
      await plan.run({ inputs: { x: [0, 0] } });
      expect([...(await plan.outputs[0]!.data())]).toEqual([1]);
    }
    expect([...(await shared.outputs[1]!.data())]).toEqual([1]);
  });
});

describe('scalars in arithmetic', () => {
  it('become constants of programs; a dimension may be computed with', async () => {
    const n = dynDim('n', 4);
    const plan = compile(({ x }) => x.take(scalar('n', 'i32').sub(1).reshape([1]), 0), {
      device,
      inputs: { x: { shape: [n, 2], dtype: 'f32' } },
    });
    expect(kernels(plan)).toEqual(['tile', 'take']);
    await plan.run({ inputs: { x: [1, 2, 3, 4, 5, 6] } });
    expect([...(await plan.outputs[0]!.data())]).toEqual([5, 6]);
  });

  it('refuses one name with two meanings', () => {
    const inputs = { x: { shape: [dynDim('n', 4)], dtype: 'f32' as const } };
    expect(() => compile(({ x }) => x.mul(scalar('n', 'f32')), { device, inputs })).toThrow(
      /n is both a scalar of type i32 and one of type f32/,
    );
    expect(() => compile(({ x }) => [x, full([dynDim('n', 5)], 1)], { device, inputs })).toThrow(
      /n is both a dimension of at most 4 and one of at most 5/,
    );
  });
});

describe('states outside of compile', () => {
  it('are updated once per op, in order, and stale versions are refused', async () => {
    const counts = new State({ device, shape: [1, 3], dtype: 'i32', label: 'counts' });
    const ids = fromData(new Int32Array([0, 2]), [2], { device });
    const first = count(counts, ids);
    const old = first.sum();
    const second = count(counts, ids);
    await evaluate(second);
    await evaluate(second);
    expect([...new Int32Array((await counts.read()).buffer)]).toEqual([2, 0, 2]);
    await expect(old.data()).rejects.toThrow(/state counts was updated after/);
    expect([...(await count(counts, ids).data())]).toEqual([3, 0, 3]);
  });

  it('refuses a reading of a version that has to be overwritten first', () => {
    const counts = new State({ device, shape: [1, 3], dtype: 'i32', label: 'counts' });
    const inputs = { ids: { shape: [2], dtype: 'i32' as const } };
    expect(() =>
      compile(
        ({ ids }) => {
          const before = { value: counts.value };
          const after = count(counts, ids);
          // Needs the new counts as ids, and the old ones as counts.
          return count(before, after).sum();
        },
        { device, inputs },
      ),
    ).toThrow(/same version of a State/);
  });
});

describe('lazy evaluation', () => {
  it('survives chains of thousands of ops', async () => {
    let x = fromData([0], [1], { device });
    for (let i = 0; i < 3000; i++) x = x.add(1);
    expect([...(await x.data())]).toEqual([3000]);
  });

  it('names the plan input when asked for data inside compile', async () => {
    let leaked: Promise<unknown> = Promise.resolve();
    compile(
      ({ x }) => {
        leaked = x.add(1).data();
        leaked.catch(() => undefined);
        return x.add(1);
      },
      { device, inputs: { x: { shape: [1], dtype: 'f32' } } },
    );
    await expect(leaked).rejects.toThrow(/plan input x/);
  });

  it('computes ops without operands as constants', async () => {
    expect([...(await arange(2, 8, 2).data())]).toEqual([2, 4, 6]);
    expect([...(await full([2], 3).data())]).toEqual([3, 3]);
  });
});

describe('verifier', () => {
  const x = { node: inputNode('x', { shape: [2], dtype: 'f32' }), index: 0 };

  it('prints the graph when a pass breaks a type', () => {
    const node = { ...opNode(addOp, [x, x], {}), outputs: [{ shape: [3], dtype: 'f32' as const }] };
    const graph = { outputs: [{ node, index: 0 }], effects: [] };
    expect(() => new GraphVerifier(device).check(graph, 'a pass')).toThrow(
      /graph after a pass: add has outputs f32\[3\], its rules say f32\[2\]\n%0 = input x : f32\[2\]\n%1 = add\(%0, %0\)/,
    );
  });

  it('refuses buffers of another device', () => {
    const other = fromData([1], [1], { device: openJsDevice() });
    const graph = {
      outputs: [opNode(addOp, [x, other.value], {})].map((node) => ({ node, index: 0 })),
      effects: [],
    };
    expect(() => new GraphVerifier(device).check(graph, 'trace')).toThrow(
      /constant constant is on another device js/,
    );
    expect(printGraph(graph)).toMatch(/constant constant : f32\[1\]/);
    expect(topologicalOrder(graph.outputs).map((n) => n.kind)).toEqual(['input', 'buffer', 'op']);
  });
});
