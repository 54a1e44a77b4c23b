// What a file that is written has as one tensor: one of the model's, or several whose rows follow one another.

import type { SourceFormat } from '../../quant/format.ts';
import type { CheckpointTensor } from '../tensor.ts';

export interface StoredPart {
  readonly tensor: CheckpointTensor;
  /** `order[i]` is the tensor's row that comes i-th within each matrix; undefined: as they are. */
  readonly order?: Int32Array | undefined;
}

export interface StoredTensor {
  /** In folders `*` stands for the number of an expert: each matrix of the stack is a tensor of its own. */
  readonly name: string;
  /** Outermost dimension first, as the file says it. */
  readonly shape: readonly number[];
  /** With as many matrices and columns each; one vector where the values are. */
  readonly parts: readonly StoredPart[];
  readonly format: SourceFormat;
}

/** Whether the values are one vector of the model, whatever shape the file gives them. */
export const isVector = ({ parts }: Pick<StoredTensor, 'parts'>): boolean =>
  parts[0]?.tensor.shape.length === 1;
