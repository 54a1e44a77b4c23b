"""Whether others read what `ingot convert` writes: every tiny checkpoint of tests/goldens is converted to GGUF, to a folder for MLX and
to plain safetensors, and each is loaded by who reads that form: gguf-py and llama.cpp (through node-llama-cpp), mlx-lm, transformers.
Their logits are compared with the golden ones. A markdown table of the largest differences is printed.

With --quantised FORMATS (or all) the checkpoints are quantised to each format instead, and who reads the files says how likely it finds the
golden tokens: the table has the difference of the mean log probability from ours for the same file (mlx-lm for folders of MLX, llama.cpp for
GGUF files).

Needs: the build (npm run build), pip packages gguf, mlx, mlx-lm, torch, transformers; for llama.cpp a folder with node-llama-cpp installed.
Run: python tools/exports.py [--llama FOLDER] [--quantised affine4,mxfp4,q4_k] [case ...]
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import gguf
import numpy as np
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[1]
MLX = ["affine2", "affine3", "affine4", "affine5", "affine6", "affine8", "mxfp4", "mxfp8", "nvfp4"]
GGUF = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs"]
GOLDENS = [ROOT / "tests/goldens/models", ROOT / "tests/goldens/families"]
LETTERS = [chr(c) for c in range(33, 256) if c < 127 or (c > 160 and c != 173)]


def tokenizer(size):
    """A byte for each id: GGUF files need one, the logits do not depend on it."""
    byte_level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    vocab = {letter: i for i, letter in enumerate(LETTERS[:size])}
    return dict(version="1.0", added_tokens=[], normalizer=None, pre_tokenizer=byte_level, post_processor=None,
                decoder=dict(type="ByteLevel"), model=dict(type="BPE", vocab=vocab, merges=[]))


def ingot(*arguments):
    done = subprocess.run(["node", str(ROOT / "dist/cli/main.js"), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout


def worst(got, want):
    return f"{np.abs(np.asarray(got, dtype=np.float32) - want).max():.1e}"


def by_gguf(path, want, golden):
    reader = gguf.GGUFReader(path)
    for tensor in reader.tensors:
        gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return f"{len(reader.tensors)} tensors"


def by_llama(folder):
    def run(path, want, golden):
        request = json.dumps(dict(path=str(path), tokens=golden["tokens"], vocab=golden["vocab"]))
        done = subprocess.run(["node", str(ROOT / "tools/exports-llama.mjs"), folder], input=request, capture_output=True,
                              text=True, timeout=60)
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if "rror" in line] or [f"died with {done.returncode}"]
            raise RuntimeError(lines[0].strip())
        got = np.array(json.loads(done.stdout), dtype=np.float32)
        # It gives probabilities of the tokens after each but the first ones; logits are known but for a sum.
        rows = want[-len(got):]
        normal = rows - np.log(np.exp(rows - rows.max(1, keepdims=True)).sum(1, keepdims=True)) - rows.max(1, keepdims=True)
        seen = got > 1e-6
        return f"{np.abs(np.log(np.where(seen, got, 1)) - np.where(seen, normal, 0)).max():.1e}"
    return run


def mlx_logits(path, tokens):
    import mlx.core as mx
    from mlx_lm.utils import load_model

    model, _ = load_model(path, lazy=False)
    model.update(__import__("mlx.utils", fromlist=["tree_map"]).tree_map(
        lambda x: x.astype(mx.float32) if mx.issubdtype(x.dtype, mx.floating) else x, model.parameters()))
    return np.array(model(mx.array([tokens]))[0].astype(mx.float32))


def by_mlx(path, want, golden):
    return worst(mlx_logits(path, golden["tokens"]), want)


def mlx_likelihood(path, tokens):
    rows = mlx_logits(path, tokens)[:-1].astype(np.float64)
    logs = rows - rows.max(1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(1, keepdims=True))
    return logs[np.arange(len(rows)), tokens[1:]].mean()


def llama_likelihood(folder, path, tokens):
    request = json.dumps(dict(path=str(path), tokens=tokens))
    done = subprocess.run(["node", str(ROOT / "tools/exports-llama.mjs"), folder], input=request, capture_output=True, text=True,
                          timeout=60)
    if done.returncode != 0:
        raise RuntimeError(next((line for line in done.stderr.splitlines() if "rror" in line), f"died with {done.returncode}"))
    return np.log(np.array(json.loads(done.stdout)[:-1])).mean()


def quantised(wide, golden, formats, llama, temporary):
    """One cell for each format: how far apart the mean log probabilities of the golden tokens are."""
    text = Path(temporary) / "text"
    # Printable letters are their own bytes: every reader gets the same ids.
    tokens = [token for token in golden["tokens"] if token < 94]
    text.write_text("".join(LETTERS[token] for token in tokens))
    for format in formats:
        out = Path(temporary) / (f"{format}.gguf" if format in GGUF else format)
        try:
            group = ["--group-size", 32] if format.startswith("affine") else []
            ingot("quantize", wide, "--to", format, *group, "--out", out)
            ours = json.loads(ingot("eval", out, "--text", text, "--precision", "exact", "--device", "cpu", "--json"))
            theirs = llama_likelihood(llama, out, tokens) if format in GGUF else mlx_likelihood(out, tokens)
            yield f"{abs(theirs + np.log(ours['perplexity'])):.1e}"
        except Exception as error:  # what a reader says is the result
            yield str(error).replace("|", "/").splitlines()[0][:100]




def by_transformers(path, want, golden):
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return worst(model(torch.tensor([golden["tokens"]]), use_cache=False).logits[0].numpy(), want)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--llama", help="folder with node_modules/node-llama-cpp")
    parser.add_argument("--quantised", help="formats, or all: compare files in these")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    formats = (arguments.quantised or "").split(",") if arguments.quantised != "all" else MLX + (GGUF if arguments.llama else [])
    readers = [("gguf", "gguf-py", by_gguf), ("mlx", "mlx-lm", by_mlx), ("safetensors", "transformers", by_transformers)]
    if arguments.llama:
        readers.insert(1, ("gguf", "llama.cpp", by_llama(arguments.llama)))
    columns = formats if arguments.quantised else [name for _, name, _ in readers]
    print("| checkpoint | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for folder in sorted(folder for root in GOLDENS for folder in root.iterdir()):
        if arguments.cases and folder.name not in arguments.cases:
            continue
        golden = json.loads((folder / "golden.json").read_text())
        want = np.fromfile(folder / "logits.bin", dtype="<f4").reshape(-1, golden["vocab"])
        with tempfile.TemporaryDirectory() as temporary:
            source = Path(temporary) / "source"
            shutil.copytree(folder, source, ignore=shutil.ignore_patterns("*.gguf", "*.bin", "golden.json"))
            (source / "tokenizer.json").write_text(json.dumps(tokenizer(golden["vocab"])))
            (source / "tokenizer_config.json").write_text("{}")
            # llama.cpp rounds what it multiplies with bf16 weights: it gets the same values as f32.
            wide = Path(temporary) / "wide"
            shutil.copytree(source, wide)
            save_file({k: v.float() for k, v in load_file(source / "model.safetensors").items()}, wide / "model.safetensors")
            if arguments.quantised:
                cells = list(quantised(wide, golden, formats, arguments.llama, temporary))
                print(f"| {folder.name} | " + " | ".join(cells) + " |", flush=True)
                continue
            cells = []
            for kind, name, read in readers:
                out = Path(temporary) / f"{name}{'.gguf' if kind == 'gguf' else ''}"
                try:
                    ingot("convert", wide if name == "llama.cpp" else source, "--to", kind, "--out", out)
                    cells.append(read(out, want, golden))
                except Exception as error:  # what a reader says is the result
                    cells.append(str(error).replace(str(source), "model").replace("|", "/").splitlines()[0][:160])
            print(f"| {folder.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
