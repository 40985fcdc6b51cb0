"""Gaussian splats as a PLY file, in the layout that splat viewers read (spec texture.md §5)."""

import numpy as np

from vendor_model.types import Gaussians

PROPERTIES = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)


def encode_ply(gaussians: Gaussians) -> bytes:
    """Binary little-endian file, one 68-byte vertex a splat, in the splats' own frame.

    Opacities are stored as logits and scales as logarithms, the kernel's share included; normals are zero.
    """
    count = len(gaussians.positions)
    # An opacity that rounds to 0 or 1 would have an infinite logit.
    opacities = gaussians.opacities[:, None].astype(np.float64).clip(2.0**-100, 1 - 2.0**-24)
    rows = np.concatenate(
        [
            gaussians.positions,
            np.zeros((count, 3)),
            gaussians.colors_dc,
            np.log(opacities / (1 - opacities)),
            np.log(gaussians.scales),
            gaussians.rotations,
        ],
        axis=1,
    ).astype("<f4")
    properties = "".join(f"property float {name}\n" for name in PROPERTIES)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{properties}end_header\n"
    return header.encode("ascii") + rows.tobytes()


def encode_point_cloud(points: np.ndarray, colors: np.ndarray) -> bytes:
    """Binary file of coloured points: (..., 3) each, colours in 0..1; those not finite are left out."""
    points, colors = points.reshape(-1, 3), colors.reshape(-1, 3)
    known = np.isfinite(points).all(axis=1) & np.isfinite(colors).all(axis=1)
    rows = np.empty(known.sum(), dtype=[("place", "<f4", 3), ("color", "u1", 3)])
    rows["place"] = points[known]
    rows["color"] = np.clip(np.round(colors[known] * 255), 0, 255)
    properties = [
        *(f"float {axis}" for axis in "xyz"),
        *(f"uchar {name}" for name in ("red", "green", "blue")),
    ]
    lines = "".join(f"property {text}\n" for text in properties)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{lines}end_header\n"
    return header.encode("ascii") + rows.tobytes()
