"""The names of corpora, tokenizers and tasks, for listings and checks that must load nothing."""

from __future__ import annotations

CORPORA: dict[str, str] = {
    "python-docs": "the language reference inside this Python; needs no download",
    "tinyshakespeare": "1.1 MB of plays; downloaded once, or a file of yours",
}
TOKENIZERS: dict[str, str] = {
    "characters": "one token for every character that the corpus holds",
    "bytes": "the 256 bytes of UTF-8",
}
# Every task kind, whatever its sizes.
TASK_KINDS: dict[str, str] = {
    "mqar": "multi-query associative recall: which value went with this key?",
    "selective-copying": "repeat the data tokens that stood scattered among noise",
    "induction-heads": "what followed the trigger when it first came?",
    "copy": "repeat a random string",
    "listops": "the value of nested minima, maxima, medians and sums",
}
# Tasks with all their settings, as published or smaller.
TASKS: dict[str, str] = {
    "mqar-64": "4 pairs in 64 tokens, vocabulary 8,192",
    "mqar-64-small": "4 pairs in 64 tokens, vocabulary 64",
    "mqar-128": "8 pairs in 128 tokens, vocabulary 8,192",
    "mqar-256": "16 pairs in 256 tokens, vocabulary 8,192",
    "mqar-512": "64 pairs in 512 tokens, vocabulary 8,192",
    "selective-copying": "16 data tokens among 4,096, vocabulary 16, as published",
    "selective-copying-256": "16 data tokens among 256, vocabulary 16",
    "selective-copying-64": "8 data tokens among 64, vocabulary 16",
    "induction-heads": "trained at 256 tokens, tested from 64 to 16,384, vocabulary 16",
    "induction-heads-64": "trained at 64 tokens, tested from 64 to 512, vocabulary 16",
    "copy": "strings of 50 letters; tested on 50, 100 and 200",
    "copy-16": "strings of 16 letters; tested on 16 and 32",
    "listops": "expressions of 501 to 1,999 tokens, 10 deep, as published",
    "listops-256": "expressions of 64 to 255 tokens, 6 deep",
    "listops-64": "expressions of 16 to 63 tokens, 5 deep",
}
