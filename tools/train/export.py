#!/usr/bin/env python3
"""Write the averaged weights of a checkpoint as a model folder in the Hugging Face CLIP layout.

  export.py --run RUN --out MODEL
"""
import argparse
import json
import shutil
from pathlib import Path

import torch

import model as clip
from tokenizer import Tokenizer

HERE = Path(__file__).parent
TOKENIZER_FILES = ["vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]


def write_model(state, shape, tokenizer, out):
    t = Tokenizer(tokenizer)
    clip.save(state, shape, t.start, t.end, out)
    for name in TOKENIZER_FILES:
        if (Path(tokenizer) / name).resolve() != (Path(out) / name).resolve():
            shutil.copyfile(Path(tokenizer) / name, Path(out) / name)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--run", type=Path, required=True)
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--config", type=Path, default=HERE / "config.json")
    a = ap.parse_args()
    cfg = json.loads(a.config.read_text())
    c = torch.load(a.run / "checkpoint.pt", map_location="cpu", weights_only=True)
    write_model(c["ema"], cfg["shape"], Path(cfg["tokenizer"]), a.out)
    print(f"step {c['step']}, {c['step'] * cfg['batch']} pictures, {c['seconds'] / 3600:.2f} hours -> {a.out}")


if __name__ == "__main__":
    main()
