"""Cluttered photos with exact masks: generated scenes, more things pasted into them, and badly developed.

What a click network has to tell apart in real photos: things behind things, patterns that are no edges,
pictures on walls, blur, grain and compression. Pasted are objects of other scenes, plain quadrilaterals
(books, screens, posters) and blobs (cloth, leaves), small and large, plain and patterned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vendor_model.training.backdrops import any_picture, clutter_picture, noise_picture
from vendor_model.training.scenes import Scene

NOBODY = 255
"""Owner of the pixels of no object."""


@dataclass(frozen=True)
class Clutter:
    """photo: (H, W, 3) uint8 sRGB. owner: (H, W) uint8, the object that each pixel shows, or `NOBODY`."""

    photo: np.ndarray
    owner: np.ndarray


def from_scene(scene: Scene) -> Clutter:
    """A generated scene as it is."""
    owner = np.full(scene.photo.shape[:2], NOBODY, np.uint8)
    for index, mask in enumerate(scene.masks):
        owner[mask] = index
    return Clutter(scene.photo, owner)


def make_clutter(rng: np.random.Generator, scenes: Sequence[Clutter]) -> Clutter:
    """One of the scenes, or a picture, with none to a dozen things pasted on; photo of the scene's size.

    The same state of `rng` and the same scenes give the same photo.
    """
    base = scenes[rng.integers(len(scenes))]
    photo, owner = base.photo.astype(np.float32) / 255, base.owner.copy()
    size = owner.shape
    if rng.random() < 0.3:
        photo, owner = any_picture(rng, size), np.full(size, NOBODY, np.uint8)
    if rng.random() < 0.4:
        behind = (owner == NOBODY)[..., None]
        photo = np.where(behind, patterned(rng, photo, rng.uniform(0.1, 0.7)), photo)
    if rng.random() < 0.25:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.7, 4))
    few = owner.min() == NOBODY
    count = rng.choice([int(few), rng.integers(1, 4), rng.integers(4, 15)], p=[0.3, 0.3, 0.4])
    for number in range(count):
        thing, alpha = _thing(rng, scenes, size)
        photo = _paste(rng, photo, owner, thing, alpha, 100 + number)
    return Clutter(_develop(rng, photo), owner)


def objects(owner: np.ndarray, smallest: float = 0.0008) -> list[int]:
    """The owners that show at least this share of the photo, and at most 60 % of it."""
    numbers, counts = np.unique(owner[owner != NOBODY], return_counts=True)
    fitting = (counts >= smallest * owner.size) & (counts <= 0.6 * owner.size)
    return [int(number) for number in numbers[fitting]]


def patterned(rng, picture: np.ndarray, strength: float) -> np.ndarray:
    """The picture (H, W, 3) 0..1 with a pattern over it, of another colour or lighter and darker."""
    size = picture.shape[:2]
    style = rng.random()
    if style < 0.4:
        share = noise_picture(rng, size).mean(axis=2)
    elif style < 0.75:
        y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), min(size) * rng.uniform(0.02, 0.3)
        along = np.cos(angle) * x + np.sin(angle) * y
        across = np.cos(angle) * y - np.sin(angle) * x
        share = np.sin(2 * np.pi * along / period)
        if rng.random() < 0.5:
            share = share * np.sin(2 * np.pi * across / (period * rng.uniform(0.5, 3)))
        share = np.clip(0.5 + share * rng.choice([0.5, 5]), 0, 1)
    else:
        share = clutter_picture(rng, size).mean(axis=2)
    if rng.random() < 0.6:
        return np.clip(picture * (1 + strength * (2 * share[..., None] - 1)), 0, 1)
    other = rng.random(3, np.float32)
    return picture + strength * share[..., None] * (other - picture)


def _thing(rng, scenes, size) -> tuple[np.ndarray, np.ndarray]:
    """Colours (h, w, 3) 0..1 and cover (h, w) 0..1 of something to paste."""
    side = min(size) * np.exp(rng.uniform(np.log(0.06), np.log(0.6)))
    if rng.random() < 0.55:
        thing, cover = _cut_out(rng, scenes, side)
    else:
        height, width = (max(6, int(length)) for length in side * np.exp(rng.normal(0, 0.4, 2)))
        cover = (_quadrilateral if rng.random() < 0.5 else _blob)(rng, (height, width))
        thing = any_picture(rng, (height, width))
    if rng.random() < 0.45:
        thing = patterned(rng, thing, rng.uniform(0.1, 0.9))
    light = rng.uniform(0.6, 1.35) * rng.uniform(0.9, 1.1, 3)
    shade = np.linspace(*rng.uniform(0.7, 1.3, 2), thing.shape[int(rng.integers(2))])
    shade = shade[:, None, None] if len(shade) == thing.shape[0] else shade[None, :, None]
    return np.clip(thing * light * shade, 0, 1).astype(np.float32), cover


def _cut_out(rng, scenes, side: float) -> tuple[np.ndarray, np.ndarray]:
    while True:
        scene = scenes[rng.integers(len(scenes))]
        numbers = objects(scene.owner, 0.004)
        if numbers:
            break
    mask = scene.owner == numbers[rng.integers(len(numbers))]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    cover, thing = mask[window].astype(np.float32), scene.photo[window].astype(np.float32) / 255
    scale = side / max(cover.shape)
    width, height = (max(3, round(length * scale)) for length in cover.shape[::-1])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    thing, cover = (cv2.resize(picture, (width, height), interpolation=way) for picture in (thing, cover))
    flip = np.s_[:, ::-1] if rng.random() < 0.5 else np.s_[:]
    return thing[flip], cover[flip]


def _quadrilateral(rng, size) -> np.ndarray:
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) + rng.uniform(-0.25, 0.25, (4, 2))
    corners = corners.clip(0, 1) * (np.array(size[::-1]) - 1)
    cover = np.zeros(size, np.float32)
    cv2.fillConvexPoly(cover, np.round(16 * corners).astype(np.int32), 1.0, cv2.LINE_AA, 4)
    return cover


def _blob(rng, size) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    height = 1.1 - np.hypot(x, y) + rng.uniform(0, 1.2) * (noise_picture(rng, size).mean(axis=2) - 0.5)
    return np.clip((height - 0.35) * 0.25 * min(size) + 0.5, 0, 1).astype(np.float32)


def _paste(rng, photo, owner, thing, cover, number) -> np.ndarray:
    """The photo with the thing somewhere on it; `owner` is changed. Some throw a soft shadow."""
    (height, width), (h, w) = owner.shape, cover.shape
    top, left = rng.integers(-h // 4, height - 3 * h // 4), rng.integers(-w // 4, width - 3 * w // 4)
    rows, columns = slice(max(top, 0), min(top + h, height)), slice(max(left, 0), min(left + w, width))
    part = np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    alpha = np.zeros(owner.shape, np.float32)
    alpha[rows, columns] = cover[part]
    if rng.random() < 0.35:
        moved = np.roll(alpha, rng.integers(-h // 6, h // 6 + 1, 2), axis=(0, 1))
        shadow = cv2.GaussianBlur(moved, (0, 0), max(0.8, rng.uniform(0.02, 0.15) * min(h, w)))
        photo = photo * (1 - rng.uniform(0.2, 0.7) * shadow[..., None])
    photo = photo.copy()
    share = alpha[rows, columns][..., None]
    photo[rows, columns] += share * (thing[part] - photo[rows, columns])
    owner[alpha > 0.5] = number
    return photo


def _develop(rng, photo: np.ndarray) -> np.ndarray:
    """(H, W, 3) 0..1 to a uint8 photo: its saturation, tone, blur, grain and compression."""
    grey = photo.mean(axis=2, keepdims=True)
    photo = np.clip(grey + rng.uniform(0.25, 1.1) * (photo - grey), 0, 1) ** rng.uniform(0.65, 1.5)
    photo = 0.5 + rng.uniform(0.6, 1.1) * (photo - 0.5) + rng.uniform(-0.12, 0.12) + rng.normal(0, 0.02, 3)
    if rng.random() < 0.5:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.4, 1.2))
    photo = photo + rng.choice([0, rng.uniform(0, 0.05)]) * rng.standard_normal(photo.shape)
    photo = (np.clip(photo, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))]
        photo = cv2.imdecode(cv2.imencode(".jpg", photo, quality)[1], cv2.IMREAD_COLOR)
    return photo
