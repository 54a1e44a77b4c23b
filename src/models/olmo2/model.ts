// OLMo 2 and 3: norms after attention and feed-forward, and over all query and key heads at once. OLMo 3 has windows, and
// scales its rotation in the layers without.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import type { ConfigReader } from '../config/reader.ts';
import { readLayerRope } from '../config/rope.ts';
import { readLayerTypes, readPattern, readWindow, windowsOf } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';
import { optional } from '../files/gguf-keys.ts';

const isOlmo3 = (reader: ConfigReader): boolean =>
  reader.string('model_type') === 'olmo3' ||
  (reader.strings('architectures', 64)?.includes('Olmo3ForCausalLM') ?? false);

export const olmo2 = decoderFamily({
  names: ['Olmo2ForCausalLM', 'olmo2', 'Olmo3ForCausalLM', 'olmo3'],
  read: (reader) => {
    const third = isOlmo3(reader);
    const base = readBase(reader, {
      contextLength: 2048,
      theta: third ? 500000 : 10000,
      ropePerLayer: third,
    });
    const bias = reader.boolean('attention_bias', false);
    const attention = { ...base.attention, qkvBias: bias, outputBias: bias, qkNorm: 'whole' } as const;
    const feedForward = readMlp(reader);
    const layers = third
      ? readOlmo3Layers(reader, base.numLayers).map(({ window, scaled }) =>
          windowed(
            { ...attention, rope: scaled ? base.attention.rope : readLocalRope(reader, base) },
            window,
          ),
        )
      : Array.from({ length: base.numLayers }, () => attention);
    return decoderConfig(reader, base, {
      family: third ? 'olmo3' : 'olmo2',
      norm: readRmsNorm(reader, 1e-5),
      placement: 'post',
      layers: layers.map((own) => ({ attention: own, feedForward })),
    });
  },
  files: {
    names: {
      post_attention_layernorm: 'post_self_attn_layernorm',
      post_feedforward_layernorm: 'post_mlp_layernorm',
    },
    gguf: [
      {
        architecture: 'olmo2',
        accepts: (keys) => !keys.integer('attention.sliding_window'),
        className: 'Olmo2ForCausalLM',
        modelType: 'olmo2',
        written: { fields: decoderFields },
      },
      {
        architecture: 'olmo2',
        className: 'Olmo3ForCausalLM',
        modelType: 'olmo3',
        theta: 500000,
        config: (keys) => optional('sliding_window', keys.integer('attention.sliding_window', 1)),
      },
    ],
  },
});

function readOlmo3Layers(reader: ConfigReader, numLayers: number) {
  const types = readLayerTypes(reader, numLayers, readPattern(reader, 4));
  return windowsOf(reader, types, readWindow(reader, 4096)).map((window) => ({
    window,
    scaled: window === undefined,
  }));
}

function readLocalRope(
  reader: ConfigReader,
  {
    attention,
    contextLength,
  }: { readonly attention: { readonly headDim: number }; readonly contextLength: number },
) {
  const layer = { type: 'sliding_attention', thetaKey: 'rope_theta', theta: 500000, scaled: false } as const;
  return readLayerRope(reader, layer, { theta: 500000, headDim: attention.headDim, contextLength });
}
