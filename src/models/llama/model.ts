// Llama 2 and 3, SmolLM2: pre-norm layers of attention and gated MLP.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm } from '../config/decoder.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';

export const llama = decoderFamily({
  names: ['LlamaForCausalLM', 'llama'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 2048 });
    const bias = reader.boolean('attention_bias', false);
    const attention = { ...base.attention, qkvBias: bias, outputBias: bias };
    const feedForward = readMlp(reader, { bias: reader.boolean('mlp_bias', false) });
    return decoderConfig(reader, base, {
      family: 'llama',
      norm: readRmsNorm(reader),
      layers: Array.from({ length: base.numLayers }, () => ({ attention, feedForward })),
    });
  },
  files: {
    gguf: [
      {
        architecture: 'llama',
        accepts: (keys) =>
          (keys.integer('expert_count') ?? 0) === 0 && !keys.integer('attention.sliding_window'),
        className: 'LlamaForCausalLM',
        modelType: 'llama',
        interleavedRows: true,
        written: { fields: decoderFields },
      },
    ],
  },
});
