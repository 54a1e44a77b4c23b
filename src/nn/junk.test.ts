// Layers, optimisers and schedules, given junk in place of any of their arguments, say what they are called and what is wrong.

import { expect, it } from 'vitest';
import * as a from '../array/checked/index.ts';
import { IngotError } from '../base/errors.ts';
import * as nn from './index.ts';

const junk: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['a text', 'junk'],
  ['an object', { misspelt: 1 }],
  ['NaN', Number.NaN],
  ['a negative number', -3],
  ['a list of texts', ['a']],
  ['a function', () => 1],
  ['a symbol', Symbol('junk')],
  ['a date', new Date(0)],
];

/** Arguments that are right. Activations take none. */
const layers: Readonly<Record<string, readonly unknown[]>> = {
  ...{ Linear: [4, 3], Bilinear: [4, 3, 2], SwitchLinear: [4, 3, 2], Embedding: [8, 4], RoPE: [4] },
  ...{ SinusoidalPositionalEncoding: [4], ALiBi: [], LayerNorm: [4], RMSNorm: [4], GroupNorm: [2, 4] },
  ...{ InstanceNorm: [4], BatchNorm: [4], Conv1d: [3, 4, 3], Conv2d: [3, 4, 3], Conv3d: [3, 4, 3] },
  ...{ ConvTranspose1d: [3, 4, 3], ConvTranspose2d: [3, 4, 3], ConvTranspose3d: [3, 4, 3], MaxPool2d: [2] },
  ...{ AvgPool2d: [2], Upsample: [2], Dropout: [0.5], Dropout2d: [0.5], RNN: [4, 3], GRU: [4, 3] },
  ...{ LSTM: [4, 3], MultiHeadAttention: [4, 2], TransformerEncoder: [1, 4, 2], Transformer: [4, 2] },
  ...{ TransformerEncoderLayer: [4, 2], TransformerDecoderLayer: [4, 2], TransformerDecoder: [1, 4, 2] },
  ...{ MixtureOfExperts: [{ dims: 4, hidden: 8, experts: 4, topK: 2 }], PReLU: [], Softmax: [], Step: [] },
  ...{
    LeakyReLU: [],
    ELU: [],
    CELU: [],
    GELU: [],
    GLU: [],
    HardShrink: [],
    SoftShrink: [],
    ReLU: [],
    Tanh: [],
  },
};
const rate = { learningRate: 0.1 };
const makers: Readonly<Record<string, readonly unknown[]>> = {
  ...{ sgd: [rate], momentum: [rate], nesterov: [rate], adagrad: [rate], adadelta: [rate], rmsprop: [rate] },
  ...{ adam: [rate], adamw: [rate], adamax: [rate], lion: [rate], adafactor: [{}], muon: [rate] },
  ...{ linearSchedule: [1, 0, 10], exponentialDecay: [1, 0.9], stepDecay: [1, 0.9, 3], cosineDecay: [1, 10] },
  ...{ polynomialDecay: [1, 0, 10], inverseSquareRoot: [1, 10], joinSchedules: [[1, 2], [3]] },
  ...{ warmupCosine: [{ peak: 1, warmup: 2, steps: 10 }], piecewiseConstant: [1, [0.1], [3]] },
  ...{ clipByGlobalNorm: [1], clipByNorm: [1], clipByValue: [1], scale: [1], addDecayedWeights: [0.1] },
};

type Call = (...args: readonly unknown[]) => unknown;

/** What of calls with junk at each place is no error with a type. NaN, numbers, null and functions may be right. */
function problemsOf(name: string, call: Call, right: readonly unknown[], more = 0): readonly string[] {
  call(...right);
  return Array.from({ length: right.length + more }, (_, place) => place).flatMap((place) =>
    junk.flatMap(([kind, value]) => {
      const args = [...right];
      args[place] = value;
      try {
        call(...args);
        return /number|NaN|null|function/.test(kind)
          ? []
          : [`${name}: ${kind} as argument ${place} is taken`];
      } catch (error) {
        const typed = error instanceof IngotError && error.code !== 'internal' && error.message.includes(':');
        return typed ? [] : [`${name}: ${kind} as argument ${place}: ${error}`];
      }
    }),
  );
}

it('layers refuse junk, when they are made and when they are used', () => {
  const classes = nn as unknown as Record<string, new (...args: readonly unknown[]) => nn.Layer>;
  const problems = Object.entries(layers).flatMap(([name, right]) => {
    const Layer = classes[name] as new (...args: readonly unknown[]) => nn.Layer;
    const layer = new Layer(...right);
    expect(layer.constructor.name).toBe(name);
    const forward: Call = (x) => layer.forward(x as a.Array);
    const used = junk.flatMap(([kind, value]) => {
      try {
        forward(value);
        return [`${name}.forward takes ${kind}`];
      } catch (error) {
        return error instanceof IngotError ? [] : [`${name}.forward: ${kind}: ${error}`];
      }
    });
    return [...problemsOf(name, (...args) => new Layer(...args), right, 1), ...used];
  });
  expect(problems).toEqual([]);
});

it('optimisers and schedules refuse junk', () => {
  const functions = nn.optim as unknown as Record<string, Call>;
  expect(
    Object.entries(makers).flatMap(([name, right]) => problemsOf(name, functions[name] as Call, right)),
  ).toEqual([]);
});

it.each([
  [() => new nn.Transformer(4, 2, { numLayers: 2 } as object), /^Transformer: option numLayers is none of /],
  [
    () => new nn.TransformerEncoder(1, 4, 2, { mlpDim: 2 } as object),
    /^TransformerEncoder: option mlpDim is none/,
  ],
  [() => new nn.Conv2d(3, 4, 3, { strides: 2 } as object), /^Conv2d: option strides is none of /],
  [() => new nn.Dropout('0.5' as never), /^Dropout: p must be a number, got '0\.5'$/],
  [() => new (nn.ReLU as new (x: number) => nn.Layer)(1), /^ReLU: argument 1 is one too many, got 1$/],
  [
    () => new nn.Linear(4, 3).forward([1, 2] as never),
    /^Linear\.forward: x must be an array, got a list of 2$/,
  ],
  [
    () => new nn.Linear(4, 3).update({ weight: 1 } as never),
    /^Module\.update: parameters must be an object of arrays/,
  ],
  [() => nn.optim.warmupCosine({ peak: 1, warmup: 2, steps: 9, ends: 0 } as never), /option ends is none of/],
  [
    () => nn.optim.adamw({ learningRate: 1, betas: 0.9 } as never),
    /^optim\.adamw: betas must be \[a number, a/,
  ],
  [() => nn.optim.adam({ learningRate: '1' } as never), /^optim\.adam: learningRate must be .* got '1'$/],
  [() => nn.losses.mseLoss(a.ones([2]), 1 as never), /^losses\.mseLoss: target must be an array, got 1$/],
] as const)('%s', (call, message) => {
  expect(call).toThrow(message);
});

it('classes that extend a checked one hand on what they like', () => {
  class Wide extends nn.Linear {
    readonly label: string;
    constructor(label: string) {
      super(4, 3, { bias: false });
      this.label = label;
    }
  }
  const wide = new Wide('w');
  expect(wide).toBeInstanceOf(nn.Linear);
  expect(wide.forward(a.ones([2, 4])).shape).toEqual([2, 3]);
  expect(() => new (class extends nn.Linear {})(4, 'x' as never)).toThrow(
    /^Linear: outputs must be a number/,
  );
});
