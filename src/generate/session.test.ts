// The order of a session's steps, with a runner whose steps end when the test says so.

import { describe, expect, it } from 'vitest';
import type { GeneratedToken, Runner } from './runner.ts';
import { type GenerateProgress, Session } from './session.ts';

interface Step {
  readonly position: number;
  readonly step: number;
  readonly end: (id: number) => void;
  readonly fail: (error: Error) => void;
}

const settle = (): Promise<void> => new Promise((resume) => setImmediate(resume));

const newProgress = (): GenerateProgress => ({
  promptTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
  prefillMs: 0,
  decodeMs: 0,
  stopReason: undefined,
});

/** A session over a runner whose prompts give token 100 at once and whose steps are in `steps` as they are submitted. */
function scripted(): { session: Session; steps: Step[]; prompts: number[][] } {
  const steps: Step[] = [];
  const prompts: number[][] = [];
  const runner: Pick<Runner, 'extend' | 'follow' | 'setContext'> = {
    setContext: () => undefined,
    extend: async (tokens, _start, _settings, options) => {
      prompts.push([...tokens]);
      options?.onRows?.(tokens.length);
      return { id: 100, logprob: 0, top: [] };
    },
    follow: (position, { scalars }) =>
      new Promise<GeneratedToken>((resolve, fail) => {
        const end = (id: number): void => resolve({ id, logprob: 0, top: [] });
        steps.push({ position, step: scalars.step, end, fail });
      }),
  };
  const session = new Session({
    runner: runner as Runner,
    cache: { earliestRewind: () => 0 },
    contextLength: 50,
    vocabSize: 1000,
    eosTokenIds: new Set([2]),
  });
  return { session, steps, prompts };
}

describe('Session', () => {
  it('submits a step before the one that feeds it has ended, and none beyond the limit', async () => {
    const { session, steps } = scripted();
    const tokens = session.generate([1, 1, 1], { maxTokens: 4, seed: 1 }, newProgress());
    expect((await tokens.next()).value?.id).toBe(100);
    expect(steps).toHaveLength(1);
    for (const made of [2, 3]) {
      const token = tokens.next();
      await settle();
      expect(steps).toHaveLength(made);
      steps[made - 2]?.end(100 + made);
      expect((await token).value?.id).toBe(100 + made);
    }
    const last = tokens.next();
    await settle();
    steps[2]?.end(104);
    expect((await last).value?.id).toBe(104);
    expect((await tokens.next()).done).toBe(true);
    expect(steps.map((s) => [s.position, s.step])).toEqual([
      [3, 1],
      [4, 2],
      [5, 3],
    ]);
  });

  it('ends at once at an end-of-text token, and runs the next prompt when the step in flight has ended', async () => {
    const { session, steps, prompts } = scripted();
    const progress = newProgress();
    const tokens = session.generate([1, 1], { maxTokens: 9, seed: 1 }, progress);
    await tokens.next();
    const token = tokens.next();
    await settle();
    steps[0]?.end(2);
    expect((await token).done).toBe(true);
    expect(progress).toMatchObject({ stopReason: 'eos', generatedTokens: 1 });
    const after = newProgress();
    const next = session.generate([1, 1, 100, 2, 7], { maxTokens: 1, seed: 1 }, after).next();
    await settle();
    expect(prompts).toHaveLength(1);
    steps[1]?.end(0);
    await next;
    expect(prompts[1]).toEqual([2, 7]);
    expect(after.cachedTokens).toBe(3);
  });

  it('tells of a failed step when its token is asked for, and goes on with the next prompt', async () => {
    const { session, steps, prompts } = scripted();
    const tokens = session.generate([1], { maxTokens: 9, seed: 1 }, newProgress());
    await tokens.next();
    steps[0]?.fail(new Error('broken'));
    await settle(); // an unhandled rejection here fails the test run
    await expect(tokens.next()).rejects.toThrow(/^broken$/);
    steps[1]?.fail(new Error('fed by a broken step'));
    await session.generate([1], { maxTokens: 1, seed: 1 }, newProgress()).next();
    expect(prompts).toHaveLength(2);
  });

  it('closes when nothing is in flight any more', async () => {
    const { session, steps } = scripted();
    const tokens = session.generate([1], { maxTokens: 9, seed: 1 }, newProgress());
    await tokens.next();
    await tokens.return();
    let closed = false;
    const close = session.close().then(() => {
      closed = true;
    });
    await settle();
    expect(closed).toBe(false);
    steps[0]?.end(5);
    await close;
    await expect(session.generate([1], {}, newProgress()).next()).rejects.toThrow(/disposed/);
  });
});
