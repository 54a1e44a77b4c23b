// Gemma 2: norms before and after attention and feed-forward, every other layer within a window, soft caps on scores and logits.

import { readActivation, readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { type ConfigReader, limits } from '../config/reader.ts';
import {
  readLayerTypes,
  readPattern,
  readWindow,
  refuseBidirectional,
  windowsOf,
} from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { gemmaNames } from '../files/gemma-names.ts';
import { capFields } from '../files/gguf-fields.ts';
import { optional } from '../files/gguf-keys.ts';

/** Null is no cap. */
const readCap = (reader: ConfigReader, key: string, fallback: number): number | undefined =>
  reader.stated(key) ? reader.optionalNumber(key, { min: 1e-3, max: 1e6 }) : fallback;

export const gemma2 = decoderFamily({
  names: ['Gemma2ForCausalLM', 'gemma2'],
  read: (reader) => {
    refuseBidirectional(reader);
    const base = readBase(reader, { contextLength: 8192, headDim: 256 });
    const bias = reader.boolean('attention_bias', false);
    const cap = readCap(reader, 'attn_logit_softcapping', 50);
    const attention = {
      ...base.attention,
      qkvBias: bias,
      outputBias: bias,
      scale: reader.number('query_pre_attn_scalar', limits.factor, 256) ** -0.5,
      ...(cap === undefined ? {} : { softcap: cap }),
    };
    const feedForward = readMlp(reader, {
      activation: readActivation(reader, 'hidden_activation', 'gelu_tanh'),
    });
    const types = readLayerTypes(reader, base.numLayers, readPattern(reader, 2));
    return decoderConfig(reader, base, {
      family: 'gemma2',
      norm: readRmsNorm(reader),
      placement: 'both',
      tiedByDefault: true,
      embeddingScale: Math.sqrt(base.hiddenSize),
      logitSoftcap: readCap(reader, 'final_logit_softcapping', 30),
      layers: windowsOf(reader, types, readWindow(reader, 4096)).map((window) => ({
        attention: windowed(attention, window),
        feedForward,
      })),
    });
  },
  files: {
    names: gemmaNames,
    normsLessOne: true,
    gguf: [
      {
        architecture: 'gemma2',
        className: 'Gemma2ForCausalLM',
        modelType: 'gemma2',
        written: { fields: capFields },
        config: (keys) => ({
          ...optional('sliding_window', keys.integer('attention.sliding_window', 1)),
          attn_logit_softcapping: keys.number('attn_logit_softcapping') ?? 50,
          final_logit_softcapping: keys.number('final_logit_softcapping') ?? 30,
          // The 27B model alone divides by its hidden size per head; files do not say, llama.cpp knows it by its depth.
          query_pre_attn_scalar:
            keys.required('block_count') === 46
              ? keys.required('embedding_length') / keys.required('attention.head_count')
              : (keys.integer('attention.key_length', 1) ?? 256),
        }),
      },
    ],
  },
});
