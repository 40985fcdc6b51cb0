"""Sphere tracing and shading of primitive tables, compiled for the CPU.

Everything happens in the camera frame (PyTorch3D: x left, y up, z forward) with similarity transforms
per object, p_object = rotation @ (p_camera - translation) / scale, and planes {p : normal · p = offset}.
Colours are linear inside and become display-referred at the very end.
"""

import numpy as np
from numba import njit

from vendor_model.training.distance_fields import (
    BLEND,
    COLUMNS,
    OPERATION,
    REACH,
    SUBTRACTION,
    pattern_weight,
    table_albedo,
    table_distance,
)

_TILE = 8
_EPSILON = 0.0015
_fast = njit(cache=True, fastmath=True, nogil=True, error_model="numpy")


@_fast
def _cull(table, near, origin, direction, spread):
    """Copy the rows a cone of rays can touch to `near`; return their number and the span along the ray."""
    count, solid = 0, False
    start, end = 1e9, 0.0
    for i in range(table.shape[0]):
        row = table[i]
        x, y, z = row[3] - origin[0], row[4] - origin[1], row[5] - origin[2]
        squared = x * x + y * y + z * z
        along = x * direction[0] + y * direction[1] + z * direction[2]
        reach = row[REACH] + row[BLEND]
        allowed = reach + spread * np.sqrt(squared) + 0.01
        if squared - along * along > allowed * allowed or along < -reach:
            continue
        near[count] = row
        count += 1
        if row[OPERATION] != SUBTRACTION:
            solid = True
            distance = np.sqrt(squared)
            start, end = min(start, distance - reach), max(end, distance + reach)
    return (count if solid else 0), max(start, 0.0), end


@_fast
def _hit(table, count, origin, direction, start, end, epsilon):
    """Length along the ray to the first surface, or -1."""
    at = start
    for _ in range(72):
        distance = table_distance(
            table,
            count,
            origin[0] + at * direction[0],
            origin[1] + at * direction[1],
            origin[2] + at * direction[2],
        )
        if distance < epsilon:
            return at
        at += 0.93 * distance
        if at > end:
            return -1.0
    return at if distance < 4 * epsilon else -1.0


@_fast
def trace(table, rotation, translation, scale, intrinsics, left, top, width, height):
    """Depth z (height, width) float32 of one object in a window of the image plane; inf where it is not.

    The window's corner (left, top) may lie outside the photo.
    """
    depth = np.full((height, width), np.inf, np.float32)
    near = np.empty((table.shape[0], COLUMNS), np.float32)
    focal, cx, cy = intrinsics[0, 0], intrinsics[0, 2], intrinsics[1, 2]
    origin = -rotation @ translation / scale
    ray, direction = np.empty(3), np.empty(3)
    for tile_y in range(0, height, _TILE):
        for tile_x in range(0, width, _TILE):
            ray[0] = -(left + tile_x + 0.5 * _TILE - cx) / focal
            ray[1] = -(top + tile_y + 0.5 * _TILE - cy) / focal
            ray[2] = 1.0
            length = np.sqrt(ray[0] ** 2 + ray[1] ** 2 + 1.0)
            direction[:] = rotation @ ray / length
            spread = 0.72 * _TILE / focal
            count, start, end = _cull(table, near, origin, direction, spread)
            if count == 0:
                continue
            for i in range(tile_y, min(tile_y + _TILE, height)):
                for j in range(tile_x, min(tile_x + _TILE, width)):
                    ray[0] = -(left + j + 0.5 - cx) / focal
                    ray[1] = -(top + i + 0.5 - cy) / focal
                    length = np.sqrt(ray[0] ** 2 + ray[1] ** 2 + 1.0)
                    for k in range(3):
                        direction[k] = (
                            rotation[k, 0] * ray[0] + rotation[k, 1] * ray[1] + rotation[k, 2]
                        ) / length
                    at = _hit(near, count, origin, direction, start, end, _EPSILON)
                    if at > 0.0:
                        depth[i, j] = at * scale / length
    return depth


@_fast
def _to_object(rotation, translation, scale, point, result):
    x, y, z = point[0] - translation[0], point[1] - translation[1], point[2] - translation[2]
    for k in range(3):
        result[k] = (rotation[k, 0] * x + rotation[k, 1] * y + rotation[k, 2] * z) / scale


@_fast
def _light(tables, starts, rotations, translations, scales, point, sun, softness):
    """Share of the sun, 0..1, that arrives at a point of the camera frame."""
    share = 1.0
    origin, direction = np.empty(3), np.empty(3)
    for k in range(len(scales)):
        _to_object(rotations[k], translations[k], scales[k], point, origin)
        for i in range(3):
            direction[i] = (
                rotations[k, i, 0] * sun[0] + rotations[k, i, 1] * sun[1] + rotations[k, i, 2] * sun[2]
            )
        along = -(origin[0] * direction[0] + origin[1] * direction[1] + origin[2] * direction[2])
        apart = origin[0] ** 2 + origin[1] ** 2 + origin[2] ** 2 - along * along
        radius = 0.82
        if apart > radius * radius:
            continue
        half = np.sqrt(radius * radius - apart)
        at, end = max(along - half, 0.025), along + half
        if end < at:
            continue
        table = tables[starts[k] : starts[k + 1]]
        for _ in range(28):
            distance = table_distance(
                table,
                len(table),
                origin[0] + at * direction[0],
                origin[1] + at * direction[1],
                origin[2] + at * direction[2],
            )
            if distance < 0.002:
                share = 0.0
                break
            share = min(share, softness * distance / at)
            at += max(distance, 0.012)
            if at > end:
                break
        if share <= 0.0:
            return 0.0
    return share


@_fast
def _openness(tables, starts, rotations, translations, scales, point, normal, reach):
    """How much of the surroundings a point sees, 0..1: objects nearby dim it."""
    open_share = 1.0
    lifted, local = np.empty(3), np.empty(3)
    for k in range(len(scales)):
        step = reach * scales[k]
        for i in range(3):
            lifted[i] = point[i] + step * normal[i]
        _to_object(rotations[k], translations[k], scales[k], lifted, local)
        if local[0] ** 2 + local[1] ** 2 + local[2] ** 2 < (0.82 + reach) ** 2:
            table = tables[starts[k] : starts[k + 1]]
            distance = table_distance(table, len(table), local[0], local[1], local[2])
            open_share *= min(max(0.25 + 0.75 * distance / reach, 0.25), 1.0)
    return open_share


@_fast
def _shade(color, normal, view, share, open_share, lights, gloss, result):
    """Diffuse sun, two-tone sky light and a highlight, on a linear albedo; lights (4, 3):
    direction to the sun, its colour, sky colour, up."""
    sun = max(normal[0] * lights[0, 0] + normal[1] * lights[0, 1] + normal[2] * lights[0, 2], 0.0) * share
    up = 0.5 + 0.5 * (normal[0] * lights[3, 0] + normal[1] * lights[3, 1] + normal[2] * lights[3, 2])
    half, length = np.empty(3), 0.0
    for k in range(3):
        half[k] = lights[0, k] - view[k]
        length += half[k] ** 2
    aligned = (normal[0] * half[0] + normal[1] * half[1] + normal[2] * half[2]) / np.sqrt(length + 1e-9)
    highlight = gloss * max(aligned, 0.0) ** 40 * share
    for k in range(3):
        sky = lights[2, k] * (0.35 + 0.65 * up) * open_share
        result[k] = color[k] ** 2.2 * (sky + lights[1, k] * sun) + lights[1, k] * highlight


@_fast
def shade(
    backdrop, depth, owner, intrinsics, tables, starts, rotations, translations, scales, gloss, planes, lights
):
    """Colour of every pixel, (H, W, 3) float32 linear; planes behind the objects are added to `depth`.

    backdrop: (H, W, 3) display-referred, seen where nothing else is. depth: (H, W) float32 z, inf where
    no object is; owner: (H, W) index of the visible object or -1. planes: (M, 22) rows of normal (3),
    offset, two axes in the plane (3 each), two colours (3 each), pattern, period, phase, roughness, gloss
    and largest depth. lights: (5, 3), see `_shade`; lights[4, 0] is the hardness of shadows.
    """
    height, width = depth.shape
    image = np.empty((height, width, 3), np.float32)
    focal, cx, cy = intrinsics[0, 0], intrinsics[0, 2], intrinsics[1, 2]
    point, local, normal, view = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    color, result = np.empty(3), np.empty(3)
    softness = lights[4, 0]
    for i in range(height):
        for j in range(width):
            view[0], view[1], view[2] = -(j + 0.5 - cx) / focal, -(i + 0.5 - cy) / focal, 1.0
            length = np.sqrt(view[0] ** 2 + view[1] ** 2 + 1.0)
            k = owner[i, j]
            if k >= 0:
                for m in range(3):
                    point[m] = view[m] * depth[i, j]
                _to_object(rotations[k], translations[k], scales[k], point, local)
                table = tables[starts[k] : starts[k + 1]]
                x, y, z = local[0], local[1], local[2]
                e, n = 0.003, len(table)
                a = table_distance(table, n, x + e, y - e, z - e)
                b = table_distance(table, n, x - e, y - e, z + e)
                c = table_distance(table, n, x - e, y + e, z - e)
                d = table_distance(table, n, x + e, y + e, z + e)
                nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
                size = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
                for m in range(3):
                    r = rotations[k]
                    normal[m] = (r[0, m] * nx + r[1, m] * ny + r[2, m] * nz) / size
                color[0], color[1], color[2] = table_albedo(table, x, y, z)
                shine = gloss[k]
            else:
                best = -1
                for m in range(len(planes)):
                    plane = planes[m]
                    slope = plane[0] * view[0] + plane[1] * view[1] + plane[2]
                    z = plane[3] / slope if slope != 0.0 else -1.0
                    if 0.0 < z < depth[i, j] and z < plane[21]:
                        depth[i, j] = z
                        best = m
                if best < 0:
                    for m in range(3):
                        image[i, j, m] = backdrop[i, j, m] ** 2.2
                    continue
                plane = planes[best]
                for m in range(3):
                    point[m], normal[m] = view[m] * depth[i, j], plane[m]
                u = point[0] * plane[4] + point[1] * plane[5] + point[2] * plane[6]
                v = point[0] * plane[7] + point[1] * plane[8] + point[2] * plane[9]
                weight = pattern_weight(plane[16], u, 0.31 * plane[17], v, plane[17], plane[18], plane[17])
                rough = pattern_weight(6, u, 3.7, v, plane[17] * 0.37, plane[18], 1.0)
                for m in range(3):
                    mixed = plane[10 + m] + weight * (plane[13 + m] - plane[10 + m])
                    color[m] = min(max(mixed * (1.0 + plane[19] * (rough - 0.5)), 0.0), 1.0)
                shine = plane[20]
            for m in range(3):
                view[m] /= length
            facing = normal[0] * lights[0, 0] + normal[1] * lights[0, 1] + normal[2] * lights[0, 2]
            share = 0.0
            if facing > 0.0:
                share = _light(tables, starts, rotations, translations, scales, point, lights[0], softness)
            open_share = _openness(tables, starts, rotations, translations, scales, point, normal, 0.12)
            _shade(color, normal, view, share, open_share, lights, shine, result)
            for m in range(3):
                image[i, j, m] = result[m]
    return image
