// Models as trees of modules: what is in them, and other modules in place of theirs.

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../../src/array/array.ts';
import { setDefaultDevice } from '../../src/array/context.ts';
import { fromData, zeros } from '../../src/array/creation.ts';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { load } from '../../src/engine/load.ts';
import type { Model } from '../../src/engine/types.ts';
import * as nn from '../../src/nn/index.ts';
import { readGolden } from '../models/goldens.ts';

const golden = readGolden('qwen3-moe');
const folder = fileURLToPath(new URL('../goldens/models/qwen3-moe', import.meta.url));
const device = addonPath() === undefined ? 'js' : 'cpu';
const query = 'model.layers.0.self_attn.q_proj';

/** A linear and an addition of low rank: y + (x A) B. */
class Lora extends nn.Module {
  readonly base: nn.Layer;
  a: NDArray;
  b: NDArray;

  constructor(base: nn.Layer, a: NDArray, b: NDArray) {
    super();
    this.base = base;
    this.a = a;
    this.b = b;
  }
  forward(x: NDArray): NDArray {
    return this.base.forward(x).add(x.matmul(this.a).matmul(this.b));
  }
}

const ramp = (shape: readonly [number, number], scale: number): NDArray =>
  fromData(
    Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => Math.sin(i) * scale),
    shape,
  );

describe(`the modules of a model on ${device}`, () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(folder, { device, precision: 'exact', contextLength: 128 });
    setDefaultDevice(model.modules().device);
  });
  afterAll(() => model.dispose());

  const logits = async (): Promise<Float32Array> => (await model.logits(golden.tokens)).data;
  const difference = (a: Float32Array, b: Float32Array): number =>
    a.reduce((m, v, i) => Math.max(m, Math.abs(v - (b[i] ?? 0))), 0);
  const tokens = async (): Promise<readonly number[]> => {
    const found: number[] = [];
    const options = { maxTokens: golden.continuation.length, ignoreEos: true, temperature: 0 };
    for await (const token of model.generate(golden.tokens, options)) found.push(token);
    return found;
  };

  it('have the names, shapes and formats of its tensors', () => {
    const tree = model.modules();
    const found = tree.tensors();
    const hiddenSize = found['model.norm.weight']?.shape[0] ?? 0;
    expect(hiddenSize).toBeGreaterThan(0);
    expect(found[`${query}.weight`]?.shape[1]).toBe(hiddenSize);
    expect(found['model.norm.weight']).toEqual({ shape: [hiddenSize], format: 'f32', bytes: 4 * hiddenSize });
    const experts = found['model.layers.0.mlp.experts.gate_proj.weight'];
    expect(experts?.shape).toHaveLength(3);
    expect(experts?.bytes).toBeGreaterThan(0);
    const names = tree.namedModules().map(([path]) => path);
    expect(names.slice(0, 2)).toEqual(['', 'model']);
    expect(names).toContain('lm_head');
    expect(Object.keys(tree.parameters())).toContain('model.layers.0.self_attn.q_norm.weight');
    expect(Object.keys(tree.freeze().trainableParameters())).toEqual([]);
    tree.unfreeze();
  });

  it('give way to an adapter from the next plans on, and come back', async () => {
    const tree = model.modules();
    const before = await logits();
    const base = tree.module(query) as nn.Layer;
    const found = tree.tensors()[`${query}.weight`]?.shape ?? [];
    const [outputs = 0, width = 0] = found;
    const zero = new Lora(base, ramp([width, 2], 1), zeros([2, outputs]));
    expect(tree.replace(query, zero)).toBe(base);
    await model.recompile();
    expect(difference(await logits(), before)).toBeLessThan(1e-4);
    expect(await tokens()).toEqual(golden.continuation);
    expect(Object.keys(tree.module(query).parameters())).toEqual(['a', 'b']);

    tree.update({ [`${query}.b`]: ramp([2, outputs], 1) });
    await model.recompile();
    const adapted = await logits();
    expect(difference(adapted, before)).toBeGreaterThan(1e-2);

    // The same by an adapter below the root, and by a linear that holds the sum of both matrices.
    tree.replace(query, base);
    await model.recompile();
    expect(difference(await logits(), before)).toBe(0);
    tree.module('model.layers.0').replace('self_attn.q_proj', new Lora(base, zero.a, ramp([2, outputs], 1)));
    await model.recompile();
    expect(difference(await logits(), adapted)).toBeLessThan(1e-5);
    tree.replace(query, base);
    await model.recompile();
    expect(await tokens()).toEqual(golden.continuation);
  });

  it('take other norms by update', async () => {
    const tree = model.modules();
    const before = await logits();
    const old = tree.parameters()['model.norm.weight'] as NDArray;
    tree.update({ 'model.norm.weight': old.mul(2) });
    await model.recompile();
    expect(
      difference(
        await logits(),
        before.map((v) => 2 * v),
      ),
    ).toBeLessThan(1e-4);
    tree.update({ 'model.norm.weight': old });
    await model.recompile();
    expect(difference(await logits(), before)).toBe(0);
  });

  it('refuse what cannot stand in for them', async () => {
    const tree = model.modules();
    const other = new nn.Linear(4, 4);
    expect(() => tree.replace('model.layers.0', other)).toThrow(
      /model.layers.0 is no linear, norm or embedding.*replace one of input_layernorm/,
    );
    expect(() => tree.replace('model.layers.0.mlp.experts.gate_proj', other)).toThrow(/runs it as a whole/);
    expect(() => tree.replace('model.layers.9.mlp', other)).toThrow(/has no module/);
    expect(() => tree.replace(query, new (class Empty extends nn.Module {})())).toThrow(/needs forward/);
    expect(() => tree.dispose()).toThrow(/belong to the model/);
    const before = await logits();
    const base = tree.replace(query, other);
    await expect(model.recompile()).rejects.toThrow(expect.objectContaining({ code: 'shape_mismatch' }));
    expect(difference(await logits(), before)).toBe(0); // the plans from before go on
    const width = (base as nn.QuantizedLinear).weight.shape[1] ?? 0;
    tree.replace(query, new nn.Linear(width, 1));
    await expect(model.recompile()).rejects.toThrow(
      /Linear at model.layers.0.self_attn.q_proj makes .* the model needs/,
    );
    tree.replace(query, base);
    await model.recompile();
    expect(await tokens()).toEqual(golden.continuation);
  });
});
