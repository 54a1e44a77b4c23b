// The steps of the scheduler, with a runner whose steps end when the test says so, over a real paged cache.

import { describe, expect, it } from 'vitest';
import { PagedCache } from '../cache/paged.ts';
import { openJsDevice } from '../device/js/device.ts';
import { attentionSpec, convolutionSpec, type LayerSpec } from '../nn/contracts.ts';
import type { TokenConstraint } from './constraint.ts';
import type { GenerateOptions, GenerateProgress } from './job.ts';
import type { GeneratedToken, Runner, StepPart } from './runner.ts';
import { Scheduler } from './scheduler.ts';

interface Step {
  readonly parts: readonly StepPart[];
  /** Rows of each part. */
  readonly rows: readonly number[];
  /** Ends it with these samples, by default 100 + the place of the sample. */
  end(ids?: readonly number[], logprob?: number): Promise<void>;
  fail(error: Error): Promise<void>;
}

const settle = (): Promise<void> => new Promise((resume) => setImmediate(resume));

const newProgress = (): GenerateProgress => ({
  promptTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
  queueMs: 0,
  prefillMs: 0,
  decodeMs: 0,
  stopReason: undefined,
});

interface Setup {
  readonly pages?: number;
  readonly maxSequences?: number;
  readonly exact?: boolean;
  readonly chunk?: number;
  readonly layers?: readonly LayerSpec[];
}

const oneLayer = [attentionSpec({ numKvHeads: 1, headDim: 4 })];

function scripted({
  pages = 64,
  maxSequences = 4,
  exact = false,
  chunk = 80,
  layers = oneLayer,
}: Setup = {}) {
  const steps: Step[] = [];
  const runner: Pick<Runner, 'chunk' | 'submit'> = {
    chunk,
    submit: (parts) =>
      new Promise<readonly GeneratedToken[]>((resolve, reject) => {
        const samples = parts.filter((p) => p.sample !== undefined).length;
        steps.push({
          parts,
          rows: parts.map((p) => p.rows),
          end: (ids, logprob = -1) => {
            resolve(
              Array.from({ length: samples }, (_, i) => ({ id: ids?.[i] ?? 100 + i, logprob, top: [] })),
            );
            return settle();
          },
          fail: (error) => {
            reject(error);
            return settle();
          },
        });
      }),
  };
  const cache = new PagedCache(openJsDevice(), layers, {
    pages,
    contextLength: 320,
    maxSequences,
    dtype: 'f32',
  });
  const scheduler = new Scheduler({
    runner: runner as Runner,
    cache,
    contextLength: 320,
    vocabSize: 1000,
    eosTokenIds: new Set([2]),
    maxSequences,
    exact,
  });
  /** Reads a generation to its end; resolves to its tokens, or rejects. */
  const run = (prompt: readonly number[], options: GenerateOptions = {}) => {
    const progress = newProgress();
    const tokens: number[] = [];
    const done = (async () => {
      for await (const { id } of scheduler.generate(prompt, { seed: 1, ...options }, progress))
        tokens.push(id);
      return tokens;
    })();
    done.catch(() => undefined);
    return { progress, tokens, done };
  };
  return { steps, cache, scheduler, run };
}

const prompt = (length: number, first = 10): number[] => Array.from({ length }, (_, i) => first + i);

/** A token that no other sample is. */
const sampleOf = (step: number, place: number): number => 400 + 2 * step + place;

/** The parts of steps that ended with `sampleOf`, and the tokens of their rows. */
const rowsRun = (steps: readonly Step[]) =>
  steps.flatMap(({ parts }, i) =>
    parts.map((part) => ({
      part,
      tokens: 'from' in part.ids ? [sampleOf(i - 1, part.ids.from)] : part.ids,
    })),
  );

describe('steps', () => {
  it('queue the next one before the last has ended, with its token still to come, and none beyond the limit', async () => {
    const { steps, run } = scripted();
    const { tokens, done, progress } = run(prompt(3), { maxTokens: 3 });
    await settle();
    expect(steps.map((s) => s.rows)).toEqual([[3], [1]]);
    expect(steps[1]?.parts[0]).toMatchObject({ ids: { from: 0 }, sample: { step: 1 } });
    await steps[0]?.end([500]);
    expect(tokens).toEqual([500]);
    expect(steps).toHaveLength(3);
    await steps[1]?.end([501]);
    await steps[2]?.end([502]);
    expect(await done).toEqual([500, 501, 502]);
    expect(steps).toHaveLength(3);
    expect(progress).toMatchObject({ promptTokens: 3, generatedTokens: 3, stopReason: 'length' });
  });

  it('hold every generation that waits for a token beside a piece of a prompt', async () => {
    const { steps, run } = scripted({ chunk: 50 });
    run(prompt(3));
    run(prompt(4));
    await settle();
    expect(steps.map((s) => s.rows)).toEqual([
      [3, 4],
      [1, 1],
    ]);
    run(prompt(120, 200));
    for (let i = 0; i < 4; i++) await steps[i]?.end();
    expect(steps.slice(2).map((s) => s.rows)).toEqual([
      [1, 1, 50],
      [1, 1, 50],
      [1, 1, 20],
      [1, 1, 1],
    ]);
    expect(steps[4]?.parts.map((p) => p.ids)).toEqual([{ from: 0 }, { from: 1 }, prompt(20, 300)]);
    expect(steps[5]?.parts.map((p) => p.ids)).toEqual([{ from: 0 }, { from: 1 }, { from: 2 }]);
    expect(steps[3]?.parts.map((p) => p.sample === undefined)).toEqual([false, false, true]);
  });

  it('never end a prompt with a piece of one row', async () => {
    const { steps, run } = scripted({ chunk: 50 });
    run(prompt(101));
    await settle();
    await steps[0]?.end();
    expect(steps.map((s) => s.rows)).toEqual([[50], [49], [2]]);
  });

  it('end a generation at an end-of-text token, and drop what was in flight', async () => {
    const { steps, run, cache } = scripted();
    const { done, progress } = run(prompt(3));
    await settle();
    await steps[0]?.end([7]);
    await steps[1]?.end([2]);
    expect(await done).toEqual([7]);
    expect(progress.stopReason).toBe('eos');
    expect(cache.bytesUsed).toBe(0);
    await steps[2]?.end([9]);
    expect(steps).toHaveLength(3);
  });

  it('that fail end the generations in them, and no others', async () => {
    const { steps, run, cache } = scripted();
    const first = run(prompt(3));
    await settle();
    const second = run(prompt(4));
    await steps[0]?.fail(new Error('broken'));
    await expect(first.done).rejects.toThrow('broken');
    await steps[1]?.fail(new Error('fed by a broken step'));
    for (let i = 2; i < steps.length; i++) await steps[i]?.end([2]);
    expect(await second.done).toEqual([]);
    expect(cache.bytesUsed).toBe(0);
  });

  it('tell of a row without a token in its generation alone', async () => {
    const { steps, run } = scripted();
    const [bad, good] = [run(prompt(3)), run(prompt(3, 50), { maxTokens: 1 })];
    await settle();
    const [step] = steps;
    await step?.end([0, 9], Number.NaN);
    await expect(bad.done).rejects.toThrow(/logits with NaN/);
    await expect(good.done).rejects.toThrow(/logits with NaN/);
  });
});

describe('constraints', () => {
  const only = (allowed: readonly number[], log: string[]): TokenConstraint => ({
    fill: (mask) => {
      log.push('fill');
      for (const id of allowed) mask[id >> 5] = (mask[id >> 5] ?? 0) | (1 << (id & 31));
      return true;
    },
    accept: (id) => log.push(`accept ${id}`),
    dispose: () => log.push('dispose'),
  });

  it('are asked once for each token, when the one before is known, while others run ahead', async () => {
    const { steps, run } = scripted();
    const log: string[] = [];
    run(prompt(3));
    const { done } = run(prompt(3, 50), { maxTokens: 2, constraint: only([5, 40], log) });
    await settle();
    expect(steps.map((s) => s.rows)).toEqual([[3, 3], [1]]);
    expect(steps[0]?.parts[1]?.sample?.mask?.slice(0, 3)).toEqual(Int32Array.of(32, 256, 0));
    await steps[0]?.end([7, 5]);
    expect(steps[2]?.rows).toEqual([1, 1]);
    expect(steps[2]?.parts[1]?.ids).toEqual([5]);
    expect(log).toEqual(['fill', 'accept 5', 'fill']);
    await steps[1]?.end();
    await steps[2]?.end([8, 40]);
    expect(await done).toEqual([5, 40]);
    expect(log).toEqual(['fill', 'accept 5', 'fill', 'accept 40', 'dispose']);
  });

  it('that get ready for their next token take longer than others', async () => {
    const { steps, run, scheduler } = scripted();
    const log: string[] = [];
    const ready: { resolve: () => void; reject: (reason: Error) => void }[] = [];
    const slow = {
      ...only([5], log),
      prepare: () => new Promise<void>((resolve, reject) => void ready.push({ resolve, reject })),
    };
    const { done } = run(prompt(3), { constraint: slow });
    run(prompt(4, 50));
    await settle();
    expect(steps.map((s) => s.rows)).toEqual([[4], [1]]);
    ready[0]?.resolve();
    await settle();
    await steps[0]?.end();
    expect(steps[2]?.rows).toEqual([1, 3]);
    await steps[1]?.end();
    await steps[2]?.end([9, 5]);
    // Its token is known, but not yet what may follow it.
    expect(steps[3]?.rows).toEqual([1]);
    expect(log).toEqual(['fill', 'accept 5']);
    ready[1]?.reject(new Error('too many states'));
    await expect(done).rejects.toThrow('too many states');
    expect(log).toEqual(['fill', 'accept 5', 'dispose']);
    expect(scheduler.status()).toMatchObject({ running: 1, queued: 0 });
  });

  it('end their generation when they fail or allow nothing, and are disposed when the request is refused', async () => {
    const { steps, run } = scripted();
    const log: string[] = [];
    const broken = {
      ...only([], log),
      fill: () => {
        throw new Error('no such rule');
      },
    };
    await expect(run(prompt(3), { constraint: broken }).done).rejects.toThrow('no such rule');
    expect(log).toEqual(['dispose']);
    const { done } = run(prompt(3), { constraint: only([], log) });
    await settle();
    await steps[0]?.end([0], Number.NEGATIVE_INFINITY);
    await expect(done).rejects.toThrow(/the constraint allows none/);
    await expect(run([], { constraint: only([], log) }).done).rejects.toThrow(/prompt is empty/);
    expect(log).toEqual(['dispose', 'fill', 'dispose', 'dispose']);
  });
});

describe('room', () => {
  it('goes to generations in their order; the others wait', async () => {
    const { steps, run, scheduler } = scripted({ maxSequences: 2 });
    const runs = [3, 4, 5].map((n) => run(prompt(n, n * 100), { maxTokens: 1 }));
    await settle();
    expect(steps.map((s) => s.rows)).toEqual([[3, 4]]);
    expect(scheduler.status()).toMatchObject({ running: 2, queued: 1 });
    await steps[0]?.end();
    expect(steps[1]?.rows).toEqual([5]);
    await steps[1]?.end();
    expect(await Promise.all(runs.map((r) => r.done))).toEqual([[100], [101], [100]]);
  });

  it('is taken from the youngest when the cache is full, who goes on where he was', async () => {
    const { steps, run, scheduler, cache } = scripted({ pages: 10 });
    const runs = [run(prompt(150), { maxTokens: 60 }), run(prompt(94, 300), { maxTokens: 60 })];
    await settle();
    let waited = 0;
    for (let i = 0; i < steps.length; i++) {
      const samples = steps[i]?.parts.length ?? 0;
      await steps[i]?.end(Array.from({ length: samples }, (_, at) => sampleOf(i, at)));
      waited += scheduler.status().queued;
    }
    const said = await Promise.all(runs.map((r) => r.done));
    expect(said.map((tokens) => tokens.length)).toEqual([60, 60]);
    expect(waited).toBeGreaterThan(0);
    expect(cache.bytesUsed).toBe(0);
    const all = [
      [...prompt(150), ...(said[0] ?? [])],
      [...prompt(94, 300), ...(said[1] ?? [])],
    ];
    for (const { part, tokens } of rowsRun(steps)) {
      const start = all.findIndex((own) => own.join().includes(tokens.join()));
      expect(start, `${tokens} of ${part.rows} rows is a piece of a generation`).toBeGreaterThanOrEqual(0);
    }
  });

  it('is given back at once by a generation that is aborted: waiting, in its prompt, or with a token to come', async () => {
    const { steps, run, scheduler, cache } = scripted({ maxSequences: 2 });
    const controllers = [0, 1, 2].map(() => new AbortController());
    const runs = controllers.map(({ signal }, i) => run(prompt(90, i * 100 + 10), { signal }));
    await settle();
    expect(scheduler.status()).toMatchObject({ running: 2, queued: 1 });
    for (const [i, at] of [2, 1, 0].entries()) {
      const reason = new Error(`enough ${i}`);
      controllers[at]?.abort(reason);
      await expect(runs[at]?.done).rejects.toBe(reason);
      expect(runs[at]?.progress.stopReason).toBe('aborted');
    }
    expect(cache.bytesUsed).toBe(0);
    expect(scheduler.status()).toMatchObject({ running: 0, queued: 0 });
    for (const step of steps) await step.end();
    const { available, size } = cache.groups[0]?.pool ?? { available: -1, size: 0 };
    expect(available).toBe(size);
  });

  it('is lent to sequences of others in their turn', async () => {
    const { steps, run, scheduler, cache } = scripted({ pages: 10 });
    const first = run(prompt(200), { maxTokens: 1 });
    const order: string[] = [];
    const lease = scheduler.withSequence(300, undefined, async (sequence) => {
      order.push(`lent ${sequence.extend(300) && sequence.length}`);
    });
    const after = run(prompt(4), { maxTokens: 1 });
    await settle();
    expect(steps).toHaveLength(2);
    for (let i = 0; i < 3; i++) {
      await steps[i]?.end();
      await settle();
    }
    await Promise.all([first.done, lease]);
    order.push('after');
    for (const step of steps) await step.end();
    await after.done;
    expect(order).toEqual(['lent 300', 'after']);
    expect(cache.bytesUsed).toBe(0);
    const reason = new Error('not any more');
    const aborted = scheduler.withSequence(3, AbortSignal.abort(reason), async () => undefined);
    await expect(aborted).rejects.toBe(reason);
  });
});

describe('prefixes', () => {
  it('of earlier prompts are not run again, by whole pages', async () => {
    const { steps, run, scheduler } = scripted();
    const first = run(prompt(70), { maxTokens: 1 });
    await settle();
    await steps[0]?.end();
    await first.done;
    const second = run([...prompt(66), 5, 6], { maxTokens: 1 });
    await settle();
    expect(steps[1]?.rows).toEqual([4]);
    expect(steps[1]?.parts[0]?.ids).toEqual([74, 75, 5, 6]);
    await steps[1]?.end();
    await second.done;
    expect(second.progress.cachedTokens).toBe(64);
    expect(scheduler.status().prefix).toMatchObject({ hits: 1, hitTokens: 64 });
  });

  it('of models with windows and states go on from the last checkpoint: a second turn, and a prompt that turns off earlier', async () => {
    const heads = { numKvHeads: 1, headDim: 4 };
    const layers = [attentionSpec(heads), attentionSpec({ ...heads, window: 40 }), convolutionSpec(4, 3)];
    const { steps, run } = scripted({ layers, chunk: 40 });
    /** Runs to the end; resolves to the answer and what was known of the prompt. */
    const turn = async (tokens: readonly number[], maxTokens: number) => {
      const { progress, done } = run(tokens, { maxTokens });
      const before = steps.length;
      await settle();
      for (let i = before; i < steps.length; i++) await steps[i]?.end([300 + i]);
      return { answer: await done, known: progress.cachedTokens };
    };
    const asked = prompt(150);
    const first = await turn(asked, 50);
    expect(first.known).toBe(0);
    const second = await turn([...asked, ...first.answer, 7, 8, 9], 1);
    expect(second.known).toBe(192);
    const other = await turn([...asked.slice(0, 140), 5, 6], 1);
    expect(other.known).toBe(128);
  });

  it('end with the prompt where generations must round alike', async () => {
    for (const exact of [false, true]) {
      const { steps, run } = scripted({ exact });
      const first = run(prompt(40), { maxTokens: 60 });
      await settle();
      for (let i = 0; i < 60; i++) await steps[i]?.end([200 + i]);
      const said = [...prompt(40), ...(await first.done)];
      const { progress, done } = run(said, { maxTokens: 1 });
      await settle();
      for (const step of steps) await step.end();
      await done;
      expect(progress.cachedTokens).toBe(exact ? 32 : 96);
    }
  });
});

describe('close', () => {
  it('waits for what runs and waits, and refuses what comes later', async () => {
    const { steps, run, scheduler } = scripted({ maxSequences: 1 });
    const runs = [run(prompt(3), { maxTokens: 1 }), run(prompt(4), { maxTokens: 1 })];
    let closed = false;
    const close = scheduler.close().then(() => {
      closed = true;
    });
    await settle();
    await steps[0]?.end();
    expect(closed).toBe(false);
    await steps[1]?.end();
    await close;
    await Promise.all(runs.map((r) => r.done));
    await expect(run(prompt(2)).done).rejects.toThrow(/disposed/);
  });
});
