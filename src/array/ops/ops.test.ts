import { describe, expect, it } from 'vitest';
import { openJsDevice } from '../../device/js/device.ts';
import { expectAllClose } from '../../testing/allclose.ts';
import { caseTensor } from '../../testing/case-data.ts';
import { referenceResult } from '../../testing/device-conformance.ts';
import { checkGradient } from '../../testing/gradient-check.ts';
import { NDArray } from '../array.ts';
import { evaluate, fromData } from '../creation.ts';
import { clearCache } from '../eager.ts';
import { tidy } from '../lifetime.ts';
import type { OpCase, OpDef } from '../op.ts';
import { State, Weight } from '../weight.ts';
import { ops } from './index.ts';
import { reader } from './operands.ts';

const device = openJsDevice();

describe('the list of ops', () => {
  it('holds no name twice', () => {
    expect(new Set(ops.map((op) => op.name)).size).toBe(ops.length);
  });

  it('gives every op test cases', () => {
    expect(ops.filter((op) => op.cases.length === 0).map((op) => op.name)).toEqual([]);
  });
});

/** Cases on which an op is smooth: minima of kinks and ties are not. */
const floatCases = (op: OpDef): readonly OpCase<object>[] =>
  op.cases
    .filter((c) => c.inputs.some((s) => s !== null && (s.dtype ?? 'f32') === 'f32' && !s.weight))
    .filter((c) => c.inputs.every((s) => s === null || (s.dtype !== 'f16' && s.dtype !== 'bf16')));

/** Cases whose rule is not defined, with the reason. */
const noGradient: Readonly<Record<string, string>> = {
  'linear: norm and three segments': 'fusion runs after differentiation',
  'linear: norm, gate and up': 'fusion runs after differentiation',
  'rope: with norm': 'fusion runs after differentiation',
};

describe('gradient rules agree with differences of the reference', () => {
  it('has an exception only for cases that exist', () => {
    const names = ops.flatMap((op) => floatCases(op).map((c) => `${op.name}: ${c.name}`));
    expect(Object.keys(noGradient).filter((name) => !names.includes(name))).toEqual([]);
  });

  for (const op of ops.filter((o) => o.vjp !== 'none')) {
    for (const [i, c] of floatCases(op).entries()) {
      const name = `${op.name}: ${c.name}`;
      const reason = noGradient[name];
      it.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (${reason})`, async () => {
        for (const d of await checkGradient(device, op, c, i + 1)) {
          const error = Math.abs(d.rule - d.difference);
          expect(
            error,
            `operand ${d.operand}: rule ${d.rule}, difference ${d.difference}`,
          ).toBeLessThanOrEqual(d.bound);
        }
        clearCache(device);
        expect(device.statistics().liveBuffers).toBe(0);
      });
    }
  }
});

describe('composites agree with references', () => {
  for (const op of ops.filter((o) => o.composite !== undefined)) {
    for (const [i, c] of op.cases.entries()) {
      if (op.name === 'matmul' && c.name !== 'broadcast both') continue; // the composite only broadcasts
      if (['rope', 'moeDown', 'linear'].includes(op.name) && !changes(op, c)) continue; // would lead back to itself
      it(`${op.name}: ${c.name}`, async () => {
        const inputs = c.inputs.map((s, k) => (s === null ? null : caseTensor(s, i * 31 + k)));
        const want = referenceResult(op, c.attrs, inputs);
        const owned: { dispose(): void }[] = [];
        const handles = inputs.map((t, k) => {
          if (t === null) return null;
          const spec = c.inputs[k];
          if (spec?.state === true) {
            const state = new State({ device, shape: t.shape, dtype: t.dtype, label: 'case' });
            state.write(t.data);
            owned.push(state);
            return new NDArray(state.value);
          }
          if (t.layout === undefined) return fromData(t.data, t.shape, { device, dtype: t.dtype });
          const w = Weight.fromPacked(device, t.data as Uint8Array, t.layout, t.shape as [number, number]);
          owned.push(w);
          return new NDArray(w.value);
        });
        const results = tidy(() => [...op.composite!(handles, c.attrs)]);
        await evaluate(...results);
        const tolerance = op.tolerance?.(inputs, want, c.attrs) ?? { absolute: 1e-6, relative: 1e-6 };
        for (const [k, t] of want.entries()) {
          const values = await results[k]!.data();
          const read = reader(t);
          const wanted = Array.from({ length: t.data.length }, (_, n) => read(n));
          const bound = { absolute: 4 * tolerance.absolute + 1e-6, relative: 4 * tolerance.relative };
          expectAllClose(values, wanted, bound, `output ${k}`);
        }
        for (const x of [...handles, ...results, ...owned]) x?.dispose();
        clearCache(device);
        expect(device.statistics().liveBuffers).toBe(0);
      });
    }
  }
});

/** True when the case uses something that the composite takes apart. */
function changes(op: OpDef, c: OpCase<object>): boolean {
  const attrs = c.attrs as { norm?: unknown; glu?: string };
  return (attrs.norm ?? null) !== null || (op.name === 'moeDown' && c.inputs[4] != null);
}
