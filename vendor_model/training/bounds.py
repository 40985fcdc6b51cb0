"""The bounding box of a primitive table, found on its distance field.

For each of the six directions rays start outside and march inwards; the one that hits first tells
the face of the box. Seeds are the farthest points of the primitives (exact for unions) and a grid
(for carved and blended shapes), then rays around the best one.
"""

import numpy as np
from numba import njit

from vendor_model.training.distance_fields import (
    AXES,
    BOX,
    CAPSULE,
    CENTER,
    CONE,
    ELLIPSOID,
    KIND,
    OPERATION,
    REACH,
    ROUNDING,
    SIZE,
    SUBTRACTION,
    TORUS,
    UNION,
    table_distance,
)

_GRID = 14
_compile = njit(cache=True, fastmath=True, nogil=True, error_model="numpy")


@_compile
def _farthest_point(row, axis, sign, point):
    """Write the point of a primitive that lies farthest along sign · axis."""
    nx = sign * row[AXES + axis]
    ny = sign * row[AXES + 3 + axis]
    nz = sign * row[AXES + 6 + axis]
    a, b, c, e = row[SIZE], row[SIZE + 1], row[SIZE + 2], row[SIZE + 3]
    r = row[ROUNDING]
    kind = row[KIND]
    across = np.sqrt(nx * nx + ny * ny)
    round_x, round_y = (nx / across, ny / across) if across > 1e-6 else (1.0, 0.0)
    if kind == BOX:
        x, y, z = np.sign(nx) * (a - r), np.sign(ny) * (b - r), np.sign(nz) * (c - r)
    elif kind == ELLIPSOID:
        length = max(np.sqrt((a * nx) ** 2 + (b * ny) ** 2 + (c * nz) ** 2), 1e-9)
        x, y, z = a * a * nx / length, b * b * ny / length, c * c * nz / length
    elif kind == CONE:
        a, b, c = max(a - r, 0.0), max(b - r, 0.0), c - r
        upper = b * across + nz * c > a * across - nz * c
        radius = b if upper else a
        x, y, z = radius * round_x, radius * round_y, c if upper else -c
    elif kind == TORUS:
        x, y, z = a * round_x + c * np.sign(nx), a * round_y, 0.0
        r = b
    elif kind == CAPSULE:
        x, y, z = 0.0, 0.0, a * np.sign(nz)
        r = b
    else:
        a, b, e = max(a - r, 0.0), max(b - r, 0.0), e - r
        upper = b * abs(nx) + nz * e > a * abs(nx) - nz * e
        x = (b if upper else a) * np.sign(nx)
        y, z = (c - r) * np.sign(ny), e if upper else -e
    x, y, z = x + r * nx, y + r * ny, z + r * nz
    for i in range(3):
        point[i] = row[CENTER + i] + row[AXES + i] * x + row[AXES + 3 + i] * y + row[AXES + 6 + i] * z


@_compile
def _march(table, point, axis, sign, start, best):
    """First inside coordinate (times sign) along the ray through `point`, or `best` if none is larger."""
    at = start
    for _ in range(100):
        point[axis] = sign * at
        distance = table_distance(table, len(table), point[0], point[1], point[2])
        if distance < 2e-4:
            return at
        at -= 0.9 * distance
        if at <= best:
            return best
    return at


@_compile
def bounding_box(table):
    """(P, COLUMNS) float64 -> lower and upper corner, each (3,)."""
    corners = np.empty((2, 3))
    outer = np.empty((2, 3))
    outer[0], outer[1] = 1e9, -1e9
    for row in table:
        if row[OPERATION] != SUBTRACTION:
            for axis in range(3):
                outer[0, axis] = min(outer[0, axis], row[CENTER + axis] - row[REACH])
                outer[1, axis] = max(outer[1, axis], row[CENTER + axis] + row[REACH])
    carved = np.any(table[:, OPERATION] != UNION)
    point = np.empty(3)
    for axis in range(3):
        p, q = (axis + 1) % 3, (axis + 2) % 3
        for side in range(2):
            sign = 2.0 * side - 1.0
            start = sign * outer[side, axis] + 0.01
            best, best_p, best_q = sign * outer[1 - side, axis], 0.0, 0.0
            for seed in range(len(table) + (_GRID * _GRID if carved else 0)):
                if seed < len(table):
                    if table[seed, OPERATION] == SUBTRACTION:
                        continue
                    _farthest_point(table[seed], axis, sign, point)
                else:
                    i, j = divmod(seed - len(table), _GRID)
                    point[p] = outer[0, p] + (i + 0.5) / _GRID * (outer[1, p] - outer[0, p])
                    point[q] = outer[0, q] + (j + 0.5) / _GRID * (outer[1, q] - outer[0, q])
                found = _march(table, point, axis, sign, start, best)
                if found > best:
                    best, best_p, best_q = found, point[p], point[q]
            step = 0.25 * max(outer[1, p] - outer[0, p], outer[1, q] - outer[0, q]) / _GRID
            for _ in range(4 if carved else 0):
                center_p, center_q = best_p, best_q
                for i in range(-3, 4):
                    for j in range(-3, 4):
                        point[p], point[q] = center_p + i * step, center_q + j * step
                        found = _march(table, point, axis, sign, start, best)
                        if found > best:
                            best, best_p, best_q = found, point[p], point[q]
                step *= 0.3
            corners[side, axis] = sign * best
    return corners[0], corners[1]
