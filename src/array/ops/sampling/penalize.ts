// penalize: changes the logits of each row before a token is drawn: penalties, biases, and tokens that are not allowed.

import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp, type NoAttrs, type Operands } from '../../op.ts';
import type { Tensor, ValueType } from '../../types.ts';
import { emitCopy } from '../memory/copy.ts';
import {
  countParam,
  expectDtype,
  expectShape,
  fixed,
  operand,
  optional,
  output,
  shapeError,
} from '../operands.ts';
import { readSettings, SETTINGS_WORDS, settingsWords } from './row-settings.ts';

/** Operands: logits, settings, then or null: counts `[S, V]`, masks `[M, V / 32]`, bias rows, ids and values `[n]`. */
export const penalizeOp = defineOp<NoAttrs>({
  name: 'penalize',
  overwrites: 0,
  infer: (inputs) => {
    const [logits, settings] = [operand(inputs, 0), operand(inputs, 1)];
    expectDtype(logits, ['f32'], 'penalize');
    if (logits.shape.length !== 2) {
      shapeError('penalize', `logits must be [B, V], got ${formatShape(logits.shape)}`);
    }
    const [B = 0] = logits.shape;
    const V = fixed(logits.shape[1], 'penalize');
    expectDtype(settings, ['i32'], 'penalize: settings');
    expectShape(settings, [B, SETTINGS_WORDS], 'penalize: settings');
    expectTable(optional(inputs, 2), V, 'penalize: counts');
    expectTable(optional(inputs, 3), Math.ceil(V / 32), 'penalize: masks');
    checkBiases(inputs);
    return [{ shape: logits.shape, dtype: 'f32' }];
  },
  reference: (inputs, outputs) => {
    const logits = operand(inputs, 0);
    const [B = 0, V = 0] = logits.shape;
    const words = operand(inputs, 1).data as Int32Array;
    const out = output(outputs).data as Float32Array;
    out.set(logits.data);
    for (let row = 0; row < B; row++) penalizeRow(inputs, words, row, out.subarray(row * V, (row + 1) * V));
    const [rows, ids, values] = [4, 5, 6].map((i) => optional(inputs, i)?.data);
    rows?.forEach((row, i) => {
      const at = row * V + (ids?.[i] as number);
      out[at] = (out[at] as number) + (values?.[i] as number);
    });
    for (let row = 0; row < B; row++) maskRow(inputs, words, row, out.subarray(row * V, (row + 1) * V));
  },
  vjp: 'none', // sampling is not differentiated
  kernel: {
    emit: (context) => {
      const logits = operand(context.inputs, 0);
      const out = operand(context.outputs, 0);
      const { shape } = logits.type;
      // The kernel works in place: on the logits themselves where they are not needed any more.
      if (out.slice.storage !== logits.slice.storage) {
        const from = [elementCount(shape.slice(1)), { mul: 1 }];
        emitCopy(context, logits, out, { bytes: 4, sizes: shape, from, to: from });
      }
      const rows = (i: number) => {
        const t = optional(context.inputs, i);
        return t === null ? 0 : countParam(elementCount(t.type.shape.slice(0, 1)));
      };
      context.emit(
        'penalize',
        {
          logits: out,
          settings: operand(context.inputs, 1),
          counts: optional(context.inputs, 2),
          masks: optional(context.inputs, 3),
          biasRows: optional(context.inputs, 4),
          biasIds: optional(context.inputs, 5),
          biasValues: optional(context.inputs, 6),
        },
        { B: rows(0), V: fixed(shape[1], 'penalize'), S: rows(2), M: rows(3), n: rows(4) },
      );
    },
  },
  tolerance: () => ({ absolute: 2 ** -22, relative: 4 * 2 ** -24 }),
  cases: [
    {
      name: 'all',
      inputs: [
        { shape: [3, 97] },
        {
          shape: [3, SETTINGS_WORDS],
          dtype: 'i32',
          values: settingsWords([
            { repetition: 1.3, presence: 0.2, frequency: 0.1, slot: 1 },
            { mask: 0 },
            { frequency: 1, slot: 0 },
          ]),
        },
        { shape: [2, 97], dtype: 'i32', fill: 'index', below: 3 },
        { shape: [1, 4], dtype: 'i32', values: [-1, 0x12345678, 5, 1] },
        { shape: [2], dtype: 'i32', values: [2, 0] },
        { shape: [2], dtype: 'i32', values: [96, 5] },
        { shape: [2] },
      ],
      attrs: {},
    },
    {
      name: 'nothing to do',
      inputs: [
        { shape: [2, 40] },
        { shape: [2, SETTINGS_WORDS], dtype: 'i32', values: settingsWords([{}, {}]) },
        ...[null, null, null, null, null],
      ],
      attrs: {},
    },
  ],
});

function expectTable(table: ValueType | null, columns: number, what: string): void {
  if (table === null) return;
  expectDtype(table, ['i32'], what);
  expectShape(table, [table.shape[0] ?? 0, columns], what);
}

function checkBiases(inputs: Operands<ValueType>): void {
  const [rows, ids, values] = [4, 5, 6].map((i) => optional(inputs, i));
  if (!rows || !ids || !values) {
    if (rows || ids || values) shapeError('penalize', 'rows, ids and values of biases go together');
    return;
  }
  expectDtype(rows, ['i32'], 'penalize: bias rows');
  expectDtype(ids, ['i32'], 'penalize: bias ids');
  expectDtype(values, ['f32'], 'penalize: bias values');
  for (const t of [ids, values]) expectShape(t, rows.shape, 'penalize: biases');
}

function penalizeRow(inputs: Operands<Tensor>, words: Int32Array, row: number, out: Float32Array): void {
  const { slot, repetition, presence, frequency } = readSettings(words, row);
  if (slot < 0) return;
  const counts = operand(inputs, 2).data;
  out.forEach((x, i) => {
    const n = counts[slot * out.length + i] as number;
    if (n > 0) out[i] = (x > 0 ? x / repetition : x * repetition) - presence - frequency * n;
  });
}

function maskRow(inputs: Operands<Tensor>, words: Int32Array, row: number, out: Float32Array): void {
  const { mask } = readSettings(words, row);
  if (mask < 0) return;
  const bits = operand(inputs, 3).data;
  const first = mask * Math.ceil(out.length / 32);
  out.forEach((_, id) => {
    const allowed = ((bits[first + (id >> 5)] as number) >> (id & 31)) & 1;
    if (!allowed) out[id] = Number.NEGATIVE_INFINITY;
  });
}

export interface PenalizeOptions {
  /** i32 `[S, V]`, a State or an array: how often each token occurred, in the row `slot` of a row's settings. */
  readonly counts?: Operand;
  /** i32 `[M, ceil(V / 32)]`: bit `id & 31` of word `id >> 5` is set for tokens that are allowed. */
  readonly masks?: NDArray;
  /** i32 `[n]`, i32 `[n]`, f32 `[n]`: value i is added to logit ids[i] of row rows[i]; a pair occurs once. */
  readonly biases?: { readonly rows: NDArray; readonly ids: NDArray; readonly values: NDArray };
}

/** `logits [B, V]` after penalties, then biases, then masks, as each row's `settings` (i32 `[B, 12]`) ask for them. */
export const penalize = (logits: NDArray, settings: NDArray, options: PenalizeOptions): NDArray => {
  const { counts = null, masks = null, biases } = options;
  const list = [biases?.rows ?? null, biases?.ids ?? null, biases?.values ?? null];
  return logits.apply(penalizeOp, [logits, settings, counts, masks, ...list], {});
};
