"""Perplexity of a model in each format that `ingot quantize` writes, as the markdown table of docs/formats.md.

For every format: bits per weight, perplexity, mean KL and agreement with the source (`ingot eval --against`), and what others make of the
same file where they are there: mlx-lm of folders, llama.cpp of GGUF files. `theirs` is the perplexity, by Ingot, of a GGUF file with the
same formats whose matrices llama.cpp's own quantiser made (ggml_quantize_chunk, without an importance matrix), and `error` the weighted
squared error of ours over theirs, weights being the squares of the values.

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
GGUF = ["q8_0", "q6_k", "q5_k", "q5_1", "q5_0", "q4_k", "q4_1", "q4_0", "iq4_nl", "iq4_xs", "q3_k", "q2_k"]
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


class Ggml:
    """llama.cpp's quantiser, in the libraries that node-llama-cpp brings."""

    def __init__(self, folder):
        [path] = glob.glob(f"{folder}/node_modules/@node-llama-cpp/linux-x64/bins/*/libggml-base.so*")
        self.lib = ctypes.CDLL(path)
        self.lib.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
                                                 ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]

    def quantise(self, kind, values, row_bytes):
        rows, columns = values.reshape(-1, values.shape[-1]).shape
        out = np.zeros((rows, row_bytes), dtype=np.uint8)
        values = np.ascontiguousarray(values, dtype=np.float32)
        self.lib.ggml_quantize_chunk(int(kind), values.ctypes.data, out.ctypes.data, 0, rows, columns, None)
        return out


def theirs(ours, wide, out, ggml):
    """A copy of `ours` whose quantised tensors llama.cpp made of those of `wide`; gives the ratio of errors, ours to theirs."""
    import gguf

    reader, source = gguf.GGUFReader(ours), gguf.GGUFReader(wide)
    values = {t.name: t for t in source.tensors}
    shutil.copy(ours, out)
    errors = np.zeros(2)
    with open(out, "r+b") as file:
        for tensor in reader.tensors:
            if tensor.tensor_type in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.BF16):
                continue
            x = gguf.quants.dequantize(values[tensor.name].data, values[tensor.name].tensor_type)
            made = ggml.quantise(tensor.tensor_type, x, tensor.data.shape[-1]).reshape(tensor.data.shape)
            file.seek(tensor.data_offset)
            file.write(made.tobytes())
            for i, data in enumerate((tensor.data, made)):
                errors[i] += (x * x * (x - gguf.quants.dequantize(data, tensor.tensor_type)) ** 2).sum(dtype=np.float64)
    return errors[0] / errors[1]


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
    ggml = Ggml(arguments.llama) if arguments.llama else None
    print("| format | bits per weight | perplexity | change | mean KL | same token | read by others | theirs | error |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        wide = Path(temporary) / "wide.gguf"
        ingot("convert", model, "--to", "gguf", "--out", wide, "--json")
        for name in arguments.formats:
            out = Path(temporary) / f"{name}{'.gguf' if name in GGUF else ''}"
            bits = ingot("quantize", model, "--to", name, "--out", out, "--json")["bitsPerWeight"]
            found = evaluate(out, text, "--against", model)
            against = found["against"]
            change = 100 * (found["perplexity"] / against["perplexity"] - 1)
            cells = [name, f"{bits:.2f}", f"{found['perplexity']:.4f}", f"{change:+.2f} %", f"{against['meanKl']:.5f}",
                     f"{100 * against['topAgreement']:.1f} %", "", "", ""]
            try:
                if name in GGUF and name in arguments.read and arguments.llama:
                    cells[6] = f"llama.cpp {by_llama(arguments.llama)(out, tokens):.4f}"
                elif name in FOLDERS[:9] and name in arguments.read:
                    cells[6] = f"mlx-lm {by_mlx(out, tokens):.4f}"
            except Exception as error:  # what a reader says is the result
                cells[6] = str(error).splitlines()[0][:100]
            if name in GGUF and ggml is not None:
                other = Path(temporary) / "theirs.gguf"
                ratio = theirs(out, wide, other, ggml)
                cells[7:] = [f"{evaluate(other, text)['perplexity']:.4f}", f"{ratio:.3f}"]
                other.unlink()
            print("| " + " | ".join(cells) + " |", flush=True)
            shutil.rmtree(out) if out.is_dir() else out.unlink()
        print(f"\nSource: perplexity {against['perplexity']:.4f} over {found['tokens']} tokens, windows of {WINDOW}.")


if __name__ == "__main__":
    main()
