// How much the predictions of a model change when one of its matrices does: what decides where bits are spent.
//
// Each matrix in turn gets noise of the size of 3-bit rounding, and KL(model || changed) of the logits over a calibration text is
// measured. For small changes KL grows with the squared error of the weights, so one measurement divided by the squared error of the noise
// stands for every format: its own squared error is measured on some rows. The error of the logits is taken, not that of the layer's
// output, because it is what counts, in one unit for all layers, and needs no weighting of layers against each other; the price is a
// pass over the text for each matrix.

import { IngotError } from '../base/errors.ts';
import { addonPath } from '../device/cpu/addon.ts';
import { openDevice } from '../device/open.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import type { SourceFormat } from '../quant/format.ts';
import { packedBytes, panelBytes, panelRows, sameLayout } from '../quant/layout.ts';
import { dequantizeSource, packReference, quantizeReference } from '../quant/reference.ts';
import { piecesOf } from '../weights/export/rows.ts';
import type { LoadedMatrix } from '../weights/load.ts';
import { openCheckpoint } from '../weights/open.ts';
import { type CheckpointTensor, dimensions } from '../weights/tensor.ts';
import { availableMemory } from './available-memory.ts';
import { calibrationText } from './calibration-text.ts';
import { packerFor } from './packer.ts';
import { divergence } from './perplexity.ts';
import { loadOnto } from './place.ts';
import type { Model } from './types.ts';

export interface SensitivityOptions {
  /** Path of the model: its weights must be floats. */
  readonly path: string;
  /** What the model reads; default: a short text of its own. */
  readonly text?: string | undefined;
  readonly tensors: readonly CheckpointTensor[];
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Tokens that the model reads at once, and how many such windows. */
const windowTokens = 256;
const windows = 2;

/**
 * KL of the logits, in nats per token, for a squared error of 1 of the whole matrix, by tensor name. Throws unsupported for
 * weights that are not floats, and what loading and encoding throw.
 */
export async function measureSensitivity(options: SensitivityOptions): Promise<ReadonlyMap<string, number>> {
  const { path, tensors, signal, onProgress } = options;
  const device = await openDevice(addonPath() === undefined ? 'js' : 'cpu');
  const loaded = new Map<string, LoadedMatrix>();
  const model = await loadOnto(
    device,
    () => modelCheckpoint(openCheckpoint(path)),
    path,
    { precision: 'exact', contextLength: windowTokens, maxSequences: 1, ...(signal ? { signal } : {}) },
    {
      availableMemory: availableMemory(),
      packInto: packerFor(device),
      onMatrix: (matrix) => loaded.set(matrix.name, matrix),
    },
  );
  try {
    const texts = windowsOf(model, options.text ?? calibrationText);
    const want = await logitsOf(model, texts, signal);
    const found = new Map<string, number>();
    for (const tensor of tensors) {
      const matrix = loaded.get(tensor.name);
      if (
        matrix === undefined ||
        tensor.kind !== 'source' ||
        !sameLayout(matrix.layout, tensor.format.layout)
      )
        unmeasured(path, tensor);
      const write = (offset: number, bytes: Uint8Array) => device.write(matrix.buffer, offset, bytes);
      const squared = await rewrite(tensor, tensor.format, write, noise);
      found.set(
        tensor.name,
        squared === 0 ? 0 : meanKl(want, await logitsOf(model, texts, signal)) / squared,
      );
      await rewrite(tensor, tensor.format, write, undefined);
      onProgress?.(found.size, tensors.length);
    }
    return found;
  } finally {
    await model[Symbol.asyncDispose]();
  }
}

function unmeasured(path: string, { name }: CheckpointTensor): never {
  throw new IngotError(
    'unsupported',
    `${path}: what ${name} contributes cannot be measured; bits are spent on models whose weights are floats and fit in memory`,
  );
}

function windowsOf(model: Model, text: string): readonly (readonly number[])[] {
  const tokens = model.tokenizer.encode(text);
  const found = Array.from({ length: windows }, (_, w) =>
    tokens.slice(w * windowTokens, (w + 1) * windowTokens),
  ).filter(({ length }) => length > 1);
  if (found.length > 0) return found;
  throw new IngotError(
    'invalid_argument',
    `the calibration text has ${tokens.length} tokens: at least 2 are needed`,
  );
}

interface Rows {
  readonly data: Float32Array;
  readonly width: number;
}

async function logitsOf(
  model: Model,
  texts: readonly (readonly number[])[],
  signal: AbortSignal | undefined,
): Promise<readonly Rows[]> {
  const found: Rows[] = [];
  for (const tokens of texts) {
    signal?.throwIfAborted();
    const { data, shape } = await model.logits(tokens);
    found.push({ data, width: shape[1] });
  }
  return found;
}

function meanKl(want: readonly Rows[], got: readonly Rows[]): number {
  let [sum, count] = [0, 0];
  want.forEach(({ data, width }, w) => {
    const other = got[w]?.data ?? data;
    for (let at = 0; at < data.length; at += width) {
      sum += divergence(data.subarray(at, at + width), other.subarray(at, at + width)).kl;
      count++;
    }
  });
  return sum / count;
}

/** Writes a matrix to the device again, changed by `change`; gives the squared error of that. */
async function rewrite(
  tensor: CheckpointTensor,
  format: SourceFormat,
  write: (offset: number, bytes: Uint8Array) => void,
  change: ((values: Float32Array) => number) | undefined,
): Promise<number> {
  const { rows, columns } = dimensions(tensor.shape);
  const panel = panelBytes(format.layout, columns);
  let squared = 0;
  for await (const piece of piecesOf({ parts: [{ tensor }] })) {
    squared += change?.(piece.values) ?? 0;
    const bytes = packReference(
      format,
      quantizeReference(format, piece.values, piece.rows, columns),
      piece.rows,
      columns,
    );
    write(
      piece.matrix * packedBytes(format.layout, rows, columns) + (piece.first / panelRows) * panel,
      bytes,
    );
  }
  return squared;
}

/** Adds to every value up to half a step of eight over its group of 32, always the same; gives the squared error. */
function noise(values: Float32Array): number {
  let squared = 0;
  let state = 0x9e3779b9;
  for (let from = 0; from < values.length; from += 32) {
    const group = values.subarray(from, from + 32);
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const value of group) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    const step = (high - low) / 7;
    for (let i = 0; i < group.length; i++) {
      // xorshift32
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      const off = step * ((state >>> 0) / 2 ** 32 - 0.5);
      group[i] = (group[i] as number) + off;
      squared += off * off;
    }
  }
  return squared;
}

/** Rows of a tensor that formats are tried on. */
const tried = 32;

/** Squared error of a whole tensor in each format, from some of its rows. */
export async function formatErrors(
  tensor: CheckpointTensor,
  formats: readonly SourceFormat[],
): Promise<readonly number[]> {
  const { matrices, rows, columns } = dimensions(tensor.shape);
  const sample: number[] = [];
  // From matrices that are spread over the stack, and rows over the matrix.
  const each = Math.max(1, Math.ceil(tried / matrices));
  const apart = Math.max(1, Math.floor(matrices / tried));
  let taken = 0;
  for (let matrix = 0; matrix < matrices && taken < tried; matrix += apart) {
    for await (const piece of piecesOf({ parts: [{ tensor }] }, { only: matrix })) {
      const count = Math.max(1, Math.round((each * piece.rows) / rows));
      for (let i = 0; i < count && i < piece.rows; i++) {
        const row = Math.floor((i * piece.rows) / count);
        for (const value of piece.values.subarray(row * columns, (row + 1) * columns)) sample.push(value);
        taken++;
      }
    }
  }
  const values = Float32Array.from(sample);
  const count = values.length / columns;
  return formats.map((format) => {
    const read = dequantizeSource(format, quantizeReference(format, values, count, columns), count, columns);
    const squared = values.reduce((sum, value, i) => sum + (value - (read[i] as number)) ** 2, 0);
    return (squared / count) * rows * matrices;
  });
}
