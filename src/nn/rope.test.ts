import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RopeScaling, ropeFrequencies } from './rope.ts';

const scaling: fc.Arbitrary<RopeScaling> = fc.oneof(
  fc.constant({ kind: 'default' } as const),
  fc.record({ kind: fc.constant('linear' as const), factor: fc.double({ min: 1, max: 64, noNaN: true }) }),
  fc.record({
    kind: fc.constant('llama3' as const),
    factor: fc.double({ min: 1, max: 64, noNaN: true }),
    lowFreqFactor: fc.double({ min: 0.5, max: 2, noNaN: true }),
    highFreqFactor: fc.double({ min: 2.5, max: 16, noNaN: true }),
    originalContext: fc.integer({ min: 16, max: 131072 }),
  }),
  fc.record({
    kind: fc.constant('yarn' as const),
    factor: fc.double({ min: 1, max: 64, noNaN: true }),
    originalContext: fc.integer({ min: 16, max: 131072 }),
    betaFast: fc.double({ min: 4, max: 64, noNaN: true }),
    betaSlow: fc.double({ min: 0.5, max: 2, noNaN: true }),
    truncate: fc.boolean(),
  }),
);

describe('ropeFrequencies', () => {
  it('lies between the plain frequencies and those divided by the factor, and falls', () => {
    fc.assert(
      fc.property(
        scaling,
        fc.integer({ min: 1, max: 64 }),
        fc.double({ min: 100, max: 1e7, noNaN: true }),
        (s, half, theta) => {
          const rotaryDim = 2 * half;
          const { invFreq } = ropeFrequencies({ theta, rotaryDim, scaling: s }, 4096);
          const factor = 'factor' in s ? s.factor : 1;
          const slack = 1 + 2 ** -22;
          for (let i = 0; i < half; i++) {
            const plain = theta ** (-(2 * i) / rotaryDim);
            expect(invFreq[i]!).toBeLessThanOrEqual(plain * slack);
            expect(invFreq[i]! * slack).toBeGreaterThanOrEqual(plain / factor);
            if (i > 0) expect(invFreq[i]!).toBeLessThanOrEqual(invFreq[i - 1]! * slack);
          }
        },
      ),
    );
  });

  it('leaves dynamic scaling plain up to the original context', () => {
    const config = { theta: 10000, rotaryDim: 64 };
    const dynamic = { kind: 'dynamic', factor: 4, originalContext: 2048 } as const;
    const plain = ropeFrequencies({ ...config, scaling: { kind: 'default' } }, 2048);
    expect(ropeFrequencies({ ...config, scaling: dynamic }, 1000)).toEqual(plain);
    expect(ropeFrequencies({ ...config, scaling: dynamic }, 2048)).toEqual(plain);
    expect(ropeFrequencies({ ...config, scaling: dynamic }, 2049)).not.toEqual(plain);
  });

  it('rejects an odd number of rotating dimensions', () => {
    const config = { theta: 10000, rotaryDim: 7, scaling: { kind: 'default' } } as const;
    expect(() => ropeFrequencies(config, 16)).toThrow('rotaryDim 7 must be a positive even number');
  });
});
