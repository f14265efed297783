"""Names for the main colour of a thumbnail, by a plain rule on hue, saturation and value."""
import numpy as np

COLOURS = ["black", "white", "gray", "red", "orange", "brown", "yellow", "green", "blue", "navy blue", "purple",
           "pink", "beige"]


def votes(rgb):
    """rgb: (n, 3) uint8 -> share of pixels per colour name."""
    x = rgb.astype(np.float32) / 255
    mx, mn = x.max(1), x.min(1)
    d = np.maximum(mx - mn, 1e-6)
    r, g, b = x.T
    h = np.where(mx == r, (g - b) / d % 6, np.where(mx == g, (b - r) / d + 2, (r - g) / d + 4)) * 60
    s, v = np.where(mx > 0, (mx - mn) / np.maximum(mx, 1e-6), 0), mx
    hue = np.select([h < 14, h < 42, h < 68, h < 165, h < 255, h < 290, h < 345], [3, 4, 6, 7, 8, 10, 11], 3)
    c = np.where(s >= 0.18, hue, 2)
    c = np.where((s >= 0.18) & (h >= 8) & (h < 45) & (v < 0.62), 5, c)
    c = np.where((s >= 0.10) & (s < 0.40) & (h >= 15) & (h < 60) & (v >= 0.62), 12, c)
    c = np.where((s >= 0.18) & (h >= 200) & (h < 262) & (v < 0.42), 9, c)
    c = np.where(((h < 14) | (h > 335)) & (s >= 0.12) & (s < 0.5) & (v > 0.75), 11, c)
    c = np.where((s < 0.15) & (v > 0.66) & (c != 12), 1, c)
    c = np.where((v < 0.18) | ((v < 0.27) & (s < 0.35)), 0, c)
    return np.bincount(c, minlength=len(COLOURS)) / max(1, len(c))


def of_photo(rgba):
    """The colour in the middle of a product photograph, or None where none has 40%."""
    n = rgba.shape[0]
    v = votes(rgba[int(.3 * n):int(.7 * n), int(.32 * n):int(.68 * n), :3].reshape(-1, 3))
    return COLOURS[int(v.argmax())] if v.max() > 0.40 else None


def of_drawing(rgba):
    """The colour of what is drawn, outlines and highlights aside, or None where none has 45%."""
    a = rgba[..., 3] > 128
    if a.sum() < 200:
        return None
    v = votes(rgba[a][:, :3])
    v[[0, 1, 2, 12]] = 0
    return COLOURS[int(v.argmax())] if v.max() > 0.45 else None
