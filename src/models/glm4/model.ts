// GLM-4 (0414): four norms a layer, interleaved rotation of half of each head, gate and up in one matrix.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm } from '../config/decoder.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';

export const glm4 = decoderFamily({
  names: ['Glm4ForCausalLM', 'glm4'],
  read: (reader) => {
    const base = readBase(reader, {
      contextLength: 131072,
      headDim: 128,
      partialRotary: 0.5,
      interleaved: true,
    });
    const attention = { ...base.attention, qkvBias: reader.boolean('attention_bias', true) };
    const feedForward = readMlp(reader);
    return decoderConfig(reader, base, {
      family: 'glm4',
      norm: readRmsNorm(reader, 1.5625e-7),
      placement: 'both',
      layers: Array.from({ length: base.numLayers }, () => ({ attention, feedForward })),
    });
  },
  files: {
    fused: ['mlp.gate_up_proj'],
    gguf: [
      {
        architecture: 'glm4',
        className: 'Glm4ForCausalLM',
        modelType: 'glm4',
        // The matrix has the rows of gate and up.
        names: { ffn_up: 'mlp.gate_up_proj' },
        written: { fields: decoderFields, fused: ['mlp.gate_up_proj'] },
      },
    ],
  },
});
