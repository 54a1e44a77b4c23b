// shortConv: causal convolution of each channel over a few positions, with the inputs of the positions before in a state.

import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp, type NoAttrs, type OpCase, type Operands } from '../../op.ts';
import type { Tensor, ValueType } from '../../types.ts';
import { nextVersion } from '../memory/kv-write.ts';
import { PAGE_SLOTS, type PageTable, pageParams } from '../memory/paged.ts';
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

/** Taps that kernels hold in registers. */
const MAX_TAPS = 8;

interface ConvShape {
  readonly channels: number;
  readonly taps: number;
  /** States there are: one for each page, or one. */
  readonly slots: number;
}

/** Sizes of a state `[1, slots, (taps - 1) * channels]`. */
function convShape(state: ValueType | Tensor, x: ValueType | Tensor): ConvShape {
  const channels = fixed(x.shape[1], 'shortConv');
  const [, slots = 0, width = 0] = state.shape.map((d) => fixed(d, 'shortConv'));
  const taps = width / channels + 1;
  const right = state.shape.length === 3 && state.shape[0] === 1 && state.dtype === 'f32';
  if (!right || !Number.isInteger(taps) || taps < 2 || taps > MAX_TAPS) {
    shapeError(
      'shortConv',
      `a state ${state.dtype} ${formatShape(state.shape)} does not hold 1 to ${MAX_TAPS - 1} rows of ${channels} channels`,
    );
  }
  return { channels, taps, slots };
}

/** Operands: state, x, weight, positions, bias or null, sequences and page table or null. Outputs: the next state, y. */
export const shortConvOp = defineOp<NoAttrs>({
  name: 'shortConv',
  inPlace: [0],
  infer: (inputs) => {
    const [state, x, weight, positions] = [0, 1, 2, 3].map((i) => operand(inputs, i)) as [
      ValueType,
      ValueType,
      ValueType,
      ValueType,
    ];
    expectDtype(x, ['f32'], 'shortConv: x');
    if (x.shape.length !== 2) shapeError('shortConv', `x must be [n, channels], got ${formatShape(x.shape)}`);
    const { channels, taps } = convShape(state, x);
    expectShape(weight, [channels * taps], 'shortConv: weight');
    expectDtype(positions, ['i32'], 'shortConv: positions');
    expectShape(positions, x.shape.slice(0, 1), 'shortConv: positions');
    const bias = optional(inputs, 4);
    if (bias !== null) expectShape(bias, [channels], 'shortConv: bias');
    const [sequences, table] = [optional(inputs, 5), optional(inputs, 6)];
    if ((sequences === null) !== (table === null)) {
      shapeError('shortConv', 'sequences and a page table go together');
    }
    if (sequences !== null && table !== null) {
      expectDtype(sequences, ['i32'], 'shortConv: sequences');
      expectShape(sequences, x.shape.slice(0, 1), 'shortConv: sequences');
      expectDtype(table, ['i32'], 'shortConv: page table');
    }
    return [nextVersion(state), { shape: x.shape, dtype: 'f32' }];
  },
  reference,
  vjp: 'none', // updates memory
  kernel: {
    emit: (context) => {
      const { inputs, outputs } = context;
      const [state, x] = [operand(outputs, 0), operand(inputs, 1)];
      const { channels, taps, slots } = convShape(state.type, x.type);
      const [weight, positions] = [operand(inputs, 2), operand(inputs, 3)];
      const [sequences, pageTable] = [optional(inputs, 5), optional(inputs, 6)];
      context.emit(
        'short_conv',
        {
          state,
          x,
          weight,
          positions,
          bias: optional(inputs, 4),
          sequences,
          pageTable,
          y: operand(outputs, 1),
        },
        {
          rows: countParam(elementCount(positions.type.shape)),
          C: channels,
          taps,
          slots,
          ...pageParams(pageTable, 'shortConv'),
        },
      );
    },
  },
  tolerance: () => ({ absolute: 2 ** -18, relative: 2 ** -20 }),
  flops: (inputs) => {
    const x = operand(inputs, 1);
    return 2 * convShape(operand(inputs, 0), x).taps * fixed(x.shape[1], 'shortConv');
  },
  cases: cases(),
});

/** Slots of the states after positions before and of the present page, for rows of these sequences; -1: none. */
function stateSlots(inputs: Operands<Tensor>): (row: number, position: number) => number {
  const [sequences, table] = [optional(inputs, 5), optional(inputs, 6)];
  if (sequences === null || table === null) return () => 0;
  const width = table.shape[1] as number;
  return (row, position) => {
    const at = (sequences.data[row] as number) * width + Math.floor(position / PAGE_SLOTS);
    return (table.data[at] as number) ?? -1;
  };
}

function reference(inputs: Operands<Tensor>, outputs: readonly Tensor[]): void {
  const [x, weight] = [operand(inputs, 1), operand(inputs, 2)];
  const positions = operand(inputs, 3).data;
  const bias = optional(inputs, 4);
  const sequences = optional(inputs, 5);
  const [state, y] = [output(outputs, 0), output(outputs, 1)];
  const { channels, taps } = convShape(state, x);
  const slotOf = stateSlots(inputs);
  const before = Float32Array.from(state.data as Float32Array);
  const sequenceOf = (row: number): number => (sequences === null ? 0 : (sequences.data[row] as number));
  const rows = positions.length;
  for (let row = 0; row < rows; row++) {
    const position = positions[row] as number;
    let start = row;
    while (start > 0 && row - start < taps && sequenceOf(start - 1) === sequenceOf(row)) start--;
    /** Input of channel c, `back` positions before the row's. */
    const input = (back: number, c: number): number => {
      if (back > position) return 0;
      if (row - back >= start) return x.data[(row - back) * channels + c] as number;
      // The state has the last taps - 1 inputs before the first row of the sequence, the latest at its end.
      const slot = slotOf(row, position - (row - start) - 1);
      const at = taps - 1 - (back - (row - start));
      return before[(slot * (taps - 1) + at) * channels + c] as number;
    };
    const last = row + 1 === rows || sequenceOf(row + 1) !== sequenceOf(row);
    const slot = slotOf(row, position);
    const kept = slot >= 0 && (last || (sequences !== null && (position + 1) % PAGE_SLOTS === 0));
    for (let c = 0; c < channels; c++) {
      let sum = bias === null ? 0 : (bias.data[c] as number);
      for (let k = 0; k < taps; k++) sum += (weight.data[c * taps + k] as number) * input(taps - 1 - k, c);
      y.data[row * channels + c] = sum;
      if (!kept) continue;
      for (let k = 0; k < taps - 1; k++)
        state.data[(slot * (taps - 1) + k) * channels + c] = input(taps - 2 - k, c);
    }
  }
}

function cases(): readonly OpCase<NoAttrs>[] {
  const i32 = (values: readonly number[]) => ({ shape: [values.length], dtype: 'i32' as const, values });
  const inputs = (slots: number, rows: number, channels: number, taps: number) => [
    { shape: [1, slots, (taps - 1) * channels], state: true },
    { shape: [rows, channels] },
    { shape: [channels * taps] },
  ];
  const table = { shape: [3, 2], dtype: 'i32' as const, values: [2, 4, 0, 3, 1, -1] };
  return [
    { name: 'one row', inputs: [...inputs(1, 1, 37, 3), i32([5]), null], attrs: {} },
    {
      name: 'rows from the start',
      inputs: [...inputs(1, 7, 16, 4), i32([0, 1, 2, 3, 4, 5, 6]), { shape: [16] }],
      attrs: {},
    },
    {
      name: 'sequences in pages, one over the end of a page',
      inputs: [
        ...inputs(5, 7, 70, 3),
        i32([9, 30, 31, 32, 33, 0, 1]),
        { shape: [70] },
        i32([0, 1, 1, 1, 1, 2, 2]),
        table,
      ],
      attrs: {},
    },
    {
      name: 'a page ends among the first rows',
      inputs: [...inputs(5, 4, 33, 4), i32([31, 32, 33, 32]), null, i32([0, 0, 0, 1]), table],
      attrs: {},
    },
  ];
}

export interface ShortConvOptions {
  /** `[channels]` */
  readonly bias?: NDArray | undefined;
  /** The state after a page's last position is that of the page; without, there is one sequence and one state. */
  readonly paged?: PageTable | undefined;
}

/**
 * y[i, c] = bias[c] + the sum over taps j of weight[c, j] x(position - taps + 1 + j, c), where earlier inputs of a sequence
 * are rows before, or in its state, or zero before position 0. x `[n, channels]` -> `[n, channels]`; weight
 * `[channels * taps]`. The state, f32 `[1, slots, (taps - 1) * channels]`, becomes that after the last row of each
 * sequence; with pages, also after the last position of each page that has a slot.
 */
export function shortConv(
  state: Operand,
  x: NDArray,
  weight: NDArray,
  positions: NDArray,
  { bias, paged }: ShortConvOptions = {},
): NDArray {
  const tables = [paged?.sequences ?? null, paged?.pages ?? null];
  const [, y] = x.applyMany(shortConvOp, [state, x, weight, positions, bias ?? null, ...tables], {});
  return y as NDArray;
}
