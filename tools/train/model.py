"""A small CLIP in plain PyTorch with the parameter names of Hugging Face's CLIPModel, and its files."""
import json
import math
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, causal):
        b, n, d = x.shape
        w = torch.cat([self.q_proj.weight, self.k_proj.weight, self.v_proj.weight])
        z = torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias])
        q, k, v = F.linear(x, w, z).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if x.is_cuda:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        else:                    # plain products: almost twice as fast for short sequences on a CPU
            a = (q * (d // self.heads) ** -0.5) @ k.transpose(-1, -2)
            if causal:
                a = a + torch.full((n, n), float("-inf"), dtype=a.dtype).triu_(1)
            y = a.softmax(-1).to(v.dtype) @ v
        return self.out_proj(y.transpose(1, 2).reshape(b, n, d))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):        # quick_gelu(x) = silu(1.702 x) / 1.702, folded into the weights
        x = F.silu(F.linear(x, self.fc1.weight * 1.702, self.fc1.bias * 1.702))
        return F.linear(x, self.fc2.weight / 1.702, self.fc2.bias)


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.self_attn, self.mlp = Attention(width, heads), MLP(width)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x, causal):
        x = x + self.self_attn(self.layer_norm1(x), causal)
        return x + self.mlp(self.layer_norm2(x))


class Encoder(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.layers = nn.ModuleList(Layer(shape["width"], shape["heads"]) for _ in range(shape["layers"]))

    def forward(self, x, causal):
        for layer in self.layers:
            x = layer(x, causal)
        return x


class Part(nn.Module):
    """A name in the parameter tree."""


class CLIP(nn.Module):
    """shape: {"embed", "vocab", "vision": {image, patch, width, layers, heads}, "text": {context, width, ...}}."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        v, t = shape["vision"], shape["text"]
        self.grid = v["image"] // v["patch"]
        vision = self.vision_model = Part()
        vision.embeddings = Part()
        vision.embeddings.class_embedding = nn.Parameter(torch.randn(v["width"]) * 0.02)
        vision.embeddings.patch_embedding = nn.Conv2d(3, v["width"], v["patch"], v["patch"], bias=False)
        vision.embeddings.position_embedding = nn.Embedding(self.grid ** 2 + 1, v["width"])
        vision.pre_layrnorm = nn.LayerNorm(v["width"])       # the misspelling is Hugging Face's
        vision.encoder = Encoder(v)
        vision.post_layernorm = nn.LayerNorm(v["width"])
        text = self.text_model = Part()
        text.embeddings = Part()
        text.embeddings.token_embedding = nn.Embedding(shape["vocab"], t["width"])
        text.embeddings.position_embedding = nn.Embedding(t["context"], t["width"])
        text.encoder = Encoder(t)
        text.final_layer_norm = nn.LayerNorm(t["width"])
        self.visual_projection = nn.Linear(v["width"], shape["embed"], bias=False)
        self.text_projection = nn.Linear(t["width"], shape["embed"], bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=m.in_features ** -0.5 * (0.7 if m.in_features < m.out_features else 0.5))
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
        for e in (vision.embeddings.position_embedding, text.embeddings.token_embedding):
            nn.init.normal_(e.weight, std=0.02)
        nn.init.normal_(text.embeddings.position_embedding.weight, std=0.01)

    def image(self, px, keep=None, shown=None):
        """px: (B, 3, image, image), normalised. keep: number of patches kept at random, as in FLIP; or which ones are:
        shown, (B, n). -> (B, embed), unit."""
        m, e = self.vision_model, self.vision_model.embeddings
        b, g, p = px.shape[0], self.grid, px.shape[-1] // self.grid
        x = px.view(b, 3, g, p, g, p).permute(0, 2, 4, 1, 3, 5).reshape(b, g * g, -1)
        pos = e.position_embedding.weight
        here = pos[1:]
        if keep and keep < g * g:
            shown = torch.rand(b, g * g, device=px.device).topk(keep, 1).indices
        if shown is not None:
            x = x.gather(1, shown[..., None].expand(-1, -1, x.shape[-1]))
            here = here[shown]
        x = F.linear(x, e.patch_embedding.weight.flatten(1)) + here
        x = torch.cat([(e.class_embedding + pos[0]).expand(b, 1, -1).to(x.dtype), x], 1)
        x = m.encoder(m.pre_layrnorm(x), False)
        return F.normalize(self.visual_projection(m.post_layernorm(x[:, 0])).float(), dim=-1)

    def text(self, ids, last):
        """ids: (B, T) padded at the end; last: (B,) place of the end-of-text token. -> (B, embed), unit."""
        m = self.text_model
        x = m.embeddings.token_embedding(ids) + m.embeddings.position_embedding.weight[:ids.shape[1]]
        x = m.encoder(x, True)
        x = m.final_layer_norm(x[torch.arange(len(ids), device=ids.device), last])
        return F.normalize(self.text_projection(x).float(), dim=-1)


def pad(seqs, start, end):
    """Token lists -> (ids, last) for CLIP.text."""
    ids = torch.full((len(seqs), max(map(len, seqs)) + 2), end)
    ids[:, 0] = start
    for r, s in enumerate(seqs):
        ids[r, 1:1 + len(s)] = torch.as_tensor(s)
    return ids, torch.tensor([len(s) + 1 for s in seqs])


# ----------------------------------------------------------------- model files
def shape_of(config):
    """Our shape of a Hugging Face config.json."""
    def side(c, **more):
        return dict(width=c["hidden_size"], layers=c["num_hidden_layers"], heads=c["num_attention_heads"], **more)
    v, t = config["vision_config"], config["text_config"]
    return dict(embed=config["projection_dim"], vocab=t["vocab_size"],
                vision=side(v, image=v["image_size"], patch=v["patch_size"]),
                text=side(t, context=t["max_position_embeddings"]))


def load(folder):
    """A model folder -> CLIP with float32 weights."""
    folder = Path(folder)
    model = CLIP(shape_of(json.loads((folder / "config.json").read_text())))
    model.load_state_dict({k: w.float() for k, w in load_file(folder / "model.safetensors").items()})
    return model.eval()


def write_json(path, what):
    path.write_text(json.dumps(what, indent=2, ensure_ascii=False) + "\n")


def save(state, shape, start, end, folder):
    """Weights as float16, config.json and preprocessor_config.json in the Hugging Face layout."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tmp = folder / "model.safetensors.tmp"
    save_file({k: w.detach().cpu().half().contiguous() for k, w in state.items()}, tmp, metadata={"format": "pt"})
    tmp.chmod(0o644)
    tmp.replace(folder / "model.safetensors")

    def side(s):
        return {"hidden_size": s["width"], "intermediate_size": 4 * s["width"], "num_hidden_layers": s["layers"],
                "num_attention_heads": s["heads"], "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
                "projection_dim": shape["embed"]}
    v, t = shape["vision"], shape["text"]
    write_json(folder / "config.json", {
        "architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": shape["embed"],
        "logit_scale_init_value": 2.6592, "initializer_factor": 1.0, "torch_dtype": "float16",
        "text_config": {"model_type": "clip_text_model", "vocab_size": shape["vocab"], **side(t),
                        "max_position_embeddings": t["context"],
                        "bos_token_id": start, "eos_token_id": end, "pad_token_id": end},
        "vision_config": {"model_type": "clip_vision_model", **side(v), "image_size": v["image"],
                          "patch_size": v["patch"], "num_channels": 3}})
    write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "CLIPImageProcessor", "do_convert_rgb": True, "do_resize": True,
        "size": {"shortest_edge": v["image"]}, "resample": 3, "do_center_crop": True,
        "crop_size": {"height": v["image"], "width": v["image"]}, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": MEAN, "image_std": STD})
