// SmolLM3: Llama's layers, of which every fourth does not rotate.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { type ConfigReader, limits } from '../config/reader.ts';
import { readLayerTypes, readWindow, windowsOf } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';

export const smollm3 = decoderFamily({
  names: ['SmolLM3ForCausalLM', 'smollm3'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 32768, theta: 2000000 });
    const bias = reader.boolean('attention_bias', false);
    const attention = { ...base.attention, qkvBias: bias, outputBias: bias };
    const feedForward = readMlp(reader, { bias: reader.boolean('mlp_bias', false) });
    const rotates = readRotating(reader, base.numLayers);
    const window = reader.boolean('use_sliding_window', false) ? readWindow(reader) : undefined;
    const types = readLayerTypes(reader, base.numLayers, (i) =>
      window === undefined || rotates[i] ? 'full_attention' : 'sliding_attention',
    );
    return decoderConfig(reader, base, {
      family: 'smollm3',
      norm: readRmsNorm(reader),
      tiedByDefault: true,
      layers: windowsOf(reader, types, window).map((w, i) => ({
        attention: windowed({ ...attention, rope: rotates[i] ? base.attention.rope : undefined }, w),
        feedForward,
      })),
    });
  },
  files: {
    gguf: [
      {
        architecture: 'smollm3',
        className: 'SmolLM3ForCausalLM',
        modelType: 'smollm3',
        interleavedRows: true,
        theta: 2000000,
        written: { fields: decoderFields },
      },
    ],
  },
});

/** `no_rope_layers` has a 1 for layers that do rotate; without it every `no_rope_layer_interval`-th does not. */
function readRotating(reader: ConfigReader, numLayers: number): readonly boolean[] {
  const every = reader.int('no_rope_layer_interval', { min: 1, max: limits.layers.max }, 4);
  const given = reader.ints('no_rope_layers', { min: 0, max: 1 });
  if (given === undefined) return Array.from({ length: numLayers }, (_, i) => (i + 1) % every !== 0);
  return given.length === numLayers
    ? given.map((rotates) => rotates === 1)
    : reader.fail('no_rope_layers', `has ${given.length} entries for ${numLayers} layers`);
}
