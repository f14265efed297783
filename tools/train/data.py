"""Training batches: which pictures, which of their captions, and how they are shown.

Every batch is a function of the seed and the step alone, so that a resumed run sees what an unbroken one would.
"""
import json
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F

from model import MEAN, STD, pad
from render import SIZE as STORED
from tokenizer import Tokenizer
from words import LANGS

LANG_RATE = {l: 1.0 if i < 7 else 0.3 for i, l in enumerate(LANGS[1:])}     # how often a caption is in it
PREFIX = ["a photo of", "a picture of", "a picture of a", "an icon of", "clip art of", "a drawing of a", "image of",
          "an emoji of", "a", "a photo of a"]
AND = {"en": "and", "de": "und", "fr": "et", "es": "y", "ru": "и"}
PAINT = {"red": (.85, .1, .1), "green": (.15, .65, .2), "blue": (.1, .3, .85), "yellow": (.98, .85, .1),
         "orange": (.98, .52, .05), "purple": (.5, .15, .6), "pink": (.97, .55, .72), "brown": (.5, .3, .12),
         "black": (.04, .04, .04), "white": (.98, .98, .98), "gray": (.55, .55, .55)}
PAINT_NAMES = list(PAINT)
PAINT_RGB = np.array(list(PAINT.values()), np.float32)


class Data:
    def __init__(self, work, cfg, tokenizer):
        self.cfg, self.size = cfg, cfg["shape"]["vision"]["image"]
        self.tok = Tokenizer(tokenizer)
        if len(self.tok.vocab) != cfg["shape"]["vocab"]:
            raise SystemExit(f"{tokenizer} has {len(self.tok.vocab)} tokens, the configuration {cfg['shape']['vocab']}")
        self.rows = rows = [r for r in map(json.loads, open(work / "data.jsonl")) if r["split"] == "train"]
        self.px = np.memmap(work / "images.u8", np.uint8, "r").reshape(-1, STORED, STORED, 4)
        self.at = np.array([r["row"] for r in rows])
        self.rate = np.array([r["rate"] for r in rows])
        self.rate /= self.rate.sum()
        self.flip = np.array([r["flip"] for r in rows])
        self.mono = np.array([r["mono"] for r in rows])
        self.photo = np.array([r["kind"] == "clothing" for r in rows])
        self._classes()
        self._words()
        self._captions()

    def _classes(self):
        """Classes: what at least two pictures show; the others have -1 here but their own key below."""
        count = Counter(r["cls"] for r in self.rows if r["cls"])
        self.class_names = sorted(c for c, n in count.items() if n >= 2)
        index = {c: i for i, c in enumerate(self.class_names)}
        self.cls = np.array([index.get(r["cls"], -1) for r in self.rows])
        self.keys = {}
        self.key = np.array([[self._key(r["cls"] or f"picture {i}"),
                              self._key(f"{r['cls']} {r['colour']}" if r["kind"] == "clothing" else f"picture {i}")]
                             for i, r in enumerate(self.rows)])

    def _key(self, name):
        return self.keys.setdefault(name, len(self.keys))

    def _words(self):
        """Per picture: word ids and weights that sum to 1, rarer words weighing more."""
        count = Counter(w for r in self.rows for w in r["words"])
        self.word_names = sorted(w for w, n in count.items() if n >= self.cfg["min_word_pictures"])
        index = {w: i for i, w in enumerate(self.word_names)}
        total = len(self.rows)
        self.words = []
        for r in self.rows:
            w = [(index[k], v * np.log(total / count[k])) for k, v in r["words"].items() if k in index]
            s = sum(v for _, v in w) or 1
            self.words.append((np.array([k for k, _ in w], np.int64), np.array([v / s for _, v in w], np.float32)))

    def _captions(self):
        """Per picture and language: lists of (text, key); a key of -1 fits no picture but its own."""
        self.caps = []
        for i, r in enumerate(self.rows):
            c = {}
            for lang, texts in r["exact"].items():
                c[lang] = ([(t, self.key[i, 0]) for t in texts], [])
            for lang, texts in r["loose"].items():
                fits = self.key[i, 1] if r["kind"] == "clothing" else -1
                c.setdefault(lang, ([], []))[1].extend(
                    (t, self.key[i, 0] if t.startswith("kids ") else fits) for t in texts)
            langs = [l for l in c if l != "en"]
            p = np.array([LANG_RATE[l] for l in langs])
            self.caps.append((c, langs, p / p.sum() if langs else p))

    # ------------------------------------------------------------- captions
    def pick(self, i, rng, english, exact_share):
        """-> (text, key) of picture i."""
        c, langs, p = self.caps[i]
        lang = "en" if english or not langs else langs[rng.choice(len(langs), p=p)]
        exact, loose = c.get(lang) or c["en"]
        pool = exact if exact and (not loose or rng.random() < exact_share) else loose or exact
        return pool[rng.integers(len(pool))]

    def label(self, i, lang="en", most_words=3):
        """A short name of picture i, or None."""
        names = [t for t, _ in self.caps[i][0].get(lang, ([], []))[0] if len(t.split()) <= most_words]
        return names[0] if names else None

    def batch(self, step):
        cfg = self.cfg
        rng = np.random.default_rng([cfg["seed"], step])
        n = cfg["batch"]
        long = step % cfg["long_every"] == cfg["long_every"] - 1
        b = rng.choice(len(self.rows), n, replace=False, p=self.of_one_kind(rng) if cfg.get("one_kind") else self.rate)
        show = Show(n)
        first, second = [], []
        for k, i in enumerate(b):
            if long:
                en = self.caps[i][0]["en"]
                first.append(max((e for e in en[0] + en[1]), key=lambda e: len(e[0])))
            else:
                t, key = self.pick(i, rng, True, 0.6)
                if len(t.split()) <= 3 and rng.random() < 0.15:
                    t = PREFIX[rng.integers(len(PREFIX))] + " " + t
                first.append((t, key))
            second.append(self.pick(i, rng, rng.random() < 0.3, 0.65))
        self._change(b, rng, show, first, second)
        more = rng.choice(len(self.rows), cfg["more_texts"], p=self.rate)
        third = [self.pick(i, rng, rng.random() < 0.3, 0.85) for i in more]
        views = (first,) if cfg.get("one_caption") else (first, second)
        texts = [t for t, _ in sum(views, []) + third]
        cut = cfg["shape"]["text"]["context"] - 2 if long else cfg["tokens"] - 2
        groups, inverse = self._tokens(texts, cut)
        keys = self.key[b]
        keys[show.pair >= 0] = -2                        # two objects: no class of their own
        masks = [torch.from_numpy(self._fits(v, keys, texts[s * n:(s + 1) * n])) for s, v in enumerate(views)]
        cls = np.where(show.pair >= 0, -1, self.cls[b])
        return {"pixels": self.pixels(b, show, rng), "groups": groups, "inverse": inverse, "masks": masks,
                "cls": torch.from_numpy(np.concatenate([cls] * (1 + len(views)) + [self.cls[more]])),
                "words": self._word_targets(b, show.pair, more)}

    def of_one_kind(self, rng):
        """Sampling rates of the pictures of one kind, which is drawn."""
        kinds = np.array([r["kind"] for r in self.rows])
        some = np.where(kinds == rng.choice(kinds, p=self.rate), self.rate, 0)
        return some / some.sum() if np.count_nonzero(some) >= self.cfg["batch"] else self.rate

    def _change(self, b, rng, show, first, second):
        """Recoloured glyphs, coloured backgrounds, two objects side by side; the captions say so."""
        what = rng.random(len(b))
        for k, i in enumerate(b):
            name = self.label(i)
            if self.mono[i] and rng.random() < 0.6:
                show.paint[k] = rng.integers(len(PAINT))
                if name and rng.random() < 0.5:
                    first[k] = (f"{PAINT_NAMES[show.paint[k]]} {name}", -1)
            if self.photo[i] or not name:
                continue
            if what[k] < self.cfg["pairs"]:
                j = int(rng.choice(b))
                other = self.label(j)
                if not other or self.photo[j] or j == i:
                    continue
                show.pair[k] = j
                first[k] = (f"{name} and {other}", -1)
                lang = list(AND)[rng.integers(len(AND))]
                x, y = self.label(i, lang, 4), self.label(j, lang, 4)
                second[k] = (f"{x} {AND[lang]} {y}", -1) if x and y else (f"{other} and {name}", -1)
            elif what[k] < self.cfg["pairs"] + self.cfg["backgrounds"]:
                show.back[k] = rng.integers(len(PAINT))
                if show.back[k] == show.paint[k]:                # not white on white
                    show.back[k] = (show.back[k] + 1) % len(PAINT)
                first[k] = (f"{name} on a {PAINT_NAMES[show.back[k]]} background", -1)

    def _tokens(self, texts, cut):
        """Captions sorted by length in four groups, so that little is padding."""
        seqs = [self.tok.encode(t)[:cut] for t in texts]
        order = np.argsort([len(s) for s in seqs], kind="stable")
        groups = [pad([seqs[j] for j in part], self.tok.start, self.tok.end) for part in np.array_split(order, 4)]
        inverse = np.empty_like(order)
        inverse[order] = np.arange(len(order))
        return groups, torch.from_numpy(inverse)

    @staticmethod
    def _fits(captions, keys, texts):
        """(captions, pictures): which captions fit which pictures of the batch."""
        key = np.array([k for _, k in captions])
        ids = {}
        text = np.array([ids.setdefault(t, len(ids)) for t in texts])
        m = ((key[:, None, None] == keys[None]) & (key >= 0)[:, None, None]).any(-1) | (text[:, None] == text[None])
        np.fill_diagonal(m, True)
        return m

    def _word_targets(self, b, pair, more):
        """Dense (pictures, words) targets for the batch and for the further texts."""
        out = torch.zeros(len(b) + len(more), len(self.word_names))
        for k, i in enumerate(np.concatenate([b, more])):
            ids, w = self.words[i]
            j = pair[k] if k < len(b) else -1
            out[k, ids] = torch.from_numpy(w) * (0.5 if j >= 0 else 1)
            if j >= 0:
                ids, w = self.words[j]
                out[k, ids] += torch.from_numpy(w) * 0.5
        return out

    # ------------------------------------------------------------- pictures
    def planes(self, b):
        """(n, 4, 128, 128) float: colours multiplied by alpha, 0 to 255."""
        x = torch.from_numpy(self.px[self.at[b]]).permute(0, 3, 1, 2).float()
        x[:, :3] *= x[:, 3:] / 255
        return x

    def pixels(self, b, show, rng):
        n, size = len(b), self.size

        def u(lo, hi):
            return torch.from_numpy(rng.uniform(lo, hi, n).astype(np.float32))
        photo = torch.from_numpy(self.photo[b])
        zoom = torch.where(photo, u(0.6, 1.0), u(0.82, 1.15))    # share of the frame that is shown
        stretch, angle = torch.exp(u(-0.12, 0.12)), u(-0.14, 0.14)
        flip = torch.from_numpy(np.where(self.flip[b] & (rng.random(n) < 0.5), -1, 1).astype(np.float32))
        room = (1 - zoom).abs()
        th = torch.zeros(n, 2, 3)
        th[:, 0, 0], th[:, 0, 1] = zoom * stretch * torch.cos(angle) * flip, -zoom * torch.sin(angle)
        th[:, 1, 0], th[:, 1, 1] = zoom * torch.sin(angle) * flip, zoom / stretch * torch.cos(angle)
        th[:, 0, 2], th[:, 1, 2] = room * u(-1, 1), room * u(-1, 1)
        two = np.nonzero(show.pair >= 0)[0]
        left = torch.from_numpy(np.where(rng.random(n) < 0.5, -1.0, 1.0).astype(np.float32))
        th[two] *= 1.9                                           # half as large, to one side
        th[two, 0, 2] -= 0.95 * left[two]
        x = self._painted(self.planes(b), show.paint)
        x = F.grid_sample(x, F.affine_grid(th, (n, 4, size, size), align_corners=False), mode="bilinear",
                          padding_mode="zeros", align_corners=False)
        if len(two):
            t2 = th[two].clone()
            t2[:, 0, 2] += 1.9 * left[two]
            y = F.grid_sample(self.planes(show.pair[two]), F.affine_grid(t2, (len(two), 4, size, size), align_corners=False),
                              mode="bilinear", padding_mode="zeros", align_corners=False)
            x[two] = x[two] + y * (1 - x[two, 3:] / 255)
        return self._finish(x, self.mono[b] & (show.paint < 0), photo, show, rng, u)

    @staticmethod
    def _painted(x, paint):
        k = np.nonzero(paint >= 0)[0]
        if len(k):
            x[k, :3] = x[k, 3:] * torch.from_numpy(PAINT_RGB[paint[k]])[:, :, None, None]
        return x

    def _finish(self, x, dark, photo, show, rng, u):
        """Mild colour changes, then a background: white, black, one colour, or a gradient of two."""
        n, size = len(x), self.size
        wide = torch.where(photo, 1.6, 1.0)
        sat = (1 + u(-0.25, 0.25) * wide).view(-1, 1, 1, 1)
        light = (1 + u(-0.2, 0.15) * wide).view(-1, 1, 1, 1)
        tint = torch.from_numpy(rng.uniform(0.94, 1.06, (n, 3, 1, 1)).astype(np.float32)) * light / 255
        rgb, clear = x[:, :3], 1 - x[:, 3:] / 255
        y = rgb * (sat * tint)
        y.addcmul_(rgb.mean(1, keepdim=True), (1 - sat) * tint)
        pale = torch.from_numpy(dark.astype(np.float32)).view(-1, 1, 1, 1) * 0.5
        kind = rng.random(n).astype(np.float32)
        painted = np.array(PAINT_NAMES + [""])[show.paint]       # white on white, black on black: on any colour instead
        kind[(painted == "white") & (kind < 0.55) | (painted == "black") & (kind >= 0.55) & (kind < 0.6)] = 0.6
        kind = torch.from_numpy(kind).view(-1, 1, 1, 1)
        c1, c2 = (torch.from_numpy(rng.random((n, 3, 1, 1)).astype(np.float32)) * (1 - pale) + pale for _ in range(2))
        c1 = torch.where(kind < 0.55, torch.ones(()), torch.where((kind < 0.6) & (pale == 0), torch.zeros(()), c1))
        c2 = torch.where(kind < 0.8, c1, c2)
        k = np.nonzero(show.back >= 0)[0]
        if len(k):
            c1[k] = c2[k] = torch.from_numpy(PAINT_RGB[show.back[k]])[:, :, None, None]
        ramp = torch.linspace(0, 1, size).view((1, 1, 1, -1) if rng.random() < 0.5 else (1, 1, -1, 1))
        y.addcmul_(c1 * (1 - ramp) + c2 * ramp, clear).clamp_(0, 1)
        return y.sub_(torch.tensor(MEAN).view(3, 1, 1)).div_(torch.tensor(STD).view(3, 1, 1))


class Show:
    """What is changed about the pictures of a batch; -1 is nothing."""

    def __init__(self, n):
        self.paint, self.back, self.pair = (np.full(n, -1) for _ in range(3))
