#!/usr/bin/env python3
"""Captions, classes, words and the split for the pictures of render.py -> data.jsonl.

A row: where the thumbnail is, what it shows ("concept", "cls"), captions by language (exact ones name the thing;
loose ones are tags, kinds, keywords), weighted English words, and how often to sample it. held-out.jsonl lists
the pictures kept for evaluation by name: the split never moves when pictures are added.

  captions.py --packages NODE_MODULES --work WORK
"""
import argparse
import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np

import colours
import words as W
from render import SIZE
from words import content, singular, words

HERE = Path(__file__).parent
HOLDOUT = 0.10                   # of the file-name stems and icon names
MAX_SAME_TITLE = 12              # clip art: e.g. 1,370 nearly equal star polygons
FLUENT_3D = "fluent-emoji-3d"
EXTRA = {"flag", "emojione-monotone", "fluent-emoji-high-contrast", FLUENT_3D, "streamline-freehand-color", "solar",
         "streamline-cyber-color", "streamline-flex-color", "streamline-sharp-color", "streamline-stickies-color",
         "shapes", "words"}      # sources the held-out list has never drawn from: all train
RATE = {"emoji": 0.8, "flag": 0.3, "clipart": 2.5, "icon": 0.5, "glyph": 0.2, "clothing": 2.6, "shapes": 0.3,
        "words": 0.3}            # relative sampling rate of a picture by kind
RATE_MONO, RATE_THEME = 0.3, 0.3

JUNK = {"", "hash", "unsorted", "clip", "art", "clipart", "svg", "png", "inkscape", "externalsource", "cc0", "clip art",
        "public domain", "pd", "upload2openclipart", "contour", "icons", "theme", "lemon theme icon", "lemon theme",
        "action", "application", "filesystem", "mimetype", "mimetypes", "mimeicon", "unchecked", "duplicates", "misc",
        "mapsym", "signs and symbols", "united nations member", "magick", "hardware device", "none", "special", "image",
        "picture", "simple", "todo", "unknown", "icon", "gimp", "sodipodi", "stock", "weathersym", "unitedstates"}
BOILER = re.compile(r"open ?clip ?art|collection|lemon svg|etiquette|gramastar|\bhash\(|flat icon|http|www\.|\.svg|"
                    r"clip ?art by|untitled|drawing by|converted", re.I)
GENERIC_DIRS = {"unsorted", "duplicates", "icons", "theme", "actions", "action", "apps", "applications", "filesystems",
                "mimetypes", "devices", "device", "stock", "generic", "emblems", "etiquette-theme", "flat-theme",
                "lemon-theme", "special", "signs_and_symbols", "miscellany", "historic", "examples", "meats_and_eggs",
                "breads_and_carbs", "shapes", "computer", "stickmen", "decorations", "led"}
THEME_DIRS = {"etiquette-theme", "flat-theme", "lemon-theme", "stars", "led", "flowchart", "jigsaw"}
NOFLIP_DIRS = {"signs_and_symbols", "computer", "geography", "buttons", "shapes", "education", "office"}
WEAK = {"sign", "symbol", "symbols", "computer", "hardware", "recreation", "america", "europe", "asia", "africa",
        "musicsym", "object", "item", "art", "new", "design", "black", "white", "color", "colour", "work", "office",
        "part", "set", "other", "various"}
DROP_TOKENS = {"aiga", "rpg", "map", "elements", "elem", "simple", "bw", "bwh", "svg", "linda", "kim", "mo", "benji",
               "architetto", "francesco", "rollandin", "benjipark", "ganson", "geko", "clipart", "icon", "archite"}


class Captions:
    """Texts of one picture: exact[lang] names it, loose[lang] says something about it."""

    def __init__(self):
        self.exact, self.loose, self.weight = {}, {}, Counter()

    def name(self, text, lang="en", words_too=True):
        if text and text not in self.exact.setdefault(lang, []):
            self.exact[lang].append(text)
        if lang == "en" and words_too:
            self.mean(text, 1.0)

    def say(self, text, lang="en", weight=0.0):
        if text and text not in self.loose.setdefault(lang, []):
            self.loose[lang].append(text)
        if weight and lang == "en":
            self.mean(text, weight)

    def mean(self, text, weight):
        for w in content(text):
            self.weight[w] = max(self.weight[w], weight)


def article(w, first=None):
    if w in ("pants", "trousers", "shoes", "shorts", "outerwear"):
        return ""
    return "an " if (first or w)[0] in "aeiou" else "a "


def coloured(c, colour):
    """Add "red apple" for up to two short names, "red" as a word."""
    for n in [n for n in c.exact.get("en", []) if len(n.split()) <= 3 and colour not in n][:2]:
        c.say(f"{colour} {n}")
    c.mean(colour, 0.4)


# ------------------------------------------------------------------ emoji
def emoji_captions(E, h, c):
    for lang, entries in E.lang.items():
        e = entries.get(h)
        if not e:
            continue
        label = e["label"].lower()
        c.name(label, lang)
        tags = [t.lower() for t in e.get("tags", []) if t.lower() != label]
        for t in tags:
            c.say(t, lang, 0.4)
        if lang != "en":
            continue
        if label.startswith("flag: "):
            c.name("flag of " + label[6:])
            c.name(label[6:] + " flag")
        if tags:
            c.say(label + ", " + ", ".join(tags[:3]))
            c.say(", ".join(tags[-3:]))
            c.say(" ".join(tags[:2]))
    return E.en[h].get("group")


# ------------------------------------------------------------- clip art
def clipart_title(meta, path, title_count, english):
    """-> (raw title, English title, file words, keywords, description, folder words)."""
    authors = {t for x in meta["authors"] for t in re.findall(r"\w+", x.lower()) if len(t) > 1}
    toks = [t for t in words(re.sub(r"[_\-\s]*\d+[a-z]?$", "", path.stem)).split() if not re.search(r"\d", t)]
    while len(toks) > 1 and (any(x.startswith(toks[-1]) for x in authors) or len(toks[-1]) < 2):
        toks.pop()
    name = " ".join(toks).removeprefix("contour ")
    title = re.sub(r"(?i)clip ?art by [^-]*-\s*", "", (meta["title"] or [""])[0])
    title = words(re.sub(r"\d+$", "", re.sub(r"\(.*?\)", "", title)))
    if BOILER.search(title) or len(title) < 2 or title_count[title] > 4 or all(t in authors for t in title.split()):
        title = ""
    card = re.match(r"[a-z]+_([cdhs])_([a2-9jqk]|10)$", path.stem)
    if card and "cards" in path.parts:
        ranks = {"a": "ace", "j": "jack", "q": "queen", "k": "king"}
        title = name = f'{ranks.get(card[2], card[2])} of {dict(c="clubs", d="diamonds", h="hearts", s="spades")[card[1]]}'
    raw = title or name
    kept = [t for t in raw.split() if t not in DROP_TOKENS and t not in authors] or raw.split()
    clean = " ".join(x for x in (english.get(t.strip(","), t) for t in kept) if x)
    if re.search(r"(^|[_-])bw($|[_.])", path.stem):
        clean = "black and white " + clean
    keywords = []
    for k in map(words, meta["keywords"]):
        bad = k in JUNK or k.startswith("0x") or not 3 <= len(k) <= 30 or BOILER.search(k) or re.search(r"\d", k)
        if not bad and not (authors and all(t in authors for t in k.split())) and k not in keywords:
            keywords.append(k)
    desc = re.split(r"(?<=[.!?])\s", re.sub(r"\s+", " ", (meta["description"] or [""])[0]))[0].strip(" .").lower()
    if BOILER.search(desc) or not 4 < len(desc) < 90:
        desc = ""
    folders = [singular(words(d)) for d in path.parts[:-1] if d not in GENERIC_DIRS]
    return raw, clean, name, keywords, desc, folders


def clipart_captions(c, E, N, path, raw, clean, name, keywords, desc, folders):
    flag = "flags" in path.parts
    c.name(clean)
    c.name(raw, words_too=clean == raw)
    if flag:
        c.name("flag of " + re.sub(r"\bflag\b|signalflag|  +", " ", name).strip())
        c.mean("flag", 1.0)
    elif name != raw and len(name) > 3 and N.knows(name):
        c.name(name)
    for k in keywords:
        c.say(k, weight=0.5 if k not in WEAK else 0.1)
    if keywords:
        c.say(", ".join([clean] + keywords[:3]))
        c.say(", ".join([clean] + keywords))               # long ones teach the later positions
    for f in folders:
        if f not in WEAK:
            c.say(f, weight=0.6)
            c.say(f"{clean}, {f}")
    c.say(desc)
    c.say("clip art of " + clean)
    c.say("a picture of " + clean)
    kinds_of(c, N, clean, 0.4)
    for k in keywords[:3]:
        kinds_of(c, N, k, 0.15)
    key = "flag: " + re.sub(r"\bflag\b", "", name).strip() if flag else clean
    for w in [key, *(() if flag else (singular(clean), *keywords, *folders))]:
        for lang, t in E.word.get(w, {}).items():
            (c.name if w in (key, singular(clean)) else c.say)(t, lang)
    if not flag and clean != raw:
        c.say(raw, "it")


def kinds_of(c, N, text, weight):
    """WordNet's synonyms and kinds of a name, or of its last word."""
    last = (text.split() or [""])[-1]
    for w in (text, singular(text), last, singular(last)):
        if w and N.knows(w) and len(w) > 2:
            same, kinds = N.near(w)
            for s in same[:2] if w in (text, singular(text)) else ():
                c.say(s, weight=weight)
            for k in kinds[:2]:
                c.mean(k, weight * 0.7)
            return


def clothing_captions(c, T, label, kids, colour):
    for lang in ("en", "de", "fr", "es", "ru"):
        for w in T[lang][label]:
            c.name(w, lang)
            if lang == "en":
                c.name(f"a photo of {article(w)}{w}")
                if kids:
                    c.say("kids " + w)
            if colour and lang != "en":
                paint = T["colours"][lang][colours.COLOURS.index(colour)]
                c.say(f"{w} {paint}" if lang in ("fr", "es") else f"{paint} {w}", lang)
            elif colour:
                for paint in dict.fromkeys((colour, "blue" if colour == "navy blue" else colour)):
                    c.say(f"{paint} {w}")
                    c.say(f"a photo of {article(w, paint)}{paint} {w}")
    c.mean("clothing", 0.3)
    if colour:
        c.mean(colour, 0.7)


# ------------------------------------------------------------------ all rows
class Maker:
    def __init__(self, packages, work):
        cfg = json.loads((HERE / "sources.json").read_text())
        self.sets = cfg["iconify"] | {FLUENT_3D: {"kind": "emoji", "vendor": "microsoft"}}
        self.E, self.N = W.Emoji(packages / "emojibase-data"), W.WordNet(cfg["wordnet"])
        self.T = json.loads((HERE / "clothing.json").read_text())
        self.english = dict(l.split("\t") for l in (HERE / "titles.tsv").read_text().splitlines()[1:])
        self.held = {(r["source"], r["name"]): r for r in map(json.loads, open(HERE / "held-out.jsonl"))}
        vendor = {(r["concept"], self.sets[s]["vendor"]) for (s, _), r in self.held.items() if r["concept"].startswith("emoji:")
                  and s in self.sets and "vendor" in self.sets[s]}
        self.held_vendor = vendor        # (concept, vendor) that no further set of that vendor may show
        self.items = [json.loads(l) for l in open(work / "items.jsonl")]
        self.px = np.memmap(work / "images.u8", np.uint8, "r").reshape(-1, SIZE, SIZE, 4)
        self.title_count = Counter(words(re.sub(r"\d+$", "", (r["meta"]["title"] or [""])[0]))
                                   for r in self.items if "meta" in r)
        self.per_title = Counter()

    def row(self, i, item):
        """One row, or None for a picture that is left out."""
        source, name, img = item["source"], item["name"], self.px[i]
        row = {"row": i, "source": source, "name": name, "flip": True, "mono": False, "cls": None}
        c = Captions()
        if source == "clothing":
            row["name"], label, kids = json.loads(name)
            row["kind"], row["concept"], row["cls"] = "clothing", "clothing:" + label, "clothing:" + label
            row["colour"] = colours.of_photo(img)
            clothing_captions(c, self.T, label, kids, row["colour"])
        elif source in ("shapes", "words"):
            self.own_drawing(row, c, name)
        elif source == "openclipart":
            if not self.clipart(row, c, item, img):
                return None
        elif not self.icon(row, c, img):
            return None
        held = (source, row["name"]) in self.held
        row["split"] = "test" if held else "train"
        if not held and row["kind"] in ("clipart", "icon", "glyph") and self.hashed_out(row["concept"]):
            return None
        rate = RATE[row["kind"]] * (RATE_MONO if row["mono"] and row["kind"] == "emoji" else 1)
        if source == "openclipart" and THEME_DIRS & set(Path(name).parts):
            rate *= RATE_THEME
        return row | {"rate": rate, "exact": c.exact, "loose": c.loose, "words": dict(c.weight)}

    @staticmethod
    def hashed_out(concept):
        return int(hashlib.md5(concept.encode()).hexdigest()[:6], 16) % 1000 < HOLDOUT * 1000

    def own_drawing(self, row, c, name):
        row.update(kind=row["source"], concept="own:" + name, colour=None)
        if row["source"] == "words":
            word, colour = name.split("|")
            row["flip"] = False
            what = "number" if word.isdigit() else "letter" if len(word) == 1 else "word"
            c.name(f"the {what} {word.lower()}")
            c.say(f"{colour} {what} {word.lower()}", weight=0.3)
            c.say(word.lower(), weight=1.0)
            return
        count, colour, shape = name.split()
        n = {"one": "a", "two": "two", "three": "three", "four": "four"}[count]
        c.name(f"{n} {colour} {shape}" + ("" if count == "one" else "es" if shape == "cross" else "s"))
        c.say(f"{colour} {shape}", weight=1.0)
        c.say(shape)

    def clipart(self, row, c, item, img):
        path = Path(item["name"])
        parts = clipart_title(item["meta"], path, self.title_count, self.english)
        raw = parts[0]
        if not raw or self.per_title[raw] >= MAX_SAME_TITLE:
            return False
        self.per_title[raw] += 1
        concept = "oca:" + re.sub(r"[\W\d]", "", path.stem)
        row.update(kind="clipart", concept=concept, flip=path.parts[0] not in NOFLIP_DIRS, colour=colours.of_drawing(img))
        clipart_captions(c, self.E, self.N, path, *parts)
        if row["colour"] and "flags" not in path.parts:
            coloured(c, row["colour"])
        h = None if "flags" in path.parts else self.E.find(parts[1])
        row["cls"] = "emoji:" + h if h else "name:" + parts[1]
        return True

    def icon(self, row, c, img):
        source, name = row["source"], row["name"]
        opt = self.sets[source]
        kind, h = opt["kind"], None
        if source == FLUENT_3D:
            h = self.E.norm(name)
            h = h if h in self.E.en else None
        elif kind == "emoji":
            h = self.E.find(re.sub(r"-\d+$", "", name) if source == "streamline-emojis" else name)
        elif kind == "flag":
            code = re.sub(r"-4x3$", "", name)
            h = self.E.country(code) if len(code) == 2 else None
        if h is None and (kind == "flag" or source in EXTRA | {"fxemoji"} and kind == "emoji"):
            return False
        row.update(kind=kind, mono=kind == "glyph" or opt.get("mono", False))
        row["colour"] = None if row["mono"] else colours.of_drawing(img)
        if h is None:
            return self.named_icon(row, c, name)
        if source in EXTRA and ("emoji:" + h, opt.get("vendor")) in self.held_vendor:
            return False
        group = emoji_captions(self.E, h, c)
        row.update(concept="emoji:" + h, cls="emoji:" + h, flip=group in (0, 1, 3, 4))
        if row["colour"] and group in (3, 4, 5, 6, 7):
            coloured(c, row["colour"])
        if kind != "flag":
            kinds_of(c, self.N, self.E.en[h]["label"].lower(), 0.3)
        return True

    def named_icon(self, row, c, name):
        name = re.sub(r"-bold-duotone$", "", name)
        stem = re.sub(r"-(\d+|fill|flat|duo|solid|one|two|three|alt)$", "", re.sub(r"-\d+$", "", name))
        base = words(stem)
        if len(base) < 3:
            return False
        row.update(concept=f"icon:{base}", flip=row["kind"] == "glyph")
        h = self.E.find(base)
        row["cls"] = "emoji:" + h if h else "name:" + base
        c.name(base)
        c.say(base + " icon")
        c.say("icon of " + base)
        kinds_of(c, self.N, base, 0.3)
        if row["colour"]:
            coloured(c, row["colour"])
        for w in dict.fromkeys((base, singular(base))):
            for lang, t in self.E.word.get(w, {}).items():
                c.name(t, lang)
        return True


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--packages", type=Path, required=True)
    ap.add_argument("--work", type=Path, required=True)
    a = ap.parse_args()
    maker = Maker(a.packages, a.work)
    rows, seen = [], set()
    # of equal pictures the first stays: those of the sets that the held-out list was drawn from
    order = sorted(range(len(maker.items)), key=lambda i: (maker.items[i]["source"] in EXTRA, i))
    for i in order:
        digest = hashlib.md5(maker.px[i].tobytes()).digest()
        if digest in seen:
            continue
        row = maker.row(i, maker.items[i])
        if row:
            seen.add(digest)
            rows.append(row)
    tmp = a.work / "data.jsonl.tmp"
    with open(tmp, "w") as f:
        for r in rows:
            f.write(json.dumps(r, ensure_ascii=False) + "\n")
    os.replace(tmp, a.work / "data.jsonl")
    for split in ("train", "test"):
        print(split, dict(Counter(r["source"] for r in rows if r["split"] == split)))
    drawn = {r["source"] for r in rows}                  # without --clothing there is none
    missing = {(s, n) for s, n in maker.held if s in drawn} - {(r["source"], r["name"]) for r in rows}
    print(len(rows), "pictures")
    if missing:
        raise SystemExit(f"{len(missing)} held-out pictures are missing, such as {sorted(missing)[0]}")


if __name__ == "__main__":
    main()
