// Cohere 2 (Command R7B, Command A): one layer norm without bias before attention and feed-forward side by side; three of
// four layers have a window and rotate interleaved pairs, the fourth sees everything and does not rotate.

import { f32 } from '../../weights/gguf/writer.ts';
import { readMlp } from '../config/activations.ts';
import { type DecoderConfig, decoderConfig, readBase, windowed } from '../config/decoder.ts';
import { limits } from '../config/reader.ts';
import { readLayerTypes, readPattern, readWindow, windowsOf } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';
import { optional } from '../files/gguf-keys.ts';

export const cohere2 = decoderFamily({
  names: ['Cohere2ForCausalLM', 'cohere2'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 8192, interleaved: true });
    const bias = reader.boolean('attention_bias', false);
    const attention = { ...base.attention, qkvBias: bias, outputBias: bias };
    const feedForward = readMlp(reader);
    const types = readLayerTypes(reader, base.numLayers, readPattern(reader, 4));
    return decoderConfig(reader, base, {
      family: 'cohere2',
      norm: { kind: 'layer', eps: reader.number('layer_norm_eps', limits.eps, 1e-5), bias: false },
      placement: 'parallel',
      tiedByDefault: true,
      logitScale: reader.number('logit_scale', limits.factor, 0.0625),
      layers: windowsOf(reader, types, readWindow(reader, 4096)).map((window) => ({
        attention: windowed(
          { ...attention, rope: window === undefined ? undefined : base.attention.rope },
          window,
        ),
        feedForward,
      })),
    });
  },
  files: {
    gguf: [
      {
        architecture: 'cohere2',
        className: 'Cohere2ForCausalLM',
        modelType: 'cohere2',
        written: {
          fields: (config: DecoderConfig) => ({
            ...decoderFields(config),
            logit_scale: f32(config.logitScale),
          }),
        },
        config: (keys) => ({
          ...optional('sliding_window', keys.integer('attention.sliding_window', 1)),
          ...optional('logit_scale', keys.number('logit_scale')),
        }),
      },
    ],
  },
});
