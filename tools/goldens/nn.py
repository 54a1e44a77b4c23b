"""Layers and optimisers by MLX and PyTorch, for src/nn: python tools/goldens/nn.py

A layer is a class of ingot/nn with the arguments of its constructor, parameters by path, inputs, the result of MLX's layer with the same
parameters, and the gradients of sum(result * weight) with respect to them. An optimiser is a function of nn.optim with its options, and
the parameters after each step with given gradients. Output: tests/goldens/nn.json.
"""

import json
import os
import re

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as mo
import numpy as np
import torch
from mlx.utils import tree_flatten, tree_unflatten

rng = np.random.default_rng(11)


def f32(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def enc(x):
    x = np.asarray(x)
    if x.dtype.kind == "f":
        return {"shape": list(x.shape), "data": [float(f"{v:.8g}") for v in x.reshape(-1)]}
    return {"dtype": "i32", "shape": list(x.shape), "data": [int(v) for v in x.reshape(-1)]}


def camel(path):
    return re.sub(r"_([a-z])", lambda m: m.group(1).upper(), path)


layers = []
names = {mx.float32: "f32", mx.bfloat16: "bf16", mx.float16: "f16", mx.int32: "i32"}


def layer(name, args, module, inputs, tolerance=4e-6, call=None, mode="train", after=(), constants=()):
    """`after`: parameters to compare after the call, such as running means. `constants`: further arguments that are no arrays."""
    module.train(mode == "train")
    values = {k: mx.array(f32(*v.shape) * 0.5) for k, v in tree_flatten(module.parameters())}
    for k in values:
        if k.endswith("running_var"):
            values[k] = mx.abs(values[k]) + 0.5
    module.update(tree_unflatten(list(values.items())))
    xs = [mx.array(x) for x in inputs]
    forward = call or (lambda m, *a: m(*a))
    trainable = [k for k, _ in tree_flatten(module.trainable_parameters())]
    out = forward(module, *xs)
    outs = list(out) if isinstance(out, (tuple, list)) else [out]
    running = {k: np.array(v) for k, v in tree_flatten(module.parameters()) if k in after}
    module.update(tree_unflatten(list(values.items())))
    weights = [f32(*o.shape) for o in outs]

    def loss(params, *args):
        module.update(params)
        r = forward(module, *args)
        r = list(r) if isinstance(r, (tuple, list)) else [r]
        return sum((o * mx.array(w)).sum() for o, w in zip(r, weights))

    grads = {}
    if trainable:
        module.update(tree_unflatten(list(values.items())))
        g = mx.grad(loss)(module.trainable_parameters(), *xs)
        grads = {camel(k): enc(np.array(v)) for k, v in tree_flatten(g)}
    # In halves: parameters and floats of that dtype; what the layer gives, and its dtype.
    halves = {}
    for half, dtype in (("bf16", mx.bfloat16), ("f16", mx.float16)):
        cast = lambda v: v.astype(dtype) if v.dtype == mx.float32 else v
        module.update(tree_unflatten([(k, cast(v)) for k, v in values.items()]))
        out = forward(module, *[cast(x) for x in xs])
        outs16 = list(out) if isinstance(out, (tuple, list)) else [out]
        halves[half] = [{"dtype": names[o.dtype], "data": [float(f"{v:.4g}") for v in np.array(o.astype(mx.float32)).reshape(-1)]} for o in outs16]
    layers.append({
        "halves": halves,
        "layer": name, "args": args, "mode": mode, "constants": list(constants),
        "parameters": {camel(k): enc(np.array(v)) for k, v in values.items()},
        "inputs": [enc(x) for x in inputs], "want": [enc(np.array(o)) for o in outs], "weights": [enc(w) for w in weights],
        "gradients": grads, "after": {camel(k): enc(v) for k, v in running.items()}, "tolerance": tolerance,
    })


ids = rng.integers(0, 7, (2, 3)).astype(np.int32)
layer("Linear", [5, 3], nn.Linear(5, 3), [f32(2, 4, 5)])
layer("Linear", [5, 3, {"bias": False}], nn.Linear(5, 3, bias=False), [f32(5)])
layer("Bilinear", [3, 4, 2], nn.Bilinear(3, 4, 2), [f32(5, 3), f32(5, 4)])
layer("Embedding", [7, 4], nn.Embedding(7, 4), [ids])
layer("RoPE", [4], nn.RoPE(4), [f32(2, 3, 5, 6)])
layer("RoPE", [6, {"traditional": True, "base": 100, "scale": 0.5}], nn.RoPE(6, traditional=True, base=100, scale=0.5), [f32(2, 5, 6)])
layer("SinusoidalPositionalEncoding", [8], nn.SinusoidalPositionalEncoding(8), [np.arange(5).astype(np.float32)])
layer("SinusoidalPositionalEncoding", [6, {"cosFirst": True, "fullTurns": True, "minFreq": 0.01}], nn.SinusoidalPositionalEncoding(6, min_freq=0.01, cos_first=True, full_turns=True), [np.arange(4).astype(np.float32)], tolerance=2e-5)
layer("ALiBi", [], nn.ALiBi(), [f32(2, 4, 3, 5)])
layer("LayerNorm", [6], nn.LayerNorm(6), [f32(2, 3, 6)])
layer("LayerNorm", [6, {"affine": False, "eps": 0.1}], nn.LayerNorm(6, affine=False, eps=0.1), [f32(2, 6)])
layer("RMSNorm", [6], nn.RMSNorm(6), [f32(2, 3, 6)])
layer("InstanceNorm", [4, {"affine": True}], nn.InstanceNorm(4, affine=True), [f32(2, 5, 3, 4)])
layer("GroupNorm", [2, 6], nn.GroupNorm(2, 6), [f32(2, 5, 6)])
layer("GroupNorm", [3, 6, {"pytorchCompatible": True}], nn.GroupNorm(3, 6, pytorch_compatible=True), [f32(2, 4, 3, 6)])
running = ["running_mean", "running_var"]
layer("BatchNorm", [4], nn.BatchNorm(4), [f32(6, 4)], after=running)
layer("BatchNorm", [3, {"momentum": 0.3}], nn.BatchNorm(3, momentum=0.3), [f32(2, 4, 5, 3)], after=running)
layer("BatchNorm", [4], nn.BatchNorm(4), [f32(6, 4)], mode="eval", after=running)
layer("Conv1d", [4, 6, 3, {"stride": 2, "padding": 1}], nn.Conv1d(4, 6, 3, stride=2, padding=1), [f32(2, 7, 4)], tolerance=1e-5)
layer("Conv1d", [4, 6, 3, {"groups": 2, "bias": False, "dilation": 2}], nn.Conv1d(4, 6, 3, groups=2, bias=False, dilation=2), [f32(2, 9, 4)], tolerance=1e-5)
layer("Conv2d", [3, 4, [2, 3], {"padding": 1}], nn.Conv2d(3, 4, (2, 3), padding=1), [f32(2, 5, 4, 3)], tolerance=1e-5)
layer("Conv3d", [2, 3, 2], nn.Conv3d(2, 3, 2), [f32(1, 3, 4, 3, 2)], tolerance=1e-5)
layer("ConvTranspose1d", [4, 3, 3, {"stride": 2, "padding": 1}], nn.ConvTranspose1d(4, 3, 3, stride=2, padding=1), [f32(2, 5, 4)], tolerance=1e-5)
layer("ConvTranspose2d", [2, 3, 3, {"stride": 2}], nn.ConvTranspose2d(2, 3, 3, stride=2), [f32(1, 3, 4, 2)], tolerance=1e-5)
layer("MaxPool1d", [2], nn.MaxPool1d(2), [f32(2, 7, 3)])
layer("MaxPool2d", [[3, 2], {"stride": 2, "padding": 1}], nn.MaxPool2d((3, 2), stride=2, padding=1), [f32(2, 6, 5, 3)])
layer("AvgPool2d", [2, {"stride": 1}], nn.AvgPool2d(2, stride=1), [f32(2, 4, 5, 3)])
layer("AvgPool3d", [2], nn.AvgPool3d(2), [f32(1, 4, 4, 2, 2)])
layer("Upsample", [[2, 3]], nn.Upsample((2, 3)), [f32(2, 3, 2, 4)])
layer("RNN", [3, 5], nn.RNN(3, 5), [f32(2, 4, 3)], tolerance=1e-5)
layer("RNN", [3, 5, {"bias": False}], nn.RNN(3, 5, bias=False), [f32(4, 3), f32(5)], tolerance=1e-5)
layer("GRU", [3, 5], nn.GRU(3, 5), [f32(2, 4, 3)], tolerance=1e-5)
layer("GRU", [3, 5], nn.GRU(3, 5), [f32(2, 4, 3), f32(2, 5)], tolerance=1e-5)
layer("LSTM", [3, 5], nn.LSTM(3, 5), [f32(2, 4, 3)], tolerance=1e-5)
layer("LSTM", [3, 5], nn.LSTM(3, 5), [f32(4, 3), f32(5), f32(5)], tolerance=1e-5)
layer("MultiHeadAttention", [8, 2], nn.MultiHeadAttention(8, 2), [f32(2, 3, 8), f32(2, 5, 8), f32(2, 5, 8)], tolerance=2e-5)
layer("MultiHeadAttention", [8, 4, {"bias": True, "keyInputDims": 6, "valueInputDims": 5, "valueDims": 12, "valueOutputDims": 7}],
      nn.MultiHeadAttention(8, 4, bias=True, key_input_dims=6, value_input_dims=5, value_dims=12, value_output_dims=7), [f32(2, 3, 8), f32(2, 5, 6), f32(2, 5, 5)], tolerance=2e-5)
mask = np.where(rng.random((3, 3)) < 0.6, 0, -1e9).astype(np.float32)
np.fill_diagonal(mask, 0)
layer("TransformerEncoderLayer", [8, 2, {"mlpDims": 12}], nn.transformer.TransformerEncoderLayer(8, 2, mlp_dims=12), [f32(2, 3, 8), mask], tolerance=4e-5)
layer("TransformerEncoderLayer", [8, 2, {"mlpDims": 12, "normFirst": False}], nn.transformer.TransformerEncoderLayer(8, 2, mlp_dims=12, norm_first=False), [f32(2, 3, 8), mask], tolerance=4e-5)
layer("TransformerDecoderLayer", [8, 2, {"mlpDims": 12}], nn.transformer.TransformerDecoderLayer(8, 2, mlp_dims=12), [f32(2, 3, 8), f32(2, 5, 8), mask, np.zeros((3, 5), np.float32)], tolerance=4e-5)
layer("PReLU", [], nn.PReLU(), [f32(3, 4)])
for name, module, args in [("ReLU", nn.ReLU(), []), ("ReLU6", nn.ReLU6(), []), ("SiLU", nn.SiLU(), []), ("GELU", nn.GELU(), []), ("GELU", nn.GELU("tanh"), ["tanh"]), ("GELU", nn.GELU("fast"), ["fast"]),
                           ("Sigmoid", nn.Sigmoid(), []), ("Tanh", nn.Tanh(), []), ("Softplus", nn.Softplus(), []), ("Softsign", nn.Softsign(), []), ("SELU", nn.SELU(), []), ("Mish", nn.Mish(), []),
                           ("Hardswish", nn.Hardswish(), []), ("LogSigmoid", nn.LogSigmoid(), []), ("LeakyReLU", nn.LeakyReLU(0.2), [0.2]), ("ELU", nn.ELU(0.7), [0.7]), ("CELU", nn.CELU(0.7), [0.7]),
                           ("HardShrink", nn.HardShrink(), []), ("Softshrink", nn.Softshrink(0.4), [0.4]), ("HardTanh", nn.HardTanh(), []), ("GLU", nn.GLU(), []), ("Softmax", nn.Softmax(), []), ("Softmin", nn.Softmin(), []),
                           ("LogSoftmax", nn.LogSoftmax(), []), ("Step", nn.Step(0.3), [0.3])]:
    layer({"Hardswish": "HardSwish", "Softshrink": "SoftShrink"}.get(name, name), args, module, [f32(4, 6) * 2])

optimizers = []
shapes = {"w": (4, 3), "b": (3,), "k": (3, 2, 2, 2)}
start = {k: f32(*s) for k, s in shapes.items()}
gradients = [{k: f32(*s) for k, s in shapes.items()} for _ in range(4)]


def by_torch(name, options, make, tolerance=2e-6, keys=("w", "b")):
    params = {k: torch.nn.Parameter(torch.tensor(start[k])) for k in keys}
    optimizer = make(list(params.values()))
    steps = []
    for grads in gradients:
        for k, p in params.items():
            p.grad = torch.tensor(grads[k])
        optimizer.step()
        steps.append({k: enc(p.detach().numpy()) for k, p in params.items()})
    optimizers.append({"optimizer": name, "options": options, "keys": list(keys), "steps": steps, "tolerance": tolerance})


def by_mlx(name, options, optimizer, tolerance=2e-6, keys=("w", "b")):
    params = {k: mx.array(start[k]) for k in keys}
    steps = []
    for grads in gradients:
        params = optimizer.apply_gradients({k: mx.array(grads[k]) for k in keys}, params)
        steps.append({k: enc(np.array(p)) for k, p in params.items()})
    optimizers.append({"optimizer": name, "options": options, "keys": list(keys), "steps": steps, "tolerance": tolerance})


to = torch.optim
by_torch("sgd", {"learningRate": 0.1}, lambda p: to.SGD(p, 0.1))
by_torch("sgd", {"learningRate": 0.1, "weightDecay": 0.2}, lambda p: to.SGD(p, 0.1, weight_decay=0.2))
by_torch("momentum", {"learningRate": 0.1, "weightDecay": 0.1}, lambda p: to.SGD(p, 0.1, momentum=0.9, weight_decay=0.1))
by_torch("nesterov", {"learningRate": 0.1}, lambda p: to.SGD(p, 0.1, momentum=0.9, nesterov=True))
by_mlx("sgd", {"learningRate": 0.1, "momentum": 0.8, "dampening": 0.3}, mo.SGD(0.1, momentum=0.8, dampening=0.3))
by_torch("adagrad", {"learningRate": 0.1, "weightDecay": 0.1}, lambda p: to.Adagrad(p, 0.1, weight_decay=0.1))
by_torch("adadelta", {"learningRate": 1.0}, lambda p: to.Adadelta(p, 1.0))
by_torch("adam", {"learningRate": 0.1, "weightDecay": 0.1}, lambda p: to.Adam(p, 0.1, weight_decay=0.1), 4e-6)
by_mlx("adam", {"learningRate": 0.1, "biasCorrection": False, "betas": [0.8, 0.9]}, mo.Adam(0.1, betas=[0.8, 0.9]), 4e-6)
by_torch("adamw", {"learningRate": 0.1}, lambda p: to.AdamW(p, 0.1), 4e-6)
by_torch("adam", {"learningRate": 0.1, "amsgrad": True, "weightDecay": 0.1}, lambda p: to.Adam(p, 0.1, amsgrad=True, weight_decay=0.1), 4e-6)
by_torch("adamax", {"learningRate": 0.1}, lambda p: to.Adamax(p, 0.1), 4e-6)
by_torch("rmsprop", {"learningRate": 0.1}, lambda p: to.RMSprop(p, 0.1))
by_torch("rmsprop", {"learningRate": 0.1, "momentum": 0.5, "centered": True, "weightDecay": 0.1}, lambda p: to.RMSprop(p, 0.1, momentum=0.5, centered=True, weight_decay=0.1), 2e-5)
by_mlx("lion", {"learningRate": 0.1, "weightDecay": 0.1}, mo.Lion(0.1, weight_decay=0.1))
by_mlx("adafactor", {}, mo.Adafactor(), keys=("w", "b", "k"))
by_mlx("adafactor", {"learningRate": 0.1, "beta1": 0.9, "weightDecay": 0.1, "scaleParameter": False}, mo.Adafactor(0.1, beta_1=0.9, weight_decay=0.1, scale_parameter=False, relative_step=False), keys=("w", "b", "k"))
by_mlx("adafactor", {"warmupInit": True}, mo.Adafactor(warmup_init=True))
by_mlx("muon", {"learningRate": 0.1}, mo.Muon(0.1), 1e-4)
by_mlx("muon", {"learningRate": 0.1, "nesterov": False, "weightDecay": 0}, mo.Muon(0.1, nesterov=False, weight_decay=0), 1e-4)

norm = torch.nn.utils.clip_grad_norm_
clipped = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in start.items()}
for k, p in clipped.items():
    p.grad = torch.tensor(gradients[0][k])
total = norm(list(clipped.values()), 1.5)
clipping = {"maxNorm": 1.5, "norm": float(total), "want": {k: enc(p.grad.numpy()) for k, p in clipped.items()}}

at = [0, 1, 3, 9, 10, 11, 25, 60]
schedules = []
for name, args, f in [
    ("linearSchedule", [0.1, 0.01, 10], mo.linear_schedule(0.1, 0.01, 10)), ("exponentialDecay", [0.1, 0.9], mo.exponential_decay(0.1, 0.9)),
    ("stepDecay", [0.1, 0.5, 10], mo.step_decay(0.1, 0.5, 10)), ("cosineDecay", [0.1, 25, 0.001], mo.cosine_decay(0.1, 25, 0.001)),
    ("warmupCosine", [{"peak": 0.1, "warmup": 10, "steps": 40, "end": 0.01}], mo.join_schedules([mo.linear_schedule(0, 0.1, 10), mo.cosine_decay(0.1, 40, 0.01)], [10])),
]:
    schedules.append({"schedule": name, "args": args, "at": at, "want": [float(np.array(f(mx.array(t)))) for t in at]})

golden = {"start": {k: enc(v) for k, v in start.items()}, "gradients": [{k: enc(v) for k, v in g.items()} for g in gradients],
          "layers": layers, "optimizers": optimizers, "clipping": clipping, "schedules": schedules}
path = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "goldens", "nn.json")
with open(path, "w") as out:
    out.write("{\n" + ",\n".join(f'"{k}": ' + (("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in v) + "\n]") if isinstance(v, list) else json.dumps(v, separators=(",", ":"))) for k, v in golden.items()) + "\n}\n")
print(len(layers), "layers,", len(optimizers), "optimisers,", os.path.getsize(path), "bytes")
