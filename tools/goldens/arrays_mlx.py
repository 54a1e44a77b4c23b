"""More cases for arrays.py: arguments as MLX has them, one after the other and by name. `add` gets what arrays.py makes cases with."""

import re

import mlx.core as mx
import mlx.nn
import numpy as np


def camel(name):
    return re.sub(r"_([a-z0-9])", lambda m: m.group(1).upper(), name).replace("keepdims", "keepDims")


def add(case, enc, f32):
    rng = np.random.default_rng(3)
    modules = {"losses": mlx.nn.losses}
    dtypes = {"f32": mx.float32, "i32": mx.int32}

    def given(x):
        if isinstance(x, np.ndarray):
            return mx.array(x)
        if isinstance(x, list) and x and isinstance(x[0], np.ndarray):
            return [mx.array(v) for v in x]
        return dtypes.get(x, x) if isinstance(x, str) else x

    def results(x):
        if isinstance(x, (list, tuple)):
            return [results(v) for v in x]
        if x.dtype == mx.complex64:
            return [np.ascontiguousarray(np.array(x).real), np.ascontiguousarray(np.array(x).imag)]
        return np.array(x)

    def M(name, *args, tolerance=1e-5, **options):
        f = modules.get(name.split(".")[0], mx)
        for part in name.removeprefix("losses.").split("."):
            f = getattr(f, part)
        want = f(*map(given, args), **{k: given(v) for k, v in options.items()})
        named = {camel(k): {"$array": enc(v)} if isinstance(v, np.ndarray) else v for k, v in options.items()}
        case(camel(name), [*args, *([named] if named else [])], results(want), tolerance)

    ids = lambda *list: np.array(list, np.uint32)
    x, v, t = f32(3, 5), f32(6), f32(2, 3, 4)
    key = np.array(mx.random.key(7))
    for shape in [[], [3], [2, 5]]:
        M("random.uniform", 0, 1, shape, "f32", key)
        M("random.uniform", shape=shape, low=-2.0, key=key)
        M("random.normal", shape, "f32", 0.5, 2.0, key)
        M("random.normal", shape, loc=1.0, scale=3.0, key=key)
        M("random.randint", -5, 500, shape, key=key)
        M("random.gumbel", shape, "f32", key)
        M("random.laplace", shape, "f32", 1.0, 2.0, key)
        M("random.truncated_normal", -1, 2, shape, "f32", key)
        M("random.bernoulli", 0.3, shape=shape, key=key)
    M("random.categorical", x, 0, key=key)
    M("random.categorical", x, -1, None, 3, key)
    M("random.categorical", x, shape=[2, 3], key=key)
    M("random.permutation", 8, key=key)
    M("random.permutation", x, axis=-1, key=key)

    w = f32(4, 64)
    for mode, bits, size in [("affine", 3, 32), ("affine", 5, 64), ("affine", 6, 32), ("mxfp4", 4, 32), ("nvfp4", 4, 16), ("mxfp8", 8, 32)]:
        parts = [np.array(p) for p in mx.quantize(mx.array(w), group_size=size, bits=bits, mode=mode)]
        M("quantize", w, size, bits, mode)
        if mode == "affine":
            M("dequantize", *parts, size, bits)
        M("quantized_matmul", f32(2, 64), *parts, group_size=size, bits=bits, mode=mode, tolerance=1e-4)
    experts = f32(5, 4, 32)
    parts = [np.array(p) for p in mx.quantize(mx.array(experts), group_size=32)]
    M("gather_qmm", f32(3, 2, 32), *parts, None, ids(0, 4, 2), True, 32, tolerance=1e-4)
    M("gather_qmm", f32(2, 2, 4), *parts, rhs_indices=ids(4, 2), transpose=False, group_size=32, tolerance=1e-4)
    M("gather_mm", f32(3, 2, 4), f32(5, 4, 6), None, ids(0, 4, 2))
    M("gather_mm", f32(3, 2, 4), f32(5, 4, 6), ids(0, 2), ids(0, 4))
    M("gather_mm", f32(3, 2, 4), f32(5, 4, 6), rhs_indices=ids(0, 4, 4), sorted_indices=True)
    blocks = rng.random((2, 2)) < 0.5
    M("block_masked_mm", f32(64, 64), f32(64, 64), 32, None, blocks, ~blocks, tolerance=1e-4)
    for n in [12, 20, 56]:
        M("hadamard_transform", f32(2, n))
    M("hadamard_transform", f32(2, 16), scale=0.5)

    M("conv_general", f32(2, 6, 5, 4), f32(6, 3, 2, 4), 2, [1, 0], [1, 2], [2, 1], 1, True, tolerance=2e-5)
    M("fast.rope", t[:, None], 4, traditional=False, base=None, scale=0.7, offset=2, freqs=np.array([1, 17], np.float32))
    M("fast.rope", t[:, None], 4, traditional=True, base=100.0, scale=1.0, offset=np.array([3, 7], np.int32))
    M("fft.stft", f32(60), 16, 4, tolerance=3e-5)
    M("fft.fft", t, 5, 1, "ortho")
    M("isclose", x, x * np.float32(1.001), 1e-2)
    special = np.array([1, np.nan, np.inf, -np.inf], np.float32)
    M("isclose", special, special, equal_nan=True)
    M("array_equal", special, special, equal_nan=True)
    M("nan_to_num", special, posinf=3.0, neginf=-3.0)
    M("addmm", np.full((3, 2), np.nan, np.float32), x, f32(5, 2), 1.0, 0.0)
    M("addmm", f32(2), x, f32(5, 2), alpha=2.0, beta=0.5)
    for axis in [None, 0]:
        M("cumsum", x, axis, reverse=True)
        M("sum", x, axis, True)
        M("concatenate", [x, x], axis)
    M("cumsum", x, 0, dtype="i32")
    M("var", x, 1, ddof=6)
    M("std", x, ddof=1)
    M("count_nonzero", x, axis=1, keepdims=True)
    M("unstack", x, axis=1)
    M("vecdot", x, x, axis=0)
    M("searchsorted", np.sort(v), np.array([np.nan, 0], np.float32), "right")
    M("round", np.array([14, -27], np.int32), 1)
    M("linspace", -2, 3, 7, False)
    M("arange", 5, None, 2)
    M("eye", 3, None, 1)
    M("zeros", 4)
    M("pad", x, [2])
    M("pad", x, [[1, 1]], "edge")
    M("roll", x, [1, 2], 0)
    M("trace", np.arange(9, dtype=np.int32).reshape(3, 3), 1, 0, 1, "f32")
    M("take_along_axis", x, np.array([3, 14], np.int32), None)
    M("put_along_axis", x, np.array([3, 14], np.int32), v[:2], None)
    M("slice", x, np.array([1, 2], np.int32), [0, 1], [2, 2])
    M("slice_update", x, f32(2, 2), np.array([1, 2], np.int32), [0, 1])
    M("atleast_2d", v, x)
    m = f32(4, 4)
    M("linalg.eigvalsh", m, "U", tolerance=2e-5)
    M("linalg.svd", x, False, tolerance=2e-5)
    M("linalg.cross", f32(3, 2), f32(3, 3))
    M("linalg.norm", x, None, None, True)
    M("linalg.lu", f32(5, 5), tolerance=2e-5)

    classes, weights = np.array([0, 4, 2], np.int32), rng.random(3).astype(np.float32)
    M("losses.cross_entropy", x, classes, weights, -1, 0.1, "mean")
    M("losses.cross_entropy", x, classes, weights=weights, reduction="sum")
    M("losses.binary_cross_entropy", x, rng.random((3, 5)).astype(np.float32), weights=np.abs(x), reduction="mean")
    M("losses.smooth_l1_loss", x, f32(3, 5), 0.5, "sum")
    M("losses.triplet_loss", x, f32(3, 5), f32(3, 5), margin=0.5, p=3, reduction="none")
    M("losses.gaussian_nll_loss", x, f32(3, 5), np.abs(x), True, 0.01, "sum")
    M("losses.cosine_similarity_loss", x, f32(3, 5), axis=0, reduction="mean")
