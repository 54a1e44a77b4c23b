// LFM2: short convolutions in most layers, attention with norms on query and key heads in the others, gated MLPs in all.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase } from '../config/decoder.ts';
import {
  convolutionShape,
  lfm2Fused,
  lfm2Gguf,
  lfm2Names,
  lfm2Writing,
  readLfm2Layers,
  readLfm2Norm,
  tiedLfm2,
} from '../config/lfm2.ts';
import { type ConfigReader, limits } from '../config/reader.ts';
import { decoderFamily } from '../family.ts';

export const lfm2 = decoderFamily({
  names: ['Lfm2ForCausalLM', 'lfm2'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 128000, theta: 1000000 });
    const feedForward = readMlp(reader, { activation: 'silu', intermediateSize: readWidth(reader) });
    return decoderConfig(reader, base, {
      family: 'lfm2',
      norm: readLfm2Norm(reader),
      tied: tiedLfm2(reader),
      layers: readLfm2Layers(reader, base).map((mixer) => ({ ...mixer, feedForward })),
    });
  },
  files: {
    names: lfm2Names,
    fused: lfm2Fused,
    shapeOf: convolutionShape,
    gguf: [
      {
        architecture: 'lfm2',
        className: 'Lfm2ForCausalLM',
        modelType: 'lfm2',
        theta: 1000000,
        ...lfm2Gguf,
        written: lfm2Writing,
        // The width in the file is the one that the weights have.
        config: (keys) => ({ ...lfm2Gguf.config(keys), block_auto_adjust_ff_dim: false }),
      },
    ],
  },
});

/** `block_ff_dim` is what the width follows from: two thirds of it, times a factor, rounded up to whole blocks. */
function readWidth(reader: ConfigReader): number {
  const key = reader.has('block_ff_dim') ? 'block_ff_dim' : 'intermediate_size';
  const given = reader.int(key, limits.intermediateSize);
  if (!reader.boolean('block_auto_adjust_ff_dim', true)) return given;
  const factor = reader.number('block_ffn_dim_multiplier', limits.factor, 1);
  const block = reader.int('block_multiple_of', { min: 1, max: 65536 }, 256);
  return block * Math.ceil(Math.trunc(factor * Math.trunc((2 * given) / 3)) / block);
}
