// Opens what a file holds as a model: the config in the Hugging Face dialect and the tensors by the names that blocks ask for.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import { Checkpoint } from '../../weights/checkpoint.ts';
import { readVector } from '../../weights/chunks.ts';
import type { GgufMetadata } from '../../weights/gguf/metadata.ts';
import type { JsonObject } from '../../weights/json.ts';
import type { CheckpointParts } from '../../weights/parts.ts';
import { type CheckpointTensor, stackExperts } from '../../weights/tensor.ts';
import { families, findFamily, parseModel } from '../registry.ts';
import type { FamilyFiles, GgufForm } from './files.ts';
import { checkFurther, furtherName } from './further.ts';
import { ggufConfig } from './gguf-config.ts';
import { GgufKeys, type GgufTensors, type RotaryFactors, rotaryFactors } from './gguf-keys.ts';
import { withOwnHead, withoutHead } from './head.ts';
import {
  commonNames,
  ggufNames,
  joinName,
  mlxNames,
  splitName,
  type TensorName,
  translateName,
} from './names.ts';
import { type StoredForm, unfuse } from './rows.ts';

/**
 * The checkpoint of a file as its family sees it. Rejects with unsupported for a GGUF architecture that no family reads, and
 * with FileFormatError or shape_mismatch for damage; the file is closed then. Safetensors whose config no family accepts
 * stay as they are: `parseModel` says why. `onNotice` is told where config and file disagree.
 */
export async function modelCheckpoint(
  opening: Checkpoint | Promise<Checkpoint>,
  onNotice: (text: string) => void = () => undefined,
): Promise<Checkpoint> {
  const raw = await opening;
  try {
    if (raw.kind === 'gguf') return new Checkpoint(await fromGguf(raw.parts));
    return raw.kind === 'safetensors' ? new Checkpoint(await fromSafetensors(raw.parts, onNotice)) : raw;
  } catch (error) {
    await raw.close();
    throw error;
  }
}

async function fromGguf(raw: CheckpointParts): Promise<CheckpointParts> {
  const { path, metadata } = raw;
  if (metadata === undefined) throw new FileFormatError(path, 'metadata', 'is missing');
  const factors = await readFactors(raw);
  const { form, keys } = ggufForm(path, metadata, {
    shape: (name) => raw.tensors.get(name)?.shape,
    factors: (name) => factors.get(name),
  });
  const config = ggufConfig(keys, form);
  const known = form.names ?? {};
  const name = (stored: string): TensorName | undefined =>
    translateName(splitName(stored, /^blk\.(\d+)\.(.+)$/), known, ggufNames);
  const stored = {
    ...sizes(config),
    interleavedRows: form.interleavedRows ?? false,
    normsLessOne: false,
    fusedExperts: { alternating: false, transposed: false },
    stacks: new Map<string, number>(),
  };
  return { ...raw, config, ...translate(raw, name, stored, 'has no counterpart in the model') };
}

/** The family's form of a GGUF file. Throws unsupported with the known architectures. */
export function ggufForm(
  path: string,
  metadata: GgufMetadata,
  tensors: GgufTensors,
): { readonly form: GgufForm; readonly keys: GgufKeys } {
  const architecture = metadata.string('general.architecture');
  if (architecture === undefined) throw new FileFormatError(path, 'general.architecture', 'is missing');
  const keys = new GgufKeys(path, architecture, metadata, tensors);
  const forms = families.flatMap(({ files }) => files.gguf ?? []);
  const own = forms.filter((form) => form.architecture === architecture);
  const form = own.find(({ accepts }) => accepts?.(keys) ?? true);
  if (form !== undefined) return { form, keys };
  const known = [...new Set(forms.map((f) => f.architecture))].join(', ');
  const name = JSON.stringify(architecture.slice(0, 60));
  throw new IngotError(
    'unsupported',
    own.length > 0
      ? `${path}: no family of architecture ${name} has what this file asks for`
      : `${path}: architecture ${name} is not supported; known are ${known}`,
    { details: { architecture } },
  );
}

/**
 * Modules that hold the text model: in multimodal ones it is a level deeper, saved without its head it is the whole, and
 * wrappers of training tools add their own.
 */
const around =
  /^(?:(?:model|language_model|text_model|transformer|base_model|module|_orig_mod)\.)*(?=layers\.|embed|norm\.)/;
/** Tables that are made from the config. */
const tables = /rotary_emb\.inv_freq$/;
/** Modules that predict further tokens, where they are not layers behind the last one. */
const mtp = /^(?:model\.)?mtp\.(\d{1,3})\./;
const aroundHead = /^(?:(?:model|language_model|text_model|module|_orig_mod)\.)+(?=lm_head\.)/;

async function fromSafetensors(
  raw: CheckpointParts,
  onNotice: (text: string) => void,
): Promise<CheckpointParts> {
  const found = familyFiles(raw);
  if (found === undefined) return raw;
  const { files, config, tied } = found;
  const { names = {}, mlx = {}, unused } = files;
  const behind = (_: string, module: string) =>
    `model.layers.${Number(config.num_hidden_layers) + Number(module)}.`;
  const name = (stored: string): TensorName | undefined => {
    if (unused?.test(stored) || tables.test(stored)) return undefined;
    const text = stored.replace(around, 'model.').replace(aroundHead, '').replace(mtp, behind);
    const split = splitName(text, /^model\.layers\.(\d+)\.(.+)$/);
    return translateName(split, names, commonNames, mlx, mlxNames) ?? split;
  };
  const stored = {
    ...sizes(config),
    interleavedRows: false,
    normsLessOne: files.normsLessOne ?? false,
    fusedExperts: files.fusedExperts ?? { alternating: false, transposed: false },
    stacks: new Map(
      Object.entries(files.stacks ?? {}).map(([module, field]) => [module, Number(config[field] ?? 1)]),
    ),
  };
  const parts = { ...raw, ...translate(raw, name, stored, 'is not used by the model') };
  if (tied) return withOwnHead(parts, onNotice);
  return isBase(raw) ? withoutHead(parts) : parts;
}

/** Whether a file is of a model's class without a head: its tensors or its config say so. */
const isBase = ({ tensors, config }: CheckpointParts): boolean =>
  tensors.has('embed_tokens.weight') || /Model$/.test(String([config.architectures].flat()[0] ?? ''));

/** What the family of a config says of its files; undefined when there is none or it does not accept the config. */
function familyFiles({
  config,
  path,
}: CheckpointParts):
  | { readonly files: FamilyFiles; readonly config: JsonObject; readonly tied: boolean }
  | undefined {
  try {
    const { tiedEmbeddings: tied } = parseModel(config, path).config;
    return { files: findFamily(config, path).files, config, tied };
  } catch (error) {
    if (error instanceof IngotError) return undefined;
    throw error;
  }
}

/** These numbers are those of a config that a family has accepted, or checked when rows are taken apart. */
function sizes(config: JsonObject): Pick<StoredForm, 'numHeads' | 'numKvHeads' | 'layers'> {
  const numHeads = Number(config.num_attention_heads);
  const numKvHeads = Number(config.num_key_value_heads ?? numHeads);
  return { numHeads, numKvHeads, layers: Number(config.num_hidden_layers) };
}

function translate(
  raw: CheckpointParts,
  nameOf: (stored: string) => TensorName | undefined,
  form: StoredForm,
  unknown: string,
): Pick<CheckpointParts, 'tensors' | 'further' | 'unusable' | 'unknown'> {
  const tensors = new Map<string, CheckpointTensor>();
  const further = new Map<string, CheckpointTensor>();
  const unusable = new Map<string, string>();
  const missed: string[] = [];
  const { layers } = form;
  for (const [stored, why] of raw.unusable ?? []) {
    const name = nameOf(stored);
    unusable.set(name === undefined ? stored : joinName(name), why);
  }
  for (const [stored, tensor] of raw.tensors) {
    const name = nameOf(stored);
    if (name === undefined || tensor.kind !== 'source') {
      unusable.set(stored, unknown);
      // Safetensors keep the names that no table has: what has none there is left out on purpose.
      if (raw.kind === 'gguf' && !isFactors(stored)) missed.push(stored);
      continue;
    }
    for (const part of unfuse({ name, tensor }, form)) {
      const behind = furtherName(part.name, layers);
      const canonical = joinName(behind ?? part.name);
      const all = behind === undefined ? tensors : further;
      // Of two that mean the same, the one that is called so.
      if (all.has(canonical) && stored !== canonical) continue;
      all.set(canonical, { ...part.tensor, name: canonical });
    }
  }
  stackExperts(tensors);
  stackExperts(further);
  checkFurther(raw.path, tensors, further);
  return { tensors, further, unusable, unknown: missed };
}

const maxFactors = 4096;

const isFactors = (stored: string): boolean => rotaryFactors.some((name) => stored === `${name}.weight`);

async function readFactors({ tensors }: CheckpointParts): Promise<ReadonlyMap<RotaryFactors, Float32Array>> {
  const found = new Map<RotaryFactors, Float32Array>();
  for (const name of rotaryFactors) {
    const tensor = tensors.get(`${name}.weight`);
    if (tensor === undefined || tensor.kind !== 'source') continue;
    const file = tensor.slices[0]?.[0]?.source.name ?? '';
    const [count = 0] = tensor.shape;
    if (tensor.shape.length !== 1 || count > maxFactors) {
      const shape = tensor.shape.join(', ');
      throw new IngotError('shape_mismatch', `${file}: ${tensor.name} must be a vector, found [${shape}]`);
    }
    const factors = await readVector(tensor);
    if (!factors.every((value) => value > 0 && Number.isFinite(value)))
      throw new IngotError('bad_file', `${file}: ${tensor.name} has values that are not positive numbers`);
    found.set(name, factors);
  }
  return found;
}
