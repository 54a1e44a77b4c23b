"""Writes tests/goldens/quant/smollm2.json: samples of the weights that transformers makes of the SmolLM2 GGUF file.

They hold the translation of names, the order of query and key rows, and dequantisation against another implementation.
Run: python tools/goldens/quant_smollm2.py PATH/SmolLM2-135M-Instruct.Q4_1.gguf   (needs transformers, torch, gguf)
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "goldens" / "quant" / "smollm2.json"
NAMES = [
    "model.embed_tokens.weight",
    "model.norm.weight",
    "model.layers.0.input_layernorm.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.7.self_attn.k_proj.weight",
    "model.layers.29.self_attn.v_proj.weight",
    "model.layers.3.self_attn.o_proj.weight",
    "model.layers.3.mlp.gate_proj.weight",
    "model.layers.3.mlp.down_proj.weight",
    "model.layers.29.post_attention_layernorm.weight",
]

path = pathlib.Path(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
state = model.state_dict()
config = model.config.to_dict()
samples = []
for name in NAMES:
    tensor = state[name]
    matrix = tensor.reshape(-1, tensor.shape[-1])
    rows = sorted({0, 1, 33, 64, 95, matrix.shape[0] - 1} & set(range(matrix.shape[0])))
    samples.append(
        {
            "name": name,
            "shape": list(tensor.shape),
            "sum": matrix.double().sum().item(),
            "rows": [{"row": row, "start": matrix[row, :12].tolist()} for row in rows],
        }
    )
kept = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"]
kept += ["max_position_embeddings", "intermediate_size", "tie_word_embeddings", "rms_norm_eps", "bos_token_id", "eos_token_id"]
OUT.write_text(json.dumps({"config": {key: config[key] for key in kept}, "samples": samples}, indent=1) + "\n")
print(config.get("rope_parameters"), config.get("rope_theta"))
