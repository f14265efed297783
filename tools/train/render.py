#!/usr/bin/env python3
"""Draw every picture once, as a 128 x 128 RGBA thumbnail in one flat file.

Writes images.u8 (thumbnails, one after another) and items.jsonl (one line each: source, name, and for clip
art the metadata of the file). Run again, it draws only what is missing. Needs rsvg-convert.

  render.py --packages NODE_MODULES --clothing DIR --out WORK
"""
import argparse
import csv
import io
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
SIZE = 128
TIMEOUT_S = 30
CLOTHING_IDS = "01234567"        # photographs whose id begins otherwise stay untouched, as an independent test
SHAPES = {"circle": '<circle cx="0" cy="0" r="{r}"/>', "square": '<rect x="-{r}" y="-{r}" width="{d}" height="{d}"/>',
          "triangle": '<path d="M0,-{r} L{r},{r} L-{r},{r} Z"/>', "star": "STAR", "heart": "HEART",
          "diamond": '<path d="M0,-{r} L{r},0 L0,{r} L-{r},0 Z"/>', "ring": "RING",
          "oval": '<ellipse cx="0" cy="0" rx="{r}" ry="{h}"/>', "cross": "CROSS"}
PAINT = {"red": "#d22", "green": "#2a2", "blue": "#24d", "yellow": "#fd2", "orange": "#f80", "purple": "#828",
         "pink": "#f8b", "brown": "#852", "black": "#111", "white": "#fff", "gray": "#888"}
SPECIAL_SHAPES = {
    "STAR": '<path d="M0,-{r} L{a},-{a} L{r},-{a} L{b},{c} L{e},{r} L0,{f} L-{e},{r} L-{b},{c} L-{r},-{a} L-{a},-{a} Z"/>',
    "HEART": '<path d="M0,{r} C-{d},-{c} -{h},-{r} 0,-{h} C{h},-{r} {d},-{c} 0,{r} Z"/>',
    "RING": '<circle cx="0" cy="0" r="{b2}" fill="none" stroke="{paint}" stroke-width="{h}"/>',
    "CROSS": '<path d="M-{q},-{r} H{q} V-{q} H{r} V{q} H{q} V{r} H-{q} V{q} H-{r} V-{q} H-{q} Z"/>'}
NUMBER = ["", "one", "two", "three", "four"]


def shape_svg(shape, colour, count):
    """One to four plain shapes of one colour on a transparent square."""
    r = {1: 80, 2: 40, 3: 36, 4: 36}[count]
    spots = {1: [(0, 0)], 2: [(-48, 0), (48, 0)], 3: [(0, -46), (-48, 44), (48, 44)],
             4: [(-46, -46), (46, -46), (-46, 46), (46, 46)]}[count]
    n = dict(r=r, d=2 * r, h=r * .6, a=r * .3, b=r * .45, c=r * .15, e=r * .65, f=r * .55, q=r * .3, b2=r * .7,
             paint=PAINT[colour])
    body = SHAPES[shape]
    body = SPECIAL_SHAPES.get(body, body).format(**{k: v if isinstance(v, str) else round(v, 1) for k, v in n.items()})
    edge = ' stroke="#999" stroke-width="2"' if colour == "white" else ""
    marks = "".join(f'<g transform="translate({x},{y})">{body}</g>' for x, y in spots)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-100 -100 200 200" width="128" height="128">'
            f'<g fill="{PAINT[colour]}"{edge}>{marks}</g></svg>').encode()


def word_svg(word, colour):
    size = min(60, 300 // max(3, len(word)))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-100 -100 200 200" width="128" height="128">'
            f'<text x="0" y="{size / 3:.0f}" font-family="DejaVu Sans" font-weight="bold" font-size="{size}" '
            f'text-anchor="middle" fill="{PAINT[colour]}">{word}</text></svg>').encode()


def drawn_items():
    """Pictures of our own: shapes in colours and counts, digits, letters and a few written words."""
    for shape in SHAPES:
        for colour in PAINT:
            for count in range(1, 5):
                yield "shapes", f"{NUMBER[count]} {colour} {shape}", shape_svg(shape, colour, count)
    words = [chr(c) for c in range(65, 91)] + [str(i) for i in range(100)] + \
        "OPEN CLOSED SALE EXIT STOP HELLO LOVE NEW FREE YES NO HOT COLD TAXI HOTEL CAFE BAR POLICE BANK SHOP".split()
    for i, w in enumerate(words):
        colour = list(PAINT)[i % 9]
        yield "words", f"{w}|{colour}", word_svg(w, colour)


def openclipart_items(root):
    """Files sorted so that copies under unsorted/ and duplicates/ lose against the filed ones."""
    seen = set()
    for p in sorted(root.rglob("*.svg"), key=lambda p: ("unsorted" in p.parts, "duplicates" in p.parts, str(p))):
        rel = p.relative_to(root)
        if rel.parts[0] in ("logos", "special") or p.name in seen:
            continue
        seen.add(p.name)
        yield "openclipart", str(rel), p


def iconify_items(name, options, folder):
    data = json.loads((folder / "icons.json").read_text())
    meta = folder / "metadata.json"
    categories = json.loads(meta.read_text()).get("categories", {}) if meta.exists() else {}
    brands = {n for c, ns in categories.items() if re.search(r"(?i)brand|logo", c) for n in ns}
    best = {}
    for n, icon in data["icons"].items():
        if icon.get("hidden") or "skin-tone" in n or n in brands or not re.search(options.get("only", ""), n):
            continue
        tone = re.match(r"(.+?)(-(medium-)?(light|medium|dark))+$", n)
        if tone and tone.group(1) in data["icons"] and name.startswith("fluent-emoji"):
            continue
        if name == "meteocons" and not n.endswith("-fill"):
            continue
        stem, px = n, 0
        if name == "fluent-color":                       # the largest drawing of each
            stem, px = re.match(r"(.*?)-?(\d*)$", n).groups()
        if stem not in best or int(px or 0) > best[stem][1]:
            best[stem] = (n, int(px or 0))
    for n, _ in best.values():
        icon = data["icons"][n]
        w, h = (icon.get(k, data.get(k, 16)) for k in ("width", "height"))
        yield name, n, (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                        f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {w} {h}" width="{w}" height="{h}" '
                        f'color="#000">{icon["body"]}</svg>').encode()


def clothing_items(folder):
    for r in csv.DictReader(open(folder / "catalogue.csv")):
        if r["id"][0] in CLOTHING_IDS:
            yield "clothing", json.dumps([r["id"], r["label"], r["kids"] == "true"]), folder / r["image"]


def all_items(a):
    cfg = json.loads((HERE / "sources.json").read_text())
    yield from openclipart_items(Path(cfg["openclipart"]))
    for name, options in cfg["iconify"].items():
        yield from iconify_items(name, options, a.packages / "@iconify-json" / name)
    for p in sorted((a.packages / "@lobehub/fluent-emoji-3d/assets").glob("*.webp")):
        if not re.search("1f3f[b-f]", p.stem):           # skin tones
            yield "fluent-emoji-3d", p.stem, p
    yield from drawn_items()
    if a.clothing:
        yield from clothing_items(a.clothing)


# ------------------------------------------------------------------- drawing
def photo(path):
    im = Image.open(path)
    im.draft("RGB", (SIZE * 2, SIZE * 2))
    im = im.convert("RGB")
    k = SIZE / min(im.size)
    im = im.resize((max(SIZE, round(im.width * k)), max(SIZE, round(im.height * k))), Image.BICUBIC)
    x, y = (im.width - SIZE) // 2, (im.height - SIZE) // 2
    return np.asarray(im.crop((x, y, x + SIZE, y + SIZE)).convert("RGBA"))


def crop_to_drawing(im):
    """Many clip-art drawings are small on a whole page."""
    box = im.getchannel("A").point(lambda v: 255 * (v > 8)).getbbox()
    if box:
        m = max(2, max(box[2] - box[0], box[3] - box[1]) // 24)
        im = im.crop((max(0, box[0] - m), max(0, box[1] - m), min(im.width, box[2] + m), min(im.height, box[3] + m)))
    return im


def draw(item):
    source, _, what = item
    if source == "clothing":
        return photo(what)
    if source == "fluent-emoji-3d":
        im = Image.open(what).convert("RGBA")
    else:
        px = str(SIZE * 2 if source == "openclipart" else SIZE)
        cmd = ["rsvg-convert", "-w", px, "-h", px, "-a", "-f", "png"]
        svg = what.read_bytes() if isinstance(what, Path) else what
        png = subprocess.run(cmd, input=svg, capture_output=True, timeout=TIMEOUT_S).stdout
        im = Image.open(io.BytesIO(png)).convert("RGBA")
        if source == "openclipart":
            im = crop_to_drawing(im)
    k = SIZE / max(im.size)
    im = im.resize((max(1, round(im.width * k)), max(1, round(im.height * k))), Image.LANCZOS)
    out = np.zeros((SIZE, SIZE, 4), np.uint8)
    y, x = (SIZE - im.height) // 2, (SIZE - im.width) // 2
    out[y:y + im.height, x:x + im.width] = np.asarray(im)
    return out


def try_draw(item):
    """None for a picture that cannot be drawn or is empty."""
    try:
        x = draw(item)
        return x if (x[..., 3] > 8).mean() > 0.01 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def metadata(path):
    """Dublin Core title, keywords, description and people of a clip-art file."""
    m = re.search(r"<metadata.*?</metadata>", path.read_text(errors="replace"), re.S | re.I)
    md = re.sub(r"&lt;|&gt;|&amp;|&quot;|&apos;", " ", m.group(0) if m else "")
    people = re.findall(r"<dc:(?:creator|publisher|rights)\b.*?</dc:(?:creator|publisher|rights)>", md, re.S)
    names = [x.strip() for c in people for x in re.findall(r"<dc:title>(.*?)</dc:title>", c, re.S)]
    body = re.sub(r"<dc:(creator|publisher|rights)\b.*?</dc:\1>", " ", md, flags=re.S)

    def tag(t):
        return [re.sub(r"<[^>]+>", " ", x).strip() for x in re.findall(rf"<{t}[^>]*>(.*?)</{t}>", body, re.S)]
    return {"title": tag("dc:title")[:1], "keywords": tag("rdf:li"), "description": tag("dc:description")[:1],
            "authors": names}


def resume(listing, pictures):
    """What is drawn already; a line and thumbnails that a killed run left without their other half go. -> names"""
    if not listing.exists():
        pictures.unlink(missing_ok=True)
        return set()
    lines = [l for l in listing.read_bytes().splitlines(True) if l.endswith(b"\n")]
    pictures.touch()
    drawn = min(len(lines), pictures.stat().st_size // (SIZE * SIZE * 4))
    os.truncate(listing, sum(map(len, lines[:drawn])))
    os.truncate(pictures, drawn * SIZE * SIZE * 4)
    return {(r["source"], r["name"]) for r in map(json.loads, lines[:drawn])}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--packages", type=Path, required=True, help="node_modules with the packages of sources.json")
    ap.add_argument("--clothing", type=Path, help="the photographs: catalogue.csv (id, image, label, kids) and its images")
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--jobs", type=int, default=os.cpu_count())
    a = ap.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    if not shutil.which("rsvg-convert"):
        ap.error("rsvg-convert is missing (Debian: librsvg2-bin)")
    listing, pictures = a.out / "items.jsonl", a.out / "images.u8"
    have = resume(listing, pictures)
    items = [i for i in all_items(a) if (i[0], i[1]) not in have]
    print(len(have), "drawn before; to do:", dict(Counter(i[0] for i in items)), flush=True)
    left_out = Counter()
    with open(pictures, "ab") as pixels, open(listing, "a") as lines, ThreadPoolExecutor(a.jobs) as pool:
        for k in range(0, len(items), 256):
            chunk = items[k:k + 256]
            for item, x in zip(chunk, pool.map(try_draw, chunk)):
                if x is None:
                    left_out[item[0]] += 1
                    continue
                record = {"source": item[0], "name": item[1]}
                if item[0] == "openclipart":
                    record["meta"] = metadata(item[2])
                pixels.write(x.tobytes())
                lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            pixels.flush()
            lines.flush()
            print(f"{k + len(chunk)}/{len(items)}", flush=True)
    print("empty, or could not be drawn:", dict(left_out))


if __name__ == "__main__":
    main()
