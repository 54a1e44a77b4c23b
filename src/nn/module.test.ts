import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../array/array.ts';
import { setDefaultDevice } from '../array/context.ts';
import { fromData, full } from '../array/creation.ts';
import { load } from '../array/files/node.ts';
import { normal, seed } from '../array/functions/random.ts';
import { tidy } from '../array/lifetime.ts';
import { openJsDevice } from '../device/js/device.ts';
import * as nn from './index.ts';

setDefaultDevice(openJsDevice());
const folder = mkdtempSync(join(tmpdir(), 'ingot-nn-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

class Block extends nn.Module {
  proj: nn.Linear;
  drop = new nn.Dropout(0.5);
  constructor(dims: number) {
    super();
    this.proj = new nn.Linear(dims, dims);
  }
  forward(x: NDArray): NDArray {
    return x.add(this.drop.forward(this.proj.forward(x)));
  }
}

class Net extends nn.Module {
  embed = new nn.Embedding(6, 4);
  blocks = [new Block(4), new Block(4)];
  heads = { out: new nn.Linear(4, 6, { bias: false }) };
  scale: NDArray = full([1], 2);
  forward(ids: NDArray): NDArray {
    const x = this.blocks.reduce((y, b) => b.forward(y), this.embed.forward(ids));
    return this.heads.out.forward(x).mul(this.scale);
  }
}

const ids = fromData(Int32Array.of(0, 5, 3), [3]);
const numbers = async (x: NDArray): Promise<number[]> => [...(await x.data())];

describe('a tree of modules', () => {
  it('names parameters and modules, through lists and objects', () => {
    const net = new Net();
    expect(Object.keys(net.parameters())).toEqual([
      'scale',
      'embed.weight',
      'blocks.0.proj.weight',
      'blocks.0.proj.bias',
      'blocks.1.proj.weight',
      'blocks.1.proj.bias',
      'heads.out.weight',
    ]);
    expect(net.namedModules().map(([path]) => path)).toContain('blocks.1.drop');
    expect(net.module('heads.out')).toBe(net.heads.out);
    expect(net.parameterCount).toBe(1 + 24 + 2 * 20 + 24);
    expect(String(net)).toContain('(blocks.0): Block()');
    expect(() => net.module('heads.in')).toThrow(
      'Net has no module heads.in; it has heads.out, heads.out.weight',
    );
  });

  it('replaces and maps modules', async () => {
    const net = new Net();
    const old = net.replace('blocks.1', new nn.Identity());
    expect(old).toBeInstanceOf(Block);
    expect(net.parameters()).not.toHaveProperty('blocks.1.proj.weight');
    net.mapModules((m) => (m instanceof nn.Dropout ? new nn.Identity() : undefined));
    expect(net.modules().some((m) => m instanceof nn.Dropout)).toBe(false);
    expect(() => net.replace('blocks.7', new nn.Identity())).toThrow(
      /no module blocks.7 to replace; it has blocks.0/,
    );
    expect(() => net.replace('embed', net)).toThrow(/holds the tree it would be put into/);
  });

  it('updates by path, and refuses other shapes and names before anything changes', async () => {
    const net = new Net();
    const before = net.parameters();
    expect(() => net.update({ scale: full([1], 3), 'embed.weight': full([2, 2], 0) })).toThrow(
      'parameter embed.weight has shape [6, 4], got [2, 2]',
    );
    expect(() => net.update({ 'embed.wieght': full([6, 4], 0) })).toThrow(
      /no parameter embed.wieght; it has embed, embed.weight/,
    );
    expect(() => net.update({ scale: full([1], 3) }, { strict: true })).toThrow(
      /parameter embed.weight is missing among the 1 given/,
    );
    expect(net.parameters()).toEqual(before);
    net.mapParameters((x) => x.mul(0));
    expect(await numbers(net.forward(ids))).toEqual(Array(18).fill(0));
  });

  it('freezes', () => {
    const net = new Net().freeze();
    expect(net.trainableParameters()).toEqual({});
    net.module('blocks.0').unfreeze({ keys: 'bias' });
    expect(Object.keys(net.trainableParameters())).toEqual(['blocks.0.proj.bias']);
    net.unfreeze();
    net.freeze({ keys: ['weight'], recurse: true });
    expect(Object.keys(net.trainableParameters())).toEqual([
      'scale',
      'blocks.0.proj.bias',
      'blocks.1.proj.bias',
    ]);
    expect(() => net.freeze({ keys: 'wieght' })).toThrow('Net has no parameter named wieght');
    const norm = new nn.BatchNorm(3).unfreeze();
    expect(Object.keys(norm.trainableParameters())).toEqual(['weight', 'bias']);
    expect(() => nn.valueAndGrad(net.freeze(), () => net.forward(ids).sum())()).toThrow(
      /no trainable parameters/,
    );
  });

  it('goes between training and evaluation as a whole', async () => {
    const net = new Net();
    const first = await numbers(net.forward(ids));
    expect(await numbers(net.forward(ids))).not.toEqual(first); // another mask
    net.eval();
    expect(net.blocks[0]?.drop.training).toBe(false);
    expect(await numbers(net.forward(ids))).toEqual(await numbers(net.forward(ids)));
  });

  it('keeps shared arrays and modules shared', async () => {
    const net = new Net();
    net.heads.out.weight = net.embed.weight;
    net.blocks[1] = net.blocks[0] as Block;
    expect(Object.keys(net.parameters())).toEqual([
      'scale',
      'embed.weight',
      'blocks.0.proj.weight',
      'blocks.0.proj.bias',
    ]);
    net.update({ 'embed.weight': full([6, 4], 1) }, { strict: false });
    expect(net.heads.out.weight).toBe(net.embed.weight);
    const [, g] = nn.valueAndGrad(net.eval(), () => net.forward(ids).sum())();
    expect(Object.keys(g)).toHaveLength(4);
  });

  it('refuses circles', () => {
    const net = new Net() as Net & { again?: nn.Module };
    net.blocks[0]?.replace('drop', new nn.Sequential());
    const inner = net.module('blocks.0.drop') as nn.Sequential;
    inner.layers.push(net as unknown as nn.Layer);
    expect(() => net.parameters()).toThrow(/goes in circles/);
  });

  it('survives the scope it is made in, and frees what it holds', async () => {
    const net = tidy(() => new Net());
    expect((await net.embed.weight.data()).length).toBe(24);
    net.dispose();
    expect(() => net.forward(ids)).toThrow(/disposed/);
  });
});

describe('files', () => {
  it('save and load parameters', async () => {
    const [a, b] = [new Net().eval(), new Net().eval()];
    const path = join(folder, 'net.safetensors');
    await nn.saveWeights(a, path);
    await nn.loadWeights(b, path);
    expect(await numbers(b.forward(ids))).toEqual(await numbers(a.forward(ids)));
    await expect(nn.loadWeights(b, path, { rename: (n) => n.replace('embed', 'table') })).rejects.toThrow(
      /no parameter table.weight/,
    );
    await expect(nn.loadWeights(b, join(folder, 'none.safetensors'))).rejects.toThrow(
      /none.safetensors cannot be read/,
    );
    writeFileSync(join(folder, 'bad.safetensors'), 'nonsense, and more of it');
    await expect(nn.loadWeights(b, join(folder, 'bad.safetensors'))).rejects.toThrow(/header length: is/);
  });
});

describe('quantize', () => {
  it('replaces linear layers and tables by packed ones that give nearly the same', async () => {
    seed(3);
    const net = new nn.Sequential(
      new nn.Embedding(10, 64),
      new nn.Linear(64, 32),
      new nn.ReLU(),
      new nn.Linear(32, 64),
    ).eval();
    const list = fromData(Int32Array.of(1, 2, 9, 4), [2, 2]);
    const want = await numbers(net.forward(list));
    await nn.quantize(net, { bits: 8, precision: 'exact' });
    expect(net.layers.map((l) => l.constructor.name)).toEqual([
      'QuantizedEmbedding',
      'QuantizedLinear',
      'ReLU',
      'Linear',
    ]);
    const got = await numbers(net.forward(list));
    // codes of 8 bits are off by at most 1 / 510 of the range of their group; three roundings of 64 terms
    const size = Math.max(...want.map(Math.abs));
    expect(Math.max(...got.map((x, i) => Math.abs(x - (want[i] as number))))).toBeLessThan(0.02 * size);
    const [, g] = nn.valueAndGrad(net, () => net.forward(list).square().sum())();
    expect(Object.keys(g)).toEqual(['layers.1.bias', 'layers.3.weight', 'layers.3.bias']);
    expect((await numbers(g['layers.1.bias'] as NDArray)).some((x) => x !== 0)).toBe(true);
    await expect(nn.quantize(new nn.Sequential(new nn.Linear(5, 5)))).rejects.toThrow(/a multiple of 64/);
    net.dispose();
  });

  it('is saved as MLX does, and loads into quantised and into other layers', async () => {
    const make = (): nn.Sequential =>
      new nn.Sequential(new nn.Embedding(10, 64), new nn.Linear(64, 33)).eval();
    const ids = fromData(Int32Array.of(1, 9), [2]);
    const path = join(folder, 'quantised.safetensors');
    for (const bits of [2, 4, 8] as const) {
      const net = await nn.quantize(make(), { bits, groupSize: 32, precision: 'exact' });
      const want = await numbers(net.forward(ids));
      await nn.saveWeights(net, path);
      const found = (await load(path)) as Record<string, NDArray>;
      const linear = ['biases', 'scales', 'weight'].map((name) => found[`layers.1.${name}`] as NDArray);
      expect(linear.map((x) => [x.dtype, x.shape])).toEqual([
        ['f32', [33, 2]],
        ['f32', [33, 2]],
        ['u32', [33, 2 * bits]],
      ]);
      const again = await nn.quantize(make(), { bits, groupSize: 64, precision: 'exact' });
      const fresh = make();
      for (const other of [again, fresh]) {
        await nn.loadWeights(other, path);
        expect(other.layers.map((l) => l.constructor.name)).toEqual([
          'QuantizedEmbedding',
          'QuantizedLinear',
        ]);
      }
      expect(await numbers(again.forward(ids))).toEqual(want);
      const size = Math.max(...want.map(Math.abs)); // activations of the fresh one are rounded to 8 bits
      const got = await numbers(fresh.forward(ids));
      expect(Math.max(...got.map((x, i) => Math.abs(x - (want[i] as number))))).toBeLessThan(0.05 * size);
      await expect(nn.loadWeights(new nn.Sequential(new nn.Embedding(10, 32)), path)).rejects.toThrow();
      for (const m of [net, again, fresh]) m.dispose();
    }
  });
});

describe('trainingStep', () => {
  const x = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i * 1.7));
  const y = Float32Array.from({ length: 8 }, (_, i) => Math.cos(i));
  const inputs = { x: { shape: [8, 4], dtype: 'f32' }, y: { shape: [8, 1], dtype: 'f32' } } as const;

  it('does what the same steps do one array at a time, running means and schedules included', async () => {
    seed(1);
    const make = (): nn.Sequential =>
      new nn.Sequential(new nn.Linear(4, 6), new nn.BatchNorm(6), new nn.Tanh(), new nn.Linear(6, 1));
    const [compiled, eager] = [make(), make()];
    eager.update(Object.fromEntries(Object.entries(compiled.parameters()).map(([k, p]) => [k, p.add(0)])));
    const optimizer = nn.optim.chain(
      nn.optim.clipByGlobalNorm(0.5),
      nn.optim.adamw({ learningRate: nn.optim.linearSchedule(0.1, 0.01, 5) }),
    );
    const step = await nn.trainingStep(compiled, {
      optimizer,
      inputs,
      loss: (i) => {
        const out = compiled.forward(i.x);
        return [nn.losses.mseLoss(out, i.y), { rows: out.reshape([8]) }];
      },
    });
    let state: nn.optim.TransformState = optimizer.init(eager.trainableParameters());
    const given = [fromData(x, [8, 4]), fromData(y, [8, 1])] as const;
    const lossOf = nn.valueAndGrad(eager, (a: NDArray, b: NDArray) => nn.losses.mseLoss(eager.forward(a), b));
    for (let i = 0; i < 3; i++) {
      const result = await step.run({ x, y });
      expect((result.rows as Float32Array).length).toBe(8);
      const [loss, gradients] = lossOf(...given);
      const next = optimizer.update(gradients, state as never, eager.trainableParameters());
      eager.update(nn.optim.applyUpdates(eager.trainableParameters(), next.updates));
      state = next.state;
      expect(result.loss).toBeCloseTo(await loss.item(), 5);
    }
    await step.sync();
    for (const [path, p] of Object.entries(eager.parameters())) {
      const [got, want] = [await numbers(compiled.parameters()[path] as NDArray), await numbers(p)];
      for (const [i, v] of got.entries()) expect(v, path).toBeCloseTo(want[i] as number, 4);
    }
    // goes on from its state
    const again = await nn.trainingStep(compiled, {
      optimizer,
      inputs,
      state: await step.optimizerState(),
      loss: (i) => nn.losses.mseLoss(compiled.forward(i.x), i.y),
    });
    expect((await again.run({ x, y })).loss).toBeCloseTo((await step.run({ x, y })).loss, 5);
    step.dispose();
    again.dispose();
  });

  it('draws other random numbers at each step, and the same for a seed', async () => {
    const drop = new nn.Sequential(new nn.Linear(4, 1), new nn.Dropout(0.5));
    const make = (s: number): Promise<nn.TrainingStep<typeof inputs>> =>
      nn.trainingStep(drop, {
        optimizer: nn.optim.sgd({ learningRate: 0 }),
        inputs,
        seed: s,
        loss: (i) => drop.forward(i.x).sub(i.y).square().sum(),
      });
    const losses = async (s: number): Promise<number[]> => {
      const step = await make(s);
      const list = [(await step.run({ x, y })).loss, (await step.run({ x, y })).loss];
      step.dispose();
      return list;
    };
    const [first, second] = await losses(5);
    expect(first).not.toBe(second);
    expect(await losses(5)).toEqual([first, second]);
    expect(await losses(6)).not.toEqual([first, second]);
  });

  it('trains what is not frozen, by the optimiser of its path', async () => {
    const net = new nn.Sequential(new nn.Linear(4, 3), new nn.Linear(3, 1));
    net.layers[0]?.freeze({ keys: 'bias' });
    const frozen = await numbers((net.layers[0] as nn.Linear).bias as NDArray);
    const { partition, muon, sgd } = nn.optim;
    const step = await nn.trainingStep(net, {
      optimizer: partition(
        { matrices: muon({ learningRate: 0.01 }), rest: sgd({ learningRate: 0.01 }) },
        (_, p) => (p.shape.length === 2 ? 'matrices' : 'rest'),
      ),
      inputs,
      loss: (i) => nn.losses.mseLoss(net.forward(i.x), i.y),
    });
    const first = (await step.run({ x, y })).loss;
    for (let i = 0; i < 20; i++) await step.run({ x, y });
    expect((await step.run({ x, y })).loss).toBeLessThan(first);
    await step.sync();
    expect(await numbers((net.layers[0] as nn.Linear).bias as NDArray)).toEqual(frozen);
    step.dispose();
  });
});

describe('layers say what they were given', () => {
  it.each([
    [
      () => new nn.Linear(4, 2).forward(normal([3, 5])),
      'Linear: the last axis of x must have 4 elements, got x [3, 5]',
    ],
    [
      () => new nn.MultiHeadAttention(10, 3),
      'MultiHeadAttention: numHeads: 10 does not divide into 3 equal parts',
    ],
    [() => new nn.Dropout(1), 'Dropout: p is 1; it must be from 0 to below 1'],
    [() => new nn.Conv2d(3, 4, [3, 3, 3]), 'Conv2d: kernel [3,3,3] must be a number or 2 of them'],
    [() => new nn.GroupNorm(4, 6), 'GroupNorm: groups: 6 does not divide into 4 equal parts'],
    [() => new nn.BatchNorm(4).forward(normal([4])), 'BatchNorm: x must have 2 to 4 axes, got [4]'],
    [
      () => nn.optim.adamw(1e-3 as never),
      'adamw: options must be { betas?, eps?, biasCorrection?, amsgrad?, learningRate, weightDecay? }, got 0.001',
    ],
    [
      () => nn.optim.adam({ learningRate: 1, beta: [0, 0] } as never),
      'adam: option beta is none of betas, eps, biasCorrection',
    ],
    [() => new nn.Linear(4, 2, { bia: false } as never), 'Linear: option bia is none of bias'],
    [
      () => new nn.Conv1d(4, 2, 3, { strid: 2 } as never),
      'Conv1d: option strid is none of bias, stride, padding',
    ],
    [() => new nn.LayerNorm(4, { epsilon: 1 } as never), 'LayerNorm: option epsilon is none of eps'],
    [() => nn.optim.adafactor({ learningRate: -1 }), 'learningRate is -1; it must be 0 or more'],
    [() => nn.optim.adafactor({ decay: 1 } as never), 'adafactor: option decay is none of'],
    [() => nn.optim.adam({ learningRate: -1 }), 'learningRate is -1; it must be 0 or more'],
    [() => nn.optim.clipByGlobalNorm(0), 'clipByGlobalNorm: maxNorm is 0; it must be above 0'],
  ])('%#', (f, message) => {
    expect(f).toThrow(message);
  });
});
