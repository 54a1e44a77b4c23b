// Models as the Ollama API lists them.

import type { ExpertUse } from '../../../experts/use.ts';
import { expertTotals } from '../experts.ts';

export interface OllamaModel {
  readonly name: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
  /** A stable text that stands for the file. */
  readonly identity: string;
  readonly details: OllamaDetails | undefined;
}

export interface OllamaDetails {
  readonly format: string;
  readonly family: string;
  readonly parameters: number;
  readonly quantization: string;
  readonly contextLength: number | undefined;
  readonly layers: number | undefined;
  readonly width: number | undefined;
  readonly chat: boolean;
}

const sizeOf = (parameters: number): string =>
  parameters >= 1e9
    ? `${Number((parameters / 1e9).toPrecision(3))}B`
    : `${Number((parameters / 1e6).toPrecision(3))}M`;

const detailsOf = (details: OllamaDetails | undefined) => ({
  parent_model: '',
  format: details?.format ?? '',
  family: details?.family ?? '',
  families: details ? [details.family] : [],
  parameter_size: details ? sizeOf(details.parameters) : '',
  quantization_level: details?.quantization ?? '',
});

const entryOf = (model: OllamaModel) => ({
  name: model.name,
  model: model.name,
  size: model.bytes,
  digest: model.identity,
  details: detailsOf(model.details),
});

export const ollamaTags = (models: readonly OllamaModel[]): object => ({
  models: models.map((model) => ({ ...entryOf(model), modified_at: new Date(model.modified).toISOString() })),
});

export interface OllamaRunning extends OllamaModel {
  /** Bytes reserved for its KV cache, which `bytes` counts only as far as they are used. */
  readonly kvBytes: number;
  /** Of experts that are streamed. */
  readonly experts?:
    | (Parameters<typeof expertTotals>[0] & { readonly last?: ExpertUse | undefined })
    | undefined;
  /** Of a cache whose pages may be on disk. */
  readonly kvTier: { readonly bytesWritten: number; readonly bytesRead: number } | undefined;
  readonly contextLength: number;
  /** Milliseconds since 1970; Infinity for good. */
  readonly expires: number;
}

/** The date that stands for "never" in that API's clients. */
const NEVER = '2318-01-01T00:00:00.000Z';

export const ollamaRunning = (models: readonly OllamaRunning[]): object => ({
  models: models.map((model) => ({
    ...entryOf(model),
    expires_at: Number.isFinite(model.expires) ? new Date(model.expires).toISOString() : NEVER,
    size_vram: 0,
    context_length: model.contextLength,
    kv_reserved: model.kvBytes,
    ...(model.experts === undefined
      ? {}
      : {
          experts: expertTotals(model.experts, model.experts.last),
        }),
    ...(model.kvTier === undefined
      ? {}
      : { kv_spilled: { bytes_written: model.kvTier.bytesWritten, bytes_read: model.kvTier.bytesRead } }),
  })),
});

export function ollamaShow(model: OllamaModel, capabilities: readonly string[]): object {
  const { details } = model;
  const family = details?.family ?? 'unknown';
  return {
    modelfile: '',
    parameters: '',
    details: detailsOf(details),
    model_info: {
      'general.architecture': family,
      'general.parameter_count': details?.parameters ?? 0,
      ...(details?.contextLength === undefined
        ? {}
        : { [`${family}.context_length`]: details.contextLength }),
      ...(details?.layers === undefined ? {} : { [`${family}.block_count`]: details.layers }),
      ...(details?.width === undefined ? {} : { [`${family}.embedding_length`]: details.width }),
    },
    capabilities,
    modified_at: new Date(model.modified).toISOString(),
  };
}
