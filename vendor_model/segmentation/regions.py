"""A photo as a graph of small regions (superpixels) that keep to its edges."""

from dataclasses import dataclass

import cv2
import numpy as np

LONGEST_SIDE = 1280
"""Larger photos are looked at in this size."""
REGIONS = 2500
"""About so many superpixels; an object of 1/1000 of the photo still has some."""


@dataclass(frozen=True)
class RegionGraph:
    """labels: (h, w) int32, the region 0..N-1 of each pixel. features: (N, F) float32, mean colour
    (CIE L*a*b*) and texture. centers: (N, 2) float32 x, y in pixels. area: (N,) pixels, float32.

    Neighbouring regions, once each: pairs: (E, 2) int64. length: (E,) pixels of common boundary.
    contrast: (E,) float32, how strongly the photo changes across it, L*a*b* units.
    """

    labels: np.ndarray
    features: np.ndarray
    centers: np.ndarray
    area: np.ndarray
    pairs: np.ndarray
    length: np.ndarray
    contrast: np.ndarray
    frame: np.ndarray
    palette: np.ndarray


def lab_colors(rgb: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 sRGB → (h, w, 3) float32 CIE L*a*b*."""
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def edge_strength(lab: np.ndarray) -> np.ndarray:
    """(h, w) float32: the largest colour gradient of three scales, L*a*b* units over an edge."""
    strength = np.zeros(lab.shape[:2], np.float32)
    for sigma in (1.0, 2.0, 4.0):
        smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
        dx, dy = cv2.Scharr(smooth, cv2.CV_32F, 1, 0), cv2.Scharr(smooth, cv2.CV_32F, 0, 1)
        np.maximum(strength, np.sqrt((dx * dx + dy * dy).sum(axis=2)) * (sigma / 16), out=strength)
    return strength


def superpixels(rgb: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """(h, w) int32 labels 0..N-1: watersheds of the flattest spot of every cell of a grid."""
    height, width = strength.shape
    cell = max(4, round(float(np.sqrt(height * width / REGIONS))))
    markers = np.zeros((height, width), np.int32)
    for number, (top, left) in enumerate(
        ((y, x) for y in range(0, height, cell) for x in range(0, width, cell)), start=1
    ):
        spot = strength[top : top + cell, left : left + cell]
        y, x = np.unravel_index(np.argmin(spot), spot.shape)
        markers[top + y, left + x] = number
    labels = cv2.watershed(np.ascontiguousarray(cv2.medianBlur(rgb, 3)), markers)
    labels = np.maximum(labels, 0).astype(np.float32)
    for _ in range(3):  # the lines between the basins, and the photo's frame, fall to a neighbour
        labels = np.where(labels > 0, labels, cv2.dilate(labels, np.ones((3, 3), np.uint8)))
    return np.unique(labels, return_inverse=True)[1].reshape(height, width).astype(np.int32)


def region_graph(rgb: np.ndarray) -> RegionGraph:
    """rgb: (h, w, 3) uint8."""
    lab = lab_colors(rgb)
    strength = edge_strength(lab)
    labels = superpixels(rgb, strength)
    count = int(labels.max()) + 1
    flat = labels.ravel()
    area = np.bincount(flat, minlength=count).astype(np.float32)

    def mean(values):
        return (np.bincount(flat, values.ravel(), minlength=count) / area).astype(np.float32)

    lightness = lab[..., 0]
    ripple = np.abs(lightness - cv2.GaussianBlur(lightness, (0, 0), 3))
    features = np.stack([*(mean(lab[..., c]) for c in range(3)), mean(ripple)], axis=1)
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]]
    centers = np.stack([mean(x), mean(y)], axis=1)

    first, second, across = [], [], []
    for a, b, s, t in (
        (labels[:, :-1], labels[:, 1:], strength[:, :-1], strength[:, 1:]),
        (labels[:-1], labels[1:], strength[:-1], strength[1:]),
    ):
        border = a != b
        first.append(np.minimum(a, b)[border])
        second.append(np.maximum(a, b)[border])
        across.append(np.maximum(s, t)[border])
    codes = np.concatenate(first).astype(np.int64) * count + np.concatenate(second)
    unique, inverse, length = np.unique(codes, return_inverse=True, return_counts=True)
    contrast = np.bincount(inverse, np.concatenate(across)) / length
    pairs = np.stack([unique // count, unique % count], axis=1)
    return RegionGraph(
        labels,
        features,
        centers,
        area,
        pairs,
        length.astype(np.float32),
        contrast.astype(np.float32),
        np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])),
        palette(features),
    )


def palette(features):
    cv2.setRNGSeed(1)
    return cv2.kmeans(features, min(32, len(features)), None, (3, 10, 1.0), 1, cv2.KMEANS_PP_CENTERS)[2]
