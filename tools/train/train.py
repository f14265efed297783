#!/usr/bin/env python3
"""Train the starter model: warm-up, then a constant rate without a fixed end, then a decay on a branch.

The trunk runs until it is stopped and goes on from its last checkpoint when started again. At any time a
branch of it can be finished: --decay N takes the newest checkpoint and lowers the rate to zero over N steps,
in the later part with all patches shown.

  train.py --work WORK --run RUN --init models/starter     start or go on; --init counts only at the start
  train.py --work WORK --run RUN --decay 300 --out MODEL   finish a branch and write the model folder

Loss: contrast of pictures and captions with several positives, plus two classifications that share their class
vectors between pictures and texts: which class it is, and which English words belong to it (SuperClass). The
class vectors give every step all classes as negatives, which a batch of a few hundred pictures cannot.
"""
import argparse
import contextlib
import copy
import json
import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import model as clip
from data import Data
from export import write_model

HERE = Path(__file__).parent


class Proxies(nn.Module):
    """Unit vectors for classes and words in the space of the embeddings; dropped after training."""

    def __init__(self, classes, words, dim):
        super().__init__()
        self.classes = nn.Parameter(F.normalize(torch.randn(classes, dim), dim=-1))
        self.words = nn.Parameter(F.normalize(torch.randn(words, dim), dim=-1))
        self.word_bias = nn.Parameter(torch.zeros(words))
        self.log_scale = nn.Parameter(torch.tensor([math.log(20.0), math.log(16.0)]))

    def class_logits(self, e):
        return self.log_scale[0].exp() * e @ F.normalize(self.classes, dim=-1).T

    def word_logits(self, e):
        return self.log_scale[1].exp() * e @ F.normalize(self.words, dim=-1).T + self.word_bias


@torch.no_grad()
def start_proxies(proxies, net, data):
    """Begin where the text tower already puts the names: saves the first hundreds of steps after --init."""
    names = {}
    for r in data.rows:
        if r["cls"] and r["exact"].get("en"):
            names.setdefault(r["cls"], r["exact"]["en"][0])
    for table, texts in ((proxies.classes, [names.get(c, c) for c in data.class_names]), (proxies.words, data.word_names)):
        for k in range(0, len(texts), 256):
            seqs = [data.tok.encode(t)[:20] for t in texts[k:k + 256]]
            table[k:k + 256] = net.text(*clip.pad(seqs, data.tok.start, data.tok.end))


def spread(logits, positive):
    """Cross entropy with several positives per row."""
    p = positive / positive.sum(1, keepdim=True)
    return -(p * F.log_softmax(logits, 1)).sum(1).mean()


def several_positives(logits, mask):
    m = mask.float()
    return (spread(logits, m) + spread(logits.T, m.T)) / 2


def losses(net, proxies, batch, keep, cfg, amp, contrast=several_positives):
    """contrast(cosines of captions and pictures times the scale, which of them fit) -> loss; compare.py has others."""
    with amp():
        im = net.image(batch["pixels"], keep)
        tx = torch.cat([net.text(ids, last) for ids, last in batch["groups"]])[batch["inverse"]]
    n, w = len(im), cfg["loss"]
    scale = net.logit_scale.exp()
    views = [contrast(scale * tx[v * n:(v + 1) * n] @ im.T, mask) for v, mask in enumerate(batch["masks"])]
    out = {"contrast": sum(views) / len(views)}
    if not any(w[k] for k in w if k != "contrast"):
        return w["contrast"] * out["contrast"], out
    every, cls = torch.cat([im, tx]), batch["cls"]
    words = torch.cat([batch["words"][:n]] * (1 + len(views)) + [batch["words"][n:]])
    with amp():
        word_logits = proxies.word_logits(every)
        known = (cls >= 0).nonzero()[:, 0]
        class_logits = proxies.class_logits(every[known])
    by_class = F.cross_entropy(class_logits.float(), cls[known], label_smoothing=cfg["label_smoothing"], reduction="none")
    by_words = -(words * F.log_softmax(word_logits.float(), 1)).sum(1)
    picture = known < n
    out["class_image"], out["class_text"] = by_class[picture].mean(), by_class[~picture].mean()
    out["words_image"], out["words_text"] = by_words[:n].mean(), by_words[n:].mean()
    return sum(w[k] * v for k, v in out.items()), out


def to_device(x, dev):
    if torch.is_tensor(x):
        return x.to(dev, non_blocking=True)
    if isinstance(x, (list, tuple)):
        return type(x)(to_device(y, dev) for y in x)
    return {k: to_device(v, dev) for k, v in x.items()}


class Steps(torch.utils.data.IterableDataset):
    """Batches from one step on, in order; a process of its own makes them ahead."""

    def __init__(self, data, first):
        self.data, self.first = data, first

    def __iter__(self):
        step = self.first
        while True:
            yield self.data.batch(step)
            step += 1


def optimizer(net, proxies, cfg):
    matrix = [p for n, p in net.named_parameters() if p.ndim > 1 and "embedding" not in n]
    others = [p for n, p in net.named_parameters() if not (p.ndim > 1 and "embedding" not in n)]
    return torch.optim.AdamW(
        [{"params": matrix, "weight_decay": cfg["weight_decay"], "base": cfg["lr"]},
         {"params": others, "weight_decay": 0.0, "base": cfg["lr"]},
         {"params": list(proxies.parameters()), "weight_decay": 0.0, "base": cfg["proxy_lr"]}],
        betas=(0.9, 0.98), eps=1e-6, foreach=True)


def learn(net, proxies, opt, loss, rate):
    """One step of the optimiser at `rate` times the learning rates."""
    for g in opt.param_groups:
        g["lr"] = g["base"] * rate
    opt.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
    with torch.no_grad():
        net.logit_scale.clamp_(0, math.log(50))
        proxies.log_scale.clamp_(0, math.log(30))


class Run:
    """Everything a checkpoint holds."""

    def __init__(self, a, cfg, data):
        torch.manual_seed(cfg["seed"])
        self.cfg, self.data = cfg, data
        self.dev = "cuda" if torch.cuda.is_available() else "cpu"
        newest = a.run / "checkpoint.pt"
        net = clip.load(a.init).train() if a.init and not newest.exists() else clip.CLIP(cfg["shape"])
        if net.shape != cfg["shape"]:
            raise SystemExit(f"{a.init} has the shape {net.shape}, the configuration {cfg['shape']}")
        proxies = Proxies(len(data.class_names), len(data.word_names), cfg["shape"]["embed"])
        if not newest.exists():
            start_proxies(proxies, net, data)
        self.net, self.proxies = net.to(self.dev), proxies.to(self.dev)
        self.ema = copy.deepcopy(self.net).requires_grad_(False)
        self.opt = optimizer(self.net, self.proxies, cfg)
        self.step, self.seconds = 0, 0.0
        if newest.exists():
            self.load(newest)

    def load(self, path):
        c = torch.load(path, map_location=self.dev, weights_only=True)
        self.net.load_state_dict(c["net"])
        self.ema.load_state_dict(c["ema"])
        now = [{k: g[k] for k in ("base", "weight_decay")} for g in self.opt.param_groups]
        self.opt.load_state_dict(c["opt"])
        for group, rates in zip(self.opt.param_groups, now):     # those of the configuration, which may have changed
            group.update(rates)
        self.step, self.seconds = c["step"], c["seconds"]
        if c["classes"] != self.data.class_names or c["words"] != self.data.word_names:
            raise SystemExit("data.jsonl has other classes or words than the checkpoint: start a new run with --init")
        if c.get("merges", self.data.tok.rank) != self.data.tok.rank:            # older checkpoints do not say
            raise SystemExit(f"{self.cfg['tokenizer']} has another vocabulary than the checkpoint was trained with")
        self.proxies.load_state_dict(c["proxies"])

    def save(self, path):
        tmp = path.with_suffix(".tmp")
        torch.save({"net": self.net.state_dict(), "ema": self.ema.state_dict(), "proxies": self.proxies.state_dict(),
                    "opt": self.opt.state_dict(), "step": self.step, "seconds": self.seconds,
                    "classes": self.data.class_names, "words": self.data.word_names, "merges": self.data.tok.rank}, tmp)
        os.replace(tmp, path)

    def train_step(self, batch, rate, keep, amp):
        torch.manual_seed(self.cfg["seed"] * 1_000_003 + self.step)       # which patches are dropped
        loss, parts = losses(self.net, self.proxies, to_device(batch, self.dev), keep, self.cfg, amp)
        learn(self.net, self.proxies, self.opt, loss, rate)
        with torch.no_grad():
            self.step += 1
            keep_old = min(1 - 1 / self.cfg["ema_steps"], self.step / (self.step + 10))
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.net.parameters()), 1 - keep_old)
        return {"loss": loss.item()} | {k: v.item() for k, v in parts.items()}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", type=Path, required=True, help="what render.py and captions.py wrote")
    ap.add_argument("--run", type=Path, required=True, help="checkpoints and log")
    ap.add_argument("--config", type=Path, default=HERE / "config.json")
    ap.add_argument("--init", type=Path, help="start from the weights of this model folder")
    ap.add_argument("--decay", type=int, default=0, help="finish a branch of the newest checkpoint over N steps")
    ap.add_argument("--minutes", type=float, default=0, help="the same by the clock, for a machine whose speed changes")
    ap.add_argument("--out", type=Path, help="model folder of the branch")
    ap.add_argument("--steps", type=int, default=0, help="stop the trunk after N more steps")
    a = ap.parse_args()
    if bool(a.decay or a.minutes) != bool(a.out):
        ap.error("--decay or --minutes, and --out: the model folder that the branch becomes")
    cfg = json.loads(a.config.read_text())
    a.run.mkdir(parents=True, exist_ok=True)
    tokenizer = Path(cfg["tokenizer"])
    data = Data(a.work, cfg, tokenizer)
    run = Run(a, cfg, data)
    print(f"{len(data.rows)} pictures, {len(data.class_names)} classes, {len(data.word_names)} words, "
          f"{sum(p.numel() for p in run.net.parameters()) / 1e6:.2f} M parameters on {run.dev}, step {run.step}", flush=True)
    amp = contextlib.nullcontext
    if cfg["precision"] == "bf16":
        def amp():
            return torch.autocast(run.dev, dtype=torch.bfloat16)
    stopped = []
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda *_: stopped.append(1))
    branch = bool(a.decay or a.minutes)
    first, last = run.step, run.step + (a.decay or a.steps or 10 ** 9)
    feed = iter(torch.utils.data.DataLoader(Steps(data, first), batch_size=None, num_workers=1, prefetch_factor=4))
    log, rate, begin = [], 1.0, time.time()
    saved = t0 = begin
    while run.step < last and not stopped:
        done = (run.step - first) / a.decay if a.decay else (t0 - begin) / (60 * a.minutes) if a.minutes else 0
        if done >= 1:
            break
        rate = 1 - math.sqrt(done) if branch else min(1, (run.step + 1) / cfg["warmup_steps"])
        keep = None if branch and done >= cfg["all_patches_from"] else cfg["keep_patches"]
        log.append(run.train_step(next(feed), rate, keep, amp))
        now = time.time()
        run.seconds += now - t0
        t0 = now
        if run.step % 10 == 0:
            mean = {k: round(float(np.mean([x[k] for x in log])), 3) for k in log[0]}
            print(json.dumps({"step": run.step, "hours": round(run.seconds / 3600, 3), "rate": round(rate, 4),
                              "scale": round(run.net.logit_scale.exp().item(), 1), **mean}), flush=True)
            log.clear()
        if not branch and now - saved > cfg["checkpoint_s"]:
            run.save(a.run / "checkpoint.pt")
            saved = time.time()
    if branch:
        if stopped:
            print(f"stopped after {run.step - first} steps, at {rate:.0%} of the rate: the model is written as it is")
        write_model(run.net.state_dict(), cfg["shape"], tokenizer, a.out)
    else:
        run.save(a.run / "checkpoint.pt")


if __name__ == "__main__":
    main()
