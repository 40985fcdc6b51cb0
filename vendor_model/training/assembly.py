"""Putting an object together from primitives, painting it, and fitting it into the unit cube."""

from dataclasses import dataclass

import numpy as np

from vendor_model.training import distance_fields as fields
from vendor_model.training.bounds import bounding_box

LONGEST_SIDE = 0.94
THINNEST_HALF = 0.016


@dataclass(frozen=True)
class Paint:
    """Colours are display-referred sRGB in 0..1; period is the pattern's length in object units."""

    color: tuple
    second: tuple = (0.0, 0.0, 0.0)
    pattern: int = fields.PLAIN
    period: float = 0.2
    phase: float = 0.0


def turn(axis: str, degrees: float) -> np.ndarray:
    """(3, 3) rotation of column vectors about a coordinate axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    rotation = np.eye(3)
    rotation[i, i], rotation[j, j], rotation[i, j], rotation[j, i] = c, c, -s, s
    return rotation


def upright_to(direction: np.ndarray) -> np.ndarray:
    """(3, 3) rotation of column vectors that takes z to `direction`."""
    z = direction / np.linalg.norm(direction)
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


class Assembly:
    """A growing primitive table. z is up, the front looks towards −y; the unit is free until `fit`."""

    def __init__(self):
        self.rows = []

    def _add(self, kind, center, size, reach, paint, rounding, rotation, blend, carve):
        row = np.zeros(fields.COLUMNS)
        row[fields.KIND] = kind
        row[fields.OPERATION] = (
            fields.SUBTRACTION if carve else fields.SMOOTH_UNION if blend else fields.UNION
        )
        row[fields.BLEND] = blend
        row[fields.CENTER : fields.CENTER + 3] = center
        row[fields.AXES : fields.AXES + 9] = (np.eye(3) if rotation is None else rotation).T.ravel()
        row[fields.SIZE : fields.SIZE + len(size)] = size
        row[fields.ROUNDING] = rounding
        row[fields.REACH] = reach
        row[fields.PATTERN], row[fields.PERIOD], row[fields.PHASE] = paint.pattern, paint.period, paint.phase
        row[fields.COLOR : fields.COLOR + 3] = paint.color
        row[fields.SECOND_COLOR : fields.SECOND_COLOR + 3] = paint.second
        self.rows.append(row)

    def box(self, center, half, paint, rounding=0.0, rotation=None, blend=0.0, carve=False):
        half = np.asarray(half, float)
        rounding = min(rounding, 0.95 * half.min())
        self._add(fields.BOX, center, half, np.linalg.norm(half), paint, rounding, rotation, blend, carve)

    def ellipsoid(self, center, radii, paint, rotation=None, blend=0.0, carve=False):
        radii = np.broadcast_to(np.asarray(radii, float), 3)
        self._add(fields.ELLIPSOID, center, radii, radii.max(), paint, 0.0, rotation, blend, carve)

    def cone(self, bottom, top, radius, top_radius, paint, rounding=0.0, blend=0.0, carve=False):
        """A cylinder, cone or frustum between two points."""
        bottom, top = np.asarray(bottom, float), np.asarray(top, float)
        half = np.linalg.norm(top - bottom) / 2
        rounding = min(rounding, 0.95 * half, 0.95 * max(radius, top_radius))
        reach = np.hypot(max(radius, top_radius), half)
        size = (radius, top_radius, half)
        center, rotation = (bottom + top) / 2, upright_to(top - bottom)
        self._add(fields.CONE, center, size, reach, paint, rounding, rotation, blend, carve)

    def torus(self, center, ring, tube, paint, stretch=0.0, rotation=None, blend=0.0):
        size, reach = (ring, tube, stretch), ring + tube + stretch
        self._add(fields.TORUS, center, size, reach, paint, 0.0, rotation, blend, False)

    def capsule(self, start, end, radius, paint, blend=0.0):
        start, end = np.asarray(start, float), np.asarray(end, float)
        half = np.linalg.norm(end - start) / 2
        center, rotation = (start + end) / 2, upright_to(end - start)
        self._add(fields.CAPSULE, center, (half, radius), half + radius, paint, 0.0, rotation, blend, False)

    def prism(self, center, bottom, top, depth, height, paint, rounding=0.0, rotation=None, carve=False):
        """Trapezoid with half-widths bottom and top (x), half-height (z), pulled along y (half-depth)."""
        rounding = min(rounding, 0.95 * min(max(bottom, top), depth, height))
        reach = np.sqrt(max(bottom, top) ** 2 + depth**2 + height**2)
        size = (bottom, top, depth, height)
        self._add(fields.PRISM, center, size, reach, paint, rounding, rotation, 0.0, carve)

    def fit(self) -> tuple[np.ndarray, np.ndarray]:
        """Table (P, COLUMNS) float32 with its bounding box centred at the origin, longest side
        LONGEST_SIDE; and half the sides of that box (3,) float32.

        Parts that came out thinner than the grid can show are thickened, hence the second round.
        """
        table = np.array(self.rows, dtype=np.float64)
        for _ in range(2):
            low, high = bounding_box(table)
            scale = LONGEST_SIDE / (high - low).max()
            table[:, fields.CENTER : fields.CENTER + 3] -= (low + high) / 2
            lengths = [fields.BLEND, *range(3, 6), *range(15, 21), fields.PERIOD]
            table[:, lengths] *= scale
            thicken(table)
        return table.astype(np.float32), ((high - low) / 2 * scale).astype(np.float32)


def thicken(table: np.ndarray) -> None:
    """Make added (not carved) parts at least 2 · THINNEST_HALF thick, in place."""
    added = table[:, fields.OPERATION] != fields.SUBTRACTION
    for kind, columns in (
        (fields.BOX, (0, 1, 2)),
        (fields.ELLIPSOID, (0, 1, 2)),
        (fields.CONE, (2,)),
        (fields.TORUS, (1,)),
        (fields.CAPSULE, (1,)),
        (fields.PRISM, (2, 3)),
    ):
        rows = np.flatnonzero(added & (table[:, fields.KIND] == kind))
        for column in columns:
            table[rows, fields.SIZE + column] = np.maximum(table[rows, fields.SIZE + column], THINNEST_HALF)
    for i in np.flatnonzero(added & np.isin(table[:, fields.KIND], (fields.CONE, fields.PRISM))):
        size = table[i, fields.SIZE : fields.SIZE + 2]
        size += max(THINNEST_HALF - size.max(), 0.0)
