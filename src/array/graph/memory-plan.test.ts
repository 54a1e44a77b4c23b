import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alignment, planArena } from './memory-plan.ts';

const lifetime = fc
  .record({ bytes: fc.integer({ min: 0, max: 5000 }), first: fc.nat(30), length: fc.nat(10) })
  .map(({ bytes, first, length }) => ({ bytes, first, last: first + length }));

describe('memory plan', () => {
  it('never overlaps two storages that live together, and aligns all', () => {
    fc.assert(
      fc.property(fc.array(lifetime, { maxLength: 40 }), (lives) => {
        const { offsets, arenaBytes } = planArena(lives);
        lives.forEach((a, i) => {
          const at = offsets[i]!;
          expect(at % alignment).toBe(0);
          expect(at + a.bytes).toBeLessThanOrEqual(arenaBytes);
          lives.slice(0, i).forEach((b, j) => {
            const together = a.first <= b.last && b.first <= a.last;
            const apart = at + a.bytes <= offsets[j]! || offsets[j]! + b.bytes <= at;
            expect(!together || apart).toBe(true);
          });
        });
      }),
    );
  });

  it('reuses memory of a chain', () => {
    const chain = Array.from({ length: 10 }, (_, i) => ({ bytes: 1024, first: i, last: i + 1 }));
    expect(planArena(chain).arenaBytes).toBe(2048);
  });
});
