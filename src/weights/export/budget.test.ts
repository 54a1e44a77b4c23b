import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type StorageChoice, spendBits } from './budget.ts';

const cost = (tensors: readonly (readonly StorageChoice[])[], chosen: readonly number[]) =>
  tensors.reduce(
    (sum, choices, t) => {
      const choice = choices[chosen[t] as number] as StorageChoice;
      return { bits: sum.bits + choice.bits, error: sum.error + choice.error };
    },
    { bits: 0, error: 0 },
  );

/** The least error within the budget, by trying everything. */
function best(tensors: readonly (readonly StorageChoice[])[], bits: number): number {
  const [first, ...rest] = tensors;
  if (first === undefined) return 0;
  return first.reduce(
    (least, choice) =>
      choice.bits > bits ? least : Math.min(least, choice.error + best(rest, bits - choice.bits)),
    Number.POSITIVE_INFINITY,
  );
}

const choices = fc.array(
  fc.record({ bits: fc.integer({ min: 1, max: 9 }), error: fc.integer({ min: 0, max: 100 }) }),
  { minLength: 1, maxLength: 5 },
);

it('stays within the budget, and loses at most the gain of one step against the best', () => {
  fc.assert(
    fc.property(
      fc.array(choices, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 4, max: 40 }),
      (tensors, bits) => {
        const least = tensors.reduce((sum, each) => sum + Math.min(...each.map((c) => c.bits)), 0);
        const found = cost(tensors, spendBits(tensors, bits));
        if (least > bits) {
          expect(found.bits).toBe(least);
          return;
        }
        expect(found.bits).toBeLessThanOrEqual(bits);
        const step = Math.max(
          ...tensors.map((each) => {
            const errors = each.map(({ error }) => error);
            return Math.max(...errors) - Math.min(...errors);
          }),
        );
        expect(found.error).toBeLessThanOrEqual(best(tensors, bits) + step);
      },
    ),
  );
});

it('gives bits to what needs them most', () => {
  const tensor = (sensitivity: number) =>
    [2, 4, 8].map((bits) => ({ bits, error: sensitivity * 4 ** -bits }));
  expect(spendBits([tensor(1), tensor(100), tensor(1)], 8)).toEqual([0, 1, 0]);
  expect(spendBits([tensor(1), tensor(100), tensor(1)], 12)).toEqual([0, 2, 0]);
  expect(spendBits([tensor(1), tensor(100), tensor(1)], 24)).toEqual([2, 2, 2]);
  expect(spendBits([tensor(1)], 1)).toEqual([0]);
});
