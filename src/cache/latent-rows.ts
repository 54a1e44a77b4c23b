// Layers of kind `latent` as ops, wherever a strategy keeps their rows.

import type { NDArray } from '../array/array.ts';
import type { PageTable } from '../array/ops/memory/paged.ts';
import { rowWrite } from '../array/ops/memory/row-write.ts';
import { attention } from '../array/ops/nn/attention.ts';
import { chosenAttention } from '../array/ops/nn/chosen-attention.ts';
import { indexTopk } from '../array/ops/nn/index-topk.ts';
import type { State } from '../array/weight.ts';
import { IngotError } from '../base/errors.ts';
import type { AttendOptions, LatentSpec, PositionIndex } from '../nn/contracts.ts';

/** As SequenceMemory.latent, over the states of a layer: its rows, and the keys of its indexer where it has one. */
export function attendRows(
  { rank, indexDim }: LatentSpec,
  [rows, keys]: readonly State[],
  q: NDArray,
  row: NDArray,
  positions: NDArray,
  options: AttendOptions,
  { index, paged }: { readonly index?: PositionIndex | undefined; readonly paged?: PageTable | undefined },
): NDArray {
  if ((index === undefined) !== (indexDim === undefined)) {
    throw new IngotError(
      'invalid_argument',
      'sequence memory: an index is for latent layers with indexDim, and they need one',
    );
  }
  const written = rowWrite(rows as State, row, positions, { paged });
  if (index === undefined) {
    return attention(q, written, written, positions, { ...options, paged }).slice(null, null, [0, rank]);
  }
  const { query, weights, key, count } = index;
  const ranked = rowWrite(keys as State, key, positions, { paged });
  const ids = indexTopk(query, weights, ranked, positions, { k: count, paged });
  return chosenAttention(q, written, ids, { scale: options.scale, paged }).slice(null, null, [0, rank]);
}
