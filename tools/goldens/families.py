"""Writes tests/goldens/families/<case>/: tiny random checkpoints of every family with the reference's logits.

Each case folder holds
  config.json        as transformers saves it
  config-hub.json    the same model in the dialect of checkpoints that were published before transformers 5
  model.safetensors  as transformers saves it
  model.gguf         the same weights by the names, row order and metadata of llama.cpp's converter (where it has the family)
  golden.json        token ids, the greedy continuation, and the smallest lead of a greedy token over the runner-up
  logits.bin         f32 little endian [tokens, vocabulary]: row i follows token i

The reference is transformers in f32 on the weights read back from the file, eager attention, one forward pass without a cache.
Run: python families.py [-o output folder] [case ...]
"""

import argparse
import copy
import json
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

from families_gguf import write_gguf

CONTINUATION = 40
VOCAB = 88
BASE = dict(hidden_size=32, num_hidden_layers=2, vocab_size=VOCAB, intermediate_size=40, max_position_embeddings=256)
BASE |= dict(num_attention_heads=4, num_key_value_heads=2, bos_token_id=1, eos_token_id=2, pad_token_id=0)


@dataclass
class Case:
    name: str
    model: str  # class name in transformers, without ForCausalLM
    tokens: int
    config: dict = field(default_factory=dict)
    rope: dict = field(default_factory=lambda: dict(rope_type="default", rope_theta=10000.0))
    dtype: str = "bf16"
    hub: dict = field(default_factory=dict)  # fields of the hub's dialect; None removes one
    norm: float = 1.0  # mean of norm weights
    embedding: float = 0.3  # size of a tied embedding
    gguf: str | None = None  # architecture
    config_class: str | None = None
    mxfp4: bool = False  # experts are saved as 4-bit floats with a power of two for 32 columns
    long: tuple[int, ...] = ()  # rows of a longer prompt whose logits long.json has
    release: bool = False  # as DeepSeek publishes V4: 8-bit floats with a power of two for a block, experts of 4-bit floats
    base: dict = field(default_factory=lambda: BASE)


LATENT = dict(num_key_value_heads=4, kv_lora_rank=20, qk_nope_head_dim=12, qk_rope_head_dim=8, v_head_dim=10,
              q_lora_rank=None, num_hidden_layers=3, n_routed_experts=8, n_shared_experts=2, num_experts_per_tok=3,
              moe_intermediate_size=24, first_k_dense_replace=1, max_position_embeddings=160)
LATENT_YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=40, beta_fast=8.0,
                   beta_slow=1.0)

COMPRESSED = dict(num_attention_heads=4, num_key_value_heads=1, head_dim=24, partial_rotary_factor=1 / 3, q_lora_rank=20,
                  o_groups=2, o_lora_rank=12, hc_mult=4, hc_sinkhorn_iters=20, sliding_window=12, index_n_heads=16, index_head_dim=12,
                  index_topk=13, n_routed_experts=7, num_experts_per_tok=3, moe_intermediate_size=24, n_shared_experts=1,
                  routed_scaling_factor=1.5, swiglu_limit=1.5, max_position_embeddings=256, compress_rope_theta=160000.0)
COMPRESSED_YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64, beta_fast=8.0,
                       beta_slow=1.0)
COMPRESSED_HUB = dict(layer_types=None, mlp_layer_types=None, compress_rates=None, partial_rotary_factor=None,
                      qk_rope_head_dim=8, rope_theta=10000.0)

ROPE = dict(rope_type="default", rope_theta=10000.0)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=4.0, beta_slow=1.0)

CASES = [
    Case("mistral", "Mistral", 40, dict(num_attention_heads=3, num_key_value_heads=1, head_dim=12, sliding_window=9),
         dict(rope_type="default", rope_theta=1000000.0), gguf="llama"),
    Case("smollm3", "SmolLM3", 40, dict(num_hidden_layers=5, tie_word_embeddings=True, no_rope_layer_interval=4),
         dict(rope_type="default", rope_theta=2000000.0), hub=dict(no_rope_layers=None, layer_types=None), gguf="smollm3"),
    Case("qwen2", "Qwen2", 40, dict(num_hidden_layers=3, use_sliding_window=True, sliding_window=7, max_window_layers=1),
         dict(rope_type="default", rope_theta=1000000.0), hub=dict(layer_types=None)),
    Case("qwen2-full", "Qwen2", 24, dict(use_sliding_window=False, sliding_window=7, max_window_layers=1),
         dict(rope_type="default", rope_theta=1000000.0), hub=dict(layer_types=None, sliding_window=7), gguf="qwen2"),
    Case("gemma", "Gemma", 32, dict(head_dim=12), hub=dict(hidden_act="gelu", tie_word_embeddings=None), norm=0.0,
         gguf="gemma"),
    Case("gemma2", "Gemma2", 40,
         dict(num_hidden_layers=3, head_dim=12, query_pre_attn_scalar=20, sliding_window=8,
              attn_logit_softcapping=2.0, final_logit_softcapping=3.0), embedding=0.15,
         hub=dict(layer_types=None, tie_word_embeddings=None), norm=0.0),
    Case("gemma2-27b", "Gemma2", 24, embedding=0.15,
         config=dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=8),
         hub=dict(layer_types=None, tie_word_embeddings=None), norm=0.0, gguf="gemma2"),
    Case("gemma3", "Gemma3", 48, embedding=0.15, config=dict(num_hidden_layers=7, head_dim=8, query_pre_attn_scalar=8, sliding_window=11),
         rope=dict(sliding_attention=dict(rope_type="default", rope_theta=10000.0),
              full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000000.0)),
         hub=dict(layer_types=None, rope_theta=1000000.0, rope_local_base_freq=10000.0, sliding_window_pattern=6,
                  rope_scaling=dict(rope_type="linear", factor=8.0), tie_word_embeddings=None),
         norm=0.0, gguf="gemma3", config_class="Gemma3TextConfig"),
    Case("glm4", "Glm4", 32, dict(head_dim=12, attention_bias=True), dict(**ROPE, partial_rotary_factor=0.5),
         hub=dict(partial_rotary_factor=0.5), gguf="glm4"),
    Case("phi", "Phi", 32, dict(num_key_value_heads=4, hidden_act="gelu_new"), dict(**ROPE, partial_rotary_factor=0.5),
         hub=dict(partial_rotary_factor=0.5, num_key_value_heads=None), gguf="phi2"),
    Case("phi-qknorm", "Phi", 24, dict(qk_layernorm=True, hidden_act="gelu"), dict(**ROPE, partial_rotary_factor=0.75),
         hub=dict(partial_rotary_factor=0.75)),
    Case("phi3", "Phi3", 40, dict(sliding_window=13, original_max_position_embeddings=256), gguf="phi3"),
    Case("phi3-long", "Phi3", 48, dict(max_position_embeddings=64, original_max_position_embeddings=16),
         dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.1, 1.3, 1.7],
              long_factor=[1.0, 2.0, 3.5, 4.0], original_max_position_embeddings=16),
         hub=dict(rope_scaling=dict(type="longrope", short_factor=[1.0, 1.1, 1.3, 1.7], long_factor=[1.0, 2.0, 3.5, 4.0])),
         gguf="phi3"),
    Case("olmo2", "Olmo2", 32, dict(), dict(rope_type="default", rope_theta=500000.0), gguf="olmo2"),
    Case("olmo3", "Olmo3", 48, dict(num_hidden_layers=5, sliding_window=9, max_position_embeddings=64),
         dict(sliding_attention=dict(rope_type="default", rope_theta=500000.0),
              full_attention=dict(rope_theta=500000.0, **YARN)),
         hub=dict(rope_theta=500000.0, rope_scaling=YARN, layer_types=None)),
    Case("granite", "Granite", 32,
         dict(embedding_multiplier=3.0, attention_multiplier=0.21, residual_multiplier=0.7, logits_scaling=0.7,
              tie_word_embeddings=True), embedding=0.15, gguf="granite"),
    Case("cohere2", "Cohere2", 40, dict(num_hidden_layers=5, sliding_window=10, logit_scale=0.6), embedding=0.15,
         hub=dict(layer_types=None, sliding_window_pattern=4, tie_word_embeddings=None), gguf="cohere2"),
    Case("mixtral", "Mixtral", 32, dict(num_local_experts=5, num_experts_per_tok=2, sliding_window=11),
         dict(rope_type="default", rope_theta=1000000.0), gguf="llama"),
    Case("qwen2-moe", "Qwen2Moe", 32,
         dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24, shared_expert_intermediate_size=20,
              norm_topk_prob=False), dict(rope_type="default", rope_theta=1000000.0), gguf="qwen2moe"),
    Case("qwen2-moe-mixed", "Qwen2Moe", 32,
         dict(num_hidden_layers=3, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
              shared_expert_intermediate_size=16, norm_topk_prob=True, decoder_sparse_step=2, use_sliding_window=True,
              sliding_window=9, max_window_layers=2, qkv_bias=False), hub=dict(layer_types=None)),
    Case("olmoe", "Olmoe", 32, dict(num_experts=6, num_experts_per_tok=3, intermediate_size=16, clip_qkv=1.1),
         gguf="olmoe"),
    Case("granite-moe", "GraniteMoe", 32,
         dict(num_local_experts=5, num_experts_per_tok=3, intermediate_size=24, embedding_multiplier=3.0,
              attention_multiplier=0.21, residual_multiplier=0.7, logits_scaling=0.7, tie_word_embeddings=True),
         embedding=0.15, gguf="granitemoe"),
    Case("glm4-moe", "Glm4Moe", 32,
         dict(num_hidden_layers=3, head_dim=12, attention_bias=True, use_qk_norm=True, n_routed_experts=6,
              num_experts_per_tok=2, moe_intermediate_size=24, n_shared_experts=2, routed_scaling_factor=1.7,
              n_group=1, topk_group=1, first_k_dense_replace=1, norm_topk_prob=True),
         dict(**ROPE, partial_rotary_factor=0.5), hub=dict(partial_rotary_factor=0.5, num_nextn_predict_layers=1),
         gguf="glm4moe"),
    Case("glm4-moe-groups", "Glm4Moe", 24,
         dict(head_dim=8, n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=16, n_shared_experts=1,
              n_group=4, topk_group=2, first_k_dense_replace=0, norm_topk_prob=False),
         dict(**ROPE, partial_rotary_factor=0.5), hub=dict(partial_rotary_factor=0.5)),
    Case("ernie4_5-moe", "Ernie4_5_Moe", 32,
         dict(num_hidden_layers=3, use_bias=True, moe_num_experts=6, moe_k=2, moe_intermediate_size=24,
              moe_num_shared_experts=2, moe_layer_start_index=1, tie_word_embeddings=False),
         dict(rope_type="default", rope_theta=500000.0)),
    Case("ernie4_5-moe-tied", "Ernie4_5_Moe", 24,
         dict(moe_num_experts=4, moe_k=2, moe_intermediate_size=24, moe_num_shared_experts=1, moe_layer_start_index=1),
         dict(rope_type="default", rope_theta=500000.0), embedding=0.15, hub=dict(tie_word_embeddings=None),
         gguf="ernie4_5-moe"),
    Case("deepseek2", "DeepseekV2", 40, LATENT | dict(topk_method="greedy", routed_scaling_factor=1.5),
         hub=dict(scoring_func="softmax", norm_topk_prob=False, moe_layer_freq=1, head_dim=None), gguf="deepseek2"),
    Case("deepseek2-groups", "DeepseekV2", 60,
         LATENT | dict(q_lora_rank=24, topk_method="group_limited_greedy", n_group=4, topk_group=2,
                       routed_scaling_factor=4.0, num_experts_per_tok=2),
         LATENT_YARN | dict(mscale=0.707, mscale_all_dim=0.707), hub=dict(scoring_func="softmax", head_dim=None),
         gguf="deepseek2"),
    Case("deepseek3", "DeepseekV3", 60,
         LATENT | dict(q_lora_rank=24, n_group=4, topk_group=2, norm_topk_prob=True, routed_scaling_factor=2.5,
                       n_shared_experts=1, attention_bias=True),
         LATENT_YARN | dict(mscale=1.0, mscale_all_dim=1.0),
         hub=dict(scoring_func="sigmoid", topk_method="noaux_tc", head_dim=None, num_nextn_predict_layers=1),
         gguf="deepseek2"),
    Case("deepseek3.2", "DeepseekV32", 60,
         {k: v for k, v in LATENT.items() if k != "q_lora_rank"}
         | dict(q_lora_rank=24, n_group=2, topk_group=1, norm_topk_prob=True, routed_scaling_factor=2.5, n_shared_experts=1,
                index_topk=13, index_head_dim=12, index_n_heads=16),
         LATENT_YARN | dict(mscale=1.0, mscale_all_dim=1.0), hub=dict(head_dim=None, mlp_layer_types=None, layer_types=None)),
    Case("deepseek3-plain", "DeepseekV3", 24,
         LATENT | dict(n_group=1, topk_group=1, norm_topk_prob=False, routed_scaling_factor=1.0, n_shared_experts=1,
                       first_k_dense_replace=0, num_hidden_layers=2), hub=dict(head_dim=None)),
    # Each kind of layer, experts by the token's id and by a router; lengths that fill blocks, pages and the original context.
    Case("deepseek4", "DeepseekV4", 200, COMPRESSED | dict(num_hidden_layers=4, layer_types=["sliding_attention",
              "compressed_sparse_attention", "heavily_compressed_attention", "compressed_sparse_attention"],
              mlp_layer_types=["hash_moe", "moe", "moe", "moe"]), COMPRESSED_YARN,
         hub=COMPRESSED_HUB | dict(compress_ratios=[0, 4, 128, 4, 0], num_hash_layers=1), long=(15, 199, 1023, 1990, 1999)),
    Case("deepseek4-small", "DeepseekV4", 60,
         COMPRESSED | dict(num_hidden_layers=3, compress_rates=dict(compressed_sparse_attention=8, heavily_compressed_attention=32),
              layer_types=["heavily_compressed_attention", "compressed_sparse_attention", "sliding_attention"],
              mlp_layer_types=["hash_moe", "hash_moe", "moe"], sliding_window=7, index_topk=2, hc_mult=2, o_groups=1,
              hc_sinkhorn_iters=3, num_experts_per_tok=2, routed_scaling_factor=1.0, swiglu_limit=0.7),
         dict(rope_type="default", rope_theta=10000.0),
         hub=COMPRESSED_HUB | dict(compress_rate_csa=8, compress_rate_hca=32, compress_ratios=None, num_hash_layers=2,
                                   layer_types=["heavily_compressed_attention", "compressed_sparse_attention", "sliding_attention"])),
    Case("deepseek4-release", "DeepseekV4", 60,
         COMPRESSED | dict(num_hidden_layers=3, hidden_size=64, head_dim=32, partial_rotary_factor=0.25, q_lora_rank=32, o_lora_rank=32,
              index_head_dim=16, n_routed_experts=5, moe_intermediate_size=32, hc_mult=2, num_experts_per_tok=2,
              compress_rates=dict(compressed_sparse_attention=4, heavily_compressed_attention=32),
              layer_types=["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"],
              mlp_layer_types=["hash_moe", "moe", "moe"]),
         COMPRESSED_YARN, release=True,
         hub=COMPRESSED_HUB | dict(compress_ratios=[0, 4, 32, 0], compress_rate_hca=32, num_hash_layers=1)),
    Case("gpt-oss", "GptOss", 48,
         dict(num_hidden_layers=3, head_dim=12, num_local_experts=5, num_experts_per_tok=2, intermediate_size=24,
              sliding_window=7, max_position_embeddings=64),
         dict(rope_type="yarn", rope_theta=150000.0, factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
              original_max_position_embeddings=16), hub=dict(layer_types=None), gguf="gpt-oss"),
    Case("gpt-oss-mxfp4", "GptOss", 40,
         dict(head_dim=12, num_local_experts=4, num_experts_per_tok=2, hidden_size=64, intermediate_size=32, sliding_window=7,
              max_position_embeddings=96), dict(rope_type="default", rope_theta=150000.0), hub=dict(layer_types=None), mxfp4=True),
    Case("lfm2", "Lfm2", 40,
         dict(num_hidden_layers=4, layer_types=["conv", "full_attention", "conv", "conv"], conv_L_cache=3,
              intermediate_size=50, block_multiple_of=8, block_ffn_dim_multiplier=1.2),
         dict(rope_type="default", rope_theta=1000000.0), embedding=0.15,
         hub=dict(layer_types=None, full_attn_idxs=[1], intermediate_size=None, block_ff_dim=50,
                  tie_word_embeddings=None, tie_embedding=True), gguf="lfm2"),
    Case("lfm2-bias", "Lfm2", 24,
         dict(layer_types=["full_attention", "conv"], conv_L_cache=4, conv_bias=True, intermediate_size=32,
              block_auto_adjust_ff_dim=False, tie_word_embeddings=False),
         dict(rope_type="default", rope_theta=1000000.0), hub=dict(tie_word_embeddings=False, tie_embedding=False)),
    Case("lfm2-moe", "Lfm2Moe", 32,
         dict(num_hidden_layers=4, layer_types=["conv", "full_attention", "conv", "full_attention"], num_experts=6,
              num_experts_per_tok=2, moe_intermediate_size=24, num_dense_layers=1, routed_scaling_factor=1.3),
         dict(rope_type="default", rope_theta=1000000.0), embedding=0.15, hub=dict(tie_word_embeddings=None),
         gguf="lfm2moe"),
]

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
TORCH_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


def randomise(model, case, generator):
    """Weights of a size at which attention, gates and routers are far from uniform, then rounded to the stored dtype."""
    tied = model.config.tie_word_embeddings
    named = list(model.named_parameters()) + [
        (name, b) for name, b in model.named_buffers() if any(part in name for part in ("correction_bias", "expert_bias", "tid2eid"))
    ]
    with torch.no_grad():
        for name, p in named:
            noise = torch.randn(p.shape, generator=generator)
            if "tid2eid" in name:
                experts = model.config.n_routed_experts
                p.copy_(torch.stack([torch.randperm(experts, generator=generator)[:p.shape[1]] for _ in range(p.shape[0])]))
                continue
            if "norm" in name and name.endswith("weight"):
                value = case.norm + 0.2 * noise
            elif "sinks" in name:
                value = 0.5 + noise
            elif "hc" in name and name.endswith("scale"):
                value = 1.0 + 0.2 * noise
            elif "hc" in name and name.endswith("base"):
                value = 0.5 * noise
            elif name.endswith("bias") or "bias" in name.split(".")[-1]:
                value = 0.3 * noise
            elif "embed_tokens" in name:
                # A tied head sees the input token's own row in the residual: keep that small or it repeats the token.
                value = noise * (case.embedding if tied else 1.0)
            else:
                columns = p.shape[-1] if p.dim() != 3 or "conv" in name else min(p.shape[1:])
                router = "mlp.gate.weight" in name or "router" in name or name.endswith("gate.weight")
                gain = 2.0 if "q_proj" in name or "k_proj" in name or router else 1.3
                value = noise * gain / columns**0.5
            p.copy_(value.to(DTYPES[case.dtype]).float())
    model.tie_weights()


def make_config(case):
    cls = getattr(transformers, case.config_class or f"{case.model}Config")
    rope = json.loads(json.dumps(case.rope))
    fields = {**case.base, **case.config}
    if case.model == "DeepseekV4":
        fields.pop("intermediate_size", None)
    return cls(**fields, rope_parameters=rope, attn_implementation="eager", experts_implementation="eager")


def hub_config(case, saved):
    """config.json as checkpoints have it that were published before transformers 5."""
    out = dict(saved)
    rope = out.pop("rope_parameters", None)
    out["torch_dtype"] = out.pop("dtype")
    if rope is not None and "compress" in rope:
        kind = rope["compress"]["rope_type"]
        left_out = ("rope_type", "rope_theta", "partial_rotary_factor", "attention_factor")
        scaling = {k: v for k, v in rope["compress"].items() if k not in left_out}
        out["rope_scaling"] = None if kind == "default" else {"type": kind, **scaling}
    if rope is not None and "rope_theta" in rope:
        rope = dict(rope)
        out["rope_theta"] = rope.pop("rope_theta")
        rope.pop("partial_rotary_factor", None)
        kind = rope.pop("rope_type")
        out["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}
    for key, value in case.hub.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = value
    return dict(sorted(out.items()))


def greedy(model, tokens):
    """Greedy continuation without a cache; returns the ids and the smallest lead over the runner-up."""
    ids, lead = list(tokens), float("inf")
    for _ in range(CONTINUATION):
        top = model(torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2)
        lead = min(lead, (top.values[0] - top.values[1]).item())
        ids.append(top.indices[0].item())
        if lead < MIN_LEAD:
            break
    return ids[len(tokens):], lead


MIN_LEAD = 0.004
SEEDS = 30


E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])


def mxfp4(matrix):
    """Codes [.., K / 32, 32] and exponents of the nearest 4-bit floats, the largest of a group at 4 to 6 times its scale."""
    groups = matrix.reshape(*matrix.shape[:-1], -1, 32)
    exponents = torch.floor(torch.log2(groups.abs().amax(-1).clamp(min=2.0**-20))) - 2
    scaled = groups / 2.0 ** exponents[..., None]
    codes = (scaled.abs()[..., None] - E2M1).abs().argmin(-1)
    return codes + 8 * (scaled < 0), exponents


def from_mxfp4(codes, exponents):
    values = E2M1[codes % 8] * torch.where(codes >= 8, -1.0, 1.0) * 2.0 ** exponents[..., None]
    return values.flatten(-2)


def round_experts(model):
    """The experts' matrices, whose rows are columns in the model, as 4-bit floats have them."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("_proj") and ".experts." in name:
                p.copy_(from_mxfp4(*mxfp4(p.transpose(1, 2))).transpose(1, 2))


def pack_experts(path):
    """Rewrites a file: two codes in a byte, the first in the low bits, and exponents less 127, as GPT-OSS is published."""
    tensors = load_file(path)
    for name in [n for n in tensors if n.endswith("_proj") and ".experts." in n]:
        codes, exponents = mxfp4(tensors.pop(name).float().transpose(1, 2))
        pairs = codes.reshape(*codes.shape[:-1], 16, 2)
        tensors[f"{name}_blocks"] = (pairs[..., 0] + 16 * pairs[..., 1]).to(torch.uint8).contiguous()
        tensors[f"{name}_scales"] = (exponents + 127).to(torch.uint8).contiguous()
    save_file(tensors, path, metadata={"format": "pt"})


EIGHT_BIT = re.compile(r"(attn\.w(q_a|q_b|kv|o_a|o_b)|indexer\.wq_b|shared_experts\.w[123])\.weight$")
FOUR_BIT = re.compile(r"\.experts\.\d+\.w[123]\.weight$")


def fp8(matrix):
    """Codes and exponents of blocks of 128 x 128 whose largest value is at most that of the type."""
    rows, columns = (-(-n // 128) for n in matrix.shape)
    exponents = torch.zeros(rows, columns)
    scales = torch.zeros_like(matrix)
    for i in range(rows):
        for j in range(columns):
            block = (slice(128 * i, 128 * i + 128), slice(128 * j, 128 * j + 128))
            exponents[i, j] = torch.ceil(torch.log2(matrix[block].abs().max() / 448))
            scales[block] = 2.0 ** exponents[i, j]
    codes = (matrix / scales).to(torch.float8_e4m3fn)
    return codes, exponents, codes.float() * scales


def release(path):
    """Rewrites a file by the names and in the formats of DeepSeek's releases, and returns what its weights are worth."""
    packed, worth = {}, {}
    for name, tensor in load_file(path).items():
        out = name.removeprefix("model.").replace("embed_tokens", "embed").replace("hc_head.hc_", "hc_head_")
        stem = out.removesuffix(".weight")
        worth[name] = tensor
        if EIGHT_BIT.search(name):
            codes, exponents, values = fp8(tensor.float())
            packed[out], worth[name] = codes, values.bfloat16()
        elif FOUR_BIT.search(name):
            nibbles, exponents = mxfp4(tensor.float())
            pairs = nibbles.flatten(-2).reshape(len(tensor), -1, 2)
            packed[out] = (pairs[..., 0] + 16 * pairs[..., 1]).to(torch.uint8).view(torch.int8)
            worth[name] = from_mxfp4(nibbles, exponents).bfloat16()
        else:
            packed[out] = tensor
            continue
        packed[f"{stem}.scale"] = (exponents + 127).to(torch.uint8).view(torch.float8_e8m0fnu)
    return packed, worth


def make(case, seed):
    generator = torch.Generator().manual_seed(seed)
    model = getattr(transformers, f"{case.model}ForCausalLM")(make_config(case)).float().eval()
    randomise(model, case, generator)
    if case.mxfp4:
        round_experts(model)
    tokens = torch.randint(3, VOCAB, (case.tokens,), generator=generator).tolist()
    return model, tokens


def rounded(case, model):
    """The model with the weights that its file will have."""
    if not case.release:
        return model
    with tempfile.TemporaryDirectory() as folder:
        copy.deepcopy(model).to(DTYPES[case.dtype]).save_pretrained(folder)
        _, worth = release(Path(folder) / "model.safetensors")
        save_file(worth, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        return reference(folder, model)


def choose(case):
    """The first seed with a greedy continuation in which every choice is clear and which is no loop of one token."""
    for seed in range(1, SEEDS + 1):
        model, tokens = make(case, seed)
        continuation, lead = greedy(rounded(case, model), tokens)
        if lead >= MIN_LEAD and len(set(continuation)) >= 3:
            return seed, model, tokens
    raise SystemExit(f"{case.name}: no seed gives a clear greedy continuation")


def save(case, model, folder):
    """The files of a case: weights, config.json in both dialects, GGUF. Returns the config as saved."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.to(DTYPES[case.dtype]).save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text())
    saved.pop("transformers_version", None)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(saved, indent=2) + "\n")
    (folder / "config-hub.json").write_text(json.dumps(hub_config(case, saved), indent=2) + "\n")
    if case.gguf is not None:
        write_gguf(folder / "model.gguf", case.gguf, saved, load_file(folder / "model.safetensors"))
    return saved


def reference(folder, model):
    """The model that a reader of the files gets: one cast to another type and back has rounded rotary tables."""
    return type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager").eval()


def write_long(case, folder, model):
    """Logits of some rows of a prompt that is longer than all windows, blocks and the original context."""
    if not case.long:
        return
    tokens = torch.randint(3, VOCAB, (max(case.long) + 1,), generator=torch.Generator().manual_seed(1))
    logits = model(tokens[None], use_cache=False).logits[0]
    rows = {row: [round(x, 6) for x in logits[row].tolist()] for row in case.long}
    (folder / "long.json").write_text(json.dumps(dict(tokens=tokens.tolist(), rows=rows)) + "\n")


def write(case, root):
    seed, model, tokens = choose(case)
    folder = root / case.name
    saved = save(case, model, folder)
    if case.release:
        packed, worth = release(folder / "model.safetensors")
        save_file(worth, folder / "model.safetensors", metadata={"format": "pt"})
    model = reference(folder, model)
    logits = model(torch.tensor([tokens]), use_cache=False).logits[0].contiguous()
    continuation, lead = greedy(model, tokens)
    assert lead >= MIN_LEAD, f"{case.name}: {lead}"
    if case.release:
        save_file({k: v.contiguous() for k, v in packed.items()}, folder / "model.safetensors", metadata={"format": "pt"})
        saved["quantization_config"] = dict(quant_method="fp8", fmt="e4m3", scale_fmt="ue8m0", weight_block_size=[128, 128])
        saved["expert_dtype"] = "fp4"
        (folder / "config.json").write_text(json.dumps(saved, indent=2) + "\n")
        (folder / "config-hub.json").write_text(json.dumps(hub_config(case, saved), indent=2) + "\n")
    if case.mxfp4:
        saved["quantization_config"] = dict(quant_method="mxfp4", modules_to_not_convert=["model.layers.*.self_attn"])
        (folder / "config.json").write_text(json.dumps(saved, indent=2) + "\n")
        (folder / "config-hub.json").write_text(json.dumps(hub_config(case, saved), indent=2) + "\n")
        pack_experts(folder / "model.safetensors")
    (folder / "logits.bin").write_bytes(logits.numpy().astype("<f4").tobytes())
    golden = dict(
        reference=f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}, f32, eager",
        dtype=case.dtype, seed=seed, vocab=VOCAB, tokens=tokens, continuation=continuation,
        smallestLead=round(lead, 4), largestLogit=round(logits.abs().max().item(), 3),
    )
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items())
    (folder / "golden.json").write_text("{\n" + lines + "\n}\n")
    write_long(case, folder, model)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{case.name:16} seed {seed:3}  lead {lead:.4f}  logits +-{logits.abs().max():.1f}  {size:7} bytes", flush=True)
    return size


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path,
                        default=Path(__file__).resolve().parents[2] / "tests/goldens/families")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    with torch.no_grad():
        chosen = [c for c in CASES if not arguments.cases or c.name in arguments.cases]
        total = sum(write(case, arguments.output) for case in chosen)
    print(f"{len(chosen)} cases, {total} bytes")


if __name__ == "__main__":
    main()
