import { describe, expect, it } from 'vitest';
import { allPatterns, type PatternSet } from '../array/patterns.ts';
import { type Capsule, capsuleVersion } from './capsule.ts';
import { LogitComparison } from './logits.ts';
import { firstDifference } from './measure.ts';
import { validationPrompts, validationTokens } from './prompts.ts';
import { parseCapsule, renderMarkdown, renderSvg } from './report.ts';
import { type PatchTarget, patchTarget } from './target.ts';
import { type ComparableModel, type ComparedSide, compareSides } from './validate.ts';

const vocab = 8;

/** Continues with the last token + 1; a broken one says something else as token `wrongAt`, a flighty one in every other run. */
function modelOf({
  wrongAt,
  flighty = false,
  offset = 0,
}: {
  wrongAt?: number;
  flighty?: boolean;
  offset?: number;
}): ComparableModel {
  let runs = 0;
  const none: PatternSet = new Set();
  const target: PatchTarget = {
    patterns: allPatterns,
    counts: { rope_kv: 2 },
    dispatches: 5,
    defaults: none,
    place: { device: 'test', family: 'f', shape: 's' },
    records: undefined,
    device: 'a device',
    busy: 0,
    peakBytes: 10,
    use: async () => undefined,
    keepOnly: () => undefined,
  };
  return {
    info: { name: 'm', family: 'f', contextLength: 64, format: 'GGUF Q4_0' },
    hasTokenizer: false,
    tokenizer: { encode: (text) => [...text].map((c) => c.charCodeAt(0) % vocab) },
    generate(tokens, { maxTokens }) {
      const own = runs++;
      const ids = Array.from({ length: maxTokens }, (_, i) => {
        const off = i === wrongAt || (flighty && own % 2 === 1 && i === 1) ? 3 : 0;
        return ((tokens.at(-1) ?? 0) + 1 + i + off) % vocab;
      });
      const logprobs = ids.map((id) => ({
        id,
        logprob: -0.5,
        top: [
          { id, logprob: -0.5 },
          { id: 0, logprob: -2 },
        ],
      }));
      return {
        stats: { prefillMs: 2, decodeMs: 4, generatedTokens: maxTokens, logprobs },
        async *[Symbol.asyncIterator]() {
          yield* ids;
        },
      };
    },
    logits: async (tokens) => ({
      data: Float32Array.from(
        { length: tokens.length * vocab },
        (_, i) => Math.sin(i) + (i === 0 ? offset : 0),
      ),
      shape: [tokens.length, vocab],
    }),
    [patchTarget]: target,
  };
}

const sideOf = (label: string, model: ComparableModel): ComparedSide => ({
  label,
  model,
  device: 'a device',
  precision: 'exact',
  prepare: async () => undefined,
});

const compared = (
  a: Parameters<typeof modelOf>[0],
  b: Parameters<typeof modelOf>[0],
  promises: Parameters<typeof compareSides>[2]['promises'] = { tokens: true, maxAbs: 0.1, top1: 0.9 },
) =>
  compareSides(sideOf('plain', modelOf(a)), sideOf('fused', modelOf(b)), {
    prompts: [[1, 2], 'text', [3]],
    tokens: 5,
    rounds: 3,
    promises,
  });

describe('comparing two ways to run a model', () => {
  it('finds no difference where there is none', async () => {
    const found = await compared({}, {});
    expect(found.passed).toBe(true);
    expect(found.prompts).toEqual(
      [2, 4, 1].map((promptTokens) => ({ promptTokens, tokens: 5, equal: 5, margin: undefined })),
    );
    expect(found.logits).toMatchObject({ rows: 6 + 8 + 5, maxAbs: 0, top1: 1, kl: 0 });
    expect(found.decode).toMatchObject({ reference: { median: 1000 }, ratio: { median: 1, min: 1, max: 1 } });
    expect(found.prefill.other.median).toBe(1167);
    expect(found.reference).toMatchObject({ label: 'plain', dispatches: 5, patternCounts: { rope_kv: 2 } });
    expect(found.promises.map((p) => p.held)).toEqual([true, true, true, true, true]);
  });

  it('says where tokens go apart, and how sure the reference was', async () => {
    const found = await compared({}, { wrongAt: 3, offset: 0.5 });
    expect(found.passed).toBe(false);
    expect(found.prompts[0]).toEqual({ promptTokens: 2, tokens: 5, equal: 3, margin: 1.5 });
    expect(found.promises.filter((p) => !p.held)).toEqual([
      {
        what: 'every token is the same',
        held: false,
        found: '3 of 3 prompts go apart, the first after 3 tokens',
      },
      { what: 'logits differ by 0.1 at most', held: false, found: '0.500 over 19 rows' },
    ]);
    const near = await compared({}, { wrongAt: 3 }, { margin: 1 });
    expect(near.promises.at(-1)).toMatchObject({
      held: false,
      found: '3 of 3 prompts go apart, at margins up to 1.50',
    });
    expect((await compared({}, { wrongAt: 3 }, { margin: 2 })).passed).toBe(true);
    expect((await compared({}, { wrongAt: 3 }, {})).passed).toBe(true);
  });

  it('compares every run: one that is not steady fails without any promise', async () => {
    const found = await compared({}, { flighty: true }, {});
    expect(found.promises).toEqual([
      {
        what: 'plain gives the same tokens every time',
        held: true,
        found: '3 of 3 further runs are as the first',
      },
      expect.objectContaining({ what: 'fused gives the same tokens every time', held: false }),
    ]);
  });

  it('refuses models of different vocabularies', async () => {
    const other: ComparableModel = {
      ...modelOf({}),
      logits: async (tokens) => ({ data: new Float32Array(tokens.length * 3), shape: [tokens.length, 3] }),
    };
    const work = compareSides(sideOf('a', modelOf({})), sideOf('b', other), {
      prompts: [[1]],
      tokens: 2,
      rounds: 1,
      promises: {},
    });
    await expect(work).rejects.toThrow('m has 8 logits and m has 3: they have different vocabularies');
  });
});

it('logits: differences, agreement and divergence', () => {
  const comparison = new LogitComparison();
  expect(comparison.result()).toBeUndefined();
  comparison.add(Float32Array.of(0, Math.log(3)), Float32Array.of(0, 0));
  comparison.add(Float32Array.of(1, 0), Float32Array.of(0, 1));
  const result = comparison.result();
  expect(result).toMatchObject({ rows: 2, top1: 0 });
  expect(result?.maxAbs).toBeCloseTo(Math.log(3), 6);
  const first = 0.25 * Math.log(0.25 / 0.5) + 0.75 * Math.log(0.75 / 0.5);
  const p = Math.E / (1 + Math.E);
  expect(result?.kl).toBeCloseTo((first + (2 * p - 1)) / 2, 6);
  comparison.add(Float32Array.of(Number.NaN), Float32Array.of(0));
  expect(comparison.result()?.maxAbs).toBe(Number.POSITIVE_INFINITY);
});

it('the first difference counts what is missing, too', () => {
  expect(firstDifference([1, 2], [1, 2])).toBeUndefined();
  expect(firstDifference([1, 2], [1])).toBe(1);
});

it('has twenty prompts, and as many for models without a tokenizer', () => {
  expect(new Set(validationPrompts).size).toBe(20);
  expect(validationTokens(50, 4)).toEqual(validationTokens(50, 4));
  expect(
    validationTokens(50, 4)
      .flat()
      .every((t) => t >= 0 && t < 50),
  ).toBe(true);
});

describe('a capsule', () => {
  const make = async (): Promise<Capsule> => ({
    capsule: capsuleVersion,
    ingot: '1.2.3',
    node: 'v20',
    date: '2026-01-01T00:00:00.000Z',
    machine: { platform: 'linux x64', cpu: 'a <CPU>', cores: 2, memoryBytes: 8e9 },
    ...(await compared({}, { wrongAt: 3 })),
    memory: { referenceBytes: 1e6, otherBytes: 2e6, shared: false, processBytes: 3e8 },
  });

  it('renders as markdown and as a picture', async () => {
    const capsule = parseCapsule(JSON.stringify(await make()), 'c.json');
    const markdown = renderMarkdown(capsule);
    expect(markdown).toContain('# m: fused against plain\n\n**Failed**. Ingot 1.2.3');
    expect(markdown).toContain('| every token is the same | **no** | 3 of 3 prompts go apart');
    expect(markdown).toContain('| decode, tokens/s | 1000 (1000-1000) | 1000 (1000-1000) | 1 (1-1) |');
    expect(markdown).toContain('| 1 | 3 of 5 | 1.50 |');
    expect(markdown).toContain('| rope_kv | 2 | 2 |');
    const svg = renderSvg({ ...capsule, other: { ...capsule.other, label: '<b>' } });
    expect(svg).toContain('m: &lt;b&gt; against plain');
    expect(svg).not.toMatch(/NaN|undefined|<b>/);
    expect(svg.match(/<rect/g)).toHaveLength(4 + 2 * capsule.prompts.length);
  });

  it('is refused when it is none', () => {
    expect(() => parseCapsule('{', 'c.json')).toThrow(/^c.json is no capsule of ingot validate: /);
    expect(() => parseCapsule('{}', 'c.json')).toThrow(/it has no "capsule"/);
    expect(() => parseCapsule('{"capsule":9}', 'c.json')).toThrow(
      /it has version 9, and this is read up to version 1/,
    );
    expect(() => parseCapsule('{"capsule":1}', 'c.json')).toThrow(/"machine" is missing/);
  });
});
