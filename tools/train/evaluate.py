#!/usr/bin/env python3
"""Measure a model folder on the held-out pictures, and draw contact sheets of the free queries.

Prints Markdown; writes metrics.json and, with --sheets, one PNG per group of free queries. Chance is what a
random order would give.

  evaluate.py --work WORK --packages NODE_MODULES --model models/starter --json metrics.json --sheets sheets/
"""
import argparse
import csv
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import model as clip
from captions import EXTRA, HERE, article
from colours import COLOURS
from render import SIZE as STORED
from tokenizer import Tokenizer
from words import LANGS, Emoji

MAIN = LANGS[:8]                 # those of the card's table
ALIKE = 12                       # of 255: root mean square of 32 x 32 pixels below which two drawings are nearly one
KS = (1, 5, 10)
CLASSES = {"t-shirt": "t-shirt", "longsleeve": "long sleeve shirt", "pants": "pants", "shoes": "shoes", "shirt": "shirt",
           "dress": "dress", "outwear": "jacket", "shorts": "shorts", "hat": "hat", "skirt": "skirt"}
QUERIES = ["red car", "birthday cake", "a cat", "a dog", "blue dress", "flag of japan", "ein roter apfel",
           "christmas tree", "a bicycle", "computer monitor", "yellow flower", "chess piece", "a man with a hat",
           "un pájaro", "dinosaur", "sailing boat", "glass of wine", "猫", "stop sign", "guitar", "house", "airplane"]


class Model:
    def __init__(self, folder):
        self.net, self.tok = clip.load(folder), Tokenizer(folder)
        self.size = self.net.shape["vision"]["image"]
        self.cut = self.net.shape["text"]["context"] - 2

    @torch.no_grad()
    def text(self, texts):
        out = []
        for k in range(0, len(texts), 256):
            seqs = [self.tok.encode(t)[:self.cut] for t in texts[k:k + 256]]
            out.append(self.net.text(*clip.pad(seqs, self.tok.start, self.tok.end)))
        return torch.cat(out).numpy()

    @torch.no_grad()
    def image(self, thumbnails):
        """(128, 128, 4) uint8 thumbnails, shown on white."""
        out, batch = [], []
        mean, std = np.float32(clip.MEAN), np.float32(clip.STD)

        def flush():
            out.append(self.net.image(torch.from_numpy(np.stack(batch))))
            batch.clear()
        for x in thumbnails:
            a = np.asarray(on_white(x).resize((self.size, self.size), Image.BICUBIC), np.float32) / 255
            batch.append(((a - mean) / std).transpose(2, 0, 1))
            if len(batch) == 128:
                flush()
        if batch:
            flush()
        return torch.cat(out).numpy()


def on_white(x):
    im = Image.fromarray(np.ascontiguousarray(x), "RGBA")
    white = Image.new("RGBA", im.size, "white")
    white.alpha_composite(im)
    return white.convert("RGB")


def recall(sim, good):
    """sim, good: (queries, pool) -> recall at KS and the same by chance."""
    order = np.argsort(-sim, 1)[:, :max(KS)]
    hit = np.take_along_axis(good, order, 1)
    n, pos = good.shape[1], good.sum(1)
    return {f"R@{k}": float(hit[:, :k].any(1).mean()) for k in KS} | \
           {f"chance@{k}": float((1 - (1 - pos / n) ** k).mean()) for k in KS}


class Evaluation:
    def __init__(self, model, work, packages, quick):
        self.M, self.E = model, Emoji(packages / "emojibase-data")
        held = {(r["source"], r["name"]): r for r in map(json.loads, open(HERE / "held-out.jsonl"))}
        rows = [r for r in map(json.loads, open(work / "data.jsonl")) if r["source"] not in EXTRA]
        for r in rows:
            r["held"] = held.get((r["source"], r["name"]))
        pools = () if quick else ("clipart", "clothing", "emoji")
        self.rows = [r for r in rows if r["held"] or r["kind"] in pools
                     or not quick and r["concept"].startswith("emoji:")]
        self.px = np.memmap(work / "images.u8", np.uint8, "r").reshape(-1, STORED, STORED, 4)
        self.emb = model.image(self.px[r["row"]] for r in self.rows)
        self.kind = np.array(["emoji" if r["concept"].startswith("emoji:") else r["kind"] for r in self.rows])
        self.test = np.array([r["held"] is not None for r in self.rows])
        ids = {}
        self.concept = np.array([ids.setdefault(r["concept"], len(ids)) for r in self.rows])
        self.source = np.array([r["source"] for r in self.rows])
        self.out = {}

    def line(self, name, queries, pool, result):
        self.out[name] = dict(result, queries=queries, pool=pool)
        print(f"| {name} | {queries} | {pool} | " + " | ".join(f"{100 * result[f'R@{k}']:.1f}" for k in KS) +
              f" | {100 * result['chance@1']:.1f} / {100 * result['chance@10']:.1f} |")

    def texts_to_pictures(self):
        print("| held-out set | queries | pool | R@1 | R@5 | R@10 | chance R@1 / R@10 |\n|---|---|---|---|---|---|---|")
        for kind, title in (("clipart", "clip art, title"), ("icon", "icons, name"), ("glyph", "black glyphs, name")):
            ix = np.nonzero(self.test & (self.kind == kind))[0]
            have = [self.rows[i]["held"]["captions"] for i in ix]
            q = sorted({h[0] for h in have})
            good = np.array([[t in h for h in have] for t in q])
            sim = self.M.text(q) @ self.emb[ix].T
            self.line(f"{title} -> picture", len(q), len(ix), recall(sim, good))
            if kind == "clipart":
                has = good.any(0)                       # every picture is a query; its title is the answer
                self.line("clip art, picture -> title", int(has.sum()), len(q), recall(sim.T[has], good.T[has]))
                cards = np.array(["cards" in Path(self.rows[i]["name"]).parts for i in ix])
                self.part("clip art without playing cards, title -> picture", sim, good, ~cards)
                alike = self.alike(ix)
                if alike is not None:
                    self.part("clip art without look-alikes, title -> picture", sim, good, ~alike)
        ix = np.nonzero(self.test & (self.kind == "emoji"))[0]
        for lang in LANGS:                              # the others but the mean are not in the card
            q = {}
            for i in ix:
                e = self.E.lang[lang].get(self.rows[i]["concept"].removeprefix("emoji:"))
                if e:
                    q.setdefault(e["label"].lower(), set()).add(self.concept[i])
            good = np.array([np.isin(self.concept[ix], list(v)) for v in q.values()])
            sim = self.M.text(list(q)) @ self.emb[ix].T
            self.line(f"emoji label [{lang}] -> picture", len(q), len(ix), recall(sim, good))
            if lang == "en":
                fluent = np.char.startswith(self.source[ix].astype(str), "fluent")
                self.part("emoji label [en] -> picture, without the Fluent sets", sim, good, ~fluent)
        for name, langs in (("seven", MAIN[1:]), ("the other eighteen", LANGS[8:])):
            rest = float(np.mean([self.out[f"emoji label [{l}] -> picture"]["R@10"] for l in langs]))
            self.out[f"emoji, mean R@10 of {name} languages"] = rest
            print(f"\nEmoji label -> picture, mean R@10 of {name} languages: {100 * rest:.1f}")

    def part(self, name, sim, good, keep):
        """The same with fewer pictures, and the queries that still have an answer."""
        asked = good[:, keep].any(1)
        self.line(name, int(asked.sum()), int(keep.sum()), recall(sim[asked][:, keep], good[asked][:, keep]))

    def alike(self, ix):
        """Which of the clip-art pictures ix look nearly like one that was trained; None without those."""
        trained = np.nonzero((self.kind == "clipart") & ~self.test)[0]
        if not len(trained):
            return None
        small = [np.stack([np.asarray(on_white(self.px[self.rows[i]["row"]]).resize((32, 32)), np.float32).ravel()
                           for i in at]) for at in (ix, trained)]
        square = [(s ** 2).sum(1) for s in small]
        mean = (square[0][:, None] + square[1][None] - 2 * small[0] @ small[1].T) / small[0].shape[1]
        return mean.min(1) < ALIKE ** 2

    def clothing(self):
        cx = np.nonzero(self.test & (self.kind == "clothing"))[0]
        if not len(cx):
            return
        label = np.array([r["concept"].split(":")[1] if r["kind"] == "clothing" else "" for r in self.rows])
        colour = [r["colour"] for r in self.rows]
        q = {}
        for i in cx:
            if colour[i] and label[i] in CLASSES:
                w = CLASSES[label[i]]
                q[f"a photo of {article(w, colour[i])}{colour[i]} {w}"] = (label[i], colour[i])
        good = np.array([[(label[i], colour[i]) == v for i in cx] for v in q.values()])
        self.line("clothing, colour + class -> photo", len(q), len(cx), recall(self.M.text(list(q)) @ self.emb[cx].T, good))
        tx = [i for i in cx if label[i] in CLASSES]
        y = np.array([list(CLASSES).index(label[i]) for i in tx])
        guess = (self.emb[tx] @ self.M.text([f"a photo of {article(v)}{v}" for v in CLASSES.values()]).T).argmax(1)
        self.out["clothing_zero_shot"] = dict(
            n=len(y), accuracy=float((guess == y).mean()), majority=float(np.bincount(y).max() / len(y)),
            balanced=float(np.mean([(guess[y == c] == c).mean() for c in np.unique(y)])))
        print("\nClothing category by text, 10 classes:", {k: round(v, 3) for k, v in self.out["clothing_zero_shot"].items()})
        px = [i for i in cx if colour[i]]
        guess = (self.emb[px] @ self.M.text([f"{c} clothes" for c in COLOURS]).T).argmax(1)
        self.out["clothing_colour"] = float(np.mean([COLOURS[g] == colour[i] for g, i in zip(guess, px)]))
        print(f"Colour word of a garment: {self.out['clothing_colour']:.3f} of {len(px)}")
        allx = np.nonzero(self.kind == "clothing")[0]
        for name, gx in (("held-out photos only", cx), ("all photos", allx))[:1 + (len(allx) > len(cx))]:
            same = self.concept[cx][:, None] == self.concept[gx][None]
            s = self.emb[cx] @ self.emb[gx].T
            s[cx[:, None] == gx[None]] = -9
            p = float(np.take_along_axis(same, np.argsort(-s, 1)[:, :10], 1).mean())
            self.out["clothing_p10_" + name] = dict(p10=p, chance=float(same.mean()), queries=len(cx), pool=len(gx))
            print(f"Clothing picture -> picture, same class precision@10, {name} ({len(gx)}): {p:.3f} (chance {same.mean():.3f})")

    def emoji_styles(self):
        ix = np.nonzero(self.test & (self.kind == "emoji"))[0]
        gx = np.nonzero((self.kind == "emoji") & ~self.test)[0]
        s = self.emb[ix] @ self.emb[gx].T
        s[self.source[ix][:, None] == self.source[gx][None]] = -9
        good = (self.concept[ix][:, None] == self.concept[gx][None]) & (s > -5)
        self.line("emoji picture -> same concept, other style", len(ix), len(gx), recall(s, good))
        first = good[np.arange(len(ix)), s.argmax(1)]
        for style in sorted(set(self.source[ix])):
            at = self.source[ix] == style
            if at.sum() >= 30:
                print(f"  held-out style {style}: n={at.sum()} R@1 {100 * first[at].mean():.1f}")

    def free(self, sheets):
        ox = np.nonzero(self.kind == "clipart")[0]
        print(f"\nTop 5 of {len(ox)} clip art files (training files included; * = held out)")
        self.out["free"] = {}
        shown = []
        for t, v in zip(QUERIES, self.M.text(QUERIES) @ self.emb[ox].T):
            top = ox[np.argsort(-v)[:5]]
            self.out["free"][t] = [Path(self.rows[i]["name"]).stem + ("*" if self.test[i] else "") for i in top]
            print(f"- {t}: " + ", ".join(self.out["free"][t]))
            shown.append((t, [on_white(self.px[self.rows[i]["row"]]) for i in top]))
        if sheets:
            sheets.mkdir(parents=True, exist_ok=True)
            for k in range(0, len(shown), 11):
                sheet(shown[k:k + 11]).save(sheets / f"free-{k // 11 + 1}.png")


def export(e, folder):
    """The held-out sets as catalogues for `akin bench retrieval`: one picture file each, one CSV a set."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for i in np.nonzero(e.test | (e.kind == "clothing"))[0]:
        path = folder / "pictures" / f"{e.rows[i]['row']}.png"
        if not path.exists():
            Image.fromarray(np.ascontiguousarray(e.px[e.rows[i]["row"]]), "RGBA").save(path)

    def write(name, rows):
        with open(folder / f"{name}.csv", "w", newline="") as f:
            out = csv.writer(f)
            out.writerow(["id", "image", "caption", "label", "held_out"])
            for i, caption, label in rows:
                row = e.rows[i]["row"]
                out.writerow([row, f"pictures/{row}.png", caption, label, "true" if e.test[i] else "false"])
    held = {kind: np.nonzero(e.test & (e.kind == kind))[0] for kind in ("clipart", "icon", "glyph", "emoji")}
    for kind in ("clipart", "icon", "glyph"):
        write(kind, [(i, e.rows[i]["held"]["captions"][0], "") for i in held[kind]])
    for lang in MAIN:
        names = {i: e.E.lang[lang].get(e.rows[i]["concept"].removeprefix("emoji:")) for i in held["emoji"]}
        write(f"emoji-{lang}", [(i, n["label"].lower() if n else "", "") for i, n in names.items()])
    kinds = [(i, e.rows[i]["concept"].split(":")[1]) for i in np.nonzero(e.kind == "clothing")[0]]
    write("clothing", [(i, "", k) for i, k in kinds])
    write("clothing-10", [(i, "", article(CLASSES[k]) + CLASSES[k]) for i, k in kinds if e.test[i] and k in CLASSES])


def sheet(rows):
    """One line per query: its words, then its first pictures."""
    page = Image.new("RGB", (180 + 5 * 104, len(rows) * 104), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(16)
    for y, (text, pictures) in enumerate(rows):
        draw.text((4, y * 104 + 40), text if text.isascii() else ascii(text) if not text[0].isascii() else text,
                  fill="black", font=font)
        for x, im in enumerate(pictures):
            page.paste(im.resize((100, 100)), (180 + x * 104, y * 104 + 2))
    return page


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", type=Path, required=True)
    ap.add_argument("--packages", type=Path, required=True)
    ap.add_argument("--model", type=Path, required=True)
    ap.add_argument("--json", type=Path)
    ap.add_argument("--sheets", type=Path)
    ap.add_argument("--export", type=Path, help="also write the held-out sets as catalogues for akin bench retrieval")
    ap.add_argument("--quick", action="store_true", help="only what needs no picture beside the held-out ones")
    ap.add_argument("--threads", type=int, default=0)
    a = ap.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    e = Evaluation(Model(a.model), a.work, a.packages, a.quick)
    e.texts_to_pictures()
    e.clothing()
    if not a.quick:
        e.emoji_styles()
        e.free(a.sheets)
    if a.export:
        export(e, a.export)
    if a.json:
        a.json.write_text(json.dumps(e.out, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
