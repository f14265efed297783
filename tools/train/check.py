#!/usr/bin/env python3
"""Check what the training promises, on a few random pictures, in 15 s: a run that was stopped and started
again ends with the same weights as an unbroken one, a branch becomes a model folder that loads, drawing goes on where
it was killed, a vocabulary says every text.

  check.py
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import model as clip
import render
from tokenizer import Tokenizer

HERE = Path(__file__).parent
STARTER = HERE.parent.parent / "models/starter"
PICTURES = 40
TEXTS = ["a red apple", "ein grüner Baum", "un pájaro", "猫", "голубая машина", "1,234 sheep!", "👍 two thumbs"]


def run(program, *args):
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, HERE / program, *map(str, args)], check=True, stdout=subprocess.DEVNULL, env=env)


def make_data(work):
    rng = np.random.default_rng(1)
    rng.integers(0, 256, (PICTURES, render.SIZE, render.SIZE, 4), np.uint8).tofile(work / "images.u8")
    rows = [{"row": i, "source": "noto", "name": f"n{i}", "kind": "emoji", "concept": f"c{i % 9}", "cls": f"c{i % 9}",
             "split": "train", "flip": True, "mono": i % 2 == 0, "colour": None, "rate": 1.0 + i % 3,
             "exact": {"en": [TEXTS[i % 7]], "de": [TEXTS[i % 5]]}, "loose": {"en": [f"thing {i}"], "th": [TEXTS[i % 3]]},
             "words": {"apple": 1.0, f"w{i % 4}": 0.5}} for i in range(PICTURES)]
    (work / "data.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def make_config(path):
    cfg = json.loads((HERE / "config.json").read_text())
    cfg |= {"tokenizer": str(STARTER), "batch": 8, "more_texts": 4, "precision": "fp32", "long_every": 3}
    for part in ("vision", "text"):
        cfg["shape"][part] |= {"width": 32, "layers": 1, "heads": 2}
    path.write_text(json.dumps(cfg))


def weights(checkpoint):
    c = torch.load(checkpoint, weights_only=True)
    return {f"{part} {k}": v for part in ("net", "ema", "proxies") for k, v in c[part].items()}


def check_training(tmp):
    make_data(tmp)
    make_config(tmp / "config.json")
    both = ["--work", tmp, "--config", tmp / "config.json"]
    run("train.py", *both, "--run", tmp / "whole", "--steps", 6)
    for _ in range(2):
        run("train.py", *both, "--run", tmp / "halves", "--steps", 3)
    a, b = weights(tmp / "whole/checkpoint.pt"), weights(tmp / "halves/checkpoint.pt")
    different = [k for k in a if not torch.equal(a[k], b[k])]
    assert a.keys() == b.keys() and not different, different
    run("train.py", *both, "--run", tmp / "whole", "--decay", 2, "--out", tmp / "model")
    net = clip.load(tmp / "model")
    assert not any(torch.equal(p, a["net " + n].half().float()) for n, p in net.named_parameters() if p.ndim > 1)


def check_drawing(tmp):
    listing, pictures = tmp / "items.jsonl", tmp / "drawn.u8"
    lines = [json.dumps({"source": "noto", "name": str(i)}) + "\n" for i in range(3)]
    one = render.SIZE * render.SIZE * 4
    for text, size, left in (("".join(lines), 5 * one, 3), ("".join(lines), 2 * one + 7, 2), (lines[0] + lines[1][:9], 3 * one, 1)):
        listing.write_text(text)
        pictures.write_bytes(bytes(size))
        assert render.resume(listing, pictures) == {("noto", str(i)) for i in range(left)}
        assert pictures.stat().st_size == left * one and listing.read_text() == "".join(lines[:left])


def check_vocabulary(tmp):
    run("vocabulary.py", "--work", tmp, "--size", 540, "--like", STARTER, "--out", tmp / "vocabulary")
    tok = Tokenizer(tmp / "vocabulary")
    symbol = {v: k for k, v in tok.vocab.items()}
    byte = {c: b for b, c in tok.byte.items()}
    assert len(tok.vocab) == 540 and max(tok.vocab.values()) == 539 == tok.end
    for t in TEXTS:
        said = "".join(symbol[i] for i in tok.encode(t)).replace("</w>", "")
        assert bytes(byte[c] for c in said).decode() == t.lower().replace(" ", ""), t
    assert len(tok.encode("apple")) < len("apple")


def main():
    with tempfile.TemporaryDirectory() as tmp:
        for check in (check_training, check_drawing, check_vocabulary):
            check(Path(tmp))
            print(check.__name__.removeprefix("check_"), "ok", flush=True)


if __name__ == "__main__":
    main()
