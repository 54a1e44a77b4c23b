// Qwen3: Llama's layers with norms on query and key heads, a head size of its own, sliding windows on some layers.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { readWindows } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';

export const qwen3 = decoderFamily({
  names: ['Qwen3ForCausalLM', 'qwen3'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 32768, headDim: 128 });
    const bias = reader.boolean('attention_bias', false);
    const attention = { ...base.attention, qkvBias: bias, outputBias: bias, qkNorm: 'head' } as const;
    const feedForward = readMlp(reader);
    return decoderConfig(reader, base, {
      family: 'qwen3',
      norm: readRmsNorm(reader),
      layers: readWindows(reader, base.numLayers).map((window) => ({
        attention: windowed(attention, window),
        feedForward,
      })),
    });
  },
  files: {
    gguf: [
      {
        architecture: 'qwen3',
        className: 'Qwen3ForCausalLM',
        modelType: 'qwen3',
        theta: 1000000,
        written: { fields: decoderFields },
      },
    ],
  },
});
