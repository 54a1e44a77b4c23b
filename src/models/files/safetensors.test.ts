import { describe, expect, it } from 'vitest';
import { tinyConfigs } from '../../testing/tiny-models.ts';
import { MemorySink } from '../../weights/atomic-file.ts';
import { Checkpoint } from '../../weights/checkpoint.ts';
import { readVector } from '../../weights/chunks.ts';
import { safetensorsCheckpoint } from '../../weights/safetensors/open.ts';
import { writeSafetensors } from '../../weights/safetensors/writer.ts';
import { MemorySource } from '../../weights/source.ts';
import { type CheckpointTensor, readRows, type SourceTensor } from '../../weights/tensor.ts';
import { modelCheckpoint } from './translate.ts';

interface Stored {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Values 0, 1, 2, … in every tensor. */
const values = ({ shape }: Stored): Float32Array =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i);

async function open(tensors: readonly Stored[], config: object = tinyConfigs['qwen3-moe']) {
  const sink = new MemorySink();
  await writeSafetensors(
    sink,
    tensors.map((t) => {
      const data = new Uint8Array(values(t).buffer);
      return { name: t.name, dtype: 'F32' as const, shape: [...t.shape], bytes: data.length, data };
    }),
  );
  const file = new MemorySource(sink.bytes(), 'dir/model.safetensors');
  const small = { files: [], readFile: async () => undefined };
  const openFile = async (name: string) => (name === 'model.safetensors' ? file : undefined);
  return modelCheckpoint(
    new Checkpoint(
      await safetensorsCheckpoint('dir', config as Record<string, unknown>, { openFile, small }),
    ),
  );
}

const source = (found: CheckpointTensor): SourceTensor =>
  found.kind === 'source' ? found : expect.fail('not a source tensor');
/** Rows of one matrix of a stack. */
async function rows(tensor: SourceTensor, matrix: number, first: number, count: number): Promise<number[]> {
  const [bytes] = await readRows(tensor.slices[matrix] ?? [], first, count);
  return [...new Float32Array((bytes ?? new Uint8Array(0)).slice().buffer)];
}

const experts = 'model.layers.0.mlp.experts';

describe('safetensors as models see them', () => {
  it('stack experts, whatever their form', async () => {
    const one = [0, 1, 2].map((e) => ({ name: `${experts}.${e}.up_proj.weight`, shape: [4, 2] }));
    const separate = source((await open(one)).describe(`${experts}.up_proj.weight`));
    expect(separate.shape).toEqual([3, 4, 2]);
    expect(await rows(separate, 2, 1, 1)).toEqual([2, 3]);

    const fused = await open([
      { name: `${experts}.gate_up_proj`, shape: [3, 8, 2] },
      { name: `${experts}.down_proj`, shape: [3, 2, 4] },
    ]);
    const up = source(fused.describe(`${experts}.up_proj.weight`));
    expect(up.shape).toEqual([3, 4, 2]);
    expect(await rows(up, 1, 3, 1)).toEqual([30, 31]); // expert 1, second half, row 3
    expect(fused.describe(`${experts}.down_proj.weight`).shape).toEqual([3, 2, 4]);

    const mlx = await open([{ name: 'model.layers.0.mlp.switch_mlp.up_proj.weight', shape: [3, 4, 8] }]);
    expect(source(mlx.describe(`${experts}.up_proj.weight`)).shape).toEqual([3, 4, 8]);

    const gap = await open(one.filter((_, i) => i !== 1));
    expect(gap.has(`${experts}.up_proj.weight`)).toBe(false);
  });

  const phi3 = { ...tinyConfigs.llama, architectures: ['Phi3ForCausalLM'] };
  it('take fused projections apart', async () => {
    const checkpoint = await open(
      [
        { name: 'model.layers.0.self_attn.qkv_proj.weight', shape: [16, 2] },
        { name: 'model.layers.0.mlp.gate_up_proj.weight', shape: [6, 2] },
      ],
      phi3,
    );
    // 4 query heads and 2 of keys and values: heads of 2.
    const parts = ['q', 'k', 'v'].map((p) =>
      source(checkpoint.describe(`model.layers.0.self_attn.${p}_proj.weight`)),
    );
    expect(parts.map(({ shape }) => shape)).toEqual([
      [8, 2],
      [4, 2],
      [4, 2],
    ]);
    expect(await Promise.all(parts.map((t) => rows(t, 0, 0, 1)))).toEqual([
      [0, 1],
      [16, 17],
      [24, 25],
    ]);
    const up = source(checkpoint.describe('model.layers.0.mlp.up_proj.weight'));
    expect(await rows(up, 0, 0, 3)).toEqual([6, 7, 8, 9, 10, 11]);
  });

  it('say which fused rows cannot be taken apart', async () => {
    await expect(
      open([{ name: 'model.layers.0.self_attn.qkv_proj.weight', shape: [15, 2] }], phi3),
    ).rejects.toThrow('self_attn.qkv_proj.weight has 15 rows, not whole heads of 4 + 2 x 2');
    await expect(open([{ name: `${experts}.gate_up_proj`, shape: [3, 7, 2] }])).rejects.toThrow(
      'has 7 rows, not as many for gate as for up',
    );
  });

  it('add 1 to the norms of Gemma', async () => {
    const gemma = { ...tinyConfigs.llama, architectures: ['Gemma3ForCausalLM'] };
    const checkpoint = await open(
      [
        { name: 'model.layers.0.pre_feedforward_layernorm.weight', shape: [3] },
        { name: 'model.embed_tokens.weight', shape: [2, 2] },
      ],
      gemma,
    );
    const norm = checkpoint.describe('model.layers.0.post_attention_layernorm.weight');
    expect([...(await readVector(norm))]).toEqual([1, 2, 3]);
    expect(await rows(source(checkpoint.describe('model.embed_tokens.weight')), 0, 1, 1)).toEqual([2, 3]);
  });

  it('of text models inside others lose the prefix', async () => {
    const checkpoint = await open([
      { name: 'language_model.model.layers.1.self_attn.q_proj.weight', shape: [4, 2] },
      { name: 'model.language_model.norm.weight', shape: [4] },
      { name: 'language_model.lm_head.weight', shape: [4, 2] },
    ]);
    expect(checkpoint.tensors).toEqual([
      'model.layers.1.self_attn.q_proj.weight',
      'model.norm.weight',
      'lm_head.weight',
    ]);
  });

  it('stay as they are where no family reads the config', async () => {
    const checkpoint = await open([{ name: `${experts}.gate_up_proj`, shape: [3, 8, 2] }], {
      architectures: ['Other'],
    });
    expect(checkpoint.tensors).toEqual([`${experts}.gate_up_proj`]);
  });
});

describe('modules that predict further tokens', () => {
  const layers = tinyConfigs['qwen3-moe'].num_hidden_layers as number;

  it('are kept by their names, beside the model', async () => {
    const own = { name: 'model.layers.0.self_attn.q_proj.weight', shape: [8, 4] };
    const behind = `model.layers.${layers}`;
    const checkpoint = await open([
      own,
      { name: `${behind}.self_attn.q_proj.weight`, shape: [8, 4] },
      { name: `${behind}.eh_proj.weight`, shape: [4, 8] },
      ...[0, 1].map((e) => ({ name: `${behind}.mlp.experts.${e}.up_proj.weight`, shape: [4, 2] })),
    ]);
    expect(checkpoint.tensors).toEqual([own.name]);
    expect(
      [...checkpoint.further]
        .filter(([name]) => !/experts\.\d/.test(name))
        .map(([name, { shape }]) => [name, shape]),
    ).toEqual([
      ['model.mtp.0.self_attn.q_proj.weight', [8, 4]],
      ['model.mtp.0.eh_proj.weight', [4, 8]],
      ['model.mtp.0.mlp.experts.up_proj.weight', [2, 4, 2]],
    ]);
  });

  it('have names of their own in releases of DeepSeek V4', async () => {
    const names = [
      'attn.wq_a.weight',
      'ffn.gate.bias',
      'hc_attn_fn',
      'e_proj.weight',
      'hc_head_base',
      'norm.weight',
    ];
    const config = { ...tinyConfigs['qwen3-moe'], ...release };
    const { tensors, further } = await open(
      names.map((name) => ({ name: `mtp.0.${name}`, shape: [2, 2] })),
      config,
    );
    expect(tensors).toEqual([]);
    expect([...further.keys()].sort()).toEqual(
      [
        'attn_hc.fn.weight',
        'e_proj.weight',
        'hc_head.base.weight',
        'mlp.gate.bias',
        'norm.weight',
        'self_attn.q_a_proj.weight',
      ].map((name) => `model.mtp.0.${name}`),
    );
  });

  it('are refused where their layers are not like the others', async () => {
    const tensors = [0, layers].map((i) => ({
      name: `model.layers.${i}.self_attn.q_proj.weight`,
      shape: [8, 4 + i],
    }));
    await expect(open(tensors)).rejects.toThrow(
      `tensor model.mtp.0.self_attn.q_proj.weight is [8, ${4 + layers}], must be [8, 4] as in the model's layers`,
    );
  });
});

/** What DeepSeek V4 asks for. */
const release = {
  architectures: ['DeepseekV4ForCausalLM'],
  model_type: 'deepseek_v4',
  num_key_value_heads: 1,
  head_dim: 16,
  qk_rope_head_dim: 8,
  o_groups: 1,
  n_routed_experts: 4,
};
