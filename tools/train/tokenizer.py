"""CLIP's byte-level BPE tokenizer, read from a model folder's vocab.json and merges.txt.

The steps are those of Hugging Face's tokenizer.json: NFC, white space to one blank, lower case one
character at a time, the CLIP word pattern, bytes as symbols, merges by rank. Needs python3-regex.
"""
import json
import unicodedata
from functools import lru_cache
from pathlib import Path

import regex

START, END = "<|startoftext|>", "<|endoftext|>"
SPECIAL = regex.compile(r"(<\|startoftext\|>|<\|endoftext\|>)")
WORD = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")


def byte_symbols():
    """Byte -> the printable character that stands for it in vocabularies of GPT-2's kind."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}


class Tokenizer:
    def __init__(self, folder):
        self.vocab = json.loads((Path(folder) / "vocab.json").read_text())
        lines = (Path(folder) / "merges.txt").read_text().split("\n")[1:]
        self.rank = {tuple(m.split(" ")): i for i, m in enumerate(lines) if m}
        self.byte = byte_symbols()
        self.start, self.end = self.vocab[START], self.vocab[END]
        self.word = lru_cache(1 << 16)(self._word)

    def _word(self, piece):
        part = [self.byte[b] for b in piece.encode()]
        part[-1] += "</w>"
        while len(part) > 1:
            best = min(zip(part, part[1:]), key=lambda p: self.rank.get(p, 1 << 30))
            if best not in self.rank:
                break
            out, i = [], 0
            while i < len(part):
                if tuple(part[i:i + 2]) == best:
                    out.append(part[i] + part[i + 1])
                    i += 2
                else:
                    out.append(part[i])
                    i += 1
            part = out
        return [self.vocab[p] for p in part]

    def encode(self, text):
        """Ids without the start and end tokens."""
        ids = []
        for piece in SPECIAL.split(text):
            if piece in (START, END):
                ids.append(self.vocab[piece])
                continue
            piece = regex.sub(r"\s+", " ", unicodedata.normalize("NFC", piece))
            piece = "".join(c.lower() for c in piece)
            for w in WORD.findall(piece):
                ids += self.word(w)
        return ids
