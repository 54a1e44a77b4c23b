// Gemma 1: Llama's layers with tanh gelu, scaled embeddings and norms whose weights are stored less 1.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm } from '../config/decoder.ts';
import { refuseBidirectional } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';

export const gemma = decoderFamily({
  names: ['GemmaForCausalLM', 'gemma'],
  read: (reader) => {
    refuseBidirectional(reader);
    const base = readBase(reader, { contextLength: 8192, headDim: 256 });
    const bias = reader.boolean('attention_bias', false);
    const attention = { ...base.attention, qkvBias: bias, outputBias: bias };
    // The published configs say `gelu`, which means the tanh form here.
    const tanh = ['gelu', undefined].includes(reader.string('hidden_act'));
    const feedForward = readMlp(reader, tanh ? { activation: 'gelu_tanh' } : {});
    return decoderConfig(reader, base, {
      family: 'gemma',
      norm: readRmsNorm(reader),
      tiedByDefault: true,
      embeddingScale: Math.sqrt(base.hiddenSize),
      layers: Array.from({ length: base.numLayers }, () => ({ attention, feedForward })),
    });
  },
  files: {
    normsLessOne: true,
    gguf: [
      {
        architecture: 'gemma',
        className: 'GemmaForCausalLM',
        modelType: 'gemma',
        written: { fields: decoderFields },
        config: () => ({ hidden_act: 'gelu_pytorch_tanh' }),
      },
    ],
  },
});
