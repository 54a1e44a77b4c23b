// What a model gets of a paged cache while a plan is traced: each kind of layer as the ops that write and read its pages.

import type { NDArray } from '../array/array.ts';
import type { PageTable } from '../array/ops/memory/paged.ts';
import { shortConv } from '../array/ops/nn/short-conv.ts';
import type { State } from '../array/weight.ts';
import { invariant } from '../base/errors.ts';
import {
  type AttendOptions,
  type CompressedRows,
  type Convolution,
  type LayerSpec,
  layerOfKind,
  type PositionIndex,
  type SequenceMemory,
} from '../nn/contracts.ts';
import { attendCompressed } from './compressed-rows.ts';
import type { HeadRowsForm } from './head-rows.ts';
import { attendRows } from './latent-rows.ts';
import type { LayerPart } from './parts.ts';

type PartName = Pick<LayerPart, 'layer' | 'index'>;

/** Where a part's arrays are, and the page table that leads to them in this plan. */
export interface LayerPlace {
  readonly states: readonly State[];
  readonly paged: PageTable;
  /** Positions of the rows in that table, where they are not the true ones. */
  readonly positions?: NDArray | undefined;
}

export class PagedMemory implements SequenceMemory {
  readonly #specs: readonly LayerSpec[];
  readonly #form: HeadRowsForm;
  readonly #place: (part: PartName) => LayerPlace | undefined;

  constructor(
    specs: readonly LayerSpec[],
    form: HeadRowsForm,
    place: (part: PartName) => LayerPlace | undefined,
  ) {
    this.#specs = specs;
    this.#form = form;
    this.#place = place;
  }

  attend(
    layer: number,
    q: NDArray,
    k: NDArray,
    v: NDArray,
    positions: NDArray,
    options: AttendOptions,
  ): NDArray {
    const spec = layerOfKind(this.#specs, layer, ['full', 'window'], 'attend');
    const { states, paged, positions: shown = positions } = this.#at(layer);
    return this.#form.attend(spec, states, { q, k, v, positions: shown }, options, { paged });
  }

  latent(
    layer: number,
    q: NDArray,
    row: NDArray,
    positions: NDArray,
    options: AttendOptions,
    index?: PositionIndex,
  ): NDArray {
    const spec = layerOfKind(this.#specs, layer, ['latent'], 'latent');
    const { states, paged, positions: shown = positions } = this.#at(layer);
    return attendRows(spec, states, q, row, shown, options, { index, paged });
  }

  convolve(layer: number, x: NDArray, positions: NDArray, { weight, bias }: Convolution): NDArray {
    layerOfKind(this.#specs, layer, ['recurrent'], 'convolve');
    const { states, paged, positions: shown = positions } = this.#at(layer);
    return shortConv(states[0] as State, x, weight, shown, { bias, paged });
  }

  compressed(layer: number, rows: CompressedRows, positions: NDArray, options: AttendOptions): NDArray {
    const spec = layerOfKind(this.#specs, layer, ['compressed'], 'compressed');
    return attendCompressed(spec, (index) => this.#at(layer, index), rows, positions, options);
  }

  #at(layer: number, index = 0): LayerPlace {
    const place = this.#place({ layer, index });
    invariant(place !== undefined, `layer ${layer} keeps something and is in no group`);
    return place;
  }
}
