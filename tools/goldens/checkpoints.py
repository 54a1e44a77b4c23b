"""Writes tests/goldens/quant/checkpoints.json: tensors as quantised checkpoints store them, with the config that says how, and what they mean.

FP8 and MXFP4 are dequantised by transformers, MLX's forms by mlx, the last cases by compressed-tensors. Its other cases, GPTQ and AWQ are
packed here from the codes, the way their libraries do (bit orders are theirs), so that the values are those of the definition w = s (q - z).
Run: python tools/goldens/checkpoints.py   (needs numpy, torch, transformers, mlx, compressed-tensors; fixed seed, so the output does not
change)
"""

import base64
import json
import pathlib

import mlx.core as mx
import numpy as np
import torch
from compressed_tensors.compressors import (
    FloatQuantizationCompressor,
    IntQuantizationCompressor,
    MXFP4PackedCompressor,
    MXFP8QuantizationCompressor,
    PackedQuantizationCompressor,
)
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "goldens" / "quant" / "checkpoints.json"
rng = np.random.default_rng(7)
torch.manual_seed(7)

DTYPES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.uint32: "U32",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e8m0fnu: "F8_E8M0",
}


def stored(tensor):
    tensor = tensor.contiguous()
    raw = tensor.view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)
    return {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data": base64.b64encode(raw.numpy().tobytes()).decode()}


def values(array):
    array = np.ascontiguousarray(array, dtype=np.float32)
    return {"shape": list(array.shape), "values": base64.b64encode(array.tobytes()).decode()}


def case(name, config, tensors, expect):
    return {
        "name": name,
        "config": config,
        "tensors": {k: stored(v) for k, v in tensors.items()},
        "expect": {k: values(v) for k, v in expect.items()},
    }


def codes_fp8(*shape):
    codes = torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))
    codes[(codes & 0x7F) == 0x7F] = 1
    return codes.view(torch.float8_e4m3fn)


def fp8(name, rows, columns, scale, key="weight_scale_inv", method="fp8"):
    weight = codes_fp8(rows, columns)
    expected = Fp8Dequantize(None)._dequantize_one(weight, scale, torch.float32)
    config = {"quantization_config": {"quant_method": method}}
    if method == "compressed-tensors":
        config["quantization_config"]["format"] = "float-quantized"
    return case(name, config, {"a.weight": weight, f"a.{key}": scale}, {"a.weight": expected.reshape(rows, columns).numpy()})


def ragged_fp8():
    """DeepSeek's blocks, smaller, where the last row of blocks is short: the config says their size, the grid of scales does not."""
    weight, scale = codes_fp8(24, 64), torch.rand(2, 2)
    wide = scale.repeat_interleave(16, 0)[:24].repeat_interleave(32, 1)
    config = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [16, 32]}}
    return case("fp8 ragged blocks", config, {"a.weight": weight, "a.weight_scale_inv": scale}, {"a.weight": (weight.float() * wide).numpy()})


def pack_columns(codes, bits, order=None):
    """Codes of the last axis into int32 words, lowest bits first; `order[i]` is the column at place i."""
    per = 32 // bits
    order = order or list(range(per))
    grouped = codes.reshape(*codes.shape[:-1], -1, per).astype(np.uint32)
    words = np.zeros(grouped.shape[:-1], np.uint32)
    for i, column in enumerate(order):
        words |= grouped[..., column] << np.uint32(i * bits)
    return torch.from_numpy(words.view(np.int32))


def grouped(rows, columns, group, bits):
    q = rng.integers(0, 2**bits, (rows, columns))
    z = rng.integers(1, 2**bits, (rows, columns // group))
    s = torch.from_numpy((rng.random((rows, columns // group)) * 0.1).astype(np.float32))
    return q, z, s


def compressed(name, bits, group, symmetric, dtype):
    rows, columns = 8, 256
    width = group or columns
    q, z, s = grouped(rows, columns, width, bits)
    if symmetric:
        z[:] = 2 ** (bits - 1)
    s = s.to(dtype)
    tensors = {"a.weight_packed": pack_columns(q, bits), "a.weight_scale": s, "a.weight_shape": torch.tensor([rows, columns])}
    if not symmetric:
        tensors["a.weight_zero_point"] = pack_columns(z.T, bits).T
    weights = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group" if group else "channel", "group_size": group}
    config = {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}
    wide = s.double().numpy().repeat(width, 1) * (q - z.repeat(width, 1))
    return case(name, {"quantization_config": config}, tensors, {"a.weight": wide.astype(np.float32)})


def compressed_int8():
    q = torch.from_numpy(rng.integers(-128, 128, (6, 64), dtype=np.int8))
    s = torch.rand(6, 1).to(torch.bfloat16)
    weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "group_size": None}
    config = {"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups": {"group_0": {"weights": weights}}}
    return case("compressed int8", {"quantization_config": config}, {"a.weight": q, "a.weight_scale": s}, {"a.weight": (q.double() * s.double()).numpy()})


def nvfp4():
    q = rng.integers(0, 16, (8, 64))
    s, whole = codes_fp8(8, 4).float().abs().to(torch.float8_e4m3fn), torch.tensor([37.5])
    numbers = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])
    packed = torch.from_numpy((q[:, 0::2] | (q[:, 1::2] << 4)).astype(np.uint8))
    scale = (s.float() / whole).numpy().repeat(16, 1).astype(np.float64)
    config = {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}
    tensors = {"a.weight_packed": packed, "a.weight_scale": s, "a.weight_global_scale": whole}
    return case("compressed nvfp4", {"quantization_config": config}, tensors, {"a.weight": (scale * numbers[q]).astype(np.float32) + 0})


def gptq(name, bits, group, desc_act=False, version=1):
    rows, columns = 8, 128
    width = group if group > 0 else columns
    q, z, s = grouped(rows, columns, width, bits)
    s = s.half()
    order = np.arange(columns) // width
    if desc_act:
        order = rng.permutation(order)
    tensors = {
        "a.qweight": pack_columns(q, bits).T.contiguous(),
        "a.qzeros": pack_columns(((z - (1 if version == 1 else 0)) & (2**bits - 1)).T, bits),
        "a.scales": s.T.contiguous(),
        "a.g_idx": torch.from_numpy(order.astype(np.int32)),
    }
    config = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": desc_act, "checkpoint_format": "gptq" if version == 1 else "gptq_v2"}
    wide = s.double().numpy()[:, order] * (q - z[:, order])
    expected = wide.astype(np.float16).astype(np.float32) if desc_act else wide.astype(np.float32)
    return case(name, {"quantization_config": config}, tensors, {"a.weight": expected})


def awq():
    rows, columns, group = 16, 128, 64
    q, z, s = grouped(rows, columns, group, 4)
    s = s.half()
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    tensors = {"a.qweight": pack_columns(q.T, 4, order), "a.qzeros": pack_columns(z.T, 4, order), "a.scales": s.T.contiguous()}
    wide = s.double().numpy().repeat(group, 1) * (q - z.repeat(group, 1))
    config = {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm"}
    return case("awq", {"quantization_config": config}, tensors, {"a.weight": wide.astype(np.float32)})


def gpt_oss():
    blocks = torch.from_numpy(rng.integers(0, 256, (2, 6, 2, 16), dtype=np.uint8))
    scales = torch.from_numpy(rng.integers(110, 140, (2, 6, 2), dtype=np.uint8))
    dense = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).transpose(1, 2).contiguous().numpy() + 0
    name = "model.layers.0.mlp.experts"
    tensors = {f"{name}.{part}_{kind}": t for part in ("gate_up_proj", "down_proj") for kind, t in (("blocks", blocks), ("scales", scales))}
    expect = {f"{name}.{part}_proj.weight": dense for part in ("gate_up", "down")}
    return case("gpt-oss mxfp4", {"quantization_config": {"quant_method": "mxfp4"}}, tensors, expect)


def mlx(mode, bits, group):
    weight = mx.array(rng.standard_normal((4, 128)).astype(np.float32))
    parts = mx.quantize(weight, group_size=group, bits=bits, mode=mode)
    named = dict(zip(("a.weight", "a.scales", "a.biases"), (torch.from_numpy(np.array(p)) for p in parts)))
    quantization = {"group_size": group, "bits": bits} | ({} if mode == "affine" else {"mode": mode})
    biases = parts[2] if len(parts) > 2 else None
    back = np.array(mx.dequantize(parts[0], parts[1], biases, group_size=group, bits=bits, mode=mode, dtype=mx.float32), dtype=np.float64)
    if mode == "affine":  # exactly, then rounded once: mlx rounds the product too
        codes = np.unpackbits(np.array(parts[0]).view(np.uint8), axis=1, bitorder="little").reshape(4, 128, bits)
        q = (codes * (1 << np.arange(bits))).sum(-1)
        exact = np.array(parts[1]).astype(np.float64).repeat(group, 1) * q + np.array(parts[2]).astype(np.float64).repeat(group, 1)
        assert np.allclose(exact, back, atol=1e-6)
        back = exact
    return case(f"mlx {mode} {bits}", {"quantization": quantization}, named, {"a.weight": back.astype(np.float32) + 0})


def by_library(name, compressor, format, rows, columns, scale, zero=None, **weights):
    """Compressed and decompressed by compressed-tensors, with scales as f32 numbers."""
    weights = QuantizationArgs(symmetric=zero is None, **weights)
    scheme = QuantizationScheme(targets=["Linear"], weights=weights, format=format)
    state = {"weight": torch.randn(rows, columns), "weight_scale": scale} | ({} if zero is None else {"weight_zero_point": zero})
    packed = {key: tensor.detach() for key, tensor in compressor.compress(state, scheme).items()}
    back = compressor.decompress(packed, scheme)["weight"].float()
    config = {"quant_method": "compressed-tensors", "format": format, "config_groups": {"group_0": {"weights": json.loads(weights.model_dump_json())}}}
    return case(name, {"quantization_config": config}, {f"a.{key}": t for key, t in packed.items()}, {"a.weight": back.numpy() + 0})


def powers(low, high, *shape):
    """Scales in whose products with whole numbers nothing is rounded."""
    return torch.from_numpy(2.0 ** rng.integers(low, high, shape)).float()


def zeros(bits, *shape):
    return torch.from_numpy(rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape).astype(np.int8))


BLOCKS = [32, 64]
cases = [
    fp8("fp8 blocks", 32, 256, torch.rand(2, 2)),
    ragged_fp8(),
    fp8("fp8 rows", 16, 96, torch.rand(16, 1), "weight_scale", "compressed-tensors"),
    fp8("fp8 tensor", 16, 64, torch.rand(1), "weight_scale", "compressed-tensors"),
    fp8("fp8 powers", 8, 64, torch.from_numpy(rng.integers(100, 140, (8, 2), dtype=np.uint8))),
    compressed("compressed int4", 4, 64, True, torch.bfloat16),
    compressed("compressed int4 rows", 4, None, True, torch.float16),
    compressed("compressed int4 asymmetric", 4, 128, False, torch.bfloat16),
    compressed("compressed int8 groups", 8, 32, True, torch.float32),
    compressed_int8(),
    nvfp4(),
    gptq("gptq", 4, 64),
    gptq("gptq 8 bits, one group", 8, -1),
    gptq("gptq reordered", 4, 32, desc_act=True),
    gptq("gptq version 2", 4, 32, version=2),
    awq(),
    gpt_oss(),
    *(mlx("affine", bits, 64) for bits in (2, 3, 5, 6)),
    mlx("mxfp4", 4, 32),
    mlx("mxfp8", 8, 32),
    mlx("nvfp4", 4, 16),
    by_library("compressed fp8 short blocks", FloatQuantizationCompressor, "float-quantized", 40, 96, torch.rand(2, 2), num_bits=8, type="float", strategy="block", block_structure=BLOCKS),
    by_library("compressed int8 one zero", IntQuantizationCompressor, "int-quantized", 6, 32, powers(-6, -4, 1), zeros(8, 1), num_bits=8, type="int", strategy="tensor"),
    *(
        by_library(f"compressed int{bits} zeros across words", PackedQuantizationCompressor, "pack-quantized", 12, 64, powers(-4, -1, 12, 2), zeros(bits, 12, 2), num_bits=bits, type="int", strategy="group", group_size=32)
        for bits in (2, 3, 5, 6)
    ),
    by_library("compressed mxfp4", MXFP4PackedCompressor, "mxfp4-pack-quantized", 6, 64, powers(-4, 2, 6, 2), num_bits=4, type="float", strategy="group", group_size=32),
    by_library("compressed mxfp8", MXFP8QuantizationCompressor, "mxfp8-quantized", 6, 64, powers(-9, -4, 6, 2), num_bits=8, type="float", strategy="group", group_size=32),
]
OUT.write_text(json.dumps(cases, indent=1) + "\n")
