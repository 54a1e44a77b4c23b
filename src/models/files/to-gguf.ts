// A model as the tensors and metadata of a GGUF file.

import { IngotError } from '../../base/errors.ts';
import { f32 } from '../../quant/formats/float.ts';
import { Checkpoint } from '../../weights/checkpoint.ts';
import type { ExportFormats } from '../../weights/export/plan.ts';
import { type PlannedTensor, planExport } from '../../weights/export/plan.ts';
import type { StoredPart, StoredTensor } from '../../weights/export/stored.ts';
import { GgufMetadata, type GgufValue } from '../../weights/gguf/metadata.ts';
import { u32, type WritableValue } from '../../weights/gguf/writer.ts';
import { MemorySource } from '../../weights/source.ts';
import { type CheckpointTensor, dimensions, type SourceTensor } from '../../weights/tensor.ts';
import type { DecoderConfig } from '../config/decoder.ts';
import type { ModelConfig } from '../contract.ts';
import { families, findFamily, parseModel } from '../registry.ts';
import { configDifference } from './config-difference.ts';
import type { GgufForm, GgufWriting } from './files.ts';
import { type Fused, fuse, storedShape } from './fuse.ts';
import { ggufConfig } from './gguf-config.ts';
import { rotaryTensors } from './gguf-fields.ts';
import type { RotaryFactors } from './gguf-keys.ts';
import { ggufNames, joinName, type NameTable, splitName, storedName } from './names.ts';
import { rotaryRowMap } from './rows.ts';
import { ggufForm } from './translate.ts';

export interface GgufContent {
  /** Without the tokenizer's. */
  readonly metadata: Readonly<Record<string, WritableValue>>;
  readonly tensors: readonly StoredTensor[];
  readonly plan: readonly PlannedTensor[];
}

type WrittenForm = GgufForm & { readonly written: GgufWriting };
const isWritten = (form: GgufForm): form is WrittenForm => form.written !== undefined;

/** How GGUF files of a config's family are written. Throws unsupported. */
export function writtenForm({ config, path }: Pick<Checkpoint, 'config' | 'path'>): WrittenForm {
  const form = findFamily(config, path).files.gguf?.find(isWritten);
  if (form !== undefined) return form;
  const types = families.flatMap(({ files }) => (files.gguf ?? []).filter(isWritten)).map((f) => f.modelType);
  throw new IngotError(
    'unsupported',
    `${path}: models of type ${JSON.stringify(config.model_type)} cannot be written as GGUF, only ${types.join(', ')}; use MLX or safetensors`,
  );
}

/**
 * What a GGUF file of a model has: `name` is the one that it says. Throws unsupported for a model that such files cannot
 * describe, and for tensors without a name there.
 */
export function toGguf(checkpoint: Checkpoint, name: string, formats: ExportFormats): GgufContent {
  const form = writtenForm(checkpoint);
  const { path } = checkpoint;
  const { config } = parseModel(checkpoint.config, path);
  const plan = planExport(splitTensors(checkpoint, form.written, config), formats);
  const writing = { form, config, path, tables: nameTables(form), heads: headsOf(checkpoint) };
  const tensors = fuse(plan, form.written.fused ?? []).map((fused) => stored(fused, writing));
  for (const [factors, values] of rotaryTensors(config as DecoderConfig))
    tensors.push(inMemory(factors, values));
  const metadata: Record<string, WritableValue> = {
    'general.architecture': form.architecture,
    'general.name': name,
    'general.quantization_version': u32(2),
  };
  for (const [key, value] of Object.entries(form.written.fields(config)))
    metadata[`${form.architecture}.${key}`] = value;
  checkReadable(path, config, metadata, tensors);
  return { metadata, tensors, plan };
}

function splitTensors(checkpoint: Checkpoint, { split }: GgufWriting, config: ModelConfig): Checkpoint {
  if (split === undefined) return checkpoint;
  const tensors = new Map<string, CheckpointTensor>();
  for (const tensor of checkpoint.parts.tensors.values())
    for (const part of split(tensor, config) ?? [tensor]) tensors.set(part.name, part);
  return new Checkpoint({ ...checkpoint.parts, tensors });
}

/** The family's own names first; of the common ones those that it has not given to something else. */
function nameTables({ names = {} }: GgufForm): readonly NameTable[] {
  const common = Object.entries(ggufNames).filter(([stored]) => !Object.hasOwn(names, stored));
  const whole = Object.entries(names).filter(([stored]) => !stored.includes('*'));
  return [Object.fromEntries(whole), Object.fromEntries(common)];
}

interface Heads {
  readonly queries: number;
  readonly keys: number;
}

function headsOf({ config }: Checkpoint): Heads {
  const queries = Number(config.num_attention_heads);
  return { queries, keys: Number(config.num_key_value_heads ?? queries) };
}

interface Writing {
  readonly form: WrittenForm;
  readonly config: ModelConfig;
  readonly path: string;
  readonly tables: readonly NameTable[];
  readonly heads: Heads;
}

function stored({ name, tensors, format }: Fused, writing: Writing): StoredTensor {
  const { form, config, tables, heads, path } = writing;
  const canonical = splitName(name, /^model\.layers\.(\d+)\.(.+)$/);
  const found = storedName(canonical, ...tables);
  if (found === undefined)
    throw new IngotError(
      'unsupported',
      `${path}: GGUF has no name for tensor ${name}; use MLX or safetensors`,
    );
  const block = found.layer === '' ? '' : `blk.${/\d+/.exec(found.layer)?.[0]}.`;
  const parts = tensors.map((tensor): StoredPart => {
    const turned =
      form.interleavedRows === true ? /self_attn\.([qk])_proj\.\w+$/.exec(tensor.name)?.[1] : undefined;
    if (turned === undefined) return { tensor };
    const rows = tensor.shape.length === 1 ? (tensor.shape[0] ?? 0) : dimensions(tensor.shape).rows;
    return {
      tensor,
      order: inverse(rotaryRowMap(rows, rows / (turned === 'q' ? heads.queries : heads.keys))),
    };
  });
  const shape = storedShape(canonical, tensors, config, form.written.shapeOf);
  return { name: `${block}${joinName({ ...found, layer: '' })}`, shape, parts, format };
}

/** Rows of the model in the order in which the file stores them. */
function inverse(map: Int32Array): Int32Array {
  const order = new Int32Array(map.length);
  map.forEach((stored, row) => {
    order[stored] = row;
  });
  return order;
}

function inMemory(name: string, values: Float32Array): StoredTensor {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const region = { source: new MemorySource(bytes, name), offset: 0, rowBytes: values.byteLength };
  const tensor: SourceTensor = {
    kind: 'source',
    name,
    shape: [values.length],
    format: f32,
    slices: [[region]],
  };
  return { name, shape: tensor.shape, parts: [{ tensor }], format: f32 };
}

/** Throws unsupported unless a reader of the file gets the same model. */
function checkReadable(
  path: string,
  config: ModelConfig,
  metadata: Readonly<Record<string, WritableValue>>,
  tensors: readonly StoredTensor[],
): void {
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  const factors = rotaryTensors(config as DecoderConfig);
  const values = Object.entries(metadata).map(([key, value]) => [key, plainValue(value)] as const);
  const { form, keys } = ggufForm(path, new GgufMetadata(path, new Map(values)), {
    shape: (name) => shapes.get(name),
    factors: (name: RotaryFactors) => factors.get(`${name}.weight`),
  });
  const difference = configDifference(config, parseModel(ggufConfig(keys, form), path).config);
  if (difference === undefined) return;
  throw new IngotError(
    'unsupported',
    `${path}: a GGUF file cannot say ${difference} of this model; use MLX or safetensors`,
  );
}

const plainValue = (value: WritableValue): GgufValue =>
  typeof value === 'object' && 'type' in value
    ? value.type === 'float32'
      ? Math.fround(Number(value.value))
      : value.value
    : value;
