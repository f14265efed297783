#!/usr/bin/env python3
"""Train a byte-level BPE vocabulary (Sennrich et al. 2016, on bytes as in GPT-2) on the captions of all languages.

  vocabulary.py --work WORK --like models/starter --out FOLDER      then "tokenizer": FOLDER in config.json

Writes vocab.json, merges.txt and tokenizer.json in CLIP's layout: the bytes, the bytes that end a word, the merges, start, end.
Everything of tokenizer.json but the vocabulary, and the two small files beside it, are those of --like.
"""
import argparse
import heapq
import json
import shutil
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

from tokenizer import END, START, WORD, byte_symbols

ENGLISH = 3                      # times that an English caption counts


def word_counts(data):
    """Captions of the training pictures -> how often each word comes, as symbols."""
    texts, counts, byte = Counter(), Counter(), byte_symbols()
    for r in map(json.loads, open(data)):
        if r["split"] == "train":
            for lang, captions in [*r["exact"].items(), *r["loose"].items()]:
                for t in captions:
                    texts[t] += ENGLISH if lang == "en" else 1
    for t, n in texts.items():
        t = "".join(c.lower() for c in unicodedata.normalize("NFC", t))
        for w in WORD.findall(t):
            symbols = [byte[b] for b in w.encode()]
            counts[(*symbols[:-1], symbols[-1] + "</w>")] += min(4, 1 + n // 8)     # common captions do not rule
    return counts


def learn_merges(counts, wanted):
    """-> the pairs that come most often, one after the other, until they make so many tokens; of equals the first in
    order."""
    words, n = [list(w) for w in counts], list(counts.values())
    pairs, where = Counter(), defaultdict(set)
    for i, w in enumerate(words):
        for p in zip(w, w[1:]):
            pairs[p] += n[i]
            where[p].add(i)
    queue = [(-c, p) for p, c in pairs.items()]
    heapq.heapify(queue)
    merges, made = [], set()
    while len(made) < wanted and queue:
        count, best = heapq.heappop(queue)
        if pairs[best] != -count:                        # it has changed since, and stands further down
            continue
        merges.append(best)
        made.add("".join(best))
        changed = set()
        for i in where.pop(best):
            old, new, k = words[i], [], 0
            while k < len(old):
                both = tuple(old[k:k + 2]) == best
                new.append("".join(best) if both else old[k])
                k += 1 + both
            for p in zip(old, old[1:]):
                pairs[p] -= n[i]
                changed.add(p)
            for p in zip(new, new[1:]):
                pairs[p] += n[i]
                where[p].add(i)
                changed.add(p)
            words[i] = new
        for p in changed:
            if pairs[p] > 0:
                heapq.heappush(queue, (-pairs[p], p))
    return merges


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", type=Path, required=True, help="what captions.py wrote")
    ap.add_argument("--like", type=Path, required=True, help="a model folder with a vocabulary of this kind")
    ap.add_argument("--size", type=int, default=9000)
    ap.add_argument("--out", type=Path, required=True)
    a = ap.parse_args()
    symbols = list(byte_symbols().values())
    merges = learn_merges(word_counts(a.work / "data.jsonl"), a.size - 2 * len(symbols) - 2)
    tokens = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges] + [START, END]
    vocab = {t: i for i, t in enumerate(dict.fromkeys(tokens))}
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (a.out / "merges.txt").write_text("#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in merges))
    whole = json.loads((a.like / "tokenizer.json").read_text())
    whole["model"] |= {"vocab": vocab, "merges": [list(m) for m in merges]}
    for t in whole["added_tokens"]:
        t["id"] = vocab[t["content"]]
    for t in (whole["post_processor"][k] for k in ("sep", "cls")):
        t[1] = vocab[t[0]]
    (a.out / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False))
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(a.like / name, a.out / name)
    print(f"{len(vocab)} tokens, {len(merges)} merges -> {a.out}")


if __name__ == "__main__":
    main()
