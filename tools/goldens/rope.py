"""Writes tests/goldens/rope/rope.json: rotary frequencies and attention factors from transformers' own functions.

Each entry holds a config fragment (the newer dialect, `rope_parameters`), an optional sequence length (dynamic
scaling), and what the reference computes: inv_freq (f32 values) and the factor on sin and cos.
Run: python rope.py [output file]
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=2048)
LLAMA3 = dict(
    rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)

# name, head_dim, max_position_embeddings, rope_parameters, sequence length for dynamic scaling
CASES = [
    ("default", 64, 2048, dict(rope_type="default", rope_theta=10000.0), None),
    ("default, theta 1e6, head 128", 128, 32768, dict(rope_type="default", rope_theta=1000000.0), None),
    ("default, head 6", 6, 2048, dict(rope_type="default", rope_theta=10000.0), None),
    ("linear 4", 64, 8192, dict(rope_type="linear", rope_theta=10000.0, factor=4.0), None),
    ("linear 2.5, theta 1e6", 128, 8192, dict(rope_type="linear", rope_theta=1000000.0, factor=2.5), None),
    ("llama 3.1", 128, 131072, LLAMA3, None),
    ("llama 3.2 1B", 64, 131072, LLAMA3 | dict(factor=32.0), None),
    ("llama3, narrow band", 64, 4096, LLAMA3 | dict(low_freq_factor=2.0, high_freq_factor=2.5, rope_theta=1e4), None),
    ("yarn 4", 64, 8192, YARN, None),
    ("yarn, qwen3 at 131072", 128, 131072, YARN | dict(rope_theta=1e6, original_max_position_embeddings=32768), None),
    ("yarn, attention_factor", 64, 8192, YARN | dict(attention_factor=0.75), None),
    ("yarn, mscale both", 64, 8192, YARN | dict(mscale=0.8, mscale_all_dim=0.5), None),
    ("yarn, mscale equal", 64, 163840, YARN | dict(factor=40.0, mscale=1.0, mscale_all_dim=1.0), None),
    ("yarn, mscale alone", 64, 8192, YARN | dict(mscale=0.707), None),
    ("yarn, betas", 64, 8192, YARN | dict(beta_fast=16.0, beta_slow=2.0), None),
    ("yarn, not truncated", 64, 8192, YARN | dict(truncate=False), None),
    ("yarn, gpt-oss like", 64, 131072,
     YARN | dict(rope_theta=150000.0, factor=32.0, original_max_position_embeddings=4096, truncate=False), None),
    ("yarn, betas equal", 32, 8192, YARN | dict(beta_fast=1.0, beta_slow=1.0), None),
    ("yarn, original length from config", 64, 4096,
     {k: v for k, v in YARN.items() if k != "original_max_position_embeddings"}, None),
    ("dynamic, within", 64, 2048, dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0), None),
    ("dynamic, at 5000", 64, 2048, dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0), 5000),
    ("dynamic 4, at 32768", 128, 4096, dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0), 32768),
]


def entry(name, head_dim, max_position, rope, seq_len):
    config = LlamaConfig(
        hidden_size=head_dim * 4, num_attention_heads=4, head_dim=head_dim, max_position_embeddings=max_position,
        rope_parameters=dict(rope),
    )
    if rope["rope_type"] == "default":
        inv_freq, factor = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    else:
        inv_freq, factor = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, None, seq_len=seq_len)
    assert inv_freq.dtype == torch.float32
    fragment = dict(head_dim=head_dim, max_position_embeddings=max_position, rope_parameters=rope)
    values = [float(x) for x in inv_freq]
    return dict(name=name, config=fragment, seqLen=seq_len, attentionFactor=factor, invFreq=values)


def main():
    default = Path(__file__).resolve().parents[2] / "tests/goldens/rope/rope.json"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(json.dumps(entry(*case)) for case in CASES)
    head = json.dumps(f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}, f32")
    path.write_text(f'{{\n"reference": {head},\n"cases": [\n{rows}\n]\n}}\n')
    print(f"{len(CASES)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
