// Writes a model in another form: quantised to a format, or as it is in another kind of file.

import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { IngotError } from '../base/errors.ts';
import { resolveModel } from '../hub/resolve.ts';
import { type FolderTensors, toFolder } from '../models/files/to-folder.ts';
import { type GgufContent, toGguf } from '../models/files/to-gguf.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import type { SourceFormat } from '../quant/format.ts';
import { f32 } from '../quant/formats/float.ts';
import { q6_k } from '../quant/formats/q6_k.ts';
import { isFloatLayout } from '../quant/layout.ts';
import { findSourceFormat, sourceFormats } from '../quant/registry.ts';
import { tokenizerFiles } from '../tokenizer/gguf.ts';
import { tokenizerDocument } from '../tokenizer/open.ts';
import { ggufTokenizer } from '../tokenizer/to-gguf.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { type FolderKind, type SmallFiles, writeFolder } from '../weights/export/folder.ts';
import { writeGgufExport } from '../weights/export/gguf.ts';
import { mixBase, mixedFormats, mixNames } from '../weights/export/mixes.ts';
import {
  bitsPerWeight,
  checkWritable,
  type ExportFormats,
  ggufFallback,
  type PlannedTensor,
  planExport,
} from '../weights/export/plan.ts';
import { ExportProgress } from '../weights/export/progress.ts';
import { copiedMetadata } from '../weights/gguf/export.ts';
import { u32, type WritableValue } from '../weights/gguf/writer.ts';
import { openCheckpoint } from '../weights/open.ts';
import { dimensions } from '../weights/tensor.ts';
import { packModel } from './pack.ts';
import { rowEncoder } from './packer.ts';
import { type FormatChoice, spendOnTensors } from './spend.ts';
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
  /** Bits of a weight on average: formats are chosen for each matrix by what it contributes. `to` is then gguf or mlx. */
  readonly bitsPerWeight?: number | undefined;
  /** What the model reads to find that out; default: a short text of its own. */
  readonly calibration?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Matrices that were measured, of all. */
  readonly onMeasured?: ((done: number, total: number) => void) | undefined;
  readonly onNotice?: ((text: string) => void) | undefined;
}

export interface ConvertResult {
  readonly path: string;
  readonly bytes: number;
  /** Bits of a weight of the matrices on average; undefined for packed files. */
  readonly bitsPerWeight?: number;
  /** How many matrices have each format. */
  readonly formats?: Readonly<Record<string, number>>;
  /** What each matrix was given, where bits were spent by measurement. */
  readonly choices?: readonly FormatChoice[];
}

/** What a target means: the kind of file, and how matrices are stored in it. */
interface Target {
  readonly container: Exclude<Container, 'packed'>;
  readonly kind: FolderKind;
  readonly formats: ExportFormats;
}

const mlxModes = ['mxfp4', 'mxfp8', 'nvfp4'];
/** Those that GGUF has and that can be written, but for names that mean MLX's form. */
const ggufFormats = sourceFormats.flatMap(({ name, gguf, quantizeRow, layout }) =>
  gguf === undefined || quantizeRow === undefined || isFloatLayout(layout) || mlxModes.includes(name)
    ? []
    : [name],
);

/** Names that `quantize` takes. */
export const quantizeTargets: readonly string[] = [
  ...[2, 3, 4, 5, 6, 8].map((bits) => `affine${bits}`),
  ...mlxModes,
  'fp8',
  'nf4',
  ...new Set([...ggufFormats, ...mixNames]),
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
  if (to === 'nf4') {
    const { formats, ...target } = folderTarget('nf4', findSourceFormat('nf4/64/f32'));
    // What bitsandbytes leaves alone: it has no such embedding, and skips the head.
    return { ...target, formats: { ...formats, keepsFloat: /embed_tokens|lm_head/ } };
  }
  if (to === 'mlx') return folderTarget('mlx', undefined);
  if (to === 'safetensors') return folderTarget('plain', undefined);
  const matrix = mixBase(to) ?? (ggufFormats.includes(to) ? findSourceFormat(to) : undefined);
  if (matrix === undefined && to !== 'gguf') {
    throw new IngotError(
      'invalid_argument',
      `no format ${JSON.stringify(to)}; use one of ${quantizeTargets.join(', ')}`,
    );
  }
  const holds = (format: SourceFormat): boolean => format.gguf !== undefined;
  return {
    container: 'gguf',
    kind: 'plain',
    formats: {
      matrix,
      ends: matrix === undefined || matrix.name === 'q8_0' ? undefined : q6_k,
      float: matrix === undefined ? undefined : f32, // routers, as llama.cpp has them
      holds,
      fallback: ggufFallback,
    },
  };
}

/** The formats that bits are spent on, and the target that stands for them. Throws invalid_argument. */
function ladderOf({ to, groupSize = 64, bitsPerWeight = 0 }: ConvertOptions): {
  readonly to: string;
  readonly formats: readonly SourceFormat[];
} {
  if (to !== 'gguf' && to !== 'mlx')
    throw new IngotError(
      'invalid_argument',
      `bits per weight are spent in gguf or mlx, not in ${JSON.stringify(to)}`,
    );
  if (!(bitsPerWeight >= 1 && bitsPerWeight <= 16))
    throw new IngotError('invalid_argument', `bits per weight must be from 1 to 16, got ${bitsPerWeight}`);
  const names =
    to === 'gguf'
      ? ['q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k', 'q8_0']
      : [2, 3, 4, 5, 6, 8].map((bits) => `mlx${bits}/${groupSize}/bf16`);
  const formats = names.flatMap((name) => findSourceFormat(name) ?? []);
  return { to: to === 'gguf' ? 'q8_0' : 'affine4', formats };
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
  const { to, signal, onProgress, onNotice, bitsPerWeight: wanted } = options;
  if (to === 'packed' && wanted === undefined) return packModel(nameOrPath, options);
  const ladder = wanted === undefined ? undefined : ladderOf(options);
  const target = targetOf(ladder === undefined ? options : { ...options, to: ladder.to });
  const source = await resolveModel(nameOrPath, { signal, onProgress, onNotice });
  const path =
    options.output ?? defaultOutput(source, wanted === undefined ? to : `${wanted}bpw`, target.container);
  if (await stat(path).catch(() => undefined)) {
    throw new IngotError('invalid_argument', `${path} exists; remove it or name another file`, {
      details: { path },
    });
  }
  const raw = await openCheckpoint(source);
  // A GGUF file keeps its own names and rows when it becomes another one.
  const same = raw.kind === 'gguf' && target.container === 'gguf' && ladder === undefined;
  const checkpoint = same ? raw : await modelCheckpoint(raw);
  try {
    const spent =
      ladder === undefined || wanted === undefined
        ? undefined
        : await spendOnTensors(checkpoint, target.formats, {
            path: source,
            bitsPerWeight: wanted,
            ladder: ladder.formats,
            calibration: options.calibration,
            signal,
            onProgress: options.onMeasured,
          });
    const single = spent?.single ?? (target.container === 'gguf' ? mixedFormats(to, checkpoint) : undefined);
    const formats = single === undefined ? target.formats : { ...target.formats, single };
    const written = await contentOf(checkpoint, { ...target, formats }, path, same);
    for (const { format } of written.plan) checkWritable(format);
    const progress = new ExportProgress(written.tensors, {
      signal,
      encode: rowEncoder(),
      onProgress: (p) => onProgress?.({ phase: 'load', ...p }),
    });
    if ('metadata' in written) await writeGgufExport(path, written.tensors, written.metadata, progress);
    else {
      const { config } = checkpoint;
      const files = await smallFiles(checkpoint);
      const text = await checkpoint.readFile('config.json');
      const configText = text && new TextDecoder().decode(text);
      await writeFolder(
        path,
        { kind: target.kind, config, configText, tensors: written.tensors, files },
        progress,
      );
    }
    return {
      path,
      bytes: await bytesOf(path, target.container),
      bitsPerWeight: bitsPerWeight(written.plan),
      formats: counts(written.plan),
      ...(spent === undefined ? {} : { choices: spent.choices }),
    };
  } finally {
    await checkpoint.close();
  }
}

/** What the file or folder has. */
async function contentOf(
  checkpoint: Checkpoint,
  { container, kind, formats }: Target,
  path: string,
  same: boolean,
): Promise<GgufContent | FolderTensors> {
  if (container !== 'gguf') return toFolder(checkpoint, kind, formats);
  const { metadata } = checkpoint;
  if (same && metadata !== undefined) {
    const plan = planExport(checkpoint, formats);
    const tensors = plan.map(({ tensor, format }) => ({
      name: tensor.name,
      shape: tensor.shape,
      parts: [{ tensor }],
      format,
    }));
    return { plan, tensors, metadata: copiedMetadata(metadata) };
  }
  const content = toGguf(checkpoint, basename(path).replace(/\.gguf$/i, ''), formats);
  // What a packed file kept of the GGUF file that it was made from, and else what the tokenizer says.
  const tokens = metadata === undefined ? await tokenizerMetadata(checkpoint) : copiedMetadata(metadata);
  return { ...content, metadata: { ...tokens, ...content.metadata } };
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

/** What a GGUF file says of the tokenizer. */
async function tokenizerMetadata(checkpoint: Checkpoint): Promise<Record<string, WritableValue>> {
  const { config, path } = checkpoint;
  const made: Record<string, WritableValue> = {};
  const found = await tokenizerDocument(checkpoint);
  if (found === undefined)
    throw new IngotError('unsupported', `${path}: has no tokenizer, which a GGUF file of it needs`);
  const text = new TextDecoder();
  const json = async (part: string): Promise<Record<string, unknown>> => {
    const bytes = await checkpoint.readFile(part);
    return bytes === undefined ? {} : (JSON.parse(text.decode(bytes)) as Record<string, unknown>);
  };
  const settings = await json('tokenizer_config.json');
  const tokens = ggufTokenizer(found.document, settings, Number(config.vocab_size ?? 0), found.file);
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
