// patch, unpatch and smartPatch on a tiny mixture of experts, and on functions that compile takes.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NDArray } from '../../src/array/array.ts';
import { compile } from '../../src/array/compile.ts';
import { setDefaultDevice } from '../../src/array/context.ts';
import { fromData } from '../../src/array/creation.ts';
import { allPatterns, namesIn, type PatternName } from '../../src/array/patterns.ts';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { openJsDevice } from '../../src/device/js/device.ts';
import { load } from '../../src/engine/load.ts';
import type { Model } from '../../src/engine/types.ts';
import * as nn from '../../src/nn/index.ts';
import {
  advised,
  mergeRecords,
  type PatternRecord,
  recordsIn,
  shippedRecords,
} from '../../src/patch/book.ts';
import { fileRecords } from '../../src/patch/book-file.ts';
import { patch, unpatch } from '../../src/patch/patch.ts';
import { smartPatch } from '../../src/patch/smart.ts';
import { targetOf } from '../../src/patch/target.ts';
import { compare } from '../../src/testing/allclose.ts';
import { readGolden } from '../models/goldens.ts';

const golden = readGolden('qwen3-moe');
const folder = fileURLToPath(new URL('../goldens/models/qwen3-moe', import.meta.url));
const device = addonPath() === undefined ? 'js' : 'cpu';

async function greedy(model: Model, maxTokens = golden.continuation.length): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of model.generate(golden.tokens, { maxTokens, ignoreEos: true, temperature: 0 }))
    tokens.push(token);
  return tokens;
}

const failure = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'did not fail',
    (error: Error) => error.message,
  );

describe(`a model on ${device}`, () => {
  let model: Model;
  let plain: Model;
  beforeAll(async () => {
    const options = { device, precision: 'exact', contextLength: 128 } as const;
    model = await load(folder, options);
    plain = await load(folder, { ...options, patterns: [] });
  });
  beforeEach(() => unpatch(model));
  afterAll(() => {
    model.dispose();
    plain.dispose();
  });

  it('runs the fusions it is patched with, which change no token, and reports them', async () => {
    const before = targetOf(model).dispatches;
    const patched = await patch(model, { exclude: ['rope_kv'] });
    expect(await greedy(model)).toEqual(golden.continuation);
    const report = patched.report();
    expect(report.patterns.rope_kv).toBeUndefined();
    expect(report.patterns.moe_mlp).toBeGreaterThan(0);
    expect(report.dispatches?.before).toBe(before);
    expect(report.dispatches?.after).toBeLessThan(before);
    expect(String(report)).toMatch(
      /patterns applied, \d+ -> \d+ dispatches\n {2}take_norm .*nothing found for norms/s,
    );
    await patched.unpatch();
    expect(await greedy(model)).toEqual(golden.continuation);
  });

  it('is the unfused plan again after unpatch', async () => {
    await patch(model);
    await unpatch(model);
    const [again, never] = [model, plain].map(targetOf);
    expect(namesIn(again!.patterns)).toEqual([]);
    expect(again!.counts).toEqual({});
    expect(again!.dispatches).toBe(never!.dispatches);
    const { data } = await model.logits(golden.tokens);
    expect(data).toEqual((await plain.logits(golden.tokens)).data);
  });

  it('is not patched while it is in use, and what is asked of it during a patch waits', async () => {
    const running = greedy(model);
    await Promise.resolve();
    for (const refused of [patch(model), unpatch(model)]) {
      expect(await failure(refused)).toMatch(
        /is in use by 1 generations: (un)?patch it when they have ended$/,
      );
    }
    expect(await running).toEqual(golden.continuation);
    const patched = patch(model, { patterns: ['moe_mlp'] });
    const later = greedy(model);
    await patched;
    expect(await later).toEqual(golden.continuation);
    expect(namesIn(targetOf(model).patterns)).toEqual(['moe_mlp']);
  });

  it.each<[Parameters<typeof patch>[1], RegExp]>([
    [{ patterns: ['moe-mlp' as PatternName] }, /^there is no pattern "moe-mlp"; did you mean moe_mlp\?/],
    [{ exclude: ['norm' as PatternName] }, /^there is no pattern "norm"; did you mean norms\?/],
    [{ patterns: { geglu_mlp: true } }, /^pattern geglu_mlp matches nothing in .* on .*: leave it out/],
    [
      { mode: 'training' },
      /^models of the engine have no gradients, .* patch the function or module that you train/,
    ],
    [{ mode: 'eval' as 'training' }, /^mode must be 'inference' or 'training', got eval/],
  ])('refuses %j and stays as it was', async (options, message) => {
    expect(await failure(patch(model, options))).toMatch(message);
    expect(namesIn(targetOf(model).patterns)).toEqual([]);
    await patch(model);
    expect(await failure(patch(model))).toMatch(/is patched already: take that back with unpatch\(\) first/);
  });

  it('keeps what is faster and token-identical after measuring, and its numbers', async () => {
    const seen: string[] = [];
    const smart = await smartPatch(
      model,
      { prompts: [golden.tokens, golden.tokens.slice(0, 3)], tokens: 4, rounds: 1 },
      { remember: false, exclude: ['linear_norm'], onProgress: (_, __, what) => seen.push(what) },
    );
    expect(seen.slice(-2)).toEqual(['together', 'together']);
    const { evidence, together } = smart;
    expect(evidence.map((e) => e.pattern)).toEqual(seen.slice(0, -2));
    expect(evidence.map((e) => e.pattern)).not.toContain('linear_norm');
    for (const e of evidence) {
      expect(e.tokensEqual, e.pattern).toBe(true);
      expect(e.count, e.pattern).toBeGreaterThan(0);
      expect(e.decode * e.prefill, e.pattern).toBeGreaterThan(0);
    }
    expect(smart.patterns).toEqual(evidence.filter((e) => e.kept).map((e) => e.pattern));
    expect(together.tokens).toBe(8);
    expect(smart.path).toBeUndefined();
    expect(await greedy(model)).toEqual(golden.continuation);
    expect(await failure(patch(model))).toMatch(/is patched already/);
  });

  it('cannot be measured while it is in use, or without prompts', async () => {
    const running = greedy(model);
    await Promise.resolve();
    expect(await failure(smartPatch(model, { prompts: [[1, 2]] }))).toMatch(/is in use by 1 generations/);
    await running;
    expect(await failure(smartPatch(model, { prompts: [] }))).toMatch(
      /prompts must be a list of at least one/,
    );
    expect(await failure(smartPatch(model, { prompts: [[1]], tokens: 0 }))).toMatch(
      /tokens must be an integer/,
    );
    expect(await failure(smartPatch(model, { prompts: [[1]], tokens: 500 }))).toMatch(
      /do not fit the context/,
    );
    const stopped = smartPatch(
      model,
      { prompts: [[1, 2]], tokens: 4 },
      { signal: AbortSignal.abort(new Error('no')) },
    );
    expect(await failure(stopped)).toBe('no');
  });
});

describe('a function or module', () => {
  const js = openJsDevice();
  const inputs = { x: { shape: [2, 8], dtype: 'f32' } } as const;
  const weight = fromData(new Float32Array(8).fill(2), [8], { device: js });
  const normed = (x: NDArray): NDArray => x.mul(x.square().mean(-1, true).add(1e-6).rsqrt()).mul(weight);
  const kernelsOf = (target: Parameters<typeof compile>[0]): readonly string[] =>
    compile(target, { device: js, inputs }).program.dispatches.map((d) => d.kernel.name);

  it('has its plans patched from then on', async () => {
    class Norm {
      forward(x: NDArray): NDArray {
        return normed(x);
      }
    }
    for (const target of [({ x }: { x: NDArray }) => normed(x), new Norm()]) {
      const patched = await patch(target as never, { patterns: ['norms'] });
      expect(kernelsOf(target as never)).toEqual(['rmsNorm']);
      expect(patched.report().patterns).toEqual({ norms: 1 });
      await unpatch(target as never);
      expect(kernelsOf(target as never)).toContain('rsqrt');
    }
  });

  it('is told when a pattern asked for matches nothing', async () => {
    const fn = ({ x }: { x: NDArray }): NDArray => x.add(1);
    await patch(fn, { patterns: ['norms'] });
    expect(() => compile(fn, { device: js, inputs })).toThrow(/pattern norms matches nothing here/);
    expect(compile(fn, { device: js, inputs, patterns: ['norms'] }).patterns).toEqual({});
  });

  it('keeps gradients with the fusions for training', async () => {
    const fn = ({ x }: { x: NDArray }): NDArray => normed(x);
    const { patterns } = await patch(fn, { mode: 'training' });
    expect(patterns).not.toContain('rope_kv');
    expect(patterns).toContain('norms');
  });

  it('of ingot/nn has the patterns of its layers, also in training, and is the written plan after unpatch', async () => {
    class Block extends nn.Module {
      norm = new nn.RMSNorm(32);
      gate = new nn.Linear(32, 64, { bias: false });
      up = new nn.Linear(32, 64, { bias: false });
      down = new nn.Linear(64, 32, { bias: false });
      forward(x: NDArray, r: NDArray): NDArray {
        const h = x.add(r);
        const y = this.norm.forward(h);
        return h.add(this.down.forward(this.gate.forward(y).silu().mul(this.up.forward(y))));
      }
    }
    setDefaultDevice(js);
    const model = new Block();
    const spec = { shape: [2, 32], dtype: 'f32' } as const;
    const planOf = (patterns?: [], of = model) =>
      compile(of, { device: js, inputs: { x: spec, r: spec }, patterns });
    const trained = await patch(model, { mode: 'training', patterns: ['residual_norm', 'elementwise'] });
    const step = await nn.trainingStep(model, {
      optimizer: nn.optim.sgd({ learningRate: 0.1 }),
      inputs: { x: spec, r: spec },
      loss: ({ x, r }) => model.forward(x, r).square().mean(),
      device: js,
    });
    expect(trained.report().patterns).toMatchObject({ residual_norm: 1 });
    step.dispose();
    await unpatch(model);
    expect(planOf().program).toEqual(planOf([]).program);
    const packed = await nn.quantize(new Block(), { bits: 8, groupSize: 32, precision: 'exact' });
    const given = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
    const inputs = {
      x: fromData(given, [2, 32], { device: js }),
      r: fromData(given, [2, 32], { device: js }),
    };
    const written = planOf([], packed);
    const want = await (await written.run({ inputs: { x: given, r: given } }))[0]?.data();
    const smart = await smartPatch(packed, { inputs, device: js, rounds: 1 }, { exclude: ['norms'] });
    expect(smart.evidence.map((e) => e.pattern)).toEqual(
      expect.arrayContaining(['swiglu_mlp', 'linear_norm', 'linear_residual']),
    );
    expect(smart.evidence.filter((e) => !e.equal)).toEqual([]);
    expect(smart.patterns).toEqual(smart.evidence.filter((e) => e.kept).map((e) => e.pattern));
    const got = await (await planOf(undefined, packed).run({ inputs: { x: given, r: given } }))[0]?.data();
    expect(compare(got ?? [], want ?? [], { absolute: 1e-5, relative: 1e-5 })).toMatchObject({ ok: true });
    expect(await failure(patch(packed))).toMatch(/^Block is patched already/);
  });

  it('is refused when it is none', async () => {
    expect(await failure(patch(5 as never))).toBe(
      'patch takes a loaded model, a function or a module with a forward method, got 5',
    );
    await expect(unpatch({} as never)).rejects.toThrow(/^unpatch takes a loaded model/);
  });
});

describe('the book of choices', () => {
  const record = (fields: Partial<PatternRecord>): PatternRecord => ({
    device: 'cpu avx2',
    family: 'llama',
    shape: 'D576 L30 GGUF Q4_1 fast',
    pattern: 'rope_kv',
    fused: false,
    decode: 0.9,
    prefill: 1,
    tokensEqual: true,
    tokens: 64,
    ...fields,
  });
  const place = { device: 'cpu avx512', family: 'llama', shape: 'D2048 L16 GGUF Q4_0 fast' };

  it('advises all, but for what was bad there, and what changed tokens with any model of the family', () => {
    const has = (...records: PatternRecord[]): boolean => advised(place, records).has('rope_kv');
    expect(advised(place, [])).toEqual(allPatterns);
    expect(has(record({}))).toBe(true); // slower with another size on another processor
    expect(has(record({ tokensEqual: false }))).toBe(false);
    expect(has(record({ tokensEqual: false, family: 'qwen3' }))).toBe(true);
    expect(has(record({ tokensEqual: false, device: 'webgpu a' }))).toBe(true);
    expect(has(record({ ...place }))).toBe(false);
    expect(has(record({ tokensEqual: false }), record({ ...place, fused: true }))).toBe(true);
    const here = record({ ...place, fused: true });
    expect(has(...mergeRecords([here], [{ ...here, fused: false }]))).toBe(false);
  });

  it('that ships is whole, and switches nothing off without a reason', () => {
    const records: unknown = JSON.parse(
      readFileSync(new URL('../../src/patch/shipped-records.json', import.meta.url), 'utf8'),
    );
    expect(shippedRecords).toEqual(records);
    for (const { fused, tokensEqual } of shippedRecords) expect(fused).toBe(tokensEqual);
  });

  it('grows on this machine, and takes no harm from a damaged file', () => {
    const cache = mkdtempSync(join(tmpdir(), 'ingot-records-'));
    const path = join(cache, 'deeper', 'patterns.json');
    const store = fileRecords(path);
    expect(store.load()).toEqual([]);
    expect(store.save([record({}), record({ pattern: 'norms' })])).toBe(path);
    store.save([record({ fused: true })]);
    expect(store.load()).toEqual([record({ fused: true }), record({ pattern: 'norms' })]);
    writeFileSync(path, '[{"pattern":"rope_kv"}, 3, {"pattern":"none"}]');
    expect(store.load()).toEqual([]);
    writeFileSync(path, 'not JSON');
    expect(store.load()).toEqual([]);
    rmSync(cache, { recursive: true });
    expect(recordsIn({})).toEqual([]);
  });
});
