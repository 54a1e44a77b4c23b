// Mistral: Llama's layers, all within one sliding window where the config has one.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { readLayerTypes, readWindow, windowsOf } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import type { GgufForm } from '../files/files.ts';
import { decoderFields } from '../files/gguf-fields.ts';

const gguf = {
  className: 'MistralForCausalLM',
  modelType: 'mistral',
  interleavedRows: true,
  config: (keys) => ({ sliding_window: keys.integer('attention.sliding_window') || null }),
} satisfies Partial<GgufForm>;

export const mistral = decoderFamily({
  names: ['MistralForCausalLM', 'mistral'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 131072 });
    const feedForward = readMlp(reader);
    const window = readWindow(reader, 4096);
    const types = readLayerTypes(reader, base.numLayers, () =>
      window === undefined ? 'full_attention' : 'sliding_attention',
    );
    return decoderConfig(reader, base, {
      family: 'mistral',
      norm: readRmsNorm(reader),
      layers: windowsOf(reader, types, window).map((w) => ({
        attention: windowed(base.attention, w),
        feedForward,
      })),
    });
  },
  files: {
    gguf: [
      // Converters write Mistral as a llama; only the window tells them apart.
      {
        architecture: 'llama',
        accepts: (keys) =>
          (keys.integer('expert_count') ?? 0) === 0 && Boolean(keys.integer('attention.sliding_window')),
        ...gguf,
        written: { fields: decoderFields },
      },
      { architecture: 'mistral', ...gguf },
    ],
  },
});
