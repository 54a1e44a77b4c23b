// Qwen2 and Qwen2.5: Llama's layers with biases on queries, keys and values, sliding windows on the last layers.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { readWindows } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';

export const qwen2 = decoderFamily({
  names: ['Qwen2ForCausalLM', 'qwen2'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 32768 });
    const attention = { ...base.attention, qkvBias: true };
    const feedForward = readMlp(reader);
    return decoderConfig(reader, base, {
      family: 'qwen2',
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
        architecture: 'qwen2',
        className: 'Qwen2ForCausalLM',
        modelType: 'qwen2',
        theta: 1000000,
        written: { fields: decoderFields },
      },
    ],
  },
});
