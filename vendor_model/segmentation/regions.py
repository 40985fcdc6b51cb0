"""A photo as a graph of small regions (superpixels) that keep to its edges."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.sparse import csr_matrix

LONGEST_SIDE = 1280
"""Larger photos are looked at in this size."""
REGIONS = 2500
"""About so many superpixels; an object of 1/1000 of the photo still has some."""
DIFFERENCE_WEIGHT = 1.5
"""Of the regions' mean colours, beside the gradient on their boundary: it sees soft edges too."""
EDGE_POWER = 2.0
"""Above 1, one strong edge is farther than many weak ones of the same sum, such as shading."""
STEP = 0.01
"""Distance to a neighbour of the same colour."""


@dataclass(frozen=True)
class RegionGraph:
    """labels: (h, w) int32, the region 0..N-1 of each pixel. features: (N, 4) float32, mean colour
    (CIE L*a*b*) and texture (how far lightness is from its surroundings'). centers: (N, 2) float32 x, y in
    pixels. area: (N,) float32 pixels. frame: (N,) float32, pixels on the photo's frame.

    Neighbouring regions, once each: pairs: (E, 2) int64. length: (E,) float32 pixels of common boundary.
    contrast: (E,) float32, how much the photo changes across it and between the regions, L*a*b* units.
    """

    labels: np.ndarray
    features: np.ndarray
    centers: np.ndarray
    area: np.ndarray
    frame: np.ndarray
    pairs: np.ndarray
    length: np.ndarray
    contrast: np.ndarray

    @cached_property
    def mean_contrast(self) -> float:
        """Over all boundaries, by their length."""
        return max(float(np.average(self.contrast, weights=self.length)), 1e-3)

    @cached_property
    def steps(self) -> csr_matrix:
        """(N, N) float64: how far neighbours are from each other, by the edge between them."""
        length = (self.contrast / self.mean_contrast) ** EDGE_POWER + STEP
        return csr_matrix((length, self.pairs.T), (len(self.area), len(self.area)))


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
    area = np.bincount(labels.ravel()).astype(np.float32)

    def mean(value):
        return (np.bincount(labels.ravel(), value.ravel()) / area).astype(np.float32)

    lightness = lab[..., 0]
    texture = np.abs(lightness - cv2.GaussianBlur(lightness, (0, 0), 3))
    features = np.stack([*(mean(lab[..., channel]) for channel in range(3)), mean(texture)], axis=1)
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]]
    frame = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    pairs, length, gradient = _boundaries(labels, strength)
    difference = np.linalg.norm(features[pairs[:, 0]] - features[pairs[:, 1]], axis=1)
    return RegionGraph(
        labels,
        features,
        np.stack([mean(x), mean(y)], axis=1),
        area,
        np.bincount(frame, minlength=len(area)).astype(np.float32),
        pairs,
        length,
        gradient + DIFFERENCE_WEIGHT * difference,
    )


def _boundaries(labels: np.ndarray, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of neighbouring regions: (E, 2) int64 pairs, (E,) float32 pixels of boundary, mean edge strength."""
    count = int(labels.max()) + 1
    codes, across = [], []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = labels[here], labels[there]
        border = a != b
        codes.append(np.minimum(a, b)[border].astype(np.int64) * count + np.maximum(a, b)[border])
        across.append(np.maximum(strength[here], strength[there])[border])
    pairs, inverse, length = np.unique(np.concatenate(codes), return_inverse=True, return_counts=True)
    mean_strength = np.bincount(inverse, np.concatenate(across), len(pairs)) / length
    return (
        np.stack([pairs // count, pairs % count], axis=1),
        length.astype(np.float32),
        mean_strength.astype(np.float32),
    )
