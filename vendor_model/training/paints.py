"""Random colours and painted materials for generated things."""

import colorsys

import numpy as np

from vendor_model.training.assembly import Paint
from vendor_model.training.distance_fields import (
    BAND,
    CHECKER,
    GRAIN,
    PLAIN,
    SECTORS,
    SPOTS,
    STRIPES,
)

_WOODS = [(0.45, 0.28, 0.15), (0.62, 0.43, 0.26), (0.76, 0.58, 0.38), (0.33, 0.2, 0.12), (0.86, 0.74, 0.56)]


def vary(rng, color, amount=0.06) -> tuple:
    """The colour, a little lighter or darker and a little off."""
    shifted = np.asarray(color) * rng.uniform(1 - 2 * amount, 1 + 2 * amount)
    return tuple(np.clip(shifted + rng.uniform(-amount, amount, 3), 0.02, 0.98))


def any_color(rng) -> tuple:
    """Vivid, pastel, grey and dark colours."""
    style = rng.random()
    hue = rng.random()
    if style < 0.45:
        return colorsys.hsv_to_rgb(hue, rng.uniform(0.6, 1.0), rng.uniform(0.45, 0.95))
    if style < 0.65:
        return colorsys.hsv_to_rgb(hue, rng.uniform(0.15, 0.45), rng.uniform(0.7, 0.98))
    if style < 0.8:
        return colorsys.hsv_to_rgb(hue, rng.uniform(0.3, 0.9), rng.uniform(0.12, 0.4))
    return vary(rng, (rng.uniform(0.05, 0.95),) * 3, 0.02)


def plain(rng, color=None) -> Paint:
    """One colour."""
    return Paint(any_color(rng) if color is None else vary(rng, color))


def wood(rng) -> Paint:
    """Grained wood, sometimes painted."""
    if rng.random() < 0.25:
        return plain(rng)
    base = np.asarray(vary(rng, _WOODS[rng.integers(len(_WOODS))]))
    return Paint(
        tuple(base), tuple(base * rng.uniform(0.55, 0.8)), GRAIN, rng.uniform(0.15, 0.4), rng.random()
    )


def metal(rng) -> Paint:
    """Grey, golden, copper or painted metal."""
    tones = [(0.6, 0.6, 0.62), (0.3, 0.3, 0.32), (0.75, 0.6, 0.3), (0.65, 0.4, 0.28), (0.85, 0.85, 0.87)]
    return plain(rng, tones[rng.integers(len(tones))]) if rng.random() < 0.7 else plain(rng)


def leaves(rng) -> Paint:
    """Green or autumn foliage, mottled."""
    tones = [(0.2, 0.42, 0.15), (0.12, 0.3, 0.12), (0.4, 0.5, 0.15), (0.65, 0.4, 0.12), (0.25, 0.5, 0.3)]
    base = np.asarray(vary(rng, tones[rng.choice(5, p=[0.3, 0.2, 0.2, 0.1, 0.2])]))
    return Paint(
        tuple(base), tuple(base * rng.uniform(0.45, 0.75)), GRAIN, rng.uniform(0.08, 0.2), rng.random()
    )


def decorated(rng) -> Paint:
    """Any colour, about half of the time with a pattern of a second one."""
    pattern = rng.choice(
        [PLAIN, STRIPES, SECTORS, CHECKER, BAND, SPOTS, GRAIN], p=[0.45, 0.13, 0.07, 0.08, 0.1, 0.08, 0.09]
    )
    color = np.asarray(any_color(rng))
    second = np.asarray(any_color(rng))
    if pattern == GRAIN:
        second = np.clip(color * rng.uniform(0.5, 1.4), 0.02, 0.98)
    return Paint(tuple(color), tuple(second), int(pattern), rng.uniform(0.1, 0.35), rng.random())
