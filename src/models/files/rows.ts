// Tensors of files as the tensors that blocks load: fused ones are taken apart, rows and values put back as they were trained.

import { IngotError } from '../../base/errors.ts';
import {
  asColumn,
  dimensions,
  fileOf,
  type SourceTensor,
  selectRows,
  transposedMatrices,
} from '../../weights/tensor.ts';
import { fusions, type TensorName } from './names.ts';

/** How a file holds its tensors. */
export interface StoredForm {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly layers: number;
  /** Rows of queries and keys have the halves of each head interleaved. */
  readonly interleavedRows: boolean;
  readonly normsLessOne: boolean;
  readonly fusedExperts: { readonly alternating: boolean; readonly transposed: boolean };
  /** Matrices in a tensor, by module, where there are several one below the other. */
  readonly stacks: ReadonlyMap<string, number>;
}

export interface NamedTensor {
  readonly name: TensorName;
  readonly tensor: SourceTensor;
}

/** What a stored tensor stands for, by canonical names. Throws shape_mismatch for rows that cannot be taken apart. */
export function unfuse({ name, tensor }: NamedTensor, form: StoredForm): readonly NamedTensor[] {
  const stacked = form.stacks.get(name.module);
  if (stacked !== undefined) return [{ name, tensor: asStack(tensor, stacked) }];
  const part = (module: string, part: SourceTensor): NamedTensor => ({
    name: { ...name, module },
    tensor: part,
  });
  switch (name.module) {
    case 'self_attn.qkv_proj':
      return splitHeads(tensor, form).map((rows, i) => part(`self_attn.${'qkv'[i]}_proj`, rows));
    case 'conv.in_proj':
      return thirds(tensor).map((rows, i) => part(fusions['conv.in_proj'][i] as string, rows));
    case 'mlp.gate_up_proj':
    case 'mlp.shared_expert.gate_up_proj':
      return gateAndUp(name, tensor, false);
    case 'mlp.experts.own_gate_up_proj':
    case 'mlp.experts.gate_up_proj':
      return fusedExperts(
        { ...name, module: 'mlp.experts.gate_up_proj' },
        ownExperts(name, tensor, form),
        form,
      );
    case 'mlp.experts.own_down_proj':
      return [part('mlp.experts.down_proj', ownExperts(name, tensor, form))];
    case 'mlp.experts.down_proj':
    case 'mlp.experts.gate_proj':
    case 'mlp.experts.up_proj':
      return [{ name, tensor: name.kind === 'bias' ? flat(tensor) : tensor }];
    case 'conv.conv':
      return [{ name, tensor: flatStored(tensor) }];
    case 'mlp.gate.correction':
      return [{ name, tensor: flatStored(tensor) }];
    case 'self_attn.q_proj':
      return [{ name, tensor: form.interleavedRows ? halved(tensor, form.numHeads) : tensor }];
    case 'self_attn.k_proj':
      return [{ name, tensor: form.interleavedRows ? halved(tensor, form.numKvHeads) : tensor }];
    default:
      return [{ name, tensor: form.normsLessOne && isNorm(name) ? { ...tensor, add: 1 } : tensor }];
  }
}

/** `count` matrices of equal heights that a tensor `[count * N, K]` holds, as `[count, N, K]`. */
function asStack(tensor: SourceTensor, count: number): SourceTensor {
  const rows = rowsOf(tensor);
  const each = rows / count;
  if (tensor.shape.length !== 2 || !Number.isInteger(each))
    mismatch(tensor, `has the shape [${tensor.shape}], not that of ${count} matrices of equal heights`);
  const slices = Array.from({ length: count }, (_, i) =>
    selectRows(tensor, { first: i * each, count: each }),
  ).flatMap((part) => part.slices);
  return { ...tensor, shape: [count, each, tensor.shape[1] ?? 0], slices };
}

const isNorm = ({ module, kind }: TensorName): boolean => kind === 'weight' && /norm$/.test(module);

function splitHeads(tensor: SourceTensor, { numHeads, numKvHeads }: StoredForm): readonly SourceTensor[] {
  const rows = rowsOf(tensor);
  const headDim = rows / (numHeads + 2 * numKvHeads);
  if (!Number.isInteger(headDim))
    mismatch(tensor, `has ${rows} rows, not whole heads of ${numHeads} + 2 x ${numKvHeads}`);
  const counts = [numHeads, numKvHeads, numKvHeads].map((heads) => heads * headDim);
  return counts.map((count, i) =>
    selectRows(tensor, { first: counts.slice(0, i).reduce((a, b) => a + b, 0), count }),
  );
}

function thirds(tensor: SourceTensor): readonly SourceTensor[] {
  const count = rowsOf(tensor) / 3;
  if (!Number.isInteger(count))
    mismatch(tensor, `has ${3 * count} rows, not as many for each of three matrices`);
  return [0, 1, 2].map((i) => selectRows(tensor, { first: i * count, count }));
}

/** The two halves of the rows, or the even and the odd ones. */
function gateAndUp(name: TensorName, tensor: SourceTensor, alternating: boolean): readonly NamedTensor[] {
  const rows = rowsOf(tensor);
  if (rows % 2 !== 0) mismatch(tensor, `has ${rows} rows, not as many for gate as for up`);
  return (['gate_proj', 'up_proj'] as const).map((part, i) => ({
    name: { ...name, module: name.module.replace(/gate_up_proj$/, part) },
    tensor: selectRows(
      tensor,
      alternating ? { first: i, count: rows / 2, step: 2 } : { first: (i * rows) / 2, count: rows / 2 },
    ),
  }));
}

function fusedExperts(name: TensorName, tensor: SourceTensor, form: StoredForm): readonly NamedTensor[] {
  const stored = name.kind === 'bias' ? asColumn(tensor) : tensor;
  const parts = gateAndUp(name, stored, form.fusedExperts.alternating);
  return name.kind === 'bias' ? parts.map((p) => ({ ...p, tensor: flat(p.tensor) })) : parts;
}

/** Stacks that are parameters of their own, which some families keep by columns. */
const ownExperts = (
  { module }: TensorName,
  tensor: SourceTensor,
  { fusedExperts: { transposed } }: StoredForm,
) => (transposed && module.includes('.own_') ? transposedMatrices(tensor) : tensor);

/** A matrix as the vector of its rows. */
const flat = (tensor: SourceTensor): SourceTensor => ({
  ...tensor,
  shape: [tensor.shape.reduce((product, n) => product * n, 1)],
});

/** A whole tensor of a file as the vector of its rows, which lie one after the other. */
const flatStored = (tensor: SourceTensor): SourceTensor => ({
  ...flat(tensor),
  slices: tensor.slices.slice(0, 1),
});

/** Far above heads x headDim of any model: bounds the row map. */
const maxRotaryRows = 2 ** 20;

/** Rows of heads whose halves are interleaved, put back in order. */
function halved(tensor: SourceTensor, heads: number): SourceTensor {
  const rows = rowsOf(tensor);
  const headDim = rows / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0 || rows > maxRotaryRows)
    mismatch(tensor, `has ${rows} rows, not ${heads} whole heads`);
  return { ...tensor, rowMap: rotaryRowMap(rows, headDim) };
}

/**
 * Puts the rows of such a tensor back into Hugging Face order: `rowMap[i]` is the stored row of row i. Stored is (head h,
 * pair i, half p); Hugging Face has (h, p, i), because its rotation pairs column i with i + headDim / 2.
 */
export function rotaryRowMap(rows: number, headDim: number): Int32Array {
  const half = headDim / 2;
  return Int32Array.from({ length: rows }, (_, row) => {
    const inHead = row % headDim;
    return row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
  });
}

/** Rows of a matrix or stack; elements of a vector. */
const rowsOf = ({ shape }: SourceTensor): number =>
  shape.length === 1 ? (shape[0] ?? 0) : dimensions(shape).rows;

function mismatch(tensor: SourceTensor, problem: string): never {
  throw new IngotError('shape_mismatch', `${fileOf(tensor)}: ${tensor.name} ${problem}`);
}
