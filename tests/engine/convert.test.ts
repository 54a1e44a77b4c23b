// ingot convert and quantize from the command line to the logits of what they wrote: through every kind of file in turn.

import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { env } from '../../src/base/env.ts';
import { realEngine } from '../../src/cli/engine.ts';
import { runCli } from '../../src/cli/run-cli.ts';
import { load } from '../../src/engine/load.ts';
import type { DecoderConfig } from '../../src/models/config/decoder.ts';
import { parseModel } from '../../src/models/registry.ts';
import { fastRms, rms } from '../models/compare.ts';
import { readGolden } from '../models/goldens.ts';

const golden = readGolden('llama3-gqa');
const place = mkdtempSync(join(tmpdir(), 'ingot-convert-'));
const source = join(place, 'source');
const at = (name: string): string => join(place, name);

/** As many tokens as the model has rows, each a byte that is shown as itself. */
const letters = Array.from({ length: 223 }, (_, i) => 33 + i)
  .filter((code) => code < 127 || (code > 160 && code !== 173))
  .slice(0, golden.vocab)
  .map((code) => String.fromCharCode(code));
const tokenizer = {
  version: '1.0',
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: 'ByteLevel' },
  model: {
    type: 'BPE',
    vocab: Object.fromEntries(letters.map((letter, i) => [letter, i])),
    merges: [],
  },
};

beforeAll(() => {
  cpSync(fileURLToPath(new URL('../goldens/models/llama3-gqa', import.meta.url)), source, {
    recursive: true,
  });
  writeFileSync(join(source, 'tokenizer.json'), JSON.stringify(tokenizer));
  writeFileSync(join(source, 'tokenizer_config.json'), '{}');
});
afterAll(() => rmSync(place, { recursive: true }));

/** Runs a command; gives what it printed. */
async function ingot(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const written = { out: '', err: '' };
  const output = (stream: 'out' | 'err') => ({
    write: (text: string) => {
      written[stream] += text;
    },
    isTTY: false,
    columns: 80,
  });
  const code = await runCli(args, {
    engine: realEngine,
    stdout: output('out'),
    stderr: output('err'),
    stdin: process.stdin,
    env,
    signal: new AbortController().signal,
    version: '0.0.0',
  });
  return { code, ...written };
}

const tokens = golden.tokens.slice(0, 8);
async function logits(path: string): Promise<Float32Array> {
  await using model = await load(path, {
    device: 'js',
    precision: 'exact',
    maxSequences: 1,
    contextLength: 32,
  });
  expect(model.tokenizer.encode('AB')).toEqual([...'AB'].map((letter) => letters.indexOf(letter)));
  return (await model.logits(tokens)).data;
}
const apart = (a: Float32Array, b: Float32Array): number => rms(a.map((x, i) => x - (b[i] ?? 0)));

describe('ingot convert', () => {
  it('goes through every kind of file and loses nothing', async () => {
    const want = await logits(source);
    let from = source;
    for (const [kind, name] of [
      ['gguf', 'a.gguf'],
      ['mlx', 'b'],
      ['safetensors', 'c'],
      ['packed', 'd.ingot'],
      ['gguf', 'e.gguf'],
    ] as const) {
      const { code, out, err } = await ingot('convert', from, '--to', kind, '--out', at(name));
      expect([code, err]).toEqual([0, expect.any(String)]);
      expect(out).toContain(at(name));
      from = at(name);
      expect(apart(await logits(from), want)).toBeLessThan(1e-5 * golden.largestLogit);
    }
  });
});

describe('ingot quantize', () => {
  const { config } = parseModel(golden.config, 'golden');
  // Twice what rounding to 8 bits typically costs; to others: a step there is 1 / 127 of the largest value.
  const bound = (bits: number, want: Float32Array): number =>
    (2 * fastRms(config as DecoderConfig, rms(want)) * 127) / (2 ** (bits - 1) - 1);

  it.each([
    ['q8_0', 8, 'q8.gguf'],
    ['q4_0', 4, 'q4.gguf'],
    ['affine4', 4, 'affine'],
    ['mxfp8', 5, 'mxfp8'],
    ['fp8', 5, 'fp8'],
    ['nf4', 4, 'nf4'],
  ] as const)('to %s gives logits within the error of %i bits', async (to, bits, name) => {
    const more = to === 'affine4' ? ['--group-size', '32'] : [];
    const { code, out } = await ingot('quantize', source, '--to', to, '--out', at(name), '--json', ...more);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ path: at(name), bitsPerWeight: expect.any(Number) });
    const want = await logits(source);
    const error = apart(await logits(at(name)), want);
    expect(error).toBeGreaterThan(1e-6);
    expect(error).toBeLessThan(bound(bits, want));
  });

  it('spends bits where the predictions depend on them', async () => {
    const text = at('text');
    writeFileSync(text, Array.from({ length: 60 }, (_, i) => letters[(i * 37) % letters.length]).join(''));
    const measured = ['--to', 'mlx', '--group-size', '32', '--calibration', text, '--json'];
    const run = async (bits: number, name: string) => {
      const args = ['quantize', source, '--bits-per-weight', `${bits}`, '--out', at(name), ...measured];
      const { code, out, err } = await ingot(...args);
      expect([code, err]).toEqual([0, expect.any(String)]);
      return JSON.parse(out);
    };
    const [few, many] = [await run(6, 'six'), await run(9, 'nine')];
    expect(few.bitsPerWeight).toBeLessThanOrEqual(6);
    expect(many.bitsPerWeight).toBeLessThanOrEqual(9);
    expect(many.bitsPerWeight).toBeGreaterThan(few.bitsPerWeight);
    expect(few.choices).toContainEqual({
      name: 'model.embed_tokens.weight',
      format: expect.stringMatching(/^mlx\d\/32/),
      kl: expect.any(Number),
    });
    const want = await logits(source);
    const [more, less] = [apart(await logits(at('six')), want), apart(await logits(at('nine')), want)];
    expect(less).toBeLessThan(more);
    const low = await ingot('quantize', source, '--bits-per-weight', '2', '--out', at('none'), ...measured);
    expect(low.err).toMatch(/2 bits per weight are too few: the smallest formats take \d\.\d\d/);
  });

  it('and eval says how far the copy is from its source', async () => {
    const [copy, text] = [at('affine'), at('text')];
    const own = await ingot(
      'eval',
      source,
      '--against',
      source,
      '--text',
      text,
      '--json',
      '--precision',
      'exact',
    );
    expect(JSON.parse(own.out).against).toMatchObject({ meanKl: expect.closeTo(0, 6), topAgreement: 1 });
    const { out } = await ingot(
      'eval',
      copy,
      '--against',
      source,
      '--text',
      text,
      '--json',
      '--precision',
      'exact',
    );
    const { against, perplexity } = JSON.parse(out);
    expect(against.perplexity).toBeCloseTo(JSON.parse(own.out).perplexity, 6);
    expect(against.meanKl).toBeGreaterThan(1e-4);
    const exactly = ['--text', text, '--json', '--precision', 'exact'];
    const single = await ingot('eval', source, ...exactly, '--rows', '1');
    expect(JSON.parse(single.out).perplexity / against.perplexity).toBeCloseTo(1, 5);
    expect((await ingot('eval', source, ...exactly, '--rows', '65')).err).toContain(
      'rows must be an integer from 1 to 64, got 65',
    );
    // KL is what the source's own text would lose on average.
    expect(Math.abs(Math.log(perplexity / against.perplexity))).toBeLessThan(20 * against.meanKl);
  });

  it('refuses what it cannot do, and leaves nothing', async () => {
    const before = readdirSync(place);
    expect((await ingot('quantize', source, '--to', 'q9_9')).err).toContain(
      'no format "q9_9"; use one of affine2',
    );
    const twice = await ingot('convert', source, '--to', 'mlx', '--out', source);
    expect(twice).toMatchObject({ code: 1, err: expect.stringContaining('exists; remove it') });
    expect(readdirSync(place)).toEqual(before);
  });
});
