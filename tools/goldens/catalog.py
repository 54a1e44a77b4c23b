"""Results and gradients of kernels of the catalog by PyTorch, MLX and NumPy, for src/toolkit/catalog: python tools/goldens/catalog.py

A case has a kernel's name, its arrays, the plain arguments behind them, what the reference gives, and the gradients of the first
result with respect to the arrays that have one, for the cotangent cos(i). Inputs have three decimals, results six digits.
Output: tests/goldens/catalog.json.
"""

import json
import os

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(11)
cases = []
T = torch.from_numpy


def normal(*shape, scale=1.0):
    return np.round(rng.normal(size=shape) * scale, 3).astype(np.float32)


def positive(*shape):
    return np.round(rng.uniform(0.1, 3, size=shape), 3).astype(np.float32)


def enc(x):
    x = np.array(x.detach() if isinstance(x, torch.Tensor) else x)
    kind = {"f": "f32", "u": "u32", "b": "bool"}.get(x.dtype.kind, "i32")
    kind = {"uint8": "u8", "int8": "i8"}.get(str(x.dtype), kind)
    if kind == "f32":
        data = [None if np.isnan(v) else float(f"{v:.6g}") for v in x.reshape(-1).astype(np.float64)]
    else:
        data = [int(v) for v in x.reshape(-1)]
    return {"dtype": kind, "shape": list(x.shape), "data": data}


def case(f, arrays, want, *args, gradients=None, tolerance=3e-6):
    coded = {"f": f, "arrays": [enc(a) for a in arrays], "args": list(args), "tolerance": tolerance}
    coded["want"] = [enc(w) for w in (want if isinstance(want, (list, tuple)) else [want])]
    if gradients is not None:
        coded["gradients"] = [enc(g) for g in gradients]
    cases.append(coded)


def torch_case(f, arrays, fn, *args, tolerance=3e-6):
    """fn of torch tensors; its gradients with respect to every float array."""
    tensors = [T(a.copy()).requires_grad_(a.dtype == np.float32) for a in arrays]
    y = fn(*tensors)
    first = y[0] if isinstance(y, (list, tuple)) else y
    cotangent = torch.cos(torch.arange(first.numel(), dtype=torch.float32)).reshape(first.shape)
    first.backward(cotangent)
    gradients = [t.grad for t in tensors if t.requires_grad]
    case(f, arrays, y, *args, gradients=gradients, tolerance=tolerance)


wide = np.array([-40, -6.5, -2.5, -1, -0.25, 0.125, 0.75, 1.5, 4, 7, 30, 90], dtype=np.float32)
near = normal(3, 7, scale=2)
for name, fn, x in [
    ("exp", torch.exp, near), ("log", torch.log, positive(9)), ("tanh", torch.tanh, wide), ("sigmoid", torch.sigmoid, wide),
    ("relu", F.relu, wide), ("reluSquared", lambda x: F.relu(x) ** 2, wide), ("silu", F.silu, wide), ("gelu", F.gelu, near),
    ("geluTanh", lambda x: F.gelu(x, approximate="tanh"), near), ("softplus", F.softplus, wide),
    ("logSigmoid", F.logsigmoid, wide), ("mish", F.mish, wide), ("softsign", F.softsign, wide), ("hardSwish", F.hardswish, wide),
    ("hardSigmoid", F.hardsigmoid, wide), ("selu", F.selu, wide),
]:
    torch_case(f"activations.{name}", [x], fn)
torch_case("activations.elu", [wide], lambda x: F.elu(x, 1.5), 1.5)
torch_case("activations.celu", [wide], lambda x: F.celu(x, 0.7), 0.7)
torch_case("activations.leakyRelu", [wide], lambda x: F.leaky_relu(x, 0.02), 0.02)
case("activations.geluFast", [near], mnn.gelu_fast_approx(mx.array(near)))

x, r, w, b = normal(3, 19), normal(3, 19), normal(19), normal(19)
for name, fn in [("softmax", lambda x: x.softmax(-1)), ("logSoftmax", lambda x: x.log_softmax(-1)), ("softmin", lambda x: F.softmin(x, -1))]:
    torch_case(f"softmax.{name}", [x * 3], fn)
torch_case("norms.rmsNorm", [x, w], lambda x, w: F.rms_norm(x, (19,), w, 1e-6))
torch_case("norms.layerNorm", [x, w, b], lambda x, w, b: F.layer_norm(x, (19,), w, b, 1e-5), tolerance=1e-5)
torch_case("norms.addRmsNorm", [x, r, w], lambda x, r, w: (F.rms_norm(x + r, (19,), w, 1e-6), x + r))
torch_case("norms.residualRmsNorm", [x, r, w], lambda x, r, w: F.rms_norm(x + r, (19,), w, 1e-6))
torch_case("norms.addLayerNorm", [x, r, w, b], lambda x, r, w, b: (F.layer_norm(x + r, (19,), w, b, 1e-5), x + r), tolerance=1e-5)
torch_case("norms.residualLayerNorm", [x, r, w, b], lambda x, r, w, b: F.layer_norm(x + r, (19,), w, b, 1e-5), tolerance=1e-5)
torch_case("norms.groupNorm", [normal(2, 5, 3, 6), normal(6), normal(6)],
           lambda x, w, b: F.group_norm(x.permute(0, 3, 1, 2), 3, w, b, 1e-5).permute(0, 2, 3, 1), 3, tolerance=1e-5)
torch_case("norms.instanceNorm", [normal(2, 9, 5), normal(5), normal(5)],
           lambda x, w, b: F.instance_norm(x.permute(0, 2, 1), weight=w, bias=b, eps=1e-5).permute(0, 2, 1), tolerance=2e-5)
torch_case("norms.l2Normalize", [x], lambda x: F.normalize(x, dim=-1))
torch_case("norms.headRmsNorm", [normal(2, 3, 12), normal(4)],
           lambda x, w: F.rms_norm(x.reshape(2, 3, 3, 4), (4,), w, 1e-6).reshape(2, 3, 12))

for name, fn in [("sum", lambda x: x.sum(-1)), ("mean", lambda x: x.mean(-1)), ("max", lambda x: x.amax(-1)), ("min", lambda x: x.amin(-1)),
                 ("logSumExp", lambda x: x.logsumexp(-1)), ("variance", lambda x: x.var(-1, unbiased=False)),
                 ("standardDeviation", lambda x: x.std(-1, unbiased=False)), ("l2Norm", lambda x: x.norm(dim=-1)), ("l1Norm", lambda x: x.abs().sum(-1))]:
    torch_case(f"reductions.{name}", [x], fn, tolerance=1e-5)
torch_case("reductions.prod", [positive(3, 9)], lambda x: x.prod(-1), tolerance=1e-5)
torch_case("reductions.dotLast", [x, r], lambda x, r: (x * r).sum(-1), tolerance=1e-5)
torch_case("reductions.topk", [x], lambda x: list(x.topk(5)), 5)
case("reductions.argmax", [x], x.argmax(-1).astype(np.int32))
case("reductions.argmin", [x], x.argmin(-1).astype(np.int32))

short = normal(3, 11)
for name, fn in [("cumsum", lambda x: x.cumsum(-1)), ("cumprod", lambda x: x.cumprod(-1)), ("logCumSumExp", lambda x: x.logcumsumexp(-1))]:
    torch_case(f"scan.{name}", [short], fn, tolerance=1e-5)
case("scan.cummax", [short], T(short).cummax(-1).values)
case("scan.cummin", [short], T(short).cummin(-1).values)

halves = normal(3, 14)
torch_case("transformer.glu", [halves], lambda x: F.glu(x))
torch_case("transformer.swiglu", [halves], lambda x: F.silu(x[:, :7]) * x[:, 7:])
torch_case("transformer.geglu", [halves], lambda x: F.gelu(x[:, :7], approximate="tanh") * x[:, 7:])
torch_case("transformer.reglu", [halves], lambda x: F.relu(x[:, :7]) * x[:, 7:])
torch_case("transformer.swigluPair", [near, near + 1], lambda g, u: F.silu(g) * u)
torch_case("transformer.gegluPair", [near, near + 1], lambda g, u: F.gelu(g, approximate="tanh") * u)
torch_case("transformer.biasGeluTanh", [x, b], lambda x, b: F.gelu(x + b, approximate="tanh"))
torch_case("transformer.biasSilu", [x, b], lambda x, b: F.silu(x + b))
torch_case("transformer.biasSwiglu", [halves, normal(14)], lambda x, b: F.silu((x + b)[:, :7]) * (x + b)[:, 7:])
torch_case("transformer.biasGeglu", [halves, normal(14)], lambda x, b: F.gelu((x + b)[:, :7], approximate="tanh") * (x + b)[:, 7:])
torch_case("transformer.softcap", [near * 8], lambda x: 2.5 * torch.tanh(x / 2.5), 2.5)

mask = rng.random((3, 19)) < 0.6
mask[1] = False
seen = torch.where(T(mask), T(x), torch.tensor(-torch.inf)).softmax(-1).nan_to_num(0)
case("attention.maskedSoftmax", [x, mask], seen)
s = normal(2, 4, 6)
torch_case("attention.causalSoftmax", [s], lambda s: torch.where(torch.ones(4, 6).tril(2).bool(), s, torch.tensor(-torch.inf)).softmax(-1))
q, k, v = normal(2, 4, 5, 8), normal(2, 2, 5, 8), normal(2, 2, 5, 8)
for name in ["dotProductAttention", "flashAttention"]:
    torch_case(f"attention.{name}", [q, k, v], lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True), tolerance=1e-5)
torch_case("attention.flashAttention", [q, k, v], lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
           {"causal": True, "block": 2}, tolerance=1e-5)

logits, targets = normal(5, 13, scale=2), np.array([3, 12, 0, 7, 7], dtype=np.int32)
long = torch.from_numpy(targets).long()
torch_case("loss.softmaxCrossEntropy", [logits, targets], lambda x, t: F.cross_entropy(x, long, reduction="none"))
torch_case("loss.softmaxCrossEntropy", [logits, targets], lambda x, t: F.cross_entropy(x, long, reduction="none", label_smoothing=0.1, ignore_index=7),
           {"labelSmoothing": 0.1, "ignoreIndex": 7})
torch_case("loss.linearCrossEntropy", [normal(5, 6), normal(13, 6), targets],
           lambda h, w, t: F.cross_entropy(h @ w.T, long, reduction="none", label_smoothing=0.2, ignore_index=0),
           {"labelSmoothing": 0.2, "ignoreIndex": 0, "block": 4}, tolerance=1e-5)
hot = rng.uniform(size=(3, 7)).round(3).astype(np.float32)
torch_case("loss.binaryCrossEntropy", [near, hot], lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"))
torch_case("loss.huberLoss", [near, hot], lambda x, t: F.huber_loss(x, t, reduction="none", delta=0.7), 0.7)
torch_case("loss.meanSquaredError", [near, hot], lambda x, t: F.mse_loss(x, t, reduction="none").mean(-1))
torch_case("loss.klDivergence", [near, near * 0.5 + hot],
           lambda p, q: F.kl_div(q.log_softmax(-1), p.log_softmax(-1), reduction="none", log_target=True).sum(-1), tolerance=1e-5)

torch_case("linear.linearBias", [normal(5, 9), normal(4, 9), normal(4)], F.linear, tolerance=1e-5)
torch_case("linear.linearBiasGelu", [normal(5, 9), normal(4, 9), normal(4)], lambda x, w, b: F.gelu(F.linear(x, w, b), approximate="tanh"), tolerance=1e-5)
torch_case("linear.linearBiasSilu", [normal(5, 9), normal(4, 9), normal(4)], lambda x, w, b: F.silu(F.linear(x, w, b)), tolerance=1e-5)
torch_case("linear.linearSwiglu", [normal(5, 9), normal(4, 9), normal(4, 9)], lambda x, g, u: F.silu(x @ g.T) * (x @ u.T), tolerance=1e-5)
torch_case("linear.linearRmsNorm", [normal(5, 9), normal(4, 9), normal(4)], lambda x, w, g: F.rms_norm(x @ w.T, (4,), g, 1e-6), tolerance=2e-5)

pixels = normal(2, 5, 7, 3)
last = lambda y: y.permute(0, 2, 3, 1)
first = lambda y: y.permute(0, 3, 1, 2)
torch_case("image.resizeBilinear", [pixels], lambda x: last(F.interpolate(first(x), (9, 4), mode="bilinear", align_corners=False)), 9, 4, tolerance=1e-5)
torch_case("image.resizeNearest", [pixels], lambda x: last(F.interpolate(first(x), (9, 4), mode="nearest")), 9, 4)
torch_case("image.depthwiseConv3x3", [pixels, normal(3, 3, 3)],
           lambda x, k: last(F.conv2d(first(x), k.permute(2, 0, 1).unsqueeze(1), padding=1, groups=3)), tolerance=1e-5)
torch_case("image.maxPool2d", [pixels], lambda x: last(F.max_pool2d(first(x), 2)), 2)
torch_case("image.avgPool2d", [pixels], lambda x: last(F.avg_pool2d(first(x), 2)), 2)
torch_case("image.pixelShuffle", [normal(1, 2, 3, 8)], lambda x: last(F.pixel_shuffle(first(x), 2)), 2)

rows, ids = normal(6, 5), np.array([4, 0, 4, 2], dtype=np.int32)
torch_case("indexing.gatherAdd", [rows, ids, normal(4, 5)], lambda s, i, o: s[i.long()] + o)
torch_case("indexing.gatherScale", [rows, ids, normal(4)], lambda s, i, f: s[i.long()] * f[:, None])
torch_case("indexing.scatterAdd", [normal(4, 5), ids], lambda u, i: torch.zeros(6, 5).index_add(0, i.long(), u), 6)
case("indexing.oneHot", [ids], F.one_hot(T(ids).long(), 6).float(), 6)
case("bits.packBits", [(short > 0).astype(np.uint8).reshape(-1)[:32]], np.packbits(short.reshape(-1)[:32] > 0, bitorder="little"))
case("bits.unpackBits", [np.array([7, 129, 255], dtype=np.uint8)], np.unpackbits(np.array([7, 129, 255], dtype=np.uint8), bitorder="little"))

everything = np.arange(256, dtype=np.uint8)
case("quant.dequantizeFp8", [everything], T(everything).view(torch.float8_e4m3fn).float(), 1, "e4m3")
finite = np.array([i for i in range(256) if (i & 0x7C) != 0x7C], dtype=np.uint8)
case("quant.dequantizeFp8", [finite], T(finite).view(torch.float8_e5m2).float(), 1, "e5m2")
numbers = normal(2, 128)
for bits in [2, 3, 4, 5, 6, 8]:
    codes, scales, biases = mx.quantize(mx.array(numbers), group_size=64, bits=bits)
    back = mx.dequantize(codes, scales, biases, group_size=64, bits=bits)
    case("quant.dequantizeAffine", [np.array(codes), np.array(scales), np.array(biases)], np.array(back), {"bits": bits, "groupSize": 64})

logits = normal(4, 8, scale=2)
values, chosen = T(logits).topk(3)
case("moe.routeTopkSoftmax", [logits], [chosen.int(), values.softmax(-1)], 3)
shares, chosen = T(logits).softmax(-1).topk(3)
case("moe.routeSoftmax", [logits], [chosen.int(), shares / shares.sum(-1, keepdim=True)], 3)
bias = normal(8)
score = T(logits).sigmoid()
chosen = (score + T(bias)).topk(3).indices
weights = score.gather(-1, chosen)
case("moe.routeSigmoid", [logits, bias], [chosen.int(), 2.5 * weights / weights.sum(-1, keepdim=True)], 3, {"scale": 2.5}, tolerance=1e-5)
torch_case("moe.combine", [normal(3, 2, 5), normal(3, 2)], lambda x, w: (x * w[..., None]).sum(-2))

for traditional, name in [(False, "applyRope"), (True, "applyRopeInterleaved")]:
    heads = normal(2, 6, 10)
    y = mx.fast.rope(mx.array(heads)[None], 8, traditional=traditional, base=100.0, scale=1.0, offset=0)[0]
    angles = np.arange(6)[:, None] * 100.0 ** (-np.arange(4) / 4)
    case(f"rope.{name}", [heads, np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)], np.array(y), tolerance=1e-5)


def steps(optimizer, p, grads):
    parameter = torch.nn.Parameter(T(p.copy()))
    opt = optimizer([parameter])
    for g in grads:
        parameter.grad = T(g.copy())
        opt.step()
    return parameter.detach().numpy(), opt.state[parameter]


p, grads = normal(3, 5), [normal(3, 5) for _ in range(3)]
for name, optimizer, decay in [("adamwStep", torch.optim.AdamW, 0.1), ("adamStep", torch.optim.Adam, 0.2)]:
    make = lambda ps: optimizer(ps, lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=decay)
    before, state = steps(make, p, grads[:2])
    after, last_state = steps(make, p, grads)
    case(f"optimizers.{name}", [before, grads[2], state["exp_avg"], state["exp_avg_sq"]], [after, last_state["exp_avg"], last_state["exp_avg_sq"]],
         {"weightDecay": decay, "beta1": 0.8, "beta2": 0.95, "eps": 1e-6})
make = lambda ps: torch.optim.SGD(ps, lr=0.01, momentum=0.8, weight_decay=0.1)
before, state = steps(make, p, grads[:2])
after, last_state = steps(make, p, grads)
case("optimizers.sgdStep", [before, grads[2], state["momentum_buffer"]], [after, last_state["momentum_buffer"]], {"momentum": 0.8, "weightDecay": 0.1})

path = os.path.join(os.path.dirname(__file__), "../../tests/goldens/catalog.json")
with open(path, "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(len(cases), "cases,", len({c["f"] for c in cases}), "kernels,", os.path.getsize(path), "bytes")
