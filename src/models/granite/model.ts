// Granite 3: Llama's layers with multipliers on embeddings, scores, residuals and logits.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm } from '../config/decoder.ts';
import { graniteFields, graniteMultipliers, readGraniteScales } from '../config/granite.ts';
import { decoderFamily } from '../family.ts';

export const granite = decoderFamily({
  names: ['GraniteForCausalLM', 'granite'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 2048 });
    const { attentionScale, ...scales } = readGraniteScales(reader);
    const bias = reader.boolean('attention_bias', false);
    const attention = { ...base.attention, qkvBias: bias, outputBias: bias, scale: attentionScale };
    const feedForward = readMlp(reader, { bias: reader.boolean('mlp_bias', false) });
    return decoderConfig(reader, base, {
      family: 'granite',
      norm: readRmsNorm(reader),
      ...scales,
      layers: Array.from({ length: base.numLayers }, () => ({ attention, feedForward })),
    });
  },
  files: {
    gguf: [
      {
        architecture: 'granite',
        className: 'GraniteForCausalLM',
        modelType: 'granite',
        interleavedRows: true,
        written: { fields: graniteFields },
        config: graniteMultipliers,
      },
    ],
  },
});
