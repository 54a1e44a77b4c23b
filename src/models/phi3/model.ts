// Phi-3 and Phi-4: Llama's layers with fused matrices in files, and two sets of rotary factors for short and long texts.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { readWindow } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';
import { optional } from '../files/gguf-keys.ts';

export const phi3 = decoderFamily({
  names: ['Phi3ForCausalLM', 'phi3'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 4096 });
    const attention = windowed(base.attention, readWindow(reader));
    const feedForward = readMlp(reader);
    return decoderConfig(reader, base, {
      family: 'phi3',
      norm: readRmsNorm(reader, 1e-5),
      layers: Array.from({ length: base.numLayers }, () => ({ attention, feedForward })),
    });
  },
  files: {
    fused: ['self_attn.qkv_proj', 'mlp.gate_up_proj'],
    gguf: [
      {
        architecture: 'phi3',
        className: 'Phi3ForCausalLM',
        modelType: 'phi3',
        // The matrix has the rows of gate and up.
        names: { ffn_up: 'mlp.gate_up_proj' },
        written: { fields: decoderFields, fused: ['self_attn.qkv_proj', 'mlp.gate_up_proj'] },
        config: (keys) => optional('sliding_window', keys.integer('attention.sliding_window') || undefined),
      },
    ],
  },
});
