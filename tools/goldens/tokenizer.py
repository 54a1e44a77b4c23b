"""Writes tests/goldens/tokenizer/: token ids and texts as the reference tokenizers give them.

  smollm2.json        SmolLM2's tokenizer as transformers reads it from the GGUF file, given the digit-by-digit cutting that
                      the model was trained with (the file's `tokenizer.ggml.pre` = smollm; transformers has no rule for it)
  byte-level.json     a tiny byte-level BPE vocabulary under each way to cut text that GGUF files name
  sentencepiece.json  a tiny SentencePiece BPE vocabulary with byte fallback, from the sentencepiece library itself

Run: python tokenizer.py SmolLM2-135M-Instruct.Q4_1.gguf [output folder]
Needs sentencepiece besides the packages of the README.
"""

import json
import random
import sys
import tempfile
from pathlib import Path

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer
from transformers.integrations.gguf import gguf_tokenizer_mapping as reference

WORDS = [
    "", " ", "  ", "a", " a", "a ", "Hello", "Hello, world!", " Hello", "hello  world", "   leading", "trailing   ",
    "Why is the sky blue?", "It's, I'm, we're, they'll, you've, he'd, DON'T, IT'S", "'s 't 're", "tabs\tand\t\ttabs",
    "line\nbreak", "line\r\nbreak", "\n", "\n\n\n", " \n \n ", "a\n\n b\n  c\n\n\n   d", "\t\t\tindented", "x \t y",
    "0", "1 2 3", "12345", "3.14159", "1,000,000", "a1b2c3", "2024-11-22T07:29:26Z", "  42", "x  12  y", "v1.2.3-rc.4",
    "\u00b2\u00b3\u00b9", "x\u00b2 + y\u00b2", "\u0663\u0664\u0665", " \u0663", "\u216b \u2167", "\u00bd cup", "\u2460\u2461", "\U0001d7d8\U0001d7d9",
    "caf\u00e9", "cafe\u0301", "na\u00efve \u00c5ngstr\u00f6m", "\u00df\u017f\u0130\u0131", "stra\u00dfe STRASSE", "\ufb01 \ufb03 \u01c4",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c", "\uc548\ub155\ud558\uc138\uc694", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "Ti\u1ebfng Vi\u1ec7t", "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0",
    "\U0001f600", "\U0001f600\U0001f603", " \U0001f600 ", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "\U0001f44d\U0001f3fd ok", "\u2764\ufe0f", "\U00020bb7", "\U0001d54f\U0001d550",
    "\u00a0", "a\u00a0b", "a\u2003b", "a\u3000b", "zero\u200bwidth", "bom\ufeffinside", "\ufeffbom", "nel\u0085here", "ls\u2028ps\u2029", "soft\u00adhyphen",
    "\x00", "a\x00b", "\x1b[31mred\x1b[0m", "\x7f", "\x01\x02", "\ufffd", "\ufffe", "\U0010ffff", "\ue000",
    "def f(x):\n    return x ** 2\n", "for (let i = 0; i < n; ++i) {\n\tsum += a[i];\n}", "#include <stdio.h>\r\nint main(){}",
    "<div class=\"a\">&nbsp;</div>", "SELECT * FROM t WHERE a='b';", "http://example.com/a?b=c&d=%20#e", "user@example.com",
    "C:\\path\\to\\file", "$HOME/.config", "a_b-c+d=e", "!!!???...", "(((nested)))", "[1, 2, [3]]", "{\"k\": null}", "---\n***\n___",
    "\\n literal", "\"quotes\" 'single' `back`", "\u201csmart\u201d \u2018quotes\u2019 \u2014 dash\u2026", "100%", "$5.00 \u20ac6 \u00a37", "\u2211\u222b\u221a\u2260\u2264", "\u2192\u21d2\u2194",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n", "a<|im_end|>b", " <|im_end|> ", "<|im_start|><|im_start|>",
    "<|im_end", "<|IM_END|>", "<repo_name>x", "<file_sep>", "<|unknown|>", "<s>", "</s>", "<unk>", "<0x0A>", "<0xE2>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ababababababababab", "thethethethe", "          x", "\n" * 20, "\u00e9" * 20,
    "CamelCaseString", "SCREAMING_SNAKE", "kebab-case-word", "mixedCASE and lower", "iPhone15ProMax", "McDonald's O'Brien",
    "\u2581", "\u2581a\u2581b", "a \u2581 b", "\u0120hello", "\u010a",
]
ALPHABET = list("abcdeXYZ 019 \n\t.,'\"-_<|>/\\") + ["\u00e9", "\u4e16", "\U0001f600", "\u00a0", "\u0301", "\u0663", "\u200d", "th", " the", "ing"]


def texts():
    rng = random.Random(7)
    made = ["".join(rng.choice(ALPHABET) for _ in range(rng.randint(1, 40))) for _ in range(70)]
    return WORDS + made


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")


def smollm2(gguf):
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    cases = []
    for text in texts():
        ids = tokenizer.encode(text)
        cases.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)})
    rng = random.Random(11)
    decodes = []
    for _ in range(40):
        ids = [rng.randrange(49152) if rng.random() < 0.5 else rng.randrange(400) for _ in range(rng.randint(1, 12))]
        decodes.append({"ids": ids, "text": tokenizer.decode(ids), "plain": tokenizer.decode(ids, skip_special_tokens=True)})
    return {"cases": cases, "decodes": decodes}


CORPUS = [
    "The quick brown fox jumps over the lazy dog. It's the dog's day; they'll sleep, we're told.",
    "There isn't anything in the thing that the king didn't bring: 1 12 123 1234 12345.",
    "def add(a, b):\n    return a + b\n\nclass Thing:\n    pass\n", "caf\u00e9 na\u00efve r\u00e9sum\u00e9 \u00fcber stra\u00dfe",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440, \u043f\u0440\u0438\u0432\u0435\u0442", "\u4f60\u597d \u4e16\u754c \u4f60\u597d", "HELLO WORLD Hello World hello world", "   spaces   and\ttabs\n\n\nlines",
] * 4


def byte_level():
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=specials, initial_alphabet=sorted(alphabet), show_progress=False)
    base.train_from_iterator([w for line in CORPUS for w in line.split(" ")] + [" " + w for line in CORPUS for w in line.split(" ")], trainer)
    state = json.loads(base.to_str())["model"]
    tokens = [t for t, _ in sorted(state["vocab"].items(), key=lambda kv: kv[1])]
    # A whole word without merges: only a tokenizer that takes known words as they are can produce it.
    tokens.append("zqx")
    merges = [" ".join(m) for m in state["merges"]]
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = pre_tokenizers.Digits(individual_digits=True)
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

    def split(name):
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(reference.GGUF_PRE_TOKENIZER_SPLITS[name]), "isolated"), whole])

    rules = {
        "default": (gpt2, False, None), "gpt-2": (gpt2, False, None),
        "smollm": (pre_tokenizers.Sequence([digits, gpt2]), False, None),
        "llama-bpe": (split("llama-bpe"), True, None), "qwen2": (split("qwen2"), False, normalizers.NFC()),
        "tekken": (split("tekken"), True, None), "gpt-4o": (split("gpt-4o"), False, None), "llama4": (split("llama4"), False, None),
    }
    out = {}
    sample = texts() + ["zqx", "a zqx b"]
    for name, (pre, ignore, normalizer) in rules.items():
        tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[tuple(m) for m in state["merges"]], ignore_merges=ignore))
        tokenizer.pre_tokenizer = pre
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(specials)
        out[name] = [tokenizer.encode(t, add_special_tokens=False).ids for t in sample]
    types = [3 if t in specials else 1 for t in tokens]
    return {"tokens": tokens, "tokenTypes": types, "merges": merges, "texts": sample, "ids": out}


def sentence_piece():
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "corpus.txt"
        text.write_text("\n".join(line.replace("\n", " ") for line in CORPUS))
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{folder}/m", model_type="bpe", vocab_size=420, byte_fallback=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.98,
            hard_vocab_limit=False, user_defined_symbols=["<think>"], minloglevel=2,
        )
        model = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/m.model")
    size = model.get_piece_size()

    def kind(i):
        if model.is_unknown(i):
            return 2
        if model.is_control(i):
            return 3
        if model.is_byte(i):
            return 6
        return 4 if model.id_to_piece(i) == "<think>" else 1

    # SentencePiece does not look for control tokens in a text and cuts at its own special characters; leave those out.
    sample = [t for t in texts() if t and "\u2581" not in t and "<s>" not in t and "</s>" not in t and "<unk>" not in t and "\x00" not in t]
    cases = [{"text": t, "ids": model.encode(t), "decoded": model.decode(model.encode(t))} for t in sample]
    return {
        "tokens": [model.id_to_piece(i) for i in range(size)], "scores": [model.get_score(i) for i in range(size)],
        "tokenTypes": [kind(i) for i in range(size)], "bos": model.bos_id(), "eos": model.eos_id(), "unk": model.unk_id(), "cases": cases,
    }


def main():
    gguf = Path(sys.argv[1]).resolve()
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parents[2] / "tests/goldens/tokenizer"
    out.mkdir(parents=True, exist_ok=True)
    write(out / "smollm2.json", smollm2(gguf))
    write(out / "byte-level.json", byte_level())
    write(out / "sentencepiece.json", sentence_piece())


if __name__ == "__main__":
    main()
