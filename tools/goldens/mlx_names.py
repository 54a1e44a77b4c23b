"""Public functions and classes of MLX, for tests/tooling/coming-from.test.ts: python tools/goldens/mlx_names.py"""

import inspect
import json
import os

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim


def names(module, own=None):
    found = []
    for name in dir(module):
        x = getattr(module, name)
        home = getattr(x, "__module__", None) or ""
        if name.startswith("_") or inspect.ismodule(x) or not callable(x) or (own is not None and not home.startswith(own)):
            continue
        found.append(name)
    return found


modules = {
    "core": names(mx), "fast": names(mx.fast), "linalg": names(mx.linalg), "fft": names(mx.fft), "random": names(mx.random),
    "nn": names(nn, "mlx.nn"), "losses": names(nn.losses, "mlx.nn"), "init": names(nn.init, "mlx.nn"), "optimizers": names(optim, "mlx.optimizers"),
}
path = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "goldens", "mlx-names.json")
with open(path, "w") as out:
    json.dump({"version": mx.__version__, **modules}, out, separators=(",", ":"))
    out.write("\n")
print({name: len(list) for name, list in modules.items()})
