"""Writes tests/goldens/smollm2/: SmolLM2-135M-Instruct as the reference computes it from the quantised GGUF.

transformers reads the GGUF itself and dequantises it; everything runs in f32 with eager attention.
  golden.json    prompts (token ids, 64 greedy tokens, top-64 logits at a few positions) and the perplexity of text.txt
  logits.bin     full logits rows, f32 little endian; golden.json's `fullLogits` says of which prompt and position
  text.txt       is read, not written: the text whose perplexity is measured

Run: python smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf [output folder]
"""

import hashlib
import json
import math
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GREEDY = 64
WINDOW = 1024
TOP = 64
DEFINITION = (
    "The text is encoded without special tokens and cut into windows of 1024 tokens without overlap; the last window "
    "is shorter. Each window is run alone from position 0. Every token but the first of each window is predicted. "
    "perplexity = exp(sum of -ln p(token) / number of predicted tokens), natural log, f64 sums over f32 logits."
)

# Prompts whose greedy path has no near tie (see `smallestLead`): (name, text, chat-templated?)
PROMPTS = [
    ("sky", "Why is the sky blue?", True),
    ("capital", "The capital of France is", False),
    ("code", "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n", False),
    ("list", "Give me three tips for staying healthy.", True),
    ("spanish", "Había una vez en un pueblo pequeño de la montaña", False),
    ("german", "Translate to German: The weather is nice today.", True),
    ("story", "Once upon a time there was a clockmaker who lived at the edge of a dark forest. Every morning he wound "
     "the great clock in the square, and every evening he listened to it strike nine before he went to bed. One night "
     "the clock struck ten. The clockmaker sat up, lit his lamp and", False),
    ("mixed", "Summarise: import { readFile } from 'node:fs/promises'; // naïve — 12,345.67 € 🙂\n\n\tconst x = 1;", True),
]


def check_file(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"{path}: sha256 {digest}, expected {SHA256}")


def greedy(model, ids):
    """64 greedy tokens, never stopping at an end token; also the smallest lead over the runner-up."""
    past, feed, out, leads = None, torch.tensor([ids]), [], []
    for _ in range(GREEDY):
        step = model(feed, past_key_values=past, use_cache=True)
        top = step.logits[0, -1].topk(2)
        leads.append((top.values[0] - top.values[1]).item())
        out.append(top.indices[0].item())
        past, feed = step.past_key_values, torch.tensor([[out[-1]]])
    return out, min(leads)


def top_logits(row):
    top = row.topk(TOP)
    return dict(ids=top.indices.tolist(), values=[round(v, 6) for v in top.values.tolist()])


def prompt_golden(model, tokenizer, name, text, chat):
    if chat:
        messages = [dict(role="user", content=text)]
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    else:
        rendered = text
    ids = tokenizer(rendered, add_special_tokens=False).input_ids
    logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    tokens, lead = greedy(model, ids)
    positions = sorted({1, len(ids) // 2, len(ids) - 1})
    print(f"{name:10} {len(ids):4} tokens  lead {lead:.4f}  {tokenizer.decode(tokens)[:90]!r}", flush=True)
    golden = dict(
        name=name, chat=chat, text=text, rendered=rendered, tokens=ids, continuation=tokens,
        continuationText=tokenizer.decode(tokens), smallestLead=round(lead, 5),
        logits=[dict(position=p, **top_logits(logits[p])) for p in positions],
    )
    return golden, logits


def perplexity(model, tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False).input_ids
    windows, argmax, total, count = [], [], 0.0, 0
    for start in range(0, len(ids), WINDOW):
        window = torch.tensor([ids[start:start + WINDOW]])
        logits = model(window, use_cache=False).logits[0]
        argmax += logits.argmax(-1).tolist()
        predicted = window.shape[1] - 1
        logp = torch.log_softmax(logits[:-1].double(), -1).gather(1, window[0, 1:, None])
        nll = -logp.sum().item()
        windows.append(dict(start=start, predicted=predicted, meanNll=nll / max(predicted, 1)))
        total, count = total + nll, count + predicted
        print(f"window at {start}: {math.exp(nll / max(predicted, 1)):.4f}", flush=True)
    return dict(
        definition=DEFINITION, window=WINDOW, predicted=count, perplexity=math.exp(total / count), windows=windows,
        tokens=ids, argmax=argmax,
    )


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    path = Path(sys.argv[1]).resolve()
    default = Path(__file__).resolve().parents[2] / "tests/goldens/smollm2"
    root = Path(sys.argv[2]) if len(sys.argv) > 2 else default
    check_file(path)
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        results = [prompt_golden(model, tokenizer, *prompt) for prompt in PROMPTS]
        text = (root / "text.txt").read_text(encoding="utf-8")
        ppl = perplexity(model, tokenizer, text)
    full = [(0, len(results[0][0]["tokens"]) - 1), (6, 20)]
    (root / "logits.bin").write_bytes(b"".join(results[i][1][p].numpy().astype("<f4").tobytes() for i, p in full))
    golden = dict(
        reference=f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}, f32, eager",
        file=path.name, sha256=SHA256, vocab=model.config.vocab_size, greedy=GREEDY,
        fullLogits=[dict(prompt=PROMPTS[i][0], position=p) for i, p in full],
        prompts=[golden for golden, _ in results], text=ppl,
    )
    (root / "golden.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"perplexity {ppl['perplexity']:.6f} over {ppl['predicted']} of {len(ppl['tokens'])} tokens")
    print(f"{sum(f.stat().st_size for f in root.iterdir())} bytes in {root}")


if __name__ == "__main__":
    main()
