"""Writes tests/goldens/quant/*.json: source bytes and what they mean, by an implementation that is not ours.

GGUF block formats come from the `gguf` package, MLX's float forms from mlx, its affine form from the definition in numpy, half
floats and e4m3 from numpy and torch.
Run: python tools/goldens/quant.py   (needs numpy, gguf, torch, mlx; fixed seed, so the output does not change)
"""

import base64
import json
import pathlib

import gguf
import mlx.core as mx
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
    with np.errstate(over="ignore", invalid="ignore"):
        values = gguf.quants.dequantize(data.reshape(rows, -1), kind).astype(np.float32)
    return {"format": name, "rows": rows, "K": k, "parts": [b64(data)], "values": b64(values)}


def extreme_case(name, kind, scale_offsets):
    """One row of blocks whose scales are infinite, subnormal, zero and negative, and whose other bytes are all ones or all zeros."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    scales = np.array([np.inf, -np.inf, 6e-8, -6e-5, 0.0, -0.0, 65504, 1], np.float16)
    data = rng.integers(0, 256, (len(scales), size), dtype=np.uint8)
    data[4], data[7] = 0, 255
    for offset in scale_offsets:
        data[:, offset : offset + 2] = scales.reshape(-1, 1).view(np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        values = gguf.quants.dequantize(data.reshape(1, -1), kind).astype(np.float32)
    values[np.isnan(values)] = np.nan
    return {"format": name, "rows": 1, "K": block * len(scales), "parts": [b64(data)], "values": b64(values)}


def mlx_float_case(name, mode, bits, group, rows, k):
    """Scales of every byte that is a number."""
    codes = rng.integers(0, 256, (rows, k * bits // 8), dtype=np.uint8)
    scales = rng.integers(0, 255, (rows, k // group), dtype=np.uint8)
    if mode == "nvfp4":
        scales[(scales & 0x7F) == 0x7F] = 0x35
    if bits == 8:
        codes[(codes & 0x7F) == 0x7F] = 0x01
    values = mx.dequantize(
        mx.array(codes.view(np.uint32)), mx.array(scales), None, group_size=group, bits=bits, mode=mode, dtype=mx.float32
    )
    values = np.array(values) + np.float32(0)  # a negative zero and zero are the same number
    return {"format": name, "rows": rows, "K": k, "parts": [b64(codes), b64(scales)], "values": b64(values)}


def fp8_case(group, meta, rows, k):
    codes = rng.integers(0, 256, (rows, k), dtype=np.uint8)
    codes[(codes & 0x7F) == 0x7F] = 0x01
    scale_bits, scales = store(rng.standard_normal((rows, k // group)) * 0.05, meta)
    numbers = torch.from_numpy(codes).view(torch.float8_e4m3fn).to(torch.float64).numpy()
    values = (np.repeat(scales, group, axis=1) * numbers).astype(np.float32)
    return {"format": f"fp8/{group}/{meta}", "rows": rows, "K": k, "parts": [b64(codes), b64(scale_bits)], "values": b64(values)}


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
    stream = (q[:, :, None] >> np.arange(bits, dtype=np.uint32)) & 1
    words = np.packbits(stream.astype(np.uint8).reshape(rows, -1), axis=1, bitorder="little").view(np.uint32)
    scale_bits, scales = store(rng.standard_normal((rows, k // group)) * 0.05, meta)
    bias_bits, biases = store(rng.standard_normal((rows, k // group)), meta)
    wide = np.repeat(scales, group, axis=1) * q + np.repeat(biases, group, axis=1)
    if meta != "bf16":  # the packing is mlx's; its sums round to the type of the scales
        kind = mx.float32 if meta == "f32" else mx.float16
        args = [mx.array(x.astype(np.float32)).astype(kind) for x in (scales, biases)]
        theirs = np.array(mx.dequantize(mx.array(words), *args, group_size=group, bits=bits).astype(mx.float32))
        assert np.allclose(theirs, wide, rtol=2e-3, atol=2e-3), (bits, group, meta)
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
METAS = ("f32", "f16", "bf16")
# Format, type, columns of a row, and where a block has its f16 scales.
BLOCKS = [
    ("q4_0", T.Q4_0, 128, [0]),
    ("q4_1", T.Q4_1, 128, [0, 2]),
    ("q5_0", T.Q5_0, 128, [0]),
    ("q5_1", T.Q5_1, 128, [0, 2]),
    ("q8_0", T.Q8_0, 128, [0]),
    ("q2_k", T.Q2_K, 512, [80, 82]),
    ("q3_k", T.Q3_K, 512, [108]),
    ("q4_k", T.Q4_K, 512, [0, 2]),
    ("q5_k", T.Q5_K, 512, [0, 2]),
    ("q6_k", T.Q6_K, 512, [208]),
    ("iq4_nl", T.IQ4_NL, 128, [0]),
    ("iq4_xs", T.IQ4_XS, 512, [0]),
    ("iq3_s", T.IQ3_S, 512, [0]),
    ("iq3_xxs", T.IQ3_XXS, 512, [0]),
    ("iq2_s", T.IQ2_S, 512, [0]),
    ("iq2_xs", T.IQ2_XS, 512, [0]),
    ("iq2_xxs", T.IQ2_XXS, 512, [0]),
    ("iq1_s", T.IQ1_S, 512, [0]),
    ("iq1_m", T.IQ1_M, 512, []),
    ("tq1_0", T.TQ1_0, 512, [52]),
    ("tq2_0", T.TQ2_0, 512, [64]),
    ("mxfp4", T.MXFP4, 128, []),
    ("nvfp4", T.NVFP4, 128, []),
]
for kind in (T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S, T.IQ1_S):
    gguf.quants._type_traits[kind].init_grid()
dequantize = [
    *(float_case(name, 3, 64) for name in METAS),
    *(block_case(name, kind, 3, k, scales) for name, kind, k, scales in BLOCKS),
    mlx_float_case("mlx-mxfp4", "mxfp4", 4, 32, 3, 256),
    mlx_float_case("mlx-mxfp8", "mxfp8", 8, 32, 3, 256),
    mlx_float_case("mlx-nvfp4", "nvfp4", 4, 16, 3, 256),
    *(mlx_case(bits, group, meta, 2, 128) for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64, 128) for meta in METAS),
    *(fp8_case(group, meta, 2, 128) for group in (32, 64, 128) for meta in METAS),
]
extreme = [extreme_case(name, kind, scales) for name, kind, k, scales in BLOCKS if scales]
quantize = [
    quantize_case(name, kind, 3, k)
    for name, kind, k in (
        ("q4_0", T.Q4_0, 128),
        ("q4_1", T.Q4_1, 128),
        ("q5_0", T.Q5_0, 128),
        ("q5_1", T.Q5_1, 128),
        ("q8_0", T.Q8_0, 128),
        ("tq1_0", T.TQ1_0, 512),
        ("tq2_0", T.TQ2_0, 512),
        ("mxfp4", T.MXFP4, 128),
    )
]
write("dequantize.json", dequantize)
write("extreme.json", extreme)
write("quantize.json", quantize)
write("half.json", half_case(2048))
