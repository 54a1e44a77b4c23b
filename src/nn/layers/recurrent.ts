// Recurrent layers over sequences x `[…, length, inputs]`, with the gates' matrices one under the other as MLX has them.

import { type Given, named } from '../../array/arguments.ts';
import type { NDArray } from '../../array/array.ts';
import { split, stack } from '../../array/derived.ts';
import { alongAxis } from '../../array/functions/terms.ts';
import { fixed } from '../../array/ops/operands.ts';
import { Module } from '../module.ts';
import { uniform } from './initializers.ts';
import type { BiasOption } from './linear.ts';
import { expectRank, expectWidth } from './shapes.ts';

/** Rows of x at each position: `[…, width]`. */
function positions(x: NDArray, layer: string, inputs: number): readonly NDArray[] {
  expectRank(x, 2, layer, '[…, length, inputs]');
  expectWidth(x, inputs, layer);
  const axis = x.shape.length - 2;
  const shape = [...x.shape.slice(0, axis)];
  return Array.from({ length: fixed(x.shape[axis], layer) }, (_, t) =>
    alongAxis(x, axis, [t, t + 1]).reshape([...shape, inputs]),
  );
}

/** Products of all rows at once, then one row for each position. */
function projected(
  x: NDArray,
  weight: NDArray,
  bias: NDArray | undefined,
  layer: string,
): readonly NDArray[] {
  expectRank(x, 2, layer, '[…, length, inputs]');
  expectWidth(x, weight.shape[1], layer);
  const y = x.matmul(weight.transpose());
  return positions(bias === undefined ? y : y.add(bias), layer, fixed(weight.shape[0], layer));
}

const sequence = (rows: readonly NDArray[]): NDArray => stack(rows, (rows[0]?.shape.length ?? 1) - 1);
const gates = (x: NDArray, count: number): readonly NDArray[] => split(x, count, -1);
const gate = (list: readonly NDArray[], i: number): NDArray => list[i] as NDArray;

export interface RNNOptions extends BiasOption {
  /** Default tanh. */
  readonly nonlinearity?: (x: NDArray) => NDArray;
}

/** h(t) = f(Wxh x(t) + Whh h(t - 1) + b). */
export class RNN extends Module {
  Wxh: NDArray;
  Whh: NDArray;
  bias: NDArray | undefined;
  readonly nonlinearity: (x: NDArray) => NDArray;

  constructor(
    inputs: number,
    hidden: number,
    ...given: Given<[bias: boolean, nonlinearity: NonNullable<RNNOptions['nonlinearity']>], RNNOptions>
  ) {
    super();
    const options = named<RNNOptions>('RNN', ['bias', 'nonlinearity'], given);
    const { bias = true, nonlinearity = (x) => x.tanh() } = options;
    const begin = uniform(-1 / Math.sqrt(hidden), 1 / Math.sqrt(hidden));
    this.nonlinearity = nonlinearity;
    this.Wxh = begin([hidden, inputs]);
    this.Whh = begin([hidden, hidden]);
    this.bias = bias ? begin([hidden]) : undefined;
  }

  /** All states h: `[…, length, hidden]`. `hidden` `[…, hidden]` is the one before the first; default zeros. */
  forward(x: NDArray, hidden?: NDArray): NDArray {
    const Whh = this.Whh.transpose();
    const states: NDArray[] = [];
    let h = hidden;
    for (const row of projected(x, this.Wxh, this.bias, 'RNN')) {
      h = this.nonlinearity(h === undefined ? row : row.add(h.matmul(Whh)));
      states.push(h);
    }
    return sequence(states);
  }
}

/**
 * Gated recurrent unit (https://arxiv.org/abs/1406.1078): r and z = sigmoid(W x + b + Wh h), n = tanh(W x + b + r (Wh h + bhn)),
 * h = (1 - z) n + z h. Rows of `Wx` `[3 hidden, inputs]`: r, z, n.
 */
export class GRU extends Module {
  Wx: NDArray;
  Wh: NDArray;
  b: NDArray | undefined;
  bhn: NDArray | undefined;
  readonly hidden: number;

  constructor(inputs: number, hidden: number, ...given: Given<[bias: boolean], BiasOption>) {
    super();
    const { bias = true } = named<BiasOption>('GRU', ['bias'], given);
    const begin = uniform(-1 / Math.sqrt(hidden), 1 / Math.sqrt(hidden));
    this.hidden = hidden;
    this.Wx = begin([3 * hidden, inputs]);
    this.Wh = begin([3 * hidden, hidden]);
    this.b = bias ? begin([3 * hidden]) : undefined;
    this.bhn = bias ? begin([hidden]) : undefined;
  }

  /** All states h: `[…, length, hidden]`. */
  forward(x: NDArray, hidden?: NDArray): NDArray {
    const Wh = this.Wh.transpose();
    const states: NDArray[] = [];
    let h = hidden;
    for (const row of projected(x, this.Wx, this.b, 'GRU')) {
      const own = gates(row, 3);
      const before = h === undefined ? undefined : gates(h.matmul(Wh), 3);
      const [r, z] = [0, 1].map((i) =>
        (before === undefined ? gate(own, i) : gate(own, i).add(gate(before, i))).sigmoid(),
      ) as [NDArray, NDArray];
      const kept = before === undefined ? undefined : gate(before, 2);
      const inner = kept === undefined ? this.bhn : this.bhn === undefined ? kept : kept.add(this.bhn);
      const n = (inner === undefined ? gate(own, 2) : gate(own, 2).add(r.mul(inner))).tanh();
      const fresh = n.mul(z.neg().add(1));
      h = h === undefined ? fresh : fresh.add(z.mul(h));
      states.push(h);
    }
    return sequence(states);
  }
}

/**
 * Long short-term memory: i, f, o = sigmoid, g = tanh of Wx x + Wh h + b; c = f c + i g, h = o tanh(c). Rows of `Wx` `[4 hidden, inputs]`:
 * i, f, g, o.
 */
export class LSTM extends Module {
  Wx: NDArray;
  Wh: NDArray;
  bias: NDArray | undefined;

  constructor(inputs: number, hidden: number, ...given: Given<[bias: boolean], BiasOption>) {
    super();
    const { bias = true } = named<BiasOption>('LSTM', ['bias'], given);
    const begin = uniform(-1 / Math.sqrt(hidden), 1 / Math.sqrt(hidden));
    this.Wx = begin([4 * hidden, inputs]);
    this.Wh = begin([4 * hidden, hidden]);
    this.bias = bias ? begin([4 * hidden]) : undefined;
  }

  /** All h and all c: `[…, length, hidden]` each. */
  forward(x: NDArray, hidden?: NDArray, cell?: NDArray): readonly [hidden: NDArray, cell: NDArray] {
    const Wh = this.Wh.transpose();
    const [states, cells]: [NDArray[], NDArray[]] = [[], []];
    let [h, c] = [hidden, cell];
    for (const row of projected(x, this.Wx, this.bias, 'LSTM')) {
      const parts = gates(h === undefined ? row : row.add(h.matmul(Wh)), 4);
      const [i, f, o] = [0, 1, 3].map((at) => gate(parts, at).sigmoid()) as [NDArray, NDArray, NDArray];
      const added = i.mul(gate(parts, 2).tanh());
      c = c === undefined ? added : f.mul(c).add(added);
      h = o.mul(c.tanh());
      states.push(h);
      cells.push(c);
    }
    return [sequence(states), sequence(cells)];
  }
}
