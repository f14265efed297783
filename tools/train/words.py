"""What words mean for the captions: emoji names in many languages, WordNet, the table of foreign title words."""
import json
import re
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

LANGS = ["en", "de", "fr", "es", "ru", "ja", "zh", "hi",             # the seven others that are measured one by one
         "bn", "da", "et", "fi", "hu", "it", "ko", "lt", "ms", "nb", "nl", "pl", "pt", "sv", "th", "uk", "vi", "zh-hant"]
STOP = set("a an the of and or with in on at to for from by is it its as no not de la le el und mit der die das "
           "ein eine s icon clip art picture photo image new".split())


def words(s):
    """A file or icon name as words."""
    s = re.sub(r"([a-z])([A-Z])", r"\1 \2", s)
    s = re.sub(r"[_\-+./?!]+", " ", s)
    return re.sub(r"\s+", " ", s).strip(" ,;:'\"").lower()


def singular(w):
    for end, to in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("ss", "ss"), ("us", "us"), ("s", "")):
        if w.endswith(end) and len(w) > len(end) + 2:
            return w[:-len(end)] + to
    return w


def content(text):
    """The words of an English text that carry its meaning, in the singular."""
    return [singular(w) for w in re.findall(r"[a-z]+", text.lower()) if w not in STOP and len(w) > 1]


class Emoji:
    """Icon name or country code -> emojibase entry, in every language."""

    def __init__(self, folder):
        self.lang = {l: {self.norm(e["hexcode"]): e for e in json.loads((Path(folder) / l / "data.json").read_text())}
                     for l in LANGS}
        self.en = self.lang["en"]
        self.slug = {}
        self.word = defaultdict(dict)          # English name of a concept -> {language: name}
        for h, e in self.en.items():
            self.slug.setdefault(self.squash(e["label"]), h)
            if e.get("group") not in (2, None):
                for l in LANGS[1:]:
                    if h in self.lang[l]:
                        self.word[e["label"].lower()].setdefault(l, self.lang[l][h]["label"].lower())

    @staticmethod
    def norm(h):
        return "-".join(x for x in h.upper().split("-") if x != "FE0F")

    @staticmethod
    def squash(s):
        s = s.lower().replace("’", "").replace("&", "and").translate(str.maketrans("ñéôãíçåü", "neoaicau"))
        return re.sub(r"[^a-z0-9]", "", s)

    def find(self, name):
        s = self.squash(name)
        return self.slug.get(s) or self.slug.get(s + "button") or \
            self.slug.get("flag" + s.removeprefix("flagof").removeprefix("flagfor"))

    def country(self, code):
        h = "-".join("%X" % (0x1F1E6 + ord(c) - 97) for c in code)
        return h if h in self.en else None


class WordNet:
    """Nouns: synonyms of the commonest sense, and what kind of thing it is."""
    VAGUE = set("entity object whole artifact thing abstraction attribute matter substance group unit instrumentality "
                "instrumentation part organism being causal_agent relation communication psychological_feature act "
                "living_thing physical_entity physical_object measure event state person".split())

    def __init__(self, folder):
        self.offset = {}
        for line in open(Path(folder) / "index.noun"):
            if line[0] != " ":
                f = line.split()
                n = int(f[2])
                self.offset[f[0]] = f[-n]
        self.data = open(Path(folder) / "data.noun", "rb")

    @lru_cache(1 << 16)
    def _synset(self, offset):
        self.data.seek(int(offset))
        f = self.data.readline().decode().split(" | ")[0].split()
        n = int(f[3], 16)
        names = [f[4 + 2 * i].lower() for i in range(n)]
        up = [f[k + 1] for k in range(5 + 2 * n, len(f) - 3) if f[k] in ("@", "@i") and f[k + 2] == "n"]
        return names, up[0] if up else None

    def knows(self, w):
        return w.replace(" ", "_") in self.offset

    @lru_cache(1 << 16)
    def near(self, w):
        """-> (synonyms, kinds): ("car" -> ["auto", ...], ["motor vehicle", "vehicle"])."""
        at = self.offset.get(w.replace(" ", "_"))
        if at is None:
            return [], []
        names, up = self._synset(at)
        kinds = []
        while up and len(kinds) < 3:
            more, up = self._synset(up)
            if more[0] in self.VAGUE:
                break
            kinds.append(more[0].replace("_", " "))
        return [n.replace("_", " ") for n in names if n != w.replace(" ", "_")][:3], kinds
