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
import { vmap } from '../transform/vmap.ts';
import { State, Weight } from '../weight.ts';
import { ops } from './list.ts';
import { reader } from './operands.ts';
import { concat } from './shape/concat.ts';

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

/** Ops whose rule no case checks, with the reason. */
const unchecked: Readonly<Record<string, string>> = {
  arange: 'no operands',
  barrier: 'passes gradients on',
  cast: 'results of other dtypes are rounded',
  embedding: 'packed tables are constants',
  full: 'no operands',
};

it('every gradient rule has a case that checks it', () => {
  const smooth = (op: OpDef): boolean =>
    floatCases(op).some((c) => noGradient[`${op.name}: ${c.name}`] === undefined);
  const without = ops.filter((op) => op.vjp !== 'none' && !smooth(op)).map((op) => op.name);
  expect(without.filter((name) => unchecked[name] === undefined)).toEqual([]);
});

describe('batches agree with one example after the other', () => {
  const examples = 3;
  const dense = (op: OpDef): readonly OpCase<object>[] =>
    op.cases.filter(
      (c) => c.inputs.length > 0 && c.inputs.every((s) => s === null || !(s.state || s.weight)),
    );
  for (const op of ops.filter((o) => o.inPlace === undefined && dense(o).length > 0)) {
    const cases = dense(op);
    for (const [i, c] of [cases[0], cases.at(-1)].entries()) {
      if (c === undefined || (i === 1 && cases.length === 1)) continue;
      const present = c.inputs.flatMap((s, k) => (s === null ? [] : [k]));
      for (const batched of [present, present.slice(0, 1)]) {
        if (batched === present && i === 1 && present.length === 1) continue;
        it(`${op.name}: ${c.name}, operands ${batched}`, async () => {
          const inputs = Array.from({ length: examples }, (_, b) =>
            c.inputs.map((s, k) =>
              s === null ? null : caseTensor(s, (batched.includes(k) ? b * 53 : 0) + i * 31 + k),
            ),
          );
          const arrays = tidy(() =>
            present.map((k) => {
              const all = inputs.map((list) => list[k] as NonNullable<(typeof list)[number]>);
              const parts = all.map((t) =>
                fromData(t.data, t.shape, { device, dtype: t.dtype }).reshape([1, ...t.shape]),
              );
              return batched.includes(k)
                ? concat(parts, 0)
                : (parts[0] as NDArray).reshape(all[0]?.shape ?? []);
            }),
          );
          const axes = present.map((k) => (batched.includes(k) ? 0 : null));
          const outputs = vmap((...list: NDArray[]) => {
            const operands = c.inputs.map((s, k) =>
              s === null ? null : (list[present.indexOf(k)] as NDArray),
            );
            return [...(list[0] as NDArray).applyMany(op, operands, c.attrs)];
          }, axes)(...arrays);
          await evaluate(...outputs);
          for (const [b, list] of inputs.entries()) {
            const want = referenceResult(op, c.attrs, list);
            const tolerance = op.tolerance?.(list, want, c.attrs) ?? { absolute: 1e-6, relative: 1e-6 };
            for (const [k, t] of want.entries()) {
              const size = t.data.length;
              const got = (await (outputs[k] as NDArray).data()).slice(b * size, (b + 1) * size);
              const read = reader(t);
              const bound = {
                absolute: 4 * tolerance.absolute + 1e-6,
                relative: 4 * tolerance.relative + 1e-6,
              };
              expectAllClose(
                got,
                Array.from({ length: size }, (_, n) => read(n)),
                bound,
                `example ${b}, output ${k}`,
              );
            }
          }
          for (const x of [...arrays, ...outputs]) x.dispose();
          clearCache(device);
          expect(device.statistics().liveBuffers).toBe(0);
        });
      }
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
