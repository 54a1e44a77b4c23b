// What a model is, from its headers alone: nothing is loaded or downloaded.

import { env } from '../base/env.ts';
import { IngotError } from '../base/errors.ts';
import type { CacheDtype } from '../cache/parts.ts';
import { CacheSizes } from '../cache/sizes.ts';
import type { SamplingOptions } from '../generate/sampling.ts';
import { findLocal } from '../hub/resolve.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import { parseModel } from '../models/registry.ts';
import type { LayerSpec } from '../nn/contracts.ts';
import { kvCodes } from '../quant/kv-rows.ts';
import { findTokenizer } from '../tokenizer/open.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { openCheckpoint } from '../weights/open.ts';
import type { CheckpointTensor } from '../weights/tensor.ts';
import { checkText } from './check.ts';
import { baseOf } from './presets/store.ts';
import { samplingDefaults } from './sampling-defaults.ts';
import { type TokenCost, tokenCost } from './token-cost.ts';

/** Tokens whose memory is told: what tells architectures apart. */
const LONG_SEQUENCE = 100_000;

export interface ModelDetails {
  readonly name: string;
  readonly path: string;
  /** `gguf`, `safetensors` or `packed`. */
  readonly kind: string;
  /** Undefined when no family of this build runs the architecture; `unsupported` then says why. */
  readonly family: string | undefined;
  readonly unsupported: string | undefined;
  readonly parameters: number;
  readonly layers: number | undefined;
  /** Modules that predict further tokens, which the model runs without; undefined where there are none. */
  readonly further?:
    | { readonly modules: number; readonly tensors: number; readonly bytes: number }
    | undefined;
  readonly hiddenSize: number | undefined;
  readonly vocabSize: number | undefined;
  readonly contextLength: number | undefined;
  readonly weightBytes: number;
  /** What layers keep of a sequence of `tokens`, as `fast` stores it; undefined where the model cannot run. */
  readonly sequence: { readonly tokens: number; readonly bytes: number } | undefined;
  /** Bytes of one more token, by what keys and values may be stored as. */
  readonly kvToken: Readonly<Partial<Record<CacheDtype, number>>> | undefined;
  /** What a token costs; undefined where the model cannot run. */
  readonly perToken: TokenCost | undefined;
  /** Bytes of the weights by storage format, most first. */
  readonly formats: readonly { readonly name: string; readonly tensors: number; readonly bytes: number }[];
  readonly tokenizer: { readonly vocabSize: number; readonly chatTemplate: boolean } | undefined;
  /** Why a tokenizer that is there is not used. */
  readonly refusedTokenizer?: string | undefined;
  /** Jinja source of its chat template. */
  readonly chatTemplate?: string | undefined;
  /** How its makers sample from it. */
  readonly sampling?: SamplingOptions | undefined;
}

/** Reads the headers of a model on this machine. Throws not_found when it would have to be downloaded first. */
export async function inspectModel(nameOrPath: string): Promise<ModelDetails> {
  checkText('name', nameOrPath);
  const path = await findLocal(await baseOf(nameOrPath, env));
  if (path === undefined) {
    throw new IngotError(
      'not_found',
      `${nameOrPath} is not on this machine; "ingot pull ${nameOrPath}" gets it`,
      {
        details: { name: nameOrPath },
      },
    );
  }
  const checkpoint = await modelCheckpoint(openCheckpoint(path));
  try {
    return await describe(nameOrPath, checkpoint);
  } finally {
    await checkpoint.close();
  }
}

async function describe(name: string, checkpoint: Checkpoint): Promise<ModelDetails> {
  const formats = new Map<string, { name: string; tensors: number; bytes: number }>();
  let parameters = 0;
  for (const each of checkpoint.tensors) {
    const tensor = checkpoint.describe(each);
    const elements = tensor.shape.reduce((product, n) => product * n, 1);
    const format = tensor.kind === 'packed' ? tensor.layout.kind : tensor.format.name;
    const bytes = bytesOf(tensor);
    const sum = formats.get(format) ?? { name: format, tensors: 0, bytes: 0 };
    formats.set(format, { name: format, tensors: sum.tensors + 1, bytes: sum.bytes + bytes });
    parameters += elements;
  }
  const sorted = [...formats.values()].sort((a, b) => b.bytes - a.bytes);
  const { tokenizer, refused } = await findTokenizer(checkpoint);
  return {
    name,
    path: checkpoint.path,
    kind: checkpoint.kind,
    ...family(checkpoint),
    ...furtherModules(checkpoint),
    parameters,
    weightBytes: sorted.reduce((sum, { bytes }) => sum + bytes, 0),
    formats: sorted,
    tokenizer: tokenizer && {
      vocabSize: tokenizer.vocabSize,
      chatTemplate: tokenizer.chatTemplate !== undefined,
    },
    ...(refused === undefined ? {} : { refusedTokenizer: refused }),
    chatTemplate: tokenizer?.chatTemplate,
    sampling: await samplingDefaults(checkpoint),
  };
}

function furtherModules({ further }: Checkpoint): Pick<ModelDetails, 'further'> {
  if (further.size === 0) return {};
  const modules = new Set([...further.keys()].map((name) => /\.mtp\.\d+\./.exec(name)?.[0]));
  const bytes = [...further.values()].reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  return { further: { modules: modules.size, tensors: further.size, bytes } };
}

function bytesOf(tensor: CheckpointTensor): number {
  if (tensor.kind === 'packed') return tensor.bytes;
  const elements = tensor.shape.reduce((product, n) => product * n, 1);
  return (elements / tensor.format.blockElements) * tensor.format.blockBytes;
}

function family(checkpoint: Checkpoint) {
  try {
    const { config } = parseModel(checkpoint.config, checkpoint.path);
    return {
      family: config.family,
      unsupported: undefined,
      layers: config.numLayers,
      hiddenSize: config.hiddenSize,
      vocabSize: config.vocabSize,
      contextLength: config.contextLength,
      sequence: {
        tokens: LONG_SEQUENCE,
        bytes: new CacheSizes(config.memory, 'f16').sequenceBytes({
          contextLength: LONG_SEQUENCE,
          maxRows: 1,
        }),
      },
      kvToken: kvTokens(config.memory),
      perToken: tokenCost(checkpoint, config),
    };
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    return {
      family: undefined,
      unsupported: error.message,
      layers: undefined,
      hiddenSize: undefined,
      vocabSize: undefined,
      contextLength: undefined,
      sequence: undefined,
      kvToken: undefined,
      perToken: undefined,
    };
  }
}

/** Of the codes those that the heads fit. */
function kvTokens(specs: readonly LayerSpec[]): Readonly<Partial<Record<CacheDtype, number>>> {
  const sizes = (['f16', ...kvCodes] as const).flatMap((dtype): [CacheDtype, number][] => {
    try {
      return [[dtype, new CacheSizes(specs, dtype).tokenBytes]];
    } catch (error) {
      if (error instanceof IngotError && error.code === 'invalid_argument') return [];
      throw error;
    }
  });
  return Object.fromEntries(sizes);
}
