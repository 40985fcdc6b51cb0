"""Between display-referred sRGB and the linear colours that Blender computes with."""

import numpy as np


def linear_from_srgb(srgb: np.ndarray) -> np.ndarray:
    """Decode IEC 61966-2-1 values in 0..1, any shape."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: np.ndarray) -> np.ndarray:
    """Encode linear values, clipped to 0..1, any shape."""
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
