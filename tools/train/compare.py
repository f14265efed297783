#!/usr/bin/env python3
"""Compare ways to train at equal computing: one arm of a comparison, from its first step to a model folder.

  compare.py --work WORK --arm 64px --checkpoint RUN/checkpoint.pt --steps 284 --out MODEL   go on from a trunk, and decay
  compare.py --work WORK --arm deep --steps 330 --out MODEL                                  from random weights

An arm ends when it has spent the floating point operations (products of matrices, forwards and backwards, counted by
PyTorch) of --steps steps of `base`. Then: evaluate.py --quick --model MODEL --json FILE. README.md has the results.
"""
import argparse
import contextlib
import copy
import json
import math
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

import model as clip
from data import Data
from export import write_model
from train import HERE, Proxies, Steps, learn, losses, optimizer, several_positives, start_proxies

BASE_FLOPS = 139.8e9         # of one step of `base` as in config.json, half of the patches kept


def one_positive(logits, mask):
    """CLIP's own loss (Radford et al. 2021): a picture and its caption, all else is wrong."""
    return several_positives(logits, torch.eye(*mask.shape))


class Sigmoid(nn.Module):
    """SigLIP's loss (Zhai et al. 2023), with several positives."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def forward(self, logits, mask):
        return -F.logsigmoid((2 * mask.float() - 1) * (logits + self.bias)).sum() / len(mask)


ARMS = {                     # what is not as in config.json; "keep": patches that a trunk step sees
    "base": {},
    "one-positive": {"contrast": one_positive},
    "sigmoid": {"contrast": Sigmoid()},
    "no-classes": {"loss": {"class_image": 0, "class_text": 0, "words_image": 0, "words_text": 0}},
    "one-caption": {"one_caption": True},
    "hard-negatives": {"one_kind": True},        # the pictures of a batch are of one kind: all emoji, all clip art
    "averaged": {"averaged": True},              # the mean of the weights, at a constant rate instead of the decay
    "64px": {"vision": {"image": 64}, "keep": 8},
    "128px": {"vision": {"image": 128}},
    "patch12": {"vision": {"patch": 12}, "keep": 32},
    "wide": {"vision": {"width": 256, "layers": 3, "heads": 4}},
    "deep": {"vision": {"width": 128, "layers": 12, "heads": 2}},
    "batch512": {"batch": 512, "more_texts": 256},
    "self-supervised": {},
    "distillation": {},
}


class SelfSupervised:
    """SimCLR (Chen et al. 2020) between two disjoint halves of a picture's patches; the first half meets the captions.
    Pictures of the same class are neither positives nor negatives. Not in the steps that show all patches."""

    def __init__(self, net, cfg):
        self.net, self.views = net, None
        self.head = nn.Sequential(nn.Linear(cfg["shape"]["embed"], 384), nn.GELU(), nn.Linear(384, 128))
        self.whole, net.image = net.image, self.image

    def image(self, px, keep=None):
        self.views = None
        if not keep:
            return self.whole(px)
        order = torch.rand(px.shape[0], self.net.grid ** 2).argsort(1)
        self.views = [self.whole(px, shown=part) for part in order[:, :2 * keep].chunk(2, 1)]
        return self.views[0]

    def loss(self, batch, amp):
        if self.views is None:
            return 0.0
        with amp():
            a, b = (F.normalize(self.head(v).float(), dim=-1) for v in self.views)
        same = (batch["masks"][0] | batch["masks"][0].T) & ~torch.eye(len(a), dtype=torch.bool)
        s = (a @ b.T / 0.1).masked_fill(same, -1e4)
        own = torch.arange(len(a))
        return 0.3 * (F.cross_entropy(s, own) + F.cross_entropy(s.T, own)) / 2


class Distillation:
    """Feature mimicry (Yang et al. 2024, CLIP-KD): the cosines with a teacher's embeddings, which sees all patches."""

    def __init__(self, net, teacher):
        self.teacher, self.head = clip.load(teacher).requires_grad_(False), nn.Identity()
        self.made, real_image, real_text = [], net.image, net.text

        def image(px, keep=None):
            self.made = [real_image(px, keep)]
            return self.made[0]

        def text(ids, last):
            self.made.append(real_text(ids, last))
            return self.made[-1]
        net.image, net.text = image, text

    def loss(self, batch, amp):
        with torch.no_grad(), amp():
            wanted = [self.teacher.image(batch["pixels"])] + [self.teacher.text(*g) for g in batch["groups"]]
        picture, *texts = [(1 - (a * b).sum(-1)) for a, b in zip(self.made, wanted)]
        return 2.0 * (picture.mean() + torch.cat(texts).mean())


def begin_from(checkpoint, net, proxies, opt):
    """Weights and moments of a trunk; the places of a larger or smaller picture are interpolated and begin without
    moments. -> its step"""
    c = torch.load(checkpoint, map_location="cpu", weights_only=True)
    key = "vision_model.embeddings.position_embedding.weight"
    old = c["net"][key]
    side = math.isqrt(len(old) - 1)
    if side != net.grid:
        grid = old[1:].T.reshape(1, -1, side, side)
        grid = F.interpolate(grid, size=(net.grid, net.grid), mode="bicubic", align_corners=False)
        c["net"][key] = torch.cat([old[:1], grid.flatten(2)[0].T])
    net.load_state_dict(c["net"])
    proxies.load_state_dict(c["proxies"])
    opt.load_state_dict(c["opt"])
    for p, s in opt.state.items():
        if s["exp_avg"].shape != p.shape:
            s["exp_avg"], s["exp_avg_sq"] = torch.zeros_like(p), torch.full_like(p, s["exp_avg_sq"].mean().item())
    return c["step"]


def schedule(done, step, tuned, keep, cfg, constant):
    """-> (rate, patches kept): a branch's decay, or warm-up, a constant rate and a decay."""
    if tuned:
        return 1 if constant else 1 - math.sqrt(done), keep if done < cfg["all_patches_from"] else None
    rate = 1 if done < 0.6 or constant else 1 - math.sqrt((done - 0.6) / 0.4)
    return min(1, (step + 1) / 50) * rate, keep if done < 0.8 else None


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", type=Path, required=True, help="what render.py and captions.py wrote")
    ap.add_argument("--config", type=Path, default=HERE / "config.json")
    ap.add_argument("--arm", choices=ARMS, required=True)
    ap.add_argument("--checkpoint", type=Path, help="go on from here; the arm's shape must allow it")
    ap.add_argument("--teacher", type=Path, help="model folder, of the arm `distillation`")
    ap.add_argument("--seed", type=int, help="of weights and batches, in place of the configuration's")
    ap.add_argument("--steps", type=float, required=True, help="what may be spent, in steps of base")
    ap.add_argument("--out", type=Path, required=True)
    a = ap.parse_args()
    if (a.arm == "distillation") != bool(a.teacher):
        ap.error("--teacher goes with --arm distillation")
    cfg, arm = json.loads(a.config.read_text()), ARMS[a.arm]
    cfg["shape"]["vision"].update(arm.get("vision", {}))
    cfg["loss"].update(arm.get("loss", {}))
    cfg.update({k: arm[k] for k in ("batch", "more_texts", "one_caption", "one_kind") if k in arm})
    if a.seed is not None:
        cfg["seed"] = a.seed
    keep_most = arm.get("keep", cfg["keep_patches"])
    data = Data(a.work, cfg, Path(cfg["tokenizer"]))
    torch.manual_seed(cfg["seed"])
    net = clip.CLIP(cfg["shape"]).train()
    proxies = Proxies(len(data.class_names), len(data.word_names), cfg["shape"]["embed"])
    opt = optimizer(net, proxies, cfg)
    if a.checkpoint:
        first = begin_from(a.checkpoint, net, proxies, opt)
    else:
        first = 0
        start_proxies(proxies, net, data)
    mean = copy.deepcopy(net).requires_grad_(False)
    contrast = arm.get("contrast", several_positives)
    term = (SelfSupervised(net, cfg) if a.arm == "self-supervised" else
            Distillation(net, a.teacher) if a.arm == "distillation" else None)
    for part in (term.head if term else None, contrast):
        if isinstance(part, nn.Module) and list(part.parameters()):
            opt.add_param_group({"params": list(part.parameters()), "weight_decay": 0.0, "base": cfg["lr"]})

    def amp():
        return torch.autocast("cpu", dtype=torch.bfloat16) if cfg["precision"] == "bf16" else contextlib.nullcontext()
    feed = iter(torch.utils.data.DataLoader(Steps(data, first), batch_size=None, num_workers=1, prefetch_factor=4))
    step, spent, flops = 0, 0.0, {}
    while spent < a.steps * BASE_FLOPS:
        rate, keep = schedule(spent / (a.steps * BASE_FLOPS), step, a.checkpoint, keep_most, cfg, arm.get("averaged"))
        batch = next(feed)
        torch.manual_seed(cfg["seed"] * 1_000_003 + first + step)
        with contextlib.nullcontext() if keep in flops else FlopCounterMode(display=False) as counter:
            loss, parts = losses(net, proxies, batch, keep, cfg, amp, contrast)
            learn(net, proxies, opt, loss + (term.loss(batch, amp) if term else 0.0), rate)
        if counter:
            flops[keep] = counter.get_total_flops()
        spent += flops[keep]
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(list(mean.parameters()), list(net.parameters()), max(1 / cfg["ema_steps"], 10 / (step + 10)))
        if step % 20 == 0:
            print(json.dumps({"step": step, "rate": round(rate, 3), "loss": round(loss.item(), 3),
                              **{k: round(v.item(), 3) for k, v in parts.items()}}), flush=True)
    write_model((mean if arm.get("averaged") else net).state_dict(), cfg["shape"], Path(cfg["tokenizer"]), a.out)
    print(f"{a.arm}: {step} steps, {step * cfg['batch']} pictures, "
          f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters -> {a.out}")


if __name__ == "__main__":
    main()
