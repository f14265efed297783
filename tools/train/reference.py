#!/usr/bin/env python3
"""Write what PyTorch computes in float32 for a few texts and pictures: the C encoder's test compares with it.

Reads texts.tsv (first column) and the PNG files of the folder; see the README.md there for what is written.

  reference.py --model models/starter --out tests/data/starter
"""
import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import model as clip
from tokenizer import Tokenizer


def preprocess(picture, size):
    """CLIPImageProcessor: shortest edge to size (bicubic on 8 bit), centre crop, normalise. -> (3, size, size)."""
    im = picture.convert("RGB")
    short = min(im.size)
    im = im.resize((int(size * im.width / short), int(size * im.height / short)), Image.BICUBIC)
    x, y = (im.width - size) // 2, (im.height - size) // 2
    px = np.asarray(im.crop((x, y, x + size, y + size)), np.float32) / 255
    return torch.from_numpy(((px - np.float32(clip.MEAN)) / np.float32(clip.STD)).transpose(2, 0, 1).copy())


@torch.no_grad()
def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=Path, required=True)
    ap.add_argument("--out", type=Path, required=True)
    a = ap.parse_args()
    model, tok = clip.load(a.model), Tokenizer(a.model)
    size, context = model.shape["vision"]["image"], model.shape["text"]["context"]

    texts = [line.split("\t")[0] for line in (a.out / "texts.tsv").read_text().splitlines()[1:]]
    rows, out = [], []
    for t in texts:
        ids = tok.encode(t)[:context - 2]
        out.append(model.text(*clip.pad([ids], tok.start, tok.end))[0])
        rows.append(f"{t}\t{' '.join(map(str, [tok.start, *ids, tok.end]))}")
    (a.out / "texts.tsv").write_text("\n".join(["#text\tids", *rows]) + "\n")
    torch.stack(out).numpy().astype("<f4").tofile(a.out / "texts.f32")

    rows, out = [], []
    for p in sorted(a.out.glob("*.png")):
        im = Image.open(p)
        out.append(model.image(preprocess(im, size)[None])[0])
        rows.append(f"{p.name}\t{im.width}\t{im.height}")
    (a.out / "images.tsv").write_text("\n".join(["#file\twidth\theight", *rows]) + "\n")
    torch.stack(out).numpy().astype("<f4").tofile(a.out / "images.f32")
    print(f"{len(texts)} texts, {len(rows)} pictures, {out[0].numel()} numbers each")


if __name__ == "__main__":
    main()
