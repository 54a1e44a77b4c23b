"""Writes random checkpoints of the families, each with the logits of transformers: sizes, options and dialects that nobody chose.

Each case folder has what families.py writes (no greedy continuation), and
  variants.json      configs that transformers reads as this model: fields that have their default are left out, rotary settings in the
                     words of transformers 5 or of the hub

tests/models/random.test.ts compares them:
  python tools/goldens/random_configs.py -o /tmp/random --seed 1 --count 5 [family ...]
  RANDOM_MODELS=/tmp/random npx vitest run tests/models/random.test.ts
"""

import argparse
import copy
import json
import random
import shutil
from pathlib import Path

import torch
import transformers

import families
from families import Case, hub_config, reference, save

NOT_DEFAULT = ("architectures", "model_type", "num_experts_per_tok", "num_experts", "num_local_experts", "n_routed_experts", "moe_k",
               "moe_num_experts", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size", "moe_intermediate_size")


class Draw(random.Random):
    """Random choices by their meaning."""

    def yes(self, share=0.5):
        return self.random() < share

    def of(self, *values):
        return self.choice(values)

    def some(self, **values):
        """Each of the fields or not."""
        return {key: value for key, value in values.items() if self.yes()}


def sizes(r, head_dims=(4, 6, 8, 10, 12, 14, 18, 24, 34), own_head=True, groups=(1, 1, 2, 3, 5, 7)):
    kv, per = r.of(1, 1, 2, 3), r.of(*groups)
    heads, head_dim = kv * per, r.of(*head_dims)
    config = dict(num_attention_heads=heads, num_key_value_heads=kv, num_hidden_layers=r.randint(1, 5),
                  intermediate_size=r.randint(9, 70), vocab_size=r.randint(60, 130), max_position_embeddings=r.of(64, 100, 256),
                  tie_word_embeddings=r.yes(), bos_token_id=1, eos_token_id=2, pad_token_id=0)
    if own_head and r.yes(0.6):
        config |= dict(head_dim=head_dim, hidden_size=r.randint(12, 70))
    else:
        config |= dict(hidden_size=heads * head_dim)
    return config, head_dim


def eps(r):
    return r.of(1e-6, 1e-5, 1e-3, 2e-2)


def activation(r):
    return r.of("silu", "gelu", "gelu_pytorch_tanh", "gelu_new")


def rope(r, dims, context, theta=10000.0, kinds=("default", "linear", "dynamic", "yarn", "longrope", "llama3"), nested=False):
    """Rotary settings for `dims` rotating columns; transformers does not see `truncate` in those of a kind of layer."""
    kind = r.of("default", *kinds)
    if kind == "yarn" and dims % 2:  # its ramp is for whole pairs
        kind = "linear"
    own = dict(rope_type=kind, rope_theta=r.of(theta, 500.0, 1e4, 3e5, 5e6))
    original = r.of(16, 32, context // 2)
    if kind in ("linear", "dynamic"):
        own |= dict(factor=r.of(2.0, 3.5, 8.0))
    if kind == "yarn":
        own |= dict(factor=r.of(2.0, 4.0, 32.0), original_max_position_embeddings=original)
        own |= r.some(beta_fast=r.of(2.0, 8.0, 32.0), beta_slow=r.of(0.5, 1.0))
        if not nested:
            own |= r.some(truncate=r.yes())
        own |= r.of({}, dict(attention_factor=r.of(0.8, 1.3)), dict(mscale=r.of(0.7, 1.0), mscale_all_dim=r.of(0.7, 1.0, 0.0)))
    if kind == "longrope":
        long, short = ([round(r.uniform(1, top), 2) for _ in range(dims // 2)] for top in (5, 2))
        own |= dict(long_factor=long, short_factor=short, original_max_position_embeddings=original)
        own |= r.of({}, dict(factor=r.of(2.0, 4.0)), dict(attention_factor=r.of(0.9, 1.2)))
    if kind == "llama3":
        own |= dict(factor=r.of(4.0, 8.0), low_freq_factor=1.0, high_freq_factor=r.of(2.0, 4.0), original_max_position_embeddings=original)
    return own


def window(r):
    return r.of(1, 2, 5, 9, 16, 31, 32, 33, 40, 128, 4096)


def types(r, layers, kinds=("full_attention", "sliding_attention")):
    return [r.of(*kinds) for _ in range(layers)]


def moe(r, experts="num_experts", top="num_experts_per_tok", width="moe_intermediate_size"):
    count = r.randint(2, 9)
    return {experts: count, top: r.randint(1, count), width: r.randint(7, 40)}


def partial(r, head_dim):
    """A share of the head that rotates."""
    return r.of(*(s for s in (0.25, 0.5, 0.75, 1.0) if int(head_dim * s) >= 2))


def llama(r):
    c, d = sizes(r)
    c["hidden_size"] = c["num_attention_heads"] * r.of(d, r.randint(2, 20)) if "head_dim" in c else c["hidden_size"]
    return dict(config=c | dict(hidden_act=activation(r), rms_norm_eps=eps(r)) | r.some(attention_bias=True, mlp_bias=True),
                rope=rope(r, d, c["max_position_embeddings"]), gguf="llama")


def mistral(r):
    case = llama(r)
    for key in ("attention_bias", "mlp_bias"):
        case["config"].pop(key, None)
    case["config"]["sliding_window"] = r.of(None, window(r))
    return case


def mixtral(r):
    case = mistral(r)
    case["config"] |= moe(r, "num_local_experts", width="intermediate_size")
    return case | dict(gguf="llama")


def smollm3(r):
    case = llama(r)
    c = case["config"]
    c.pop("head_dim", None)
    c["hidden_size"] = c["num_attention_heads"] * r.of(4, 6, 10, 16)
    case["rope"] = rope(r, c["hidden_size"] // c["num_attention_heads"], c["max_position_embeddings"], 2000000.0)
    if r.yes():
        c["no_rope_layers"] = [r.of(0, 1) for _ in range(c["num_hidden_layers"])]
    else:
        c["no_rope_layer_interval"] = r.randint(2, 5)
    if r.yes():
        c |= dict(use_sliding_window=True, sliding_window=window(r)) | r.some(layer_types=types(r, c["num_hidden_layers"]))
    return case | dict(gguf=None)


def qwen2(r):
    case = llama(r)
    c = case["config"]
    for key in ("attention_bias", "mlp_bias"):
        c.pop(key, None)
    if "head_dim" in c:
        c.pop("head_dim")
        c["hidden_size"] = c["num_attention_heads"] * r.of(4, 6, 10, 16)
        case["rope"] = rope(r, c["hidden_size"] // c["num_attention_heads"], c["max_position_embeddings"], 1000000.0)
    sliding(r, c)
    return case | dict(gguf="qwen2" if not c.get("use_sliding_window") else None)


def sliding(r, c, layer_types=True):
    layers = c["num_hidden_layers"]
    if r.yes():
        c |= dict(use_sliding_window=r.yes(0.8), sliding_window=window(r), max_window_layers=r.randint(0, layers))
        if layer_types and c["use_sliding_window"]:
            c |= r.some(layer_types=types(r, layers))


def qwen3(r):
    c, d = sizes(r)
    if "head_dim" not in c:
        c["head_dim"] = d
    c |= dict(hidden_act=activation(r), rms_norm_eps=eps(r)) | r.some(attention_bias=True)
    sliding(r, c)
    return dict(config=c, rope=rope(r, d, c["max_position_embeddings"], 1000000.0), gguf="qwen3" if not c.get("use_sliding_window") else None)


def sparse(r, layers):
    return dict(decoder_sparse_step=r.of(1, 1, 2, 3), norm_topk_prob=r.yes()) | r.some(mlp_only_layers=[r.randrange(layers)])


def qwen2_moe(r):
    case = qwen2(r)
    c = case["config"]
    c |= moe(r) | sparse(r, c["num_hidden_layers"]) | dict(shared_expert_intermediate_size=r.randint(8, 40)) | r.some(qkv_bias=False)
    return case | dict(gguf=None)


def qwen3_moe(r):
    c, d = sizes(r)
    c |= dict(hidden_act=activation(r), rms_norm_eps=eps(r)) | r.some(attention_bias=True)
    if r.yes(0.3):
        c |= dict(use_sliding_window=r.yes(0.8), sliding_window=window(r))
    c |= moe(r) | sparse(r, c["num_hidden_layers"])
    return dict(config=c, rope=rope(r, d, c["max_position_embeddings"], 1000000.0))


def gemma(r):
    c, d = sizes(r)
    c |= dict(head_dim=c.get("head_dim", d), rms_norm_eps=eps(r), tie_word_embeddings=r.yes(0.8)) | r.some(attention_bias=True)
    return dict(config=c, rope=rope(r, d, c["max_position_embeddings"]), norm=0.0, embedding=0.15,
                gguf="gemma" if c["tie_word_embeddings"] else None)


def gemma2(r):
    case = gemma(r)
    c = case["config"]
    c["hidden_size"] = c["num_attention_heads"] * r.randint(3, 12)
    c |= dict(sliding_window=window(r), query_pre_attn_scalar=r.of(4, 11, 256), hidden_activation=activation(r))
    c |= dict(attn_logit_softcapping=r.of(None, 2.0, 50.0), final_logit_softcapping=r.of(None, 3.0, 30.0))
    c |= r.some(layer_types=types(r, c["num_hidden_layers"]))
    return case | dict(gguf=None)


def gemma3(r):
    case = gemma2(r)
    c = case["config"]
    if r.yes():
        c["num_hidden_layers"] = 7
        c.pop("layer_types", None)
    context = c["max_position_embeddings"]
    case["rope"] = dict(sliding_attention=dict(rope_type="default", rope_theta=r.of(10000.0, 3000.0)),
                        full_attention=rope(r, c["head_dim"], context, 1e6, ("default", "linear", "linear", "yarn", "llama3"), nested=True))
    return case | dict(config_class="Gemma3TextConfig")


def glm4(r):
    c, d = sizes(r)
    c |= dict(head_dim=c.get("head_dim", d), hidden_act=activation(r), rms_norm_eps=eps(r), attention_bias=r.yes())
    share = partial(r, c["head_dim"])
    return dict(config=c, rope=rope(r, int(d * share), c["max_position_embeddings"], kinds=("default", "linear", "yarn"))
                | dict(partial_rotary_factor=share), gguf="glm4")


def glm4_moe(r):
    case = glm4(r)
    c = case["config"]
    if r.yes(0.3):
        c.pop("head_dim")
        c["hidden_size"] = c["num_attention_heads"] * r.of(8, 12, 16)
        case["rope"] = dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5)
    groups, per = r.of(1, 1, 2, 3), r.randint(2, 4)
    kept = r.randint(1, groups)
    c |= dict(n_routed_experts=groups * per, n_group=groups, topk_group=kept, num_experts_per_tok=r.randint(1, kept * per),
              moe_intermediate_size=r.randint(8, 40), n_shared_experts=r.of(1, 2, 3), routed_scaling_factor=r.of(1.0, 2.5),
              first_k_dense_replace=r.randint(0, c["num_hidden_layers"]), norm_topk_prob=r.yes(), use_qk_norm=r.yes())
    return case | dict(gguf=None)


def phi(r):
    c, d = sizes(r, own_head=False)
    share = partial(r, d)
    c |= dict(hidden_act=activation(r), layer_norm_eps=eps(r), qk_layernorm=r.yes(0.3))
    return dict(config=c, rope=rope(r, int(d * share), c["max_position_embeddings"], kinds=("default", "linear", "yarn"))
                | dict(partial_rotary_factor=share), gguf="phi2" if not c["qk_layernorm"] else None)


def phi3(r):
    c, d = sizes(r, own_head=False)
    share = r.of(1.0, 1.0, partial(r, d))
    c |= dict(hidden_act=activation(r), rms_norm_eps=eps(r), sliding_window=r.of(None, window(r)))
    own = rope(r, int(d * share), c["max_position_embeddings"], kinds=("longrope",)) | dict(partial_rotary_factor=share)
    c["original_max_position_embeddings"] = own.get("original_max_position_embeddings", c["max_position_embeddings"])
    return dict(config=c, rope=own)


def olmo2(r):
    case = llama(r)
    case["config"].pop("mlp_bias", None)
    case["config"].pop("head_dim", None)
    c = case["config"]
    c["hidden_size"] = c["num_attention_heads"] * r.of(4, 6, 10, 16)
    case["rope"] = rope(r, c["hidden_size"] // c["num_attention_heads"], c["max_position_embeddings"])
    return case | dict(gguf="olmo2")


def olmo3(r):
    case = olmo2(r)
    c = case["config"]
    c |= dict(sliding_window=window(r)) | r.some(layer_types=types(r, c["num_hidden_layers"]))
    case["rope"] = dict(sliding_attention=dict(rope_type="default", rope_theta=500000.0), full_attention=case["rope"] | dict(rope_theta=500000.0))
    case["rope"]["full_attention"].pop("truncate", None)
    return case | dict(gguf=None)


def olmoe(r):
    case = olmo2(r)
    case["config"] |= moe(r, width="intermediate_size") | dict(norm_topk_prob=r.yes(), clip_qkv=r.of(None, 0.6, 2.0))
    return case | dict(gguf=None)


def granite(r):
    case = llama(r)
    c = case["config"]
    c.pop("head_dim", None)
    c["hidden_size"] = c["num_attention_heads"] * r.of(4, 6, 10, 16)
    case["rope"] = rope(r, c["hidden_size"] // c["num_attention_heads"], c["max_position_embeddings"])
    c |= r.some(embedding_multiplier=3.0, attention_multiplier=0.21, residual_multiplier=0.4, logits_scaling=1.7)
    return case | dict(embedding=0.15, gguf=None)


def granite_moe(r):
    case = granite(r)
    case["config"].pop("mlp_bias", None)
    case["config"] |= moe(r, "num_local_experts", width="intermediate_size")
    return case


def cohere2(r):
    c, d = sizes(r)
    c |= dict(hidden_act=activation(r), layer_norm_eps=eps(r), sliding_window=window(r), logit_scale=r.of(0.0625, 0.8))
    c |= r.some(attention_bias=True, layer_types=types(r, c["num_hidden_layers"]))
    return dict(config=c, rope=rope(r, d, c["max_position_embeddings"], kinds=("default", "linear", "yarn", "llama3")), embedding=0.3, gguf=None)


def ernie(r):
    c, d = sizes(r, own_head=False)
    layers = c["num_hidden_layers"]
    c |= dict(hidden_act=activation(r), rms_norm_eps=eps(r), use_bias=r.yes()) | moe(r, "moe_num_experts", "moe_k")
    c |= dict(moe_num_shared_experts=r.of(0, 1, 2), moe_layer_start_index=r.randint(0, layers), moe_layer_interval=r.of(1, 1, 2))
    c |= r.some(moe_layer_end_index=r.randrange(layers))
    return dict(config=c, rope=rope(r, d, c["max_position_embeddings"], 500000.0, ("default", "linear", "yarn")))


def latent(r):
    c, _ = sizes(r, own_head=False)
    c["hidden_size"] = r.randint(12, 70)
    c |= dict(num_key_value_heads=c["num_attention_heads"], kv_lora_rank=r.of(6, 17, 20, 32), qk_nope_head_dim=r.randint(4, 20),
              qk_rope_head_dim=r.of(2, 4, 8, 12), v_head_dim=r.randint(3, 24), q_lora_rank=r.of(None, 11, 24), rms_norm_eps=eps(r))
    dense = r.randint(0, c["num_hidden_layers"])
    c |= dict(moe_intermediate_size=r.randint(7, 40), n_shared_experts=r.of(1, 2), first_k_dense_replace=dense,
              routed_scaling_factor=r.of(1.0, 2.5), hidden_act=activation(r)) | r.some(attention_bias=True)
    groups, per = r.of(1, 2, 3), r.randint(2, 4)
    kept = r.randint(1, groups)
    c |= dict(n_routed_experts=groups * per, n_group=groups, topk_group=kept, num_experts_per_tok=r.randint(1, kept * per))
    own = rope(r, c["qk_rope_head_dim"], c["max_position_embeddings"], kinds=("default", "yarn"))
    return dict(config=c, rope=own)


def deepseek2(r):
    case = latent(r)
    case["config"]["topk_method"] = r.of("greedy", "group_limited_greedy")
    c = case["config"]
    c["qk_nope_head_dim"] = r.of(4, 6, 12)  # pairs are complex numbers there
    c["q_lora_rank"] = r.of(None, 12, 24)
    c["hidden_size"] = c["num_attention_heads"] * r.randint(2, 12)
    return case


def deepseek3(r):
    case = latent(r)
    case["config"] |= dict(norm_topk_prob=r.yes(), rope_interleave=r.yes(0.8))
    return case


def deepseek32(r):
    case = deepseek3(r)
    c = case["config"]
    c |= dict(q_lora_rank=r.of(11, 24), index_topk=r.of(1, 5, 13, 33, 2048), index_n_heads=r.of(13, 16))
    c["index_head_dim"] = c["qk_rope_head_dim"] + r.of(0, 2, 4, 7)
    return case


def deepseek4(r):
    layers, rotating, width = r.randint(1, 4), r.of(2, 4, 8), r.of(16, 24, 32)
    groups = r.of(1, 2, 3)
    kinds = ("sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention")
    experts = r.randint(2, 8)
    c = dict(num_attention_heads=groups * r.of(1, 2, 3), num_key_value_heads=1, head_dim=width, partial_rotary_factor=rotating / width,
             q_lora_rank=r.of(9, 20), o_groups=groups, o_lora_rank=r.of(5, 12), hc_mult=r.of(1, 2, 3, 4), hc_sinkhorn_iters=r.of(1, 3, 20),
             sliding_window=r.of(3, 8, 12, 32, 50), index_n_heads=r.of(13, 16), index_head_dim=rotating + r.of(0, 4), index_topk=r.of(1, 3, 13, 512),
             n_routed_experts=experts, num_experts_per_tok=r.randint(1, experts), moe_intermediate_size=r.randint(8, 30), n_shared_experts=1,
             routed_scaling_factor=r.of(1.0, 1.5), swiglu_limit=r.of(0.7, 1.5, 10.0), max_position_embeddings=r.of(128, 256),
             compress_rope_theta=r.of(160000.0, 4000.0), num_hidden_layers=layers, hidden_size=r.randint(12, 60), vocab_size=r.randint(60, 130),
             layer_types=types(r, layers, kinds), mlp_layer_types=types(r, layers, ("hash_moe", "moe")), tie_word_embeddings=r.yes(0.2),
             compress_rates=dict(compressed_sparse_attention=r.of(2, 4, 8), heavily_compressed_attention=r.of(16, 32, 64, 128)),
             scoring_func=r.of("sqrtsoftplus", "sqrtsoftplus", "sigmoid"), bos_token_id=1, eos_token_id=2, pad_token_id=0, rms_norm_eps=eps(r))
    return dict(config=c, rope=rope(r, rotating, c["max_position_embeddings"], kinds=("default", "yarn"), nested=True), tokens=r.randint(20, 180), base={})


def gpt_oss(r):
    c, d = sizes(r)
    c |= dict(head_dim=c.get("head_dim", d), rms_norm_eps=eps(r), sliding_window=window(r)) | r.some(attention_bias=r.yes(), layer_types=types(r, c["num_hidden_layers"]))
    c |= moe(r, "num_local_experts", width="intermediate_size") | r.some(swiglu_limit=r.of(0.5, 2.0), swiglu_alpha=1.2)
    own = rope(r, d, c["max_position_embeddings"], 150000.0, ("yarn", "yarn", "linear", "llama3"))
    return dict(config=c, rope=own if r.yes(0.7) else None)


def lfm2(r):
    c, _ = sizes(r, own_head=False)
    layers = c["num_hidden_layers"]
    c |= dict(norm_eps=eps(r), conv_L_cache=r.of(2, 3, 4, 5), block_multiple_of=r.of(1, 8, 16), block_ffn_dim_multiplier=r.of(1.0, 1.2, 0.7),
              block_auto_adjust_ff_dim=r.yes(), layer_types=types(r, layers, ("conv", "full_attention"))) | r.some(conv_bias=True)
    return dict(config=c, rope=dict(rope_type="default", rope_theta=r.of(1e6, 1e4)), embedding=0.15, gguf="lfm2" if "conv_bias" not in c else None)


def lfm2_moe(r):
    case = lfm2(r)
    c = {k: v for k, v in case["config"].items() if not k.startswith("block")} | moe(r)
    c |= dict(num_dense_layers=r.randint(0, c["num_hidden_layers"]), norm_topk_prob=r.yes(), use_expert_bias=r.yes(0.7), routed_scaling_factor=r.of(1.0, 1.6))
    return case | dict(config=c, gguf=None)


SAMPLERS = dict(Llama=llama, Mistral=mistral, Mixtral=mixtral, SmolLM3=smollm3, Qwen2=qwen2, Qwen2Moe=qwen2_moe, Qwen3=qwen3, Qwen3Moe=qwen3_moe,
                Gemma=gemma, Gemma2=gemma2, Gemma3=gemma3, Glm4=glm4, Glm4Moe=glm4_moe, Phi=phi, Phi3=phi3, Olmo2=olmo2, Olmo3=olmo3, Olmoe=olmoe,
                Granite=granite, GraniteMoe=granite_moe, Cohere2=cohere2, Ernie4_5_Moe=ernie, DeepseekV2=deepseek2, DeepseekV3=deepseek3,
                DeepseekV32=deepseek32, DeepseekV4=deepseek4, GptOss=gpt_oss, Lfm2=lfm2, Lfm2Moe=lfm2_moe)


def meaning(cls, fields):
    """What transformers reads, without what says nothing of the model."""
    config = cls.from_dict(copy.deepcopy(fields)).to_dict()
    return {k: v for k, v in config.items() if k not in ("transformers_version", "dtype", "torch_dtype", "rope_theta", "rope_scaling")}


def variants(r, case, saved):
    """Configs that transformers reads as the saved one."""
    cls = getattr(transformers, case.config_class or f"{case.model}Config")
    wanted, out = meaning(cls, saved), []
    defaults = cls().to_dict()
    for start in (saved, hub_config(case, saved), hub_config(case, saved)):
        fields = copy.deepcopy(start)
        for key in [k for k in start if k not in NOT_DEFAULT and r.yes(0.7) and (start[k] is None or start[k] == defaults.get(k))]:
            fields.pop(key)
        try:
            if meaning(cls, fields) == wanted:
                out.append(fields)
        except Exception:
            pass
    return out


GGUF_ACTIVATION = dict(gemma="gelu_pytorch_tanh", gemma2="gelu_pytorch_tanh", gemma3="gelu_pytorch_tanh", phi2="gelu_new")
# What GGUF files of these families mean without saying it; None: the field is left out.
GGUF_MEANS = dict(
    Gemma2=("gemma2", lambda c: dict(attn_logit_softcapping=2.0, final_logit_softcapping=3.0, query_pre_attn_scalar=c["head_dim"],
                                     tie_word_embeddings=True, layer_types=None)),
    Gemma3=("gemma3", lambda c: dict(attn_logit_softcapping=None, final_logit_softcapping=None, query_pre_attn_scalar=c["head_dim"],
                                     tie_word_embeddings=True, layer_types=None)),
    Granite=("granite", lambda c: {}),
    GraniteMoe=("granitemoe", lambda c: {}),
    Cohere2=("cohere2", lambda c: dict(layer_types=None, tie_word_embeddings=True)),
    Qwen2Moe=("qwen2moe", lambda c: dict(norm_topk_prob=False, decoder_sparse_step=1, mlp_only_layers=None, qkv_bias=True, use_sliding_window=False, layer_types=None)),
    Qwen3Moe=("qwen3moe", lambda c: dict(norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=None, use_sliding_window=False)),
    Olmoe=("olmoe", lambda c: dict(norm_topk_prob=False, clip_qkv=0.8)),
    Glm4Moe=("glm4moe", lambda c: dict(n_group=1, topk_group=1)),
    Ernie4_5_Moe=("ernie4_5-moe", lambda c: dict(use_bias=False, moe_layer_interval=1, moe_layer_end_index=None)),
    DeepseekV2=("deepseek2", lambda c: dict(topk_method="group_limited_greedy" if c["n_group"] > 1 else "greedy")),
    DeepseekV3=("deepseek2", lambda c: dict(rope_interleave=True)),
    GptOss=("gpt-oss", lambda c: dict(layer_types=None, swiglu_limit=None, swiglu_alpha=None, attention_bias=True)),
    Lfm2Moe=("lfm2moe", lambda c: dict(norm_topk_prob=True, use_expert_bias=True, conv_bias=None)),
)


def in_gguf(case):
    """Whether GGUF has words for all of it."""
    c, own = case["config"], case["rope"]
    if own is None:
        return False
    own = own.get("full_attention", own)
    kind = own["rope_type"]
    if case["gguf"] == "deepseek2" and kind != "default":
        return False
    if case["gguf"] == "gpt-oss" and kind == "yarn":
        return own.get("truncate") is False and "attention_factor" not in own and "beta_fast" not in own and "mscale" not in own
    return (
        c.get("hidden_activation" if case["gguf"] in ("gemma2", "gemma3") else "hidden_act", "silu") == GGUF_ACTIVATION.get(case["gguf"], "silu")
        and (not c.get("attention_bias") or case["gguf"] in ("deepseek2", "gpt-oss", "glm4moe")) and not c.get("mlp_bias")
        and kind in ("default", "linear", "yarn", "longrope")
        and not any(key in own for key in ("attention_factor", "mscale", "truncate", "beta_fast", "beta_slow"))
        and (kind != "longrope" or case["gguf"] == "phi3")
    )


def draw(family, seed):
    r = Draw(f"{family} {seed}")
    made = SAMPLERS[family](r)
    # Prompts below, at and beyond windows, blocks, pages and original contexts.
    made.setdefault("tokens", r.of(7, 16, 31, 32, 33, 48, 63))
    made["tokens"] = min(made["tokens"], made["config"]["max_position_embeddings"] - 1)
    made.setdefault("base", {})
    if family in GGUF_MEANS and r.yes():
        made["gguf"], means = GGUF_MEANS[family]
        for key, value in means(made["config"]).items():
            made["config"].pop(key, None) if value is None else made["config"].update({key: value})
        if family == "Gemma3":  # the writer says nothing of the base of layers within a window
            made["rope"]["sliding_attention"]["rope_theta"] = 10000.0
        if family == "GptOss" and made["rope"] is not None and made["rope"]["rope_type"] == "yarn":
            made["rope"]["truncate"] = False
    if made.get("gguf") and r.yes(0.8):
        c = made["config"]
        if made["gguf"] != "gpt-oss":
            c.pop("attention_bias", None)
        c.pop("mlp_bias", None)
        c["hidden_activation" if made["gguf"] in ("gemma2", "gemma3") else "hidden_act"] = GGUF_ACTIVATION.get(made["gguf"], "silu")
    if not made.get("gguf") or not in_gguf(made):
        made["gguf"] = None
    return r, Case(f"{family}-{seed}", family, dtype=r.of("f32", "bf16", "f16"), **made)


def write(family, seed, root):
    r, case = draw(family, seed)
    families.VOCAB = case.config["vocab_size"]
    model, tokens = families.make(case, seed)
    folder = root / case.name
    saved = save(case, model, folder)
    logits = reference(folder, model)(torch.tensor([tokens]), use_cache=False).logits[0].contiguous()
    (folder / "logits.bin").write_bytes(logits.numpy().astype("<f4").tobytes())
    (folder / "variants.json").write_text(json.dumps(variants(r, case, saved), indent=1))
    (folder / "golden.json").write_text(json.dumps(dict(vocab=case.config["vocab_size"], tokens=tokens, largestLogit=logits.abs().max().item())))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("families", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    transformers.logging.disable_progress_bar()
    with torch.no_grad():
        for family in arguments.families or SAMPLERS:
            for seed in range(arguments.seed, arguments.seed + arguments.count):
                try:
                    write(family, seed, arguments.output)
                except (Exception, SystemExit) as error:  # transformers refuses the combination
                    shutil.rmtree(arguments.output / f"{family}-{seed}", ignore_errors=True)
                    print(f"{family}-{seed}: {type(error).__name__}: {str(error)[:200]}")


if __name__ == "__main__":
    main()
