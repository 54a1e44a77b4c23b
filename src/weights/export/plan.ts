// What each tensor of a checkpoint becomes in another file: which format it is stored in, and why not in the one that was asked for.

import { IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { bf16, f16, f32 } from '../../quant/formats/float.ts';
import { columnMultiple, isFloatLayout } from '../../quant/layout.ts';
import { findSourceFormat } from '../../quant/registry.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { type CheckpointTensor, dimensions, expertName } from '../tensor.ts';

export interface PlannedTensor {
  readonly tensor: CheckpointTensor;
  readonly format: SourceFormat;
}

/** Formats for matrices and for what stays float. */
export interface ExportFormats {
  /** What matrices are quantised to; undefined: every tensor keeps its format where the file has it. */
  readonly matrix: SourceFormat | undefined;
  /** What the last matrix, which gives the logits, and the table of tokens become; undefined: as the others. */
  readonly ends?: SourceFormat | undefined;
  /** For tensors that are not quantised; undefined: the type they have, bf16 for those that were quantised. */
  readonly float?: SourceFormat | undefined;
  /** Other formats for single tensors, by name. */
  readonly single?: ReadonlyMap<string, SourceFormat>;
  /** Matrices that stay float, by name. */
  readonly keepsFloat?: RegExp;
  /** Whether the file can have a format. */
  readonly holds: (format: SourceFormat) => boolean;
  /** The format in place of one whose blocks the columns do not fill. */
  readonly fallback: (format: SourceFormat) => SourceFormat | undefined;
}

const floats: readonly SourceFormat[] = [f32, f16, bf16];

/** Every tensor once (stacked experts instead of single ones), with its format. */
export function planExport(checkpoint: Checkpoint, formats: ExportFormats): readonly PlannedTensor[] {
  const tied = !['lm_head.weight', 'output.weight'].some((name) => checkpoint.has(name));
  return checkpoint.tensors
    .filter((name) => {
      const expert = expertName(name);
      return expert === undefined || !checkpoint.has(expert.stacked);
    })
    .map((name) => {
      const tensor = checkpoint.describe(name);
      return { tensor, format: formatOf(tensor, formats, tied) };
    });
}

/** Norms, biases and routers are small and sensitive: they stay float. */
const staysFloat = ({ name, shape }: CheckpointTensor): boolean =>
  shape.length === 1 ||
  /\.(gate|router|shared_expert_gate|ffn_gate_inp|ffn_gate_inp_shexp)\.weight$/.test(name) ||
  /norm/.test(name);

function formatOf(tensor: CheckpointTensor, formats: ExportFormats, tied: boolean): SourceFormat {
  const own = tensor.kind === 'source' ? tensor.format : undefined;
  const asFloat = (): SourceFormat =>
    formats.float ?? (own !== undefined && floats.includes(own) ? own : bf16);
  const single = formats.single?.get(tensor.name);
  if (single === undefined && (staysFloat(tensor) || formats.keepsFloat?.test(tensor.name))) return asFloat();
  if (formats.matrix === undefined && single === undefined) {
    return own !== undefined && !isFloatLayout(own.layout) && formats.holds(own) ? own : asFloat();
  }
  const end =
    /^(lm_head|output)\.weight$/.test(tensor.name) || (tied && /embed_tokens|token_embd/.test(tensor.name));
  const wanted = single ?? (end ? (formats.ends ?? formats.matrix) : formats.matrix);
  return fitting(wanted, tensor, formats.fallback) ?? asFloat();
}

/** The format, or the one in its place whose blocks the columns of a tensor fill; undefined when there is none. */
export function fitting(
  wanted: SourceFormat | undefined,
  { shape }: CheckpointTensor,
  fallback: ExportFormats['fallback'],
): SourceFormat | undefined {
  const { columns } = dimensions(shape);
  let format = wanted;
  while (
    format !== undefined &&
    columns % Math.max(format.blockElements, columnMultiple(format.layout)) !== 0
  ) {
    format = fallback(format);
  }
  return format;
}

/** GGUF's formats in place of those with super-blocks: llama.cpp's, but IQ4_NL for Q4_0, which has the same bits and less error. */
const ggufFallbacks: Readonly<Record<string, string>> = {
  q2_k: 'iq4_nl',
  q3_k: 'iq4_nl',
  q4_k: 'q5_0',
  q5_k: 'q5_1',
  q6_k: 'q8_0',
  iq4_xs: 'iq4_nl',
  tq1_0: 'q4_0',
  tq2_0: 'q4_0',
};

export const ggufFallback = (format: SourceFormat): SourceFormat | undefined =>
  findSourceFormat(ggufFallbacks[format.name] ?? '');

/** Bits of a matrix or a stack of them in a format, scales included. */
export function bitsOf({ shape }: CheckpointTensor, format: SourceFormat): number {
  const { matrices, rows, columns } = dimensions(shape);
  // FP8 is written with a scale for each block of 128 x 128, whatever the format that stands for it has.
  if (format.name.startsWith('fp8/'))
    return matrices * (8 * rows * columns + 32 * Math.ceil(rows / 128) * Math.ceil(columns / 128));
  return 8 * matrices * rows * format.rowBytes(columns).reduce((sum, n) => sum + n, 0);
}

const matricesOf = (plan: readonly PlannedTensor[]): readonly PlannedTensor[] =>
  plan.filter(({ tensor }) => tensor.shape.length > 1);

/** Weights of the planned matrices. */
export const weightsOf = (plan: readonly PlannedTensor[]): number =>
  matricesOf(plan).reduce((sum, { tensor }) => sum + tensor.shape.reduce((product, n) => product * n, 1), 0);

/** Bits that a weight of the planned matrices takes on average, scales included. */
export function bitsPerWeight(plan: readonly PlannedTensor[]): number {
  const weights = weightsOf(plan);
  const bits = matricesOf(plan).reduce((sum, { tensor, format }) => sum + bitsOf(tensor, format), 0);
  return weights === 0 ? 0 : bits / weights;
}

/** Throws unsupported for a format that is only read. */
export function checkWritable(format: SourceFormat): void {
  if (format.quantizeRow !== undefined) return;
  throw new IngotError(
    'unsupported',
    `${format.name} can be read but not written; use q2_k, q3_k, iq4_xs or another`,
  );
}
