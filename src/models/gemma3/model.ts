// Gemma 3, text: Gemma 2's layers with norms on query and key heads, five of six layers within a window and with a base of
// their own for the rotation.

import { f32 } from '../../weights/gguf/writer.ts';
import { readActivation, readMlp } from '../config/activations.ts';
import { type DecoderConfig, decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { type ConfigReader, limits } from '../config/reader.ts';
import { readLayerRope } from '../config/rope.ts';
import {
  readLayerTypes,
  readPattern,
  readWindow,
  refuseBidirectional,
  windowsOf,
} from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import type { GgufFields } from '../files/files.ts';
import { gemmaNames } from '../files/gemma-names.ts';
import { capFields, windowRope } from '../files/gguf-fields.ts';
import { optional } from '../files/gguf-keys.ts';

const softcap = { min: 1e-3, max: 1e6 };

export const gemma3 = decoderFamily({
  names: ['Gemma3ForCausalLM', 'gemma3_text'],
  read: (reader) => {
    refuseBidirectional(reader);
    const base = readBase(reader, {
      contextLength: 131072,
      headDim: 256,
      theta: 1000000,
      ropePerLayer: true,
    });
    const bias = reader.boolean('attention_bias', false);
    const attention = {
      ...base.attention,
      qkvBias: bias,
      outputBias: bias,
      qkNorm: 'head' as const,
      // Its code has no cap on scores, whatever `attn_logit_softcapping` says.
      scale: reader.number('query_pre_attn_scalar', limits.factor, 256) ** -0.5,
    };
    const ropes = readRopes(reader, base.attention.headDim, base.contextLength);
    const feedForward = readMlp(reader, {
      activation: readActivation(reader, 'hidden_activation', 'gelu_tanh'),
    });
    const types = readLayerTypes(reader, base.numLayers, readPattern(reader, 6));
    return decoderConfig(reader, base, {
      family: 'gemma3',
      norm: readRmsNorm(reader),
      placement: 'both',
      tiedByDefault: true,
      embeddingScale: Math.sqrt(base.hiddenSize),
      logitSoftcap: reader.optionalNumber('final_logit_softcapping', softcap),
      layers: windowsOf(reader, types, readWindow(reader, 4096)).map((window) => ({
        attention: windowed({ ...attention, rope: window === undefined ? ropes.full : ropes.local }, window),
        feedForward,
      })),
    });
  },
  files: {
    names: gemmaNames,
    normsLessOne: true,
    gguf: [
      {
        architecture: 'gemma3',
        className: 'Gemma3ForCausalLM',
        modelType: 'gemma3_text',
        written: { fields: (config: DecoderConfig) => ({ ...capFields(config), ...localBase(config) }) },
        theta: 1000000,
        config: (keys) => ({
          ...optional('sliding_window', keys.integer('attention.sliding_window', 1)),
          ...optional('rope_local_base_freq', keys.number('rope.freq_base_swa')),
          ...optional('final_logit_softcapping', keys.number('final_logit_softcapping')),
          // The 27B model alone divides by its hidden size per head; files do not say, llama.cpp knows it by its depth.
          query_pre_attn_scalar:
            keys.required('block_count') === 62
              ? keys.required('embedding_length') / keys.required('attention.head_count')
              : (keys.integer('attention.key_length', 1) ?? 256),
        }),
      },
    ],
  },
});

/** The base of layers within a window, which no scaling is for. */
function localBase(config: DecoderConfig): GgufFields {
  const rope = windowRope(config);
  return rope === undefined ? {} : { 'rope.freq_base_swa': f32(rope.theta) };
}

/** Scaling is for layers that see everything; those within a window keep their own base and no scaling. */
function readRopes(reader: ConfigReader, headDim: number, contextLength: number) {
  const defaults = { theta: 10000, headDim, contextLength };
  return {
    full: readLayerRope(
      reader,
      { type: 'full_attention', thetaKey: 'rope_theta', theta: 1000000, scaled: true },
      defaults,
    ),
    local: readLayerRope(
      reader,
      { type: 'sliding_attention', thetaKey: 'rope_local_base_freq', theta: 10000, scaled: false },
      defaults,
    ),
  };
}
