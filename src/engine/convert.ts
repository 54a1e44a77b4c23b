// Writes a model in another form: quantised to a format, or as it is in another kind of file.

import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { IngotError } from '../base/errors.ts';
import { resolveModel } from '../hub/resolve.ts';
import type { GgufForm } from '../models/files/files.ts';
import { ggufNames, splitName } from '../models/files/names.ts';
import { rotaryRowMap } from '../models/files/rows.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import { families, findFamily } from '../models/registry.ts';
import type { SourceFormat } from '../quant/format.ts';
import { f32 } from '../quant/formats/float.ts';
import { q6_k } from '../quant/formats/q6_k.ts';
import { findSourceFormat } from '../quant/registry.ts';
import { tokenizerFiles } from '../tokenizer/gguf.ts';
import { ggufTokenizer } from '../tokenizer/to-gguf.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { type FolderKind, type SmallFiles, writeFolder } from '../weights/export/folder.ts';
import { type GgufPlace, writeGgufExport } from '../weights/export/gguf.ts';
import {
  bitsPerWeight,
  checkWritable,
  type ExportFormats,
  ggufFallback,
  type PlannedTensor,
  planExport,
} from '../weights/export/plan.ts';
import { ExportProgress } from '../weights/export/progress.ts';
import { copiedMetadata, ggufModelMetadata } from '../weights/gguf/export.ts';
import { u32, type WritableValue } from '../weights/gguf/writer.ts';
import { openCheckpoint } from '../weights/open.ts';
import { type CheckpointTensor, dimensions } from '../weights/tensor.ts';
import { packModel } from './pack.ts';
import type { LoadProgress } from './types.ts';

/** Kinds of files a model can be written as. */
export const containers = ['gguf', 'mlx', 'safetensors', 'packed'] as const;
export type Container = (typeof containers)[number];

export interface ConvertOptions {
  /** A kind of file, or a format to quantise to: see `quantizeTargets`. */
  readonly to: string;
  /** Default: the model's name with the format behind it, in the current folder. */
  readonly output?: string | undefined;
  /** Columns that share a scale in the affine formats (default 64). */
  readonly groupSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  readonly onNotice?: ((text: string) => void) | undefined;
}

export interface ConvertResult {
  readonly path: string;
  readonly bytes: number;
  /** Bits of a weight of the matrices on average; undefined for packed files. */
  readonly bitsPerWeight?: number;
  /** How many matrices have each format. */
  readonly formats?: Readonly<Record<string, number>>;
}

/** What a target means: the kind of file, and how matrices are stored in it. */
interface Target {
  readonly container: Exclude<Container, 'packed'>;
  readonly kind: FolderKind;
  readonly formats: ExportFormats;
}

const ggufFormats = [
  'q4_0',
  'q4_1',
  'q5_0',
  'q5_1',
  'q8_0',
  'q2_k',
  'q3_k',
  'q4_k',
  'q5_k',
  'q6_k',
  'iq4_nl',
  'iq4_xs',
  'tq1_0',
  'tq2_0',
];
const mlxModes = ['mxfp4', 'mxfp8', 'nvfp4'];

/** Names that `quantize` takes. */
export const quantizeTargets: readonly string[] = [
  ...[2, 3, 4, 5, 6, 8].map((bits) => `affine${bits}`),
  ...mlxModes,
  'fp8',
  ...ggufFormats,
  'packed',
];

const noFallback = (): undefined => undefined;

/** Throws invalid_argument for an unknown name. */
function targetOf({ to, groupSize = 64 }: ConvertOptions): Target {
  const affine = /^affine([234568])$/.exec(to);
  if (affine !== null || mlxModes.includes(to)) {
    const matrix = findSourceFormat(affine === null ? `mlx-${to}` : `mlx${affine[1]}/${groupSize}/bf16`);
    if (matrix === undefined)
      throw new IngotError(
        'invalid_argument',
        `groups of ${groupSize} columns are not possible; use 32, 64 or 128`,
      );
    return folderTarget('mlx', matrix);
  }
  // The codes of FP8 are made block by block; the format stands for them.
  if (to === 'fp8') return folderTarget('fp8', findSourceFormat('fp8/32/f32'));
  if (to === 'mlx') return folderTarget('mlx', undefined);
  if (to === 'safetensors') return folderTarget('plain', undefined);
  const matrix = ggufFormats.includes(to) ? findSourceFormat(to) : undefined;
  if (matrix === undefined && to !== 'gguf') {
    throw new IngotError(
      'invalid_argument',
      `no format ${JSON.stringify(to)}; use one of ${quantizeTargets.join(', ')}`,
    );
  }
  const strong = matrix !== undefined && ['q2_k', 'q3_k', 'q4_k', 'q5_k', 'iq4_xs'].includes(matrix.name);
  const holds = (format: SourceFormat): boolean => format.gguf !== undefined;
  return {
    container: 'gguf',
    kind: 'plain',
    formats: {
      matrix,
      ends: strong ? q6_k : undefined,
      float: matrix === undefined ? undefined : f32, // routers, as llama.cpp has them
      holds,
      fallback: ggufFallback,
    },
  };
}

function folderTarget(kind: FolderKind, matrix: SourceFormat | undefined): Target {
  const holds = (format: SourceFormat): boolean => kind === 'mlx' && /^mlx/.test(format.name);
  return {
    container: kind === 'mlx' ? 'mlx' : 'safetensors',
    kind,
    formats: { matrix, holds, fallback: noFallback },
  };
}

/**
 * Writes a model in another form, downloading it first when needed; whole or not at all. Throws invalid_argument when the output
 * exists or the target is unknown, unsupported for what the target cannot hold, disk_full.
 */
export async function convertModel(nameOrPath: string, options: ConvertOptions): Promise<ConvertResult> {
  const { to, signal, onProgress, onNotice } = options;
  if (to === 'packed') return packModel(nameOrPath, options);
  const target = targetOf(options);
  const source = await resolveModel(nameOrPath, { signal, onProgress, onNotice });
  const path = options.output ?? defaultOutput(source, to, target.container);
  if (await stat(path).catch(() => undefined)) {
    throw new IngotError('invalid_argument', `${path} exists; remove it or name another file`, {
      details: { path },
    });
  }
  const raw = await openCheckpoint(source);
  // A GGUF file keeps its own names and rows when it becomes another one.
  const same = raw.kind === 'gguf' && target.container === 'gguf';
  const checkpoint = same ? raw : await modelCheckpoint(raw);
  try {
    if (raw.kind === 'safetensors') checkNames(raw, checkpoint);
    const plan = planExport(checkpoint, target.formats);
    for (const { format } of plan) checkWritable(format);
    const progress = new ExportProgress(plan, {
      signal,
      onProgress: (p) => onProgress?.({ phase: 'load', ...p }),
    });
    if (target.container === 'gguf') {
      const place = same ? ({ name }: CheckpointTensor) => ({ name }) : ggufPlaces(checkpoint);
      const metadata = await ggufMetadata(checkpoint, basename(path).replace(/\.gguf$/i, ''));
      await writeGgufExport(path, plan, place, metadata, progress);
    } else {
      await writeFolder(path, checkpoint, plan, target.kind, await smallFiles(checkpoint), progress);
    }
    return {
      path,
      bytes: await bytesOf(path, target.container),
      bitsPerWeight: bitsPerWeight(plan),
      formats: counts(plan),
    };
  } finally {
    await checkpoint.close();
  }
}

/** Throws unsupported for a family whose files have other names than the ones that would be written. */
function checkNames(raw: Checkpoint, model: Checkpoint): void {
  const strange = raw.tensors.find(
    (name) => !model.has(name) && !/\.(experts|switch_mlp)\.|rotary_emb/.test(name),
  );
  if (strange === undefined) return;
  throw new IngotError(
    'unsupported',
    `${raw.path}: files of this family have names such as ${strange}, which are not written yet; quantise a GGUF file of the model`,
  );
}

/** How GGUF files of a config's family are written. Throws unsupported. */
export function writtenForm({ config, path }: Pick<Checkpoint, 'config' | 'path'>): GgufForm {
  const written = (forms: readonly GgufForm[] = []): readonly GgufForm[] => forms.filter((f) => f.written);
  const [form] = written(findFamily(config, path).files.gguf);
  if (form !== undefined) return form;
  const types = families.flatMap(({ files }) => written(files.gguf)).map(({ modelType }) => modelType);
  throw new IngotError(
    'unsupported',
    `${path}: models of type ${JSON.stringify(config.model_type)} cannot be written as GGUF, only ${types.join(', ')}; use MLX or safetensors`,
  );
}

/** Names and order of rows in GGUF. */
function ggufPlaces({ config, path }: Checkpoint): (tensor: CheckpointTensor) => GgufPlace {
  const interleaved = writtenForm({ config, path }).interleavedRows === true;
  const heads = Number(config.num_attention_heads);
  const keyHeads = Number(config.num_key_value_heads ?? heads);
  return ({ name, shape }) => {
    const { layer, module, kind } = splitName(name, /^model\.layers\.(\d+)\.(.+)$/);
    const found = Object.entries(ggufNames).find(
      ([, canonical]) => canonical === (layer === '' ? name.replace(/\.(weight|bias)$/, '') : module),
    )?.[0];
    if (found === undefined) {
      throw new IngotError(
        'unsupported',
        `${path}: GGUF has no name for tensor ${name}; use MLX or safetensors`,
      );
    }
    const block = layer === '' ? '' : `blk.${/\d+/.exec(layer)?.[0]}.`;
    const turned = interleaved && /^self_attn\.[qk]_proj$/.test(module);
    const rows = shape.length === 1 ? (shape[0] ?? 0) : (shape.at(-2) ?? 0);
    const order = turned
      ? inverse(rotaryRowMap(rows, rows / (module.includes('q_proj') ? heads : keyHeads)))
      : undefined;
    return { name: `${block}${found}.${kind}`, order };
  };
}

/** Rows of the model in the order in which the file stores them. */
function inverse(map: Int32Array): Int32Array {
  const order = new Int32Array(map.length);
  map.forEach((stored, row) => {
    order[stored] = row;
  });
  return order;
}

const defaultOutput = (source: string, to: string, container: Container): string =>
  `${basename(source).replace(/\.(gguf|ingot|safetensors)$/i, '')}-${to}${container === 'gguf' ? '.gguf' : ''}`;

async function bytesOf(path: string, container: Container): Promise<number> {
  return (await stat(container === 'gguf' ? path : `${path}/model.safetensors`)).size;
}

function counts(plan: readonly PlannedTensor[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { tensor, format } of plan) {
    if (tensor.shape.length === 1) continue;
    found[format.name] = (found[format.name] ?? 0) + dimensions(tensor.shape).matrices;
  }
  return found;
}

/** Metadata of a GGUF file of the model: that of the file it comes from, or made of config and tokenizer. */
async function ggufMetadata(checkpoint: Checkpoint, name: string): Promise<Record<string, WritableValue>> {
  const { metadata, config, path } = checkpoint;
  if (checkpoint.kind === 'gguf' && metadata !== undefined) return copiedMetadata(metadata);
  const made = ggufModelMetadata(config, path, name, writtenForm(checkpoint).architecture);
  if (metadata !== undefined) return { ...copiedMetadata(metadata), ...made };
  const file = await checkpoint.readFile('tokenizer.json');
  if (file === undefined) {
    throw new IngotError('unsupported', `${path}: has no tokenizer.json, which a GGUF file of it needs`);
  }
  const text = new TextDecoder();
  const json = async (part: string): Promise<Record<string, unknown>> => {
    const bytes = await checkpoint.readFile(part);
    return bytes === undefined ? {} : (JSON.parse(text.decode(bytes)) as Record<string, unknown>);
  };
  const settings = await json('tokenizer_config.json');
  const tokens = ggufTokenizer(JSON.parse(text.decode(file)), settings, Number(config.vocab_size ?? 0), path);
  for (const [key, value] of Object.entries(tokens)) {
    made[key] = typeof value === 'number' ? u32(value) : (value as WritableValue);
  }
  const jinja = await checkpoint.readFile('chat_template.jinja');
  const template = jinja === undefined ? settings.chat_template : text.decode(jinja);
  if (typeof template === 'string') made['tokenizer.chat_template'] = template;
  for (const [key, value] of [
    ['bos', config.bos_token_id],
    ['eos', config.eos_token_id],
  ] as const) {
    const id = Array.isArray(value) ? value[0] : value;
    if (typeof id === 'number') made[`tokenizer.ggml.${key}_token_id`] ??= u32(id);
  }
  return made;
}

/** Tokenizer and generation files for a folder; of a GGUF file they are made of its metadata. */
async function smallFiles(checkpoint: Checkpoint): Promise<SmallFiles> {
  const files = new Map<string, Uint8Array>();
  for (const name of checkpoint.files) {
    const bytes = name === 'config.json' ? undefined : await checkpoint.readFile(name);
    if (bytes !== undefined) files.set(name, bytes);
  }
  if (files.has('tokenizer.json') || checkpoint.metadata === undefined) return files;
  const made = tokenizerFiles(checkpoint.metadata, checkpoint.path);
  if (made === undefined) return files;
  const encode = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  files.set('tokenizer.json', encode(made.tokenizer));
  files.set('tokenizer_config.json', encode(made.config));
  return files;
}
