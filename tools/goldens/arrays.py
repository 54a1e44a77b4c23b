"""Results of array functions by NumPy, PyTorch and MLX, for src/array: python tools/goldens/arrays.py

Each case names a function of ingot/array, its arguments, and what the reference gives. Inputs have odd shapes, NaN, infinities,
zero sizes and several dtypes; numbers are written with 9 digits. Output: tests/goldens/arrays.json.
"""

import json
import os

import mlx.core as mx
import numpy as np
import torch

from arrays_mlx import add as add_mlx
from arrays_names import add as add_names

rng = np.random.default_rng(7)
cases = []


def enc(x):
    if isinstance(x, (list, tuple)):
        return [enc(v) for v in x]
    x = np.asarray(x.detach().numpy() if isinstance(x, torch.Tensor) else x)
    kind = {"f": "f32", "b": "bool", "u": "u32"}.get(x.dtype.kind, "i32")
    if x.dtype == np.uint8:
        kind = "u8"
    if x.dtype == np.int8:
        kind = "i8"
    flat = x.reshape(-1)
    if kind == "f32":
        data = [("nan" if np.isnan(v) else "inf" if v == np.inf else "-inf" if v == -np.inf else float(f"{v:.9g}")) for v in flat.astype(np.float64)]
    else:
        data = [int(v) for v in flat]
    return {"dtype": kind, "shape": list(x.shape), "data": data}


def case(name, args, want, tolerance=2e-6):
    """args: arrays, or plain values that are passed as they are."""
    coded = [{"array": enc(a)} if isinstance(a, np.ndarray) else {"arrays": [enc(v) for v in a]} if isinstance(a, list) and a and isinstance(a[0], np.ndarray) else {"value": a} for a in args]
    cases.append({"f": name, "args": coded, "want": [enc(w) for w in want] if isinstance(want, (list, tuple)) else enc(want), "tolerance": tolerance})


def f32(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def i32(*shape, low=-9, high=10):
    return rng.integers(low, high, shape).astype(np.int32)


special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.5, -3.75, 1e-20, 3e38], np.float32)
ordinary = np.linspace(-4, 4, 17).astype(np.float32)
unit = np.linspace(-1, 1, 17).astype(np.float32)
positive = np.array([1e-3, 0.25, 0.5, 1, 1.5, 2, 3.3, 10, 100, 1e4], np.float32)

with np.errstate(all="ignore"):
    for name, f, xs, tol in [
        ("arcsin", np.arcsin, [unit, special], 3e-7), ("arccos", np.arccos, [unit, special], 4e-7), ("arctan", np.arctan, [ordinary, special], 3e-7),
        ("sinh", np.sinh, [ordinary, special], 1e-6), ("cosh", np.cosh, [ordinary, special], 1e-6), ("arcsinh", np.arcsinh, [ordinary, special], 1e-6),
        ("arccosh", np.arccosh, [positive, special], 2e-6), ("arctanh", np.arctanh, [unit, special], 1e-6), ("log2", np.log2, [positive, special], 1e-6),
        ("log10", np.log10, [positive, special], 1e-6), ("exp2", np.exp2, [ordinary, special], 1e-6), ("cbrt", np.cbrt, [ordinary, special], 1e-6),
        ("degrees", np.degrees, [ordinary], 1e-6), ("radians", np.radians, [ordinary], 1e-6), ("sinc", np.sinc, [ordinary], 1e-6),
        ("signbit", np.signbit, [ordinary, special], 0), ("isfinite", np.isfinite, [special], 0), ("isinf", np.isinf, [special], 0),
        ("isposinf", np.isposinf, [special], 0), ("isneginf", np.isneginf, [special], 0), ("isnan", np.isnan, [special], 0),
        ("floor", np.floor, [ordinary, special], 0), ("ceil", np.ceil, [ordinary, special], 0), ("trunc", np.trunc, [ordinary, special], 0), ("round", np.round, [ordinary, special], 0),
        ("negative", np.negative, [special, i32(5)], 0), ("abs", np.abs, [special, i32(5)], 0), ("sign", np.sign, [ordinary, i32(5)], 0), ("square", np.square, [ordinary, i32(5)], 1e-6),
        ("sqrt", np.sqrt, [special], 1e-6), ("exp", np.exp, [ordinary, special], 2e-6), ("log", np.log, [positive, special], 1e-6), ("expm1", np.expm1, [ordinary, special], 1e-6),
        ("log1p", np.log1p, [positive, special], 1e-6), ("sin", np.sin, [ordinary], 1e-6), ("cos", np.cos, [ordinary], 1e-6), ("tan", np.tan, [ordinary], 2e-6), ("tanh", np.tanh, [ordinary, special], 1e-6),
        ("logicalNot", np.logical_not, [i32(5), special], 0), ("bitwiseInvert", np.invert, [i32(5)], 0), ("nanToNum", np.nan_to_num, [special], 0),
    ]:
        for x in xs:
            case(name, [x], f(x), tol)
    for name, f, tol in [("erf", torch.erf, 1e-6), ("erfinv", torch.erfinv, 3e-6), ("lgamma", torch.lgamma, 4e-6), ("digamma", torch.digamma, 4e-6), ("logit", torch.logit, 2e-6)]:
        for x in [np.array([0.01, 0.2, 0.5, 0.77, 0.99], np.float32), unit if name in ("erf", "erfinv") else positive]:
            case(name, [x], f(torch.tensor(x.astype(np.float64))).numpy().astype(np.float32), tol)
    x, y = f32(3, 5), f32(5)
    a, b = i32(4, 3), i32(3, low=1, high=6)
    for name, f, pairs, tol in [
        ("add", np.add, [(x, y), (a, b)], 1e-6), ("subtract", np.subtract, [(x, y), (a, b)], 1e-6), ("multiply", np.multiply, [(x, y), (a, b)], 1e-6),
        ("divide", np.divide, [(x, y)], 1e-6), ("power", np.power, [(np.abs(x), y), (a, b)], 2e-6), ("remainder", np.remainder, [(x, y), (a, b)], 1e-5), ("floorDivide", np.floor_divide, [(a, b)], 0),
        ("fmod", np.fmod, [(x, y), (a, b)], 1e-6), ("maximum", np.maximum, [(x, y), (a, b), (special, special[::-1].copy())], 0), ("minimum", np.minimum, [(x, y), (special, special[::-1].copy())], 0),
        ("fmax", np.fmax, [(special, special[::-1].copy())], 0), ("fmin", np.fmin, [(special, special[::-1].copy())], 0), ("arctan2", np.arctan2, [(x, y), (special, special[::-1].copy())], 1e-6),
        ("hypot", np.hypot, [(x, y), (special, special[::-1].copy())], 1e-6), ("logaddexp", np.logaddexp, [(x, y), (special, special[::-1].copy())], 2e-6), ("copysign", np.copysign, [(x, special[:5])], 0),
        ("equal", np.equal, [(a, b), (special, special)], 0), ("notEqual", np.not_equal, [(a, b), (special, special)], 0), ("less", np.less, [(x, y), (a, b)], 0), ("lessEqual", np.less_equal, [(x, y)], 0),
        ("greater", np.greater, [(x, y)], 0), ("greaterEqual", np.greater_equal, [(x, y)], 0), ("logicalAnd", np.logical_and, [(a, b)], 0), ("logicalOr", np.logical_or, [(a, b)], 0), ("logicalXor", np.logical_xor, [(a, b)], 0),
        ("bitwiseAnd", np.bitwise_and, [(a, b)], 0), ("bitwiseOr", np.bitwise_or, [(a, b)], 0), ("bitwiseXor", np.bitwise_xor, [(a, b)], 0), ("leftShift", np.left_shift, [(a, b)], 0), ("rightShift", np.right_shift, [(a, b)], 0),
        ("heaviside", np.heaviside, [(x, y)], 0), ("isclose", np.isclose, [(special, special)], 0), ("outer", np.outer, [(x, y), (a, b)], 1e-6), ("inner", np.inner, [(x, y), (a, b)], 2e-6), ("kron", np.kron, [(x, y), (a, b)], 1e-6),
        ("dot", np.dot, [(x, y), (a, b), (y, y)], 2e-6),
    ]:
        for p, q in pairs:
            case(name, [p, q], f(p, q), tol)
    m = f32(3, 4, 5)
    n = m.copy()
    n[1, 2, 3] = np.nan
    k = i32(3, 4)
    for name, f, tol in [("sum", np.sum, 4e-6), ("prod", np.prod, 4e-6), ("mean", np.mean, 2e-6), ("max", np.max, 0), ("min", np.min, 0), ("median", np.median, 1e-6), ("ptp", np.ptp, 1e-6), ("nansum", np.nansum, 4e-6), ("nanmax", np.nanmax, 0), ("nanmin", np.nanmin, 0), ("nanmean", np.nanmean, 2e-6), ("nanprod", np.nanprod, 4e-6), ("countNonzero", np.count_nonzero, 0)]:
        for axis in [None, 0, 1, -1]:
            case(name, [m] + ([] if axis is None else [axis]), f(m, axis=axis), tol)
            case(name, [n] + ([] if axis is None else [axis]), f(n, axis=axis), tol)
        case(name, [k, 1], f(k, axis=1), tol)
    for name, f in [("sum", np.sum), ("mean", np.mean), ("max", np.max)]:
        case(name, [m, [0, 2], True], f(m, axis=(0, 2), keepdims=True), 4e-6)
    for axis in [0, 1, -1]:
        case("var", [m, axis], np.var(m, axis=axis), 4e-6)
        case("std", [m, axis, False, 1], np.std(m, axis=axis, ddof=1), 4e-6)
        case("argmax", [n, axis], np.argmax(n, axis=axis), 0)
        case("argmin", [n, axis], np.argmin(n, axis=axis), 0)
        case("sort", [n, axis], np.sort(n, axis=axis), 0)
        case("argsort", [n, axis], np.argsort(n, axis=axis, kind="stable"), 0)
        case("cumsum", [m, axis], np.cumsum(m, axis=axis), 4e-6)
        case("cumprod", [m, axis], np.cumprod(m, axis=axis), 4e-6)
        case("cummax", [m, axis], np.maximum.accumulate(m, axis=axis), 0)
        case("cummin", [m, axis], np.minimum.accumulate(m, axis=axis), 0)
        case("logcumsumexp", [m, axis], torch.logcumsumexp(torch.tensor(m), axis).numpy(), 4e-6)
        case("logsumexp", [m, axis], torch.logsumexp(torch.tensor(m), axis).numpy(), 4e-6)
        case("diff", [m, 1, axis], np.diff(m, axis=axis), 1e-6)
        case("flip", [m, axis], np.flip(m, axis), 0)
        case("roll", [m, 2, axis], np.roll(m, 2, axis), 0)
        case("repeat", [m, 2, axis], np.repeat(m, 2, axis), 0)
        case("percentile", [m, 35, axis], np.percentile(m.astype(np.float64), 35, axis=axis).astype(np.float32), 2e-6)
        case("takeAlongAxis", [m, np.argsort(m, axis=axis).astype(np.int32), axis], np.sort(m, axis=axis), 0)
    case("cumsum", [k], np.cumsum(k), 0)
    case("roll", [m, -3], np.roll(m, -3), 0)
    sq = f32(4, 4)
    for offset in [-2, 0, 1, 5]:
        case("tril", [f32(3, 5) * 0 + x, offset], np.tril(x, offset), 0)
        case("triu", [m, offset], np.triu(m, offset), 0)
        case("diag", [x, offset], np.diag(x, offset), 0)
        case("diag", [y, offset], np.diag(y, offset), 0)
        case("diagonal", [m, offset, 0, 2], np.diagonal(m, offset, 0, 2), 0)
        case("trace", [sq, offset], np.trace(sq, offset), 2e-6)
        case("eye", [3, 5, offset], np.eye(3, 5, offset, np.float32), 0)
        case("tri", [3, 5, offset], np.tri(3, 5, offset, np.float32), 0)
    for shift in [1, 2, 3, -1]:
        case("rot90", [x, shift], np.rot90(x, shift), 0)
    case("moveaxis", [m, 0, -1], np.moveaxis(m, 0, -1), 0)
    case("moveaxis", [m, [0, 1], [2, 0]], np.moveaxis(m, [0, 1], [2, 0]), 0)
    case("swapaxes", [m, 0, 2], np.swapaxes(m, 0, 2), 0)
    case("permuteDims", [m, [2, 0, 1]], np.transpose(m, [2, 0, 1]), 0)
    case("tile", [x, [2, 1, 3]], np.tile(x, [2, 1, 3]), 0)
    for mode in ["constant", "edge", "reflect", "symmetric", "wrap"]:
        case("pad", [x, [[2, 1], [0, 3]], mode], np.pad(x, [[2, 1], [0, 3]], mode), 0)
    case("linspace", [-1, 3, 7], np.linspace(-1, 3, 7, dtype=np.float32), 1e-6)
    case("logspace", [0, 2, 5], np.logspace(0, 2, 5, dtype=np.float32), 1e-6)
    case("geomspace", [1, 81, 5], np.geomspace(1, 81, 5, dtype=np.float32), 1e-6)
    for name, f in [("hanning", np.hanning), ("hamming", np.hamming), ("blackman", np.blackman), ("bartlett", np.bartlett)]:
        case(name, [9], f(9).astype(np.float32), 2e-6)
    case("concatenate", [[x, x + 1], 1], np.concatenate([x, x + 1], 1), 0)
    case("stack", [[x, x + 1], 1], np.stack([x, x + 1], 1), 0)
    case("vstack", [[y, y + 1]], np.vstack([y, y + 1]), 0)
    case("hstack", [[x, x + 1]], np.hstack([x, x + 1]), 0)
    case("dstack", [[x, x + 1]], np.dstack([x, x + 1]), 0)
    case("columnStack", [[y, y + 1]], np.column_stack([y, y + 1]), 0)
    case("atleast3d", [x], np.atleast_3d(x), 0)
    w = f32(5, 2)
    case("matmul", [m, w], m @ w, 4e-6)
    case("tensordot", [m, f32(4, 5, 2) * 0 + 1, 2], np.tensordot(m, np.ones((4, 5, 2), np.float32), 2), 4e-6)
    case("addmm", [f32(3, 2) * 0 + 1, x, w, 0.5, 2], 2 * np.ones((3, 2), np.float32) + 0.5 * (x @ w), 4e-6)
    u, v = f32(4, 3), f32(4, 3)
    case("linalg.cross", [u, v], np.cross(u, v), 2e-6)
    case("vecdot", [u, v], np.sum(u * v, -1), 2e-6)
    case("vdot", [u, v], np.vdot(u, v), 4e-6)
    for order in [None, 1, 2, "fro", "nuc"]:
        case("linalg.norm", [sq] + ([] if order is None else [order]), np.linalg.norm(sq, order), 2e-5)
    for order in [0, 1, 2, 3]:
        case("linalg.norm", [x, order, 1], np.linalg.norm(x, order, axis=1), 4e-6)
    spd = (sq @ sq.T + 4 * np.eye(4)).astype(np.float32)
    case("linalg.cholesky", [spd], np.linalg.cholesky(spd), 1e-5)
    case("linalg.inv", [np.stack([spd, spd + np.eye(4, dtype=np.float32)])], np.linalg.inv(np.stack([spd, spd + np.eye(4, dtype=np.float32)])), 1e-5)
    case("linalg.det", [sq], np.linalg.det(sq), 2e-5)
    case("linalg.slogdet", [sq], list(np.linalg.slogdet(sq)), 2e-5)
    case("linalg.solve", [sq, f32(4, 2) * 0 + 1], np.linalg.solve(sq, np.ones((4, 2), np.float32)), 1e-4)
    case("linalg.eigvalsh", [spd], np.linalg.eigvalsh(spd), 2e-5)
    case("linalg.pinv", [x], np.linalg.pinv(x), 2e-5)
    case("linalg.matrixPower", [sq, 3], np.linalg.matrix_power(sq, 3), 2e-5)
    case("linalg.matrixRank", [np.outer(y, y).astype(np.float32)], np.linalg.matrix_rank(np.outer(y, y)), 0)
    case("convolve", [y, f32(3) * 0 + 1, "same"], np.convolve(y, np.ones(3, np.float32), "same"), 2e-6)
    case("cov", [x], np.cov(x).astype(np.float32), 4e-6)
    case("corrcoef", [x], np.corrcoef(x).astype(np.float32), 4e-6)
    edges = np.array([-1, 0, 0.5, 2], np.float32)
    case("searchsorted", [edges, x], np.searchsorted(edges, x), 0)
    case("searchsorted", [edges, edges, "right"], np.searchsorted(edges, edges, "right"), 0)
    case("digitize", [x, edges], np.digitize(x, edges), 0)
    case("interp", [y, edges, edges**2], np.interp(y, edges, edges**2).astype(np.float32), 2e-6)
    case("trapezoid", [x], np.trapezoid(x), 2e-6)
    case("clip", [x, -0.5, 0.5], np.clip(x, -0.5, 0.5), 0)
    # nothing at all, and axes of no elements
    none = np.zeros((0, 3), np.float32)
    for name, f in [("sum", np.sum), ("prod", np.prod), ("cumsum", np.cumsum), ("sort", np.sort)]:
        case(name, [none, 0], f(none, axis=0), 0)
    case("concatenate", [[none, x[:, :3].copy()], 0], np.concatenate([none, x[:, :3]], 0), 0)
    case("matmul", [np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)], np.zeros((2, 3), np.float32), 0)
    # convolution and pooling, channels last
    for stride, padding, dilation, groups in [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (1, 1, 1, 2)]:
        img, ker = f32(2, 7, 6, 4), f32(6, 3, 2, 4 // groups)
        t = torch.nn.functional.conv2d(torch.tensor(img).permute(0, 3, 1, 2), torch.tensor(ker).permute(0, 3, 1, 2), stride=stride, padding=padding, dilation=dilation, groups=groups)
        case("conv2d", [img, ker, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}], t.permute(0, 2, 3, 1).contiguous(), 1e-5)
    for stride, padding, extra in [(1, 0, 0), (2, 1, 1), (3, 0, 2)]:
        img, ker = f32(2, 5, 3), f32(4, 3, 3)
        t = torch.nn.functional.conv_transpose1d(torch.tensor(img).permute(0, 2, 1), torch.tensor(ker).permute(2, 0, 1), stride=stride, padding=padding, output_padding=extra)
        case("convTranspose1d", [img, ker, {"stride": stride, "padding": padding, "outputPadding": extra}], t.permute(0, 2, 1).contiguous(), 1e-5)
    img = f32(2, 6, 5, 3)
    chw = torch.tensor(img).permute(0, 3, 1, 2)
    case("maxPool2d", [img, 2, {"stride": 2, "padding": 1}], torch.nn.functional.max_pool2d(chw, 2, 2, 1).permute(0, 2, 3, 1).contiguous(), 0)
    case("avgPool2d", [img, 3, {"stride": 1}], torch.nn.functional.avg_pool2d(chw, 3, 1).permute(0, 2, 3, 1).contiguous(), 2e-6)
    # scatter
    rows, ids = f32(5, 3), np.array([3, 0, 3, 1, 3], np.int32)
    updates = f32(5, 3)
    for mode, f in [("add", np.add), ("max", np.maximum), ("min", np.minimum), ("prod", np.multiply)]:
        want = rows.copy()
        f.at(want, ids, updates)
        case("scatter", [rows, ids, updates, mode], want, 4e-6)
    want = rows.copy()
    want[ids] = updates
    case("scatter", [rows, ids, updates], want, 0)
    put = rows.copy()
    np.put_along_axis(put, np.array([[0], [2], [1], [0], [2]]), np.float32(9), 1)
    case("putAlongAxis", [rows, np.array([[0], [2], [1], [0], [2]], np.int32), 9, 1], put, 0)
    # activations and losses
    F = torch.nn.functional
    for name, f in [("relu6", F.relu6), ("selu", F.selu), ("celu", F.celu), ("hardSigmoid", F.hardsigmoid), ("hardTanh", F.hardtanh), ("hardShrink", F.hardshrink), ("softShrink", F.softshrink), ("softsign", F.softsign), ("tanhShrink", F.tanhshrink), ("softplus", F.softplus), ("logSigmoid", F.logsigmoid), ("mish", F.mish), ("hardSwish", F.hardswish), ("elu", F.elu), ("leakyRelu", F.leaky_relu), ("gelu", F.gelu), ("silu", F.silu), ("relu", F.relu), ("sigmoid", torch.sigmoid)]:
        case(name, [ordinary], f(torch.tensor(ordinary)), 3e-6)
    case("softmax", [m, 1], F.softmax(torch.tensor(m), 1), 2e-6)
    case("logSoftmax", [m, 1], F.log_softmax(torch.tensor(m), 1), 2e-6)
    logits, classes = f32(6, 5), i32(6, low=0, high=5)
    t, c = torch.tensor(logits), torch.tensor(classes.astype(np.int64))
    case("losses.crossEntropy", [logits, classes, {"reduction": "mean"}], F.cross_entropy(t, c), 4e-6)
    case("losses.crossEntropy", [logits, classes, {"labelSmoothing": 0.1, "reduction": "none"}], F.cross_entropy(t, c, label_smoothing=0.1, reduction="none"), 4e-6)
    other = f32(6, 5)
    o = torch.tensor(other)
    case("losses.mseLoss", [logits, other], F.mse_loss(t, o), 4e-6)
    case("losses.l1Loss", [logits, other], F.l1_loss(t, o), 4e-6)
    case("losses.smoothL1Loss", [logits, other, 0.7], F.smooth_l1_loss(t, o, beta=0.7), 4e-6)
    case("losses.huberLoss", [logits, other, 0.7, "mean"], F.huber_loss(t, o, delta=0.7), 4e-6)
    probabilities = (other > 0).astype(np.float32)
    case("losses.binaryCrossEntropy", [logits, probabilities], F.binary_cross_entropy_with_logits(t, torch.tensor(probabilities)), 4e-6)

    for heads, masked in [(4, None), (2, "causal"), (1, "bool"), (4, "float")]:
        q, kk, vv = f32(2, 4, 3, 8), f32(2, heads, 5, 8), f32(2, heads, 5, 6)
        mask = None if masked is None else np.tril(np.ones((3, 5), bool), 2) if masked == "causal" else rng.random((3, 5)) < 0.7 if masked == "bool" else f32(3, 5)
        if masked == "bool":
            mask[:, 0] = True
        rep = lambda z: torch.tensor(z).repeat_interleave(4 // heads, 1)
        want = F.scaled_dot_product_attention(torch.tensor(q), rep(kk), rep(vv), attn_mask=None if mask is None else torch.tensor(mask))
        # a mask goes beside the arrays as one of the options, which hold plain values: causal has a name
        if masked in (None, "causal"):
            case("fast.scaledDotProductAttention", [q, kk, vv] + ([{"mask": "causal"}] if masked else []), want, 4e-6)
    case("fast.rmsNorm", [x, y, 1e-5], F.rms_norm(torch.tensor(x), (5,), torch.tensor(y), 1e-5), 4e-6)
    case("fast.layerNorm", [x, y, y, 1e-5], F.layer_norm(torch.tensor(x), (5,), torch.tensor(y), torch.tensor(y), 1e-5), 4e-6)
    case("round", [x, 2], np.round(x, 2), 2e-6)
    g1, g2 = i32(9, low=-60, high=60), i32(9, low=-60, high=60)
    case("gcd", [g1, g2], np.gcd(g1, g2), 0)
    case("lcm", [g1, g2], np.lcm(g1, g2), 0)
    case("arraySplit", [m, 3, 2], [np.ascontiguousarray(z) for z in np.array_split(m, 3, 2)], 0)
    case("append", [x, y], np.append(x, y), 0)
    case("remove", [x, [1, -1], 1], np.delete(x, [1, -1], 1), 0)
    case("expandDims", [x, [0, 3]], np.expand_dims(x, (0, 3)), 0)
    case("squeeze", [x.reshape(1, 3, 1, 5), [0, 2]], x, 0)
    case("asStrided", [y, [3, 3], [1, 1]], np.lib.stride_tricks.as_strided(y, (3, 3), (4, 4)), 0)
    case("matmul", [a, b], a @ b, 0)
    case("oneHot", [np.array([2, 0, 1], np.int32), 4], np.eye(4, dtype=np.float32)[[2, 0, 1]], 0)
    case("partition", [y, 2], np.sort(y), 0)

for equation, shapes in [("ij,jk->ik", [(3, 4), (4, 5)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("ii->i", [(4, 4)]), ("ij->ji", [(3, 5)]), ("i,j,k->kji", [(2,), (3,), (4,)]), ("...ij,...j->...i", [(2, 3, 4), (4,)]), ("abc,cd,db->a", [(2, 3, 4), (4, 5), (5, 3)]), ("ij,ij", [(3, 4), (3, 4)]), ("ijk->", [(2, 3, 4)])]:
    ops = [f32(*s) for s in shapes]
    case("einsum", [equation] + ops, np.einsum(equation, *ops), 1e-5)

# MLX: quantised matrices, and the numbers of its generator
matrix, rows = f32(5, 128), f32(3, 128)
for bits, group in [(4, 64), (8, 32), (2, 64)]:
    options = {"groupSize": group, "bits": bits}
    parts = [np.array(a) for a in mx.quantize(mx.array(matrix), group_size=group, bits=bits)]
    case("quantized.quantize", [matrix, options], parts, 1e-6)
    case("quantized.dequantize", parts + [options], np.array(mx.dequantize(*map(mx.array, parts), group_size=group, bits=bits)), 1e-6)
    product = mx.quantized_matmul(mx.array(rows), *map(mx.array, parts), transpose=True, group_size=group, bits=bits)
    case("quantized.quantizedMatmul", [rows] + parts + [options], np.array(product), 2e-5)
key = mx.random.key(11)
words = {"$array": enc(np.array(key))}
keyed = {"key": words}
case("random.key", [11], np.array(key), 0)
case("random.split", [words, 3], np.array(mx.random.split(key, 3)), 0)
case("random.uniform", [[2, 7], -1, 3, keyed], np.array(mx.random.uniform(-1, 3, (2, 7), key=key)), 1e-6)
case("random.normal", [[9], 0, 1, keyed], np.array(mx.random.normal((9,), key=key)), 1e-5)
case("random.randint", [-5, 50, [8], "i32", words], np.array(mx.random.randint(-5, 50, (8,), key=key)), 0)
case("random.bernoulli", [0.4, [12], words], np.array(mx.random.bernoulli(0.4, (12,), key=key)), 0)
case("random.gumbel", [[6], keyed], np.array(mx.random.gumbel((6,), key=key)), 1e-5)
case("random.laplace", [[6], 1, 2, keyed], np.array(mx.random.laplace((6,), loc=1, scale=2, key=key)), 1e-5)
case("random.truncatedNormal", [-1, 2, [6], keyed], np.array(mx.random.truncated_normal(-1, 2, (6,), key=key)), 1e-5)
mask = rng.random((3, 5)) < 0.6
mask[:, 0] = True
q, k, v, sinks = f32(2, 4, 3, 8), f32(2, 2, 5, 8), f32(2, 2, 5, 8), f32(4)
attend = lambda **options: np.array(mx.fast.scaled_dot_product_attention(mx.array(q), mx.array(k), mx.array(v), scale=0.3, **options))
coded = lambda **options: {"scale": 0.3, **{name: {"$array": enc(x)} for name, x in options.items()}}
case("fast.scaledDotProductAttention", [q, k, v, coded(mask=mask)], attend(mask=mx.array(mask)), 4e-6)
bias = f32(3, 5)
case("fast.scaledDotProductAttention", [q, k, v, coded(mask=bias)], attend(mask=mx.array(bias)), 4e-6)
case("fast.scaledDotProductAttention", [q, k, v, coded(sinks=sinks)], attend(sinks=mx.array(sinks)), 4e-6)
for dims, traditional, offset in [(8, False, 0), (6, True, 3)]:
    want = mx.fast.rope(mx.array(q), dims, traditional=traditional, base=1000.0, scale=0.5, offset=offset)
    case("fast.rope", [q, dims, {"traditional": traditional, "base": 1000, "scale": 0.5, "offset": offset}], np.array(want), 4e-6)


# Fourier transforms: complex results as two arrays; sizes that are small, mixed, prime and large primes
def complex_case(name, args, want):
    case(name, args, [np.ascontiguousarray(want.real).astype(np.float32), np.ascontiguousarray(want.imag).astype(np.float32)], 4e-6)


for n in [1, 2, 3, 12, 67, 96, 521]:
    x = f32(n) if n > 100 else f32(2, n)
    complex_case("fft.fft", [x], np.fft.fft(x))
    complex_case("fft.rfft", [x], np.fft.rfft(x))
    case("fft.irfft", [x, {"n": n}], np.fft.irfft(x, n).astype(np.float32), 4e-6)
x = f32(3, 4, 5)
complex_case("fft.fft", [x, {"n": 9, "axis": 1}], np.fft.fft(x, 9, 1))
complex_case("fft.ifft", [x, {"n": 2, "axis": 0, "norm": "forward"}], np.fft.ifft(x, 2, 0, "forward"))
complex_case("fft.ifftn", [x, {"axes": [0, 2], "norm": "ortho"}], np.fft.ifftn(x, axes=(0, 2), norm="ortho"))
complex_case("fft.fft2", [x], np.fft.fft2(x))
complex_case("fft.rfft2", [x, {"s": [6, 3]}], np.fft.rfft2(x, (6, 3)))
complex_case("fft.rfftn", [x, {"norm": "forward"}], np.fft.rfftn(x, norm="forward"))
case("fft.irfft2", [x, {"s": [3, 7]}], np.fft.irfft2(x, (3, 7)).astype(np.float32), 4e-6)
case("fft.irfftn", [x], np.fft.irfftn(x).astype(np.float32), 4e-6)
case("fft.fftfreq", [5, 0.5], np.fft.fftfreq(5, 0.5).astype(np.float32), 1e-6)
case("fft.rfftfreq", [6], np.fft.rfftfreq(6).astype(np.float32), 1e-6)
case("fft.fftshift", [x], np.fft.fftshift(x), 0)
case("fft.ifftshift", [x, 1], np.fft.ifftshift(x, 1), 0)

# products of parts
a, b = f32(10, 7), f32(7, 9)
big = lambda mask, shape: np.repeat(np.repeat(mask, 4, 0), 4, 1)[: shape[0], : shape[1]]
out, lhs, rhs = rng.random((3, 3)) < 0.6, f32(3, 2), rng.random((2, 3)) < 0.6
masks = {"maskOut": {"$array": enc(out)}, "maskLhs": {"$array": enc(lhs)}, "maskRhs": {"$array": enc(rhs)}}
case("blockMaskedMm", [a, b, 4, masks], (a * big(lhs, a.shape)) @ (b * big(rhs, b.shape)) * big(out, (10, 9)), 1e-5)
case("segmentedMm", [a, b, np.array([[0, 3], [3, 7], [5, 5]], np.int32)], np.stack([a[:, s:e] @ b[s:e] for s, e in [(0, 3), (3, 7), (5, 5)]]), 1e-5)
spin = f32(3, 16)
case("hadamardTransform", [spin], np.array(mx.hadamard_transform(mx.array(spin))), 4e-6)

# second names, and functions of NumPy
y, v, m, t = f32(7), f32(3), f32(4, 5), f32(2, 3, 4)
for name, args in [("ravel", [t]), ("fliplr", [m]), ("flipud", [m]), ("diagflat", [v]), ("correlate", [y, v]), ("correlate", [y, v, "same"]), ("correlate", [y, v, "full"]), ("vander", [v]), ("vander", [v, 4, True]), ("polyval", [v, y]), ("gradient", [y]), ("isin", [i32(3, 4), np.array([1, 2, 3], np.int32)]), ("logaddexp2", [y, y * 2]), ("absolute", [y]), ("amax", [m, 1]), ("amin", [m, 0]), ("rint", [y * 3]), ("fix", [y * 3]), ("around", [y, 1]), ("deg2rad", [y]), ("rad2deg", [y]), ("invert", [i32(4)])]:
    case(name, args, np.asarray(getattr(np, name)(*args)), 4e-6)
for name, f, args in [("unstack", np.unstack, [t]), ("matrixTranspose", np.matrix_transpose, [t]), ("bitwiseCount", np.bitwise_count, [i32(9)]), ("matvec", np.matvec, [t, f32(4)]), ("vecmat", np.vecmat, [f32(3), t]), ("trilIndices", np.tril_indices, [3]), ("triuIndices", np.triu_indices, [3, 1]), ("indices", np.indices, [[2, 3]]), ("ldexp", np.ldexp, [v, np.array([1, -2, 3], np.int32)])]:
    want = f(*args)
    case(name, args, [np.ascontiguousarray(w) for w in want] if isinstance(want, (list, tuple)) else np.ascontiguousarray(want), 4e-6)
case("unravelIndex", [np.array([0, 5, 7], np.int32), [2, 4]], [np.array(w) for w in np.unravel_index([0, 5, 7], (2, 4))], 0)
case("ravelMultiIndex", [[np.array([0, 1], np.int32), np.array([3, 2], np.int32)], [2, 4]], np.array([3, 6]), 0)
case("take", [t, np.array([0, 23, -1], np.int32)], t.reshape(-1)[[0, 23, -1]], 0)
case("repeat", [m, 2], np.repeat(m, 2), 0)
case("floorDivide", [np.array([7.5, -7.5, 3, -0.5], np.float32), np.array([2, 2, -2, 3], np.float32)], np.array([3, -4, -2, -1], np.float32), 0)
case("logaddexp", [np.array([1, 2, 200], np.uint8), np.array([3, 3, 3], np.int32)], np.logaddexp(np.array([1, 2, 200.0]), 3.0).astype(np.float32), 4e-6)
counts, edges = np.histogram(y, 4)
case("histogram", [y, 4], [counts, edges.astype(np.float32)], 4e-6)
counts, edges = np.histogram(y, 3, (-1, 1))
case("histogram", [y, 3, [-1, 1]], [counts, edges.astype(np.float32)], 4e-6)
for shape in [(0, 4), (3, 0)]:
    case("softmax", [np.zeros(shape, np.float32)], np.zeros(shape, np.float32), 0)
case("fast.rmsNorm", [np.zeros((0, 4), np.float32), np.ones(4, np.float32)], np.zeros((0, 4), np.float32), 0)
add_names(case, enc, f32)
add_mlx(case, enc, f32)
path = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "goldens", "arrays.json")
with open(path, "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(len(cases), "cases,", os.path.getsize(path), "bytes")
