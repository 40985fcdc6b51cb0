"""What is behind and below the objects of a generated scene: pictures without depth, and planes."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from vendor_model.training.distance_fields import CHECKER, GRAIN, PLAIN, SPOTS, STRIPES
from vendor_model.training.paints import any_color, vary

FAR = 1e6


def noise_picture(rng, size) -> np.ndarray:
    """(H, W, 3) 0..1 smooth colour noise of several octaves."""
    picture = np.zeros((*size, 3), np.float32)
    base, weight = rng.integers(2, 6), 1.0
    grey = rng.random() < 0.5
    for octave in range(4):
        cells = base * 2**octave
        values = rng.random((cells, cells, 1 if grey else 3), np.float32).repeat(3 if grey else 1, axis=2)
        small = Image.fromarray((values * 255).astype(np.uint8))
        picture += weight * np.asarray(small.resize(size[::-1], Image.BICUBIC), np.float32) / 255
        weight *= rng.uniform(0.3, 0.8)
    low, high = picture.min(), picture.max()
    return (picture - low) / (high - low + 1e-6)


def gradient_picture(rng, size) -> np.ndarray:
    """(H, W, 3) 0..1: one colour running into another in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    share = np.clip(0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y), 0, 1)[..., None]
    return ((1 - share) * any_color(rng) + share * np.asarray(any_color(rng))).astype(np.float32)


def clutter_picture(rng, size) -> np.ndarray:
    """(H, W, 3) 0..1: out-of-focus shapes of any colour, as a busy background is."""
    height, width = size
    picture = Image.fromarray((gradient_picture(rng, size) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(4, 25)):
        x, y = rng.uniform(-0.2, 1) * width, rng.uniform(-0.2, 1) * height
        w, h = rng.uniform(0.05, 0.5, 2) * width
        fill = tuple(int(255 * c) for c in any_color(rng))
        (draw.rectangle if rng.random() < 0.6 else draw.ellipse)([x, y, x + w, y + h], fill=fill)
    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 6) * width / 224))
    return np.asarray(picture, np.float32) / 255


def sky_picture(rng, size) -> np.ndarray:
    """(H, W, 3) 0..1: a pale horizon below a darker zenith, sometimes with clouds."""
    zenith = np.array(vary(rng, [(0.35, 0.55, 0.85), (0.6, 0.66, 0.75), (0.75, 0.6, 0.55)][rng.integers(3)]))
    horizon = zenith + (0.95 - zenith) * rng.uniform(0.4, 0.9)
    share = np.linspace(1, 0, size[0])[:, None, None] ** rng.uniform(0.5, 2)
    picture = np.broadcast_to(share * zenith + (1 - share) * horizon, (*size, 3)).astype(np.float32)
    if rng.random() < 0.4:
        clouds = np.clip(noise_picture(rng, size).mean(axis=2, keepdims=True) * 3 - 1.5, 0, 1)
        picture = picture + (0.95 - picture) * clouds * 0.8
    return picture


def any_picture(rng, size) -> np.ndarray:
    """(H, W, 3) float32 0..1 display-referred, of any of the kinds above or of one colour."""
    style = rng.random()
    if style < 0.2:
        plain = np.asarray(any_color(rng) if rng.random() < 0.5 else (rng.uniform(0.6, 1),) * 3, np.float32)
        return np.broadcast_to(plain, (*size, 3)).copy()
    if style < 0.4:
        return gradient_picture(rng, size)
    if style < 0.55:
        return sky_picture(rng, size)
    if style < 0.7:
        share = noise_picture(rng, size)
        return (
            (any_color(rng) + (np.asarray(any_color(rng)) - any_color(rng)) * share)
            .clip(0, 1)
            .astype(np.float32)
        )
    return clutter_picture(rng, size)


def plane(
    rng, normal: np.ndarray, point: np.ndarray, along: np.ndarray, unit: float, farthest: float
) -> np.ndarray:
    """A row of `render.shade`'s planes, painted at random.

    normal, point, along: (3,) camera frame; along is a direction in the plane. unit: a length that
    sizes the pattern. farthest: depth beyond which the plane is not drawn.
    """
    patterns = [PLAIN, CHECKER, STRIPES, GRAIN, SPOTS]
    pattern = patterns[rng.choice(5, p=[0.3, 0.18, 0.2, 0.27, 0.05])]
    color = np.asarray(any_color(rng))
    color = color + (color.mean() - color) * rng.uniform(0, 0.9)  # floors and walls are seldom vivid
    contrast = rng.uniform(0.4, 0.95) if rng.random() < 0.8 else rng.uniform(0, 0.4)
    second = color * contrast if rng.random() < 0.85 else np.asarray(any_color(rng))
    across = np.cross(normal, along)
    turn = rng.uniform(0, np.pi)
    axes = np.cos(turn) * along + np.sin(turn) * across, np.cos(turn) * across - np.sin(turn) * along
    period = unit * rng.uniform(0.1, 0.9)
    finish = [pattern, period, rng.random(), rng.uniform(0, 0.35), rng.choice([0, 0, rng.uniform(0, 0.1)])]
    return np.concatenate([normal, [normal @ point], *axes, color, second, finish, [farthest]])
