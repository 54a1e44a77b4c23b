"""Writes tests/goldens/tokenizer/pieces.json: small models of SentencePiece, and what it makes of texts.

  models    name, the file in base64, texts with their ids (without BOS and EOS) and what it decodes them to

Run: python pieces.py [output folder]
Needs the package sentencepiece.
"""

import base64
import io
import json
import sys
import tempfile
from pathlib import Path

import sentencepiece

CORPUS = [
    "the quick brown fox jumps over the lazy dog", "the cat sat on the mat and the dog ran", "hello world hello there",
    "numbers 1 22 333 and (brackets) [too], with commas", "été à la plage, ça va", "привет мир привет", "one two three four five",
    "the the the and and of of to to", "running runner runs ran run", "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z", "0 1 2 3 4 5 6 7 8 9 . , ! ? - ' \" : ; / + = % & # @",
]
TEXTS = [
    "", " ", "the quick fox", "  two  spaces ", "Hello, world!", "été ﬁn ½", "привет 你好 😀", "tabs\tand\nlines", "the\u00a0cat", "a" * 40,
    "running 12345 (dogs)", "<tool>x</tool>", "the  cat   sat\n\n\n  on   mats",
]
KINDS = {
    "bpe": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False),
    "bpe-no-prefix": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False, user_defined_symbols=["<tool>"]),
    # As Gemma's: runs of spaces and of line breaks are pieces that are never cut.
    "bpe-runs": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False, user_defined_symbols=["\u2581\u2581", "\u2581\u2581\u2581", "\n", "\n\n", "<tool>"]),
    "bpe-rules": dict(model_type="bpe", byte_fallback=True, rules={"ﬁ": "fi", "½": "1/2", "\u00a0": " "}),
    "unigram": dict(model_type="unigram", normalization_rule_name="identity"),
    "unigram-bytes": dict(model_type="unigram", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, unk_id=2, bos_id=0, eos_id=1),
}


def main():
    models = []
    for name, options in KINDS.items():
        data = io.BytesIO()
        options = dict(options)
        if rules := options.pop("rules", None):
            with tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False) as file:
                code = lambda text: " ".join(f"{ord(c):X}" for c in text)
                file.write("".join(f"{code(a)}\t{code(b)}\n" for a, b in rules.items()))
            options["normalization_rule_tsv"] = file.name
        size = 380 if options.get("byte_fallback") else 110
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS * 3), model_writer=data, vocab_size=size, hard_vocab_limit=False, minloglevel=2, **options)
        tokenizer = sentencepiece.SentencePieceProcessor(model_proto=data.getvalue())
        cases = [{"text": text, "ids": tokenizer.encode(text), "decoded": tokenizer.decode(tokenizer.encode(text))} for text in TEXTS]
        models.append({"name": name, "file": base64.b64encode(data.getvalue()).decode(), "cases": cases})
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/goldens/tokenizer")
    (folder / "pieces.json").write_text(json.dumps({"models": models}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
