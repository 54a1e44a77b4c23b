"""GGUF files of the checkpoints in families.py, with the `gguf` package's writer and table of names; what llama.cpp's converter
does to rows and values is done here."""

import re

import gguf
import numpy as np
import torch


def permute(weights, heads):
    """llama.cpp's order of query and key rows for models that rotate halves but are run with interleaved pairs."""
    shape = weights.shape
    return weights.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


PERMUTED = {"llama", "smollm3", "granite", "granitemoe"}
NORM_PLUS_ONE = {"gemma", "gemma2", "gemma3"}


def rope_of(config):
    rope = config.get("rope_parameters") or {}
    return rope.get("full_attention", rope), rope.get("sliding_attention")


def metadata(writer, arch, c):
    rope, local = rope_of(c)
    heads = c["num_attention_heads"]
    head_dim = c.get("head_dim") or c["hidden_size"] // heads
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_block_count(c["num_hidden_layers"])
    if "intermediate_size" in c:
        width = c["intermediate_size"]
        if c.get("block_auto_adjust_ff_dim"):
            width = int(c["block_ffn_dim_multiplier"] * int(2 * width / 3))
            width = c["block_multiple_of"] * -(-width // c["block_multiple_of"])
        writer.add_feed_forward_length(width)
    writer.add_head_count(heads)
    kv = c.get("num_key_value_heads") or heads
    if arch in ("lfm2", "lfm2moe"):
        kv = [kv if kind == "full_attention" else 0 for kind in c["layer_types"]]
    writer.add_head_count_kv(kv)
    if arch not in ("phi2", "deepseek2"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if arch != "deepseek2":
        writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))
    if "layer_norm_eps" in c:
        writer.add_layer_norm_eps(c["layer_norm_eps"])
    else:
        writer.add_layer_norm_rms_eps(c.get("rms_norm_eps", c.get("norm_eps", 1e-6)))
    if c.get("sliding_window"):
        writer.add_sliding_window(c["sliding_window"])
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope.get("rope_type") == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope.get("rope_type") == "longrope":
        original = rope["original_max_position_embeddings"]
        factor = c["max_position_embeddings"] / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(factor) / np.log(original))))
        for kind in ("long", "short"):
            writer.add_tensor(f"rope_factors_{kind}.weight", np.array(rope[f"{kind}_factor"], dtype=np.float32))
    if arch in ("granite", "granitemoe"):
        writer.add_attention_scale(c["attention_multiplier"])
        writer.add_embedding_scale(c["embedding_multiplier"])
        writer.add_residual_scale(c["residual_multiplier"])
        writer.add_logit_scale(c["logits_scaling"])
    if arch == "cohere2":
        writer.add_logit_scale(c["logit_scale"])
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(c["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(c["final_logit_softcapping"])
    experts = c.get("num_experts") or c.get("num_local_experts") or c.get("n_routed_experts") or c.get("moe_num_experts")
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(c.get("num_experts_per_tok") or c.get("moe_k"))
        writer.add_expert_feed_forward_length(c.get("moe_intermediate_size", c.get("intermediate_size")))
    MORE.get(arch, lambda *_: None)(writer, c)
    writer.add_bos_token_id(c["bos_token_id"])
    writer.add_eos_token_id(c["eos_token_id"])


def glm4moe(writer, c):
    writer.add_leading_dense_block_count(c["first_k_dense_replace"])
    writer.add_expert_shared_count(c["n_shared_experts"])
    writer.add_expert_weights_scale(c["routed_scaling_factor"])
    writer.add_expert_weights_norm(c["norm_topk_prob"])
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)


def ernie(writer, c):
    writer.add_leading_dense_block_count(c["moe_layer_start_index"])
    writer.add_interleave_moe_layer_step(c["moe_layer_interval"])
    writer.add_expert_shared_count(c["moe_num_shared_experts"])


def lfm2(writer, c):
    writer.add_shortconv_l_cache(c["conv_L_cache"])
    if "num_dense_layers" in c:
        writer.add_leading_dense_block_count(c["num_dense_layers"])
        writer.add_expert_weights_scale(c["routed_scaling_factor"])
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)


def deepseek(writer, c):
    writer.add_vocab_size(c["vocab_size"])
    if c.get("q_lora_rank"):
        writer.add_q_lora_rank(c["q_lora_rank"])
    writer.add_kv_lora_rank(c["kv_lora_rank"])
    writer.add_key_length(c["kv_lora_rank"] + c["qk_rope_head_dim"])
    writer.add_value_length(c["kv_lora_rank"])
    writer.add_key_length_mla(c["qk_nope_head_dim"] + c["qk_rope_head_dim"])
    writer.add_value_length_mla(c["v_head_dim"])
    writer.add_rope_dimension_count(c["qk_rope_head_dim"])
    writer.add_leading_dense_block_count(c["first_k_dense_replace"])
    writer.add_expert_shared_count(c["n_shared_experts"])
    writer.add_expert_weights_scale(c["routed_scaling_factor"])
    writer.add_expert_weights_norm(bool(c.get("norm_topk_prob")))
    sigmoid = c["model_type"] == "deepseek_v3"
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID if sigmoid else gguf.ExpertGatingFuncType.SOFTMAX)
    if (c.get("n_group") or 1) > 1:
        writer.add_expert_group_count(c["n_group"])
        writer.add_expert_group_used_count(c["topk_group"])
    rope, _ = rope_of(c)
    if rope.get("rope_type") == "yarn":
        writer.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])


def split_latent(c, name, tensor):
    """The matrix from rows to keys and values as two, the one for keys turned over, as llama.cpp's converter writes it."""
    plain = c["qk_nope_head_dim"]
    both = tensor.float().reshape(c["num_attention_heads"], plain + c["v_head_dim"], -1)
    keys, values = both[:, :plain].transpose(1, 2), both[:, plain:]
    return [(name.replace("kv_b", "k_b"), keys.numpy()), (name.replace("kv_b", "v_b"), values.numpy())]


MORE = {
    "lfm2": lfm2,
    "lfm2moe": lfm2,
    "deepseek2": deepseek,
    "glm4moe": glm4moe,
    "ernie4_5-moe": ernie,
    "qwen2moe": lambda w, c: w.add_expert_shared_feed_forward_length(c["shared_expert_intermediate_size"]),
    "olmoe": lambda w, c: w.add_clamp_kqv(c["clip_qkv"]),
}
EXPERT = re.compile(r"(.*\.experts)\.(\d+)\.(\w+\.weight)$")


def stack_experts(tensors):
    """One tensor for all experts of a layer, as the converter makes it."""
    out, groups = {}, {}
    for name, tensor in tensors.items():
        match = EXPERT.match(name)
        if match is None:
            out[name] = tensor
        else:
            groups.setdefault(f"{match[1]}.{match[3]}", {})[int(match[2])] = tensor
    for name, group in groups.items():
        out[name] = torch.stack([group[i] for i in range(len(group))])
    return out


def stored(arch, config, name, tensor):
    """(HF name, values) pairs of a tensor as the converter writes it."""
    if arch == "deepseek2" and name.endswith("kv_b_proj.weight"):
        return split_latent(config, name, tensor)
    if name.endswith("block_sparse_moe.input_linear.weight"):
        gate, up = tensor.chunk(2, dim=1)
        stem = name.removesuffix("input_linear.weight")
        return [(f"{stem}experts.gate.weight", gate.float().numpy()), (f"{stem}experts.up.weight", up.float().numpy())]
    if arch == "gpt-oss" and ".experts.gate_up_proj" in name:
        stem, end = name.split("gate_up_proj")
        parts = (tensor[..., 0::2], tensor[..., 1::2])
        if end == "":
            return [(f"{stem}{p}.weight", t.transpose(1, 2).float().numpy()) for p, t in zip(("gate_proj", "up_proj"), parts)]
        return [(f"{stem}{p}.bias", t.float().numpy()) for p, t in zip(("gate_proj", "up_proj"), parts)]
    if arch == "gpt-oss" and name.endswith("experts.down_proj"):
        return [(f"{name}.weight", tensor.transpose(1, 2).float().numpy())]
    if arch == "gpt-oss" and name.endswith("experts.down_proj_bias"):
        return [(name.replace("_bias", ".bias"), tensor.float().numpy())]
    if name.endswith("e_score_correction_bias"):
        return [(name.replace("e_score_correction_bias", "e_score_correction.bias"), tensor.float().numpy().reshape(-1))]
    if name.endswith("conv.conv.weight"):
        return [(name, tensor.squeeze(1).float().numpy())]
    if arch == "lfm2moe" and ".feed_forward.experts." in name:
        parts = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
        return [(re.sub(r"w\d(?=\.)", lambda match: parts[match[0]], name), tensor.float().numpy())]
    if name.endswith("expert_bias"):
        return [(name.replace("expert_bias", "expert_bias.bias"), tensor.float().numpy())]
    if name.endswith("sinks"):
        return [(f"{name}.weight", tensor.float().numpy())]
    heads, kv = config["num_attention_heads"], config.get("num_key_value_heads") or config["num_attention_heads"]
    values = tensor.float().numpy()
    if arch in PERMUTED and name.endswith(("q_proj.weight", "q_proj.bias")):
        values = permute(values, heads)
    if arch in PERMUTED and name.endswith(("k_proj.weight", "k_proj.bias")):
        values = permute(values, kv)
    if arch in NORM_PLUS_ONE and name.endswith("norm.weight"):
        values = values + 1
    return [(name, values)]


def write_gguf(path, arch, config, tensors):
    writer = gguf.GGUFWriter(str(path), arch)
    metadata(writer, arch, config)
    kind = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == arch)
    names = gguf.get_tensor_name_map(kind, config["num_hidden_layers"])
    tensors = stack_experts(tensors)
    for name in sorted(tensors):
        for known, values in stored(arch, config, name, tensors[name]):
            target = names.get_name(known, try_suffixes=(".weight", ".bias"))
            if target is None:
                raise SystemExit(f"{arch}: no GGUF name for {known}")
            if values.ndim <= 1 or not torch.equal(torch.from_numpy(values).bfloat16().float(), torch.from_numpy(values)):
                writer.add_tensor(target, np.ascontiguousarray(values, dtype=np.float32))
            else:
                bits = gguf.quants.quantize(np.ascontiguousarray(values), gguf.GGMLQuantizationType.BF16)
                writer.add_tensor(target, bits, raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
