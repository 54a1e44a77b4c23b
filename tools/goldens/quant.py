"""Writes tests/goldens/quant/*.json: source bytes and what they mean, by an implementation that is not ours.

GGUF block formats come from the `gguf` package, MLX affine from its definition in numpy, half floats from numpy and torch.
Run: python tools/goldens/quant.py   (needs numpy, gguf, torch; fixed seed, so the output does not change)
"""

import base64
import json
import pathlib

import gguf
import numpy as np
import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "goldens" / "quant"
rng = np.random.default_rng(20240917)


def b64(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def halves(count):
    """f16 scales over many magnitudes, both signs, with subnormals, zero and the largest."""
    values = rng.standard_normal(count) * 10.0 ** rng.integers(-8, 3, count)
    values = values.astype(np.float16)
    values.reshape(-1)[: min(4, count)] = np.array([0, 6e-8, 65504, -1], np.float16)[: min(4, count)]
    rng.shuffle(values)
    return values


def block_case(name, kind, rows, k, scale_offsets):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rows * k // block
    data = rng.integers(0, 256, (blocks, size), dtype=np.uint8)
    for offset in scale_offsets:
        data[:, offset : offset + 2] = halves(blocks).reshape(-1, 1).view(np.uint8)
    values = gguf.quants.dequantize(data.reshape(rows, -1), kind).astype(np.float32)
    return {"format": name, "rows": rows, "K": k, "parts": [b64(data)], "values": b64(values)}


def float_case(name, rows, k):
    if name == "f32":
        data = rng.integers(0, 2**32, rows * k, dtype=np.uint32)
        data[(data & 0x7F800000) == 0x7F800000] = 0x7F800000  # infinity, no NaN: their payload is not compared
        values = data.view(np.float32)
    else:
        data = rng.integers(0, 2**16, rows * k, dtype=np.uint16)
        mask = 0x7C00 if name == "f16" else 0x7F80
        data[(data & mask) == mask] = mask
        wide = data.astype(np.uint32) << 16
        values = data.view(np.float16).astype(np.float32) if name == "f16" else wide.view(np.float32)
    return {"format": name, "rows": rows, "K": k, "parts": [b64(data)], "values": b64(values)}


def store(values, meta):
    """Bits and values of f32 numbers stored as `meta`."""
    tensor = torch.from_numpy(values.astype(np.float32))
    kind = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[meta]
    stored = tensor.to(kind)
    bits = stored.view(torch.int32 if meta == "f32" else torch.int16).numpy()
    return bits, stored.to(torch.float64).numpy()


def mlx_case(bits, group, meta, rows, k):
    q = rng.integers(0, 2**bits, (rows, k), dtype=np.uint32)
    per_word = 32 // bits
    words = np.zeros((rows, k // per_word), np.uint32)
    for i in range(per_word):
        words |= q[:, i::per_word] << np.uint32(i * bits)
    scale_bits, scales = store(rng.standard_normal((rows, k // group)) * 0.05, meta)
    bias_bits, biases = store(rng.standard_normal((rows, k // group)), meta)
    wide = np.repeat(scales, group, axis=1) * q + np.repeat(biases, group, axis=1)
    return {
        "format": f"mlx{bits}/{group}/{meta}",
        "rows": rows,
        "K": k,
        "parts": [b64(words), b64(scale_bits), b64(bias_bits)],
        "values": b64(wide.astype(np.float32)),
    }


def quantize_case(name, kind, rows, k):
    values = (rng.standard_normal((rows, k)) * 0.3).astype(np.float32)
    values[0, :32] = 0
    data = gguf.quants.quantize(values, kind)
    return {"format": name, "rows": rows, "K": k, "values": b64(values), "parts": [b64(data)]}


def half_case(count):
    bits = rng.integers(0, 2**32, count, dtype=np.uint32)
    # Half of them within the f16 range, and values exactly between two neighbours of either type.
    near = (rng.standard_normal(count // 2) * 10.0 ** rng.integers(-9, 5, count // 2)).astype(np.float32)
    bits[: count // 2] = near.view(np.uint32)
    bits[0 : count // 2 : 4] &= np.uint32(0xFFFFE000)
    bits[0 : count // 2 : 4] |= np.uint32(0x1000)
    bits[1 : count // 2 : 4] &= np.uint32(0xFFFF0000)
    bits[1 : count // 2 : 4] |= np.uint32(0x8000)
    bits = bits[~np.isnan(bits.view(np.float32))]
    values = bits.view(np.float32).copy()
    with np.errstate(over="ignore"):
        half = values.astype(np.float16).view(np.uint16)
    brain = torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy()
    return {"f32": b64(bits), "f16": b64(half), "bf16": b64(brain)}


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text(json.dumps(value, indent=1) + "\n")


T = gguf.GGMLQuantizationType
dequantize = [
    *(float_case(name, 3, 64) for name in ("f32", "f16", "bf16")),
    block_case("q4_0", T.Q4_0, 3, 128, [0]),
    block_case("q4_1", T.Q4_1, 3, 128, [0, 2]),
    block_case("q8_0", T.Q8_0, 3, 128, [0]),
    block_case("q4_k", T.Q4_K, 3, 512, [0, 2]),
    block_case("q6_k", T.Q6_K, 3, 512, [208]),
    *(mlx_case(bits, group, meta, 3, 256) for bits in (4, 8) for group in (32, 64, 128) for meta in ("f32", "f16", "bf16")),
]
quantize = [quantize_case(name, kind, 3, 128) for name, kind in (("q4_0", T.Q4_0), ("q4_1", T.Q4_1), ("q8_0", T.Q8_0))]
write("dequantize.json", dequantize)
write("quantize.json", quantize)
write("half.json", half_case(2048))
