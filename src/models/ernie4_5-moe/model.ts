// ERNIE-4.5-MoE: interleaved rotation, experts in a range of layers; a correction takes part in their choice only.

import { u32 } from '../../weights/gguf/writer.ts';
import { readMlp } from '../config/activations.ts';
import { type DecoderConfig, decoderConfig, readBase, readRmsNorm } from '../config/decoder.ts';
import { type MoeConfig, readMoe } from '../config/experts.ts';
import { type ConfigReader, limits } from '../config/reader.ts';
import { decoderFamily } from '../family.ts';
import type { GgufFields } from '../files/files.ts';
import { decoderFields } from '../files/gguf-fields.ts';

const layerNumber = { min: -1, max: limits.layers.max };

export const ernie45Moe = decoderFamily({
  names: ['Ernie4_5_MoeForCausalLM', 'ernie4_5_moe'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 131072, theta: 500000, interleaved: true });
    const bias = reader.boolean('use_bias', false);
    const attention = { ...base.attention, qkvBias: bias, outputBias: bias };
    const sparse = readSparse(reader, base.numLayers);
    const experts = sparse.includes(true) ? readExperts(reader, bias) : undefined;
    const dense = sparse.includes(false) ? readMlp(reader, { bias }) : undefined;
    return decoderConfig(reader, base, {
      family: 'ernie4_5-moe',
      norm: readRmsNorm(reader, 1e-5),
      tiedByDefault: true,
      headBias: bias,
      layers: sparse.map((moe, i) => ({
        attention,
        feedForward:
          (moe ? experts : dense) ?? reader.fail('moe_layer_interval', `leaves layer ${i} without an MLP`),
      })),
    });
  },
  files: {
    names: {
      'mlp.moe_statics.e_score_correction_bias': 'mlp.gate.correction.bias',
      'mlp.gate.moe_statics.e_score_correction_bias': 'mlp.gate.correction.bias',
      'mlp.shared_experts.gate_proj': 'mlp.shared_expert.gate_proj',
      'mlp.shared_experts.up_proj': 'mlp.shared_expert.up_proj',
      'mlp.shared_experts.down_proj': 'mlp.shared_expert.down_proj',
    },
    shapeOf: (local, length) => (local === 'mlp.gate.correction.bias' ? [1, length] : undefined),
    // Heads that predict further tokens.
    unused: /^model\.mtp_/,
    gguf: [
      {
        architecture: 'ernie4_5-moe',
        className: 'Ernie4_5_MoeForCausalLM',
        modelType: 'ernie4_5_moe',
        written: { fields: (config: DecoderConfig) => ({ ...decoderFields(config), ...stepField(config) }) },
        theta: 500000,
        config: (keys) => ({
          moe_num_experts: keys.required('expert_count'),
          moe_k: keys.required('expert_used_count'),
          moe_intermediate_size: keys.required('expert_feed_forward_length'),
          moe_num_shared_experts: keys.integer('expert_shared_count') ?? 0,
          moe_layer_start_index: keys.integer('leading_dense_block_count') ?? 0,
          moe_layer_interval: keys.integer('interleave_moe_layer_step', 1) ?? 1,
          use_bias: keys.has('blk.0.attn_q.bias'),
        }),
      },
    ],
  },
});

/** How far apart layers with experts are. */
function stepField({ layers }: DecoderConfig): GgufFields {
  const sparse = layers.flatMap(({ feedForward }, i) => (feedForward.kind === 'moe' ? [i] : []));
  const [first = 0, second = first + 1] = sparse;
  return { interleave_moe_layer_step: u32(second - first) };
}

/** Which layers have experts: every `moe_layer_interval`-th from the start index to the end index, -1 being the last. */
function readSparse(reader: ConfigReader, numLayers: number): readonly boolean[] {
  const every = reader.int('moe_layer_interval', { min: 1, max: limits.layers.max }, 1);
  const first = reader.int('moe_layer_start_index', { min: 0, max: limits.layers.max }, 1);
  const end = reader.int('moe_layer_end_index', layerNumber, -1);
  const last = end === -1 ? numLayers - 1 : end;
  return Array.from({ length: numLayers }, (_, i) => (i + 1) % every === 0 && i >= first && i <= last);
}

function readExperts(reader: ConfigReader, bias: boolean): MoeConfig {
  const router = {
    score: 'softmax',
    bias: false,
    correction: true,
    normalised: true,
    // The config's moe_norm_min guards against sums of 0, which a softmax does not reach.
    epsilon: 0,
    scale: 1,
  } as const;
  const shared = reader.int('moe_num_shared_experts', { min: 0, max: limits.experts.max }, 2);
  const width = reader.int('moe_intermediate_size', limits.intermediateSize);
  const keys = {
    experts: reader.has('moe_num_experts') ? 'moe_num_experts' : 'num_experts',
    topK: reader.has('moe_k') ? 'moe_k' : 'num_experts_per_tok',
    intermediateSize: 'moe_intermediate_size',
  };
  return readMoe(
    reader,
    router,
    keys,
    shared === 0 ? {} : { shared: { intermediateSize: shared * width, gated: false, bias } },
  );
}
