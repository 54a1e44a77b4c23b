"""Perplexity of a model in each format that `ingot quantize` writes, as the markdown table of docs/formats.md.

For every format: bits per weight, perplexity, mean KL and agreement with the source (`ingot eval --against`), the same of the file that
llama.cpp itself makes (`llama_model_quantize`, without an importance matrix), read by Ingot, and what others make of our file where they
are asked: mlx-lm of folders, llama.cpp of GGUF files.

Needs the build (npm run build). Run: python tools/format_table.py MODEL TEXT [--llama FOLDER] [--read a,b] [--formats a,b,c]
FOLDER has node-llama-cpp installed; mlx-lm and gguf are used where Python has them.
"""

import argparse
import ctypes
import glob
import json
import math
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ["affine8", "affine6", "affine5", "affine4", "affine3", "affine2", "mxfp8", "mxfp4", "nvfp4", "fp8", "nf4"]
GGUF = ["q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl", "iq4_xs", "q3_k_l", "q3_k_m",
        "q3_k_s", "q2_k", "q2_k_s"]
WINDOW = 512


def ingot(*arguments):
    done = subprocess.run(["node", str(ROOT / "dist/cli/main.js"), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout)


def evaluate(path, text, *against):
    return ingot("eval", path, *against, "--text", text, "--window", WINDOW, "--precision", "exact", "--device", "cpu", "--json")


def tokens_of(source, text):
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(Path(source) / "tokenizer.json")).encode(Path(text).read_text(), add_special_tokens=False).ids


def perplexity(tokens, logprobs):
    """Of windows, each of whose first tokens is not predicted."""
    total = count = 0
    for start in range(0, len(tokens), WINDOW):
        window = tokens[start:start + WINDOW]
        if len(window) > 1:
            found = logprobs(window)
            total -= found.sum()
            count += len(found)
    return math.exp(total / count)


def by_mlx(path, tokens):
    import mlx.core as mx
    import mlx.nn as nn
    from mlx_lm.utils import load_model

    model, _ = load_model(path)

    def logprobs(window):
        ids = mx.array(window)
        return -np.array(nn.losses.cross_entropy(model(ids[None])[0, :-1].astype(mx.float32), ids[1:]))

    return perplexity(tokens, logprobs)


def by_llama(folder):
    def run(path, tokens):
        def logprobs(window):
            request = json.dumps(dict(path=str(path), tokens=window))
            done = subprocess.run(["node", str(ROOT / "tools/exports-llama.mjs"), folder], input=request, capture_output=True,
                                  text=True)
            if done.returncode != 0:
                raise RuntimeError(next((line for line in done.stderr.splitlines() if "rror" in line), "died"))
            return np.log(np.array(json.loads(done.stdout)[:-1]))
        return perplexity(tokens, logprobs)
    return run


class Parameters(ctypes.Structure):
    """The beginning of llama_model_quantize_params: threads, type of the file, two types of tensors, flags; what follows stays as it is."""

    _fields_ = [("threads", ctypes.c_int32), ("type", ctypes.c_int32), ("ends", ctypes.c_int32 * 2), ("flags", ctypes.c_uint8 * 8),
                ("rest", ctypes.c_void_p * 8)]


# Numbers of llama_ftype.
TYPES = dict(q4_0=2, q4_1=3, q8_0=7, q5_0=8, q5_1=9, q2_k=10, q3_k_s=11, q3_k_m=12, q3_k_l=13, q4_k_s=14, q4_k_m=15, q5_k_s=16, q5_k_m=17,
             q6_k=18, q2_k_s=21, iq4_nl=25, iq4_xs=30)


class Llama:
    """llama.cpp's quantiser, in the libraries that node-llama-cpp brings."""

    def __init__(self, folder):
        bins = Path(folder) / "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64"
        for name in ("libggml-base", "libggml-cpu-x64", "libggml.", "libllama."):
            self.lib = ctypes.CDLL(sorted(glob.glob(f"{bins}/{name}*"))[0], mode=ctypes.RTLD_GLOBAL)
        self.lib.llama_model_quantize_default_params.restype = Parameters

    def quantise(self, wide, out, name):
        parameters = self.lib.llama_model_quantize_default_params()
        parameters.type = TYPES[name]
        if self.lib.llama_model_quantize(str(wide).encode(), str(out).encode(), ctypes.byref(parameters)) != 0:
            raise RuntimeError(f"llama.cpp does not quantise to {name}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--llama", help="folder with node_modules/node-llama-cpp")
    parser.add_argument("--read", type=lambda names: names.split(","), default=[],
                        help="formats whose files mlx-lm or llama.cpp are asked about, which takes a while")
    parser.add_argument("--formats", type=lambda names: names.split(","), default=FOLDERS + GGUF)
    arguments = parser.parse_args()
    model, text = arguments.model, arguments.text
    tokens = tokens_of(model, text)
    llama = Llama(arguments.llama) if arguments.llama else None
    print("| format | bits per weight | perplexity | change | mean KL | same token | llama.cpp's file: perplexity | mean KL | read by |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        wide = Path(temporary) / "wide.gguf"
        ingot("convert", model, "--to", "gguf", "--out", wide, "--json")
        for name in arguments.formats:
            out = Path(temporary) / f"{name}{'.gguf' if name in GGUF else ''}"
            bits = ingot("quantize", model, "--to", name, "--out", out, "--json")["bitsPerWeight"]
            found = evaluate(out, text, "--against", model)
            against = found["against"]
            change = 100 * (found["perplexity"] / against["perplexity"] - 1)
            cells = [f"`{name}`", f"{bits:.2f}", f"{found['perplexity']:.4f}", f"{change:+.2f} %", f"{against['meanKl']:.5f}",
                     f"{100 * against['topAgreement']:.1f} %", "", "", ""]
            try:
                if name in GGUF and name in arguments.read and arguments.llama:
                    cells[8] = f"llama.cpp {by_llama(arguments.llama)(out, tokens):.4f}"
                elif name in FOLDERS[:9] and name in arguments.read:
                    cells[8] = f"mlx-lm {by_mlx(out, tokens):.4f}"
            except Exception as error:  # what a reader says is the result
                cells[8] = str(error).splitlines()[0][:100]
            if name in GGUF and llama is not None:
                other = Path(temporary) / "theirs.gguf"
                llama.quantise(wide, other, name)
                theirs = evaluate(other, text, "--against", model)
                cells[6:8] = [f"{theirs['perplexity']:.4f}", f"{theirs['against']['meanKl']:.5f}"]
                other.unlink()
            print("| " + " | ".join(cells) + " |", flush=True)
            shutil.rmtree(out) if out.is_dir() else out.unlink()
        print(f"\nSource: perplexity {against['perplexity']:.4f} over {found['tokens']} tokens, windows of {WINDOW}.")


if __name__ == "__main__":
    main()
