"""What the clicks say about each pixel: the network's input, from a window of the photo.

Colours and distances are taken against the clicks, so that they mean the same in every photo.
"""

import cv2
import numpy as np

from vendor_model.segmentation.growth import geodesic_distances, grow
from vendor_model.segmentation.prompts import Prompts
from vendor_model.segmentation.regions import RegionGraph
from vendor_model.segmentation.windows import Window

CHANNELS = 12
"""Red, green, blue; positive and negative clicks; the box; the mask so far; then `REGION_CHANNELS`."""
REGION_CHANNELS = 5
CLICK_RADIUS = 2.5
"""Standard deviation of a click's spot in the network's pixels."""
FAR_GEODESIC = 400.0
FAR_COLOR = 60.0


def region_evidence(graph: RegionGraph, prompts: Prompts) -> np.ndarray:
    """(N, REGION_CHANNELS) float32 0..1 of each region: taken by classical growth; geodesic distance from
    the positive and from the negative clicks; difference of colour to both. A box's outside counts as
    negative for the distance, its middle as positive while nothing else does."""
    points, labels = prompts.points, prompts.labels
    allowed = None
    if prompts.box is not None:
        allowed = prompts.inside_box(*(graph.centers.T + 0.5))
        if not labels.any():
            last = np.array(graph.labels.shape[::-1]) - 1
            middle = np.reshape(prompts.box, (2, 2)).clip(0, last).mean(axis=0).astype(int)
            points, labels = np.vstack([points, middle]), np.append(labels, True)
    clicked = graph.labels[points[:, 1], points[:, 0]]
    positive, negative = clicked[labels], clicked[~labels]
    distances = geodesic_distances(graph, clicked)
    near, far = distances[labels], distances[~labels]
    chosen = grow(graph, positive, near, negative, far, allowed)
    if allowed is not None and not allowed.all():
        far = np.vstack([far, geodesic_distances(graph, np.flatnonzero(~allowed), nearest=True)])

    def geodesic(distance):
        smallest = distance.min(axis=0, initial=FAR_GEODESIC).clip(0, FAR_GEODESIC)
        return np.log1p(10 * smallest) / np.log1p(10 * FAR_GEODESIC)

    def difference(regions):
        colors = graph.features[:, None, :3] - graph.features[None, regions, :3]
        return np.linalg.norm(colors, axis=2).min(axis=1, initial=FAR_COLOR) / FAR_COLOR

    channels = [chosen, geodesic(near), geodesic(far), difference(positive), difference(negative)]
    return np.stack(channels, axis=1).astype(np.float32)


def network_input(
    rgb: np.ndarray,
    labels: np.ndarray,
    evidence: np.ndarray,
    prompts: Prompts,
    share: np.ndarray,
    window: Window,
    size: tuple[int, int],
) -> np.ndarray:
    """(CHANNELS, h, w) float32 for `size` (h, w). rgb: the photo (H, W, 3) uint8. labels: (H, W) regions.
    evidence: (N, REGION_CHANNELS) of the regions. share: (H, W) float32 0..1, the mask so far."""
    height, width = size
    cut = window.slices
    way = cv2.INTER_AREA if window.height > height or window.width > width else cv2.INTER_LINEAR
    found = np.zeros((CHANNELS, height, width), np.float32)
    color = cv2.resize(rgb[cut], (width, height), interpolation=way)
    found[:3] = color.transpose(2, 0, 1) * (4 / 255) - 2
    x = window.left + (np.arange(width) + 0.5) * (window.width / width)
    y = window.top + (np.arange(height) + 0.5) * (window.height / height)
    for (u, v), positive in zip(prompts.points + 0.5, prompts.labels, strict=True):
        across = np.exp(-0.5 * np.square((x - u) * width / (window.width * CLICK_RADIUS)))
        down = np.exp(-0.5 * np.square((y - v) * height / (window.height * CLICK_RADIUS)))
        channel = found[3 if positive else 4]
        np.maximum(channel, down[:, None] * across, out=channel)
    if prompts.box is not None:
        found[5] = prompts.inside_box(x, y[:, None])
    found[6] = cv2.resize(share[cut], (width, height), interpolation=way)
    found[7:] = evidence[labels[np.ix_(y.astype(int), x.astype(int))]].transpose(2, 0, 1)
    return found
