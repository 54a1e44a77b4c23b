// A model as the tensors of a folder: safetensors as its family publishes them, or as MLX names them.

import { IngotError } from '../../base/errors.ts';
import { f32 } from '../../quant/formats/float.ts';
import type { Checkpoint } from '../../weights/checkpoint.ts';
import type { FolderKind } from '../../weights/export/folder.ts';
import { type ExportFormats, type PlannedTensor, planExport } from '../../weights/export/plan.ts';
import type { StoredTensor } from '../../weights/export/stored.ts';
import { type CheckpointTensor, expertName } from '../../weights/tensor.ts';
import type { ModelConfig } from '../contract.ts';
import { findFamily, parseModel } from '../registry.ts';
import type { FamilyFiles } from './files.ts';
import { type Fused, fuse, storedShape } from './fuse.ts';
import {
  commonNames,
  joinName,
  mlxNames,
  type NameTable,
  splitName,
  storedName,
  type TensorName,
} from './names.ts';

export interface FolderTensors {
  readonly tensors: readonly StoredTensor[];
  readonly plan: readonly PlannedTensor[];
}

/** What a folder of a model has. Throws unsupported for tensors that such folders have in a form that is not written. */
export function toFolder(checkpoint: Checkpoint, kind: FolderKind, formats: ExportFormats): FolderTensors {
  const { path } = checkpoint;
  const { files } = findFamily(checkpoint.config, path);
  const { config } = parseModel(checkpoint.config, path);
  const plan = planExport(checkpoint, formats);
  const mlx = kind === 'mlx';
  const fused = fuse(plan, (mlx ? files.fusedMlx : undefined) ?? files.fused ?? []);
  if (!mlx && files.fusedExperts?.alternating === true && plan.some(({ tensor }) => isExperts(tensor.name))) {
    throw new IngotError(
      'unsupported',
      `${path}: this family stores the rows of its experts by turns and by columns, which is not written; use MLX or GGUF`,
    );
  }
  return { plan, tensors: fused.map((each) => stored(each, { files, config, mlx })) };
}

interface Writing {
  readonly files: FamilyFiles;
  readonly config: ModelConfig;
  readonly mlx: boolean;
}

function stored({ name, tensors, format }: Fused, { files, config, mlx }: Writing): StoredTensor {
  const canonical = splitName(name, /^model\.layers\.(\d+)\.(.+)$/);
  const { names = {}, mlx: own = {} } = files;
  const shape = storedShape(canonical, tensors, config, files.shapeOf);
  const found = mlx ? storedName(canonical, own, mlxNames, names, commonNames) : plainName(canonical, names);
  return {
    name: joinName(found ?? canonical),
    // What is read as a stack lies in one matrix.
    shape:
      files.stacks?.[canonical.module] === undefined
        ? shape
        : [shape.slice(0, -1).reduce((a, b) => a * b, 1), ...shape.slice(-1)],
    parts: tensors.map((tensor) => ({ tensor: files.normsLessOne ? lessOne(tensor) : tensor })),
    format,
  };
}

/** Stacks become one tensor for each expert where the family has no name for the stack. */
function plainName(name: TensorName, names: NameTable): TensorName | undefined {
  if (!isExperts(name.module) || name.kind !== 'weight') return storedName(name, names, commonNames);
  const single = { ...name, module: name.module.replace('.experts.', '.experts.*.') };
  return storedName(name, names) ?? storedName(single, names) ?? single;
}

const isExperts = (module: string): boolean => /\bmlp\.experts\.\w+_proj/.test(module) && !expertName(module);

/** Norms as they are stored: what reading adds is taken away. */
function lessOne(tensor: CheckpointTensor): CheckpointTensor {
  if (tensor.shape.length !== 1 || !/norm\.weight$/.test(tensor.name)) return tensor;
  if (tensor.kind === 'source') return { ...tensor, add: (tensor.add ?? 0) - 1 };
  const { name, shape, source, offset, bytes } = tensor;
  return {
    kind: 'source',
    name,
    shape,
    format: f32,
    slices: [[{ source, offset, rowBytes: bytes }]],
    add: -1,
  };
}
