"""Sphere tracing and shading of primitive tables, compiled for the CPU.

Everything happens in the camera frame (PyTorch3D: x left, y up, z forward) with similarity transforms
per object, p_object = rotation @ (p_camera - translation) / scale, and planes {p : normal · p = offset}.
Colours are linear inside, the square of what is displayed: near enough to sRGB's curve, and quick.
"""

import numpy as np
from numba import njit

from vendor_model.training.distance_fields import (
    BLEND,
    COLUMNS,
    OPERATION,
    REACH,
    SUBTRACTION,
    flat_noise,
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
def _turned(rotation, x, y, z):
    return (
        rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z,
        rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z,
        rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z,
    )


@_fast
def _to_object(rotation, translation, scale, x, y, z):
    x, y, z = _turned(rotation, x - translation[0], y - translation[1], z - translation[2])
    return x / scale, y / scale, z / scale


@_fast
def _slab_span(half, x, dx):
    """Stretch of a line that lies within -half..half of one axis."""
    if abs(dx) < 1e-6:
        return (-1e9, 1e9) if abs(x) < half else (1e9, -1e9)
    first, second = (-half - x) / dx, (half - x) / dx
    return min(first, second), max(first, second)


@_fast
def _box_span(half, x, y, z, dx, dy, dz):
    """Stretch of a ray, clear of its start, within an object's bounding box; empty if start > end."""
    start_x, end_x = _slab_span(half[0] + 0.01, x, dx)
    start_y, end_y = _slab_span(half[1] + 0.01, y, dy)
    start_z, end_z = _slab_span(half[2] + 0.01, z, dz)
    return max(max(start_x, start_y), max(start_z, 0.025)), min(end_x, min(end_y, end_z))


@_fast
def _light(tables, starts, rotations, translations, scales, halves, px, py, pz, suns, hardness):
    """Share of the sun, 0..1, that arrives at a point of the camera frame."""
    share = 1.0
    for k in range(len(scales)):
        x, y, z = _to_object(rotations[k], translations[k], scales[k], px, py, pz)
        dx, dy, dz = suns[k, 0], suns[k, 1], suns[k, 2]
        at, end = _box_span(halves[k], x, y, z, dx, dy, dz)
        table = tables[starts[k] : starts[k + 1]]
        for _ in range(28):
            if at > end:
                break
            distance = table_distance(table, len(table), x + at * dx, y + at * dy, z + at * dz)
            if distance < 0.002:
                return 0.0
            share = min(share, hardness * distance / at)
            at += max(distance, 0.015)
    return share


@_fast
def _openness(tables, starts, rotations, translations, scales, halves, px, py, pz, nx, ny, nz):
    """How much of the surroundings a point sees, 0.25..1 for each object: what is near dims it."""
    reach, share = 0.12, 1.0
    for k in range(len(scales)):
        step = reach * scales[k]
        x, y, z = _to_object(
            rotations[k], translations[k], scales[k], px + step * nx, py + step * ny, pz + step * nz
        )
        half = halves[k]
        if abs(x) < half[0] + reach and abs(y) < half[1] + reach and abs(z) < half[2] + reach:
            table = tables[starts[k] : starts[k + 1]]
            distance = table_distance(table, len(table), x, y, z)
            share *= min(max(0.25 + 0.75 * distance / reach, 0.25), 1.0)
    return share


@_fast
def _object_normal(table, x, y, z):
    """Direction of growing distance, by differences over the corners of a tetrahedron."""
    e, n = 0.003, len(table)
    a = table_distance(table, n, x + e, y - e, z - e)
    b = table_distance(table, n, x - e, y - e, z + e)
    c = table_distance(table, n, x - e, y + e, z - e)
    d = table_distance(table, n, x + e, y + e, z + e)
    nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
    size = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
    return nx / size, ny / size, nz / size


@_fast
def _plane_color(plane, px, py, pz):
    """Display-referred colour of a painted plane."""
    u = px * plane[4] + py * plane[5] + pz * plane[6]
    v = px * plane[7] + py * plane[8] + pz * plane[9]
    period = plane[17]
    share = pattern_weight(plane[16], u, 0.31 * period, v, period, plane[18], period)
    u, v = 4.0 * u / period, 4.0 * v / period
    rough = 0.6 * flat_noise(u, v) + 0.4 * flat_noise(3.0 * u, 3.0 * v)
    dim = 1.0 + plane[19] * (rough - 0.5)
    return (
        min((plane[10] + share * (plane[13] - plane[10])) * dim, 1.0),
        min((plane[11] + share * (plane[14] - plane[11])) * dim, 1.0),
        min((plane[12] + share * (plane[15] - plane[12])) * dim, 1.0),
    )


@_fast
def _visible_plane(planes, x, y, depth):
    """Index and depth of the nearest plane in front of `depth` along (x, y, 1); -1 if there is none."""
    best = -1
    for m in range(len(planes)):
        slope = planes[m, 0] * x + planes[m, 1] * y + planes[m, 2]
        z = planes[m, 3] / slope if slope != 0.0 else -1.0
        if 0.0 < z < min(depth, planes[m, 21]):
            best, depth = m, z
    return best, depth


@_fast
def shade(
    backdrop,
    depth,
    owner,
    intrinsics,
    tables,
    starts,
    rotations,
    translations,
    scales,
    halves,
    gloss,
    planes,
    lights,
):
    """Colour of every pixel, (H, W, 3) float32 linear; planes behind the objects are added to `depth`.

    backdrop: (H, W, 3) display-referred, seen where nothing else is. depth: (H, W) float32 z, inf where
    no object is; owner: (H, W) index of the visible object or -1. halves: (K, 3) half-sizes of the objects'
    bounding boxes, object frame. planes: (M, 22) rows of normal (3), offset, two axes in the plane (3 each),
    two colours (3 each), pattern, period, phase, roughness, gloss and largest depth. lights: (5, 3)
    direction to the sun, its colour, the sky's colour, up, and (hardness of shadows, 0, 0).
    """
    height, width = depth.shape
    image = np.empty((height, width, 3), np.float32)
    focal, cx, cy = intrinsics[0, 0], intrinsics[0, 2], intrinsics[1, 2]
    sun, up = lights[0], lights[3]
    suns = np.empty((len(scales), 3))
    for k in range(len(scales)):
        suns[k] = _turned(rotations[k], sun[0], sun[1], sun[2])
    for i in range(height):
        for j in range(width):
            vx, vy = -(j + 0.5 - cx) / focal, -(i + 0.5 - cy) / focal
            k = owner[i, j]
            if k >= 0:
                z = depth[i, j]
                px, py, pz = vx * z, vy * z, z
                x, y, z = _to_object(rotations[k], translations[k], scales[k], px, py, pz)
                table = tables[starts[k] : starts[k + 1]]
                red, green, blue = table_albedo(table, x, y, z)
                nx, ny, nz = _object_normal(table, x, y, z)
                nx, ny, nz = _turned(rotations[k].T, nx, ny, nz)
                shine = gloss[k]
            else:
                m, z = _visible_plane(planes, vx, vy, depth[i, j])
                if m < 0:
                    for c in range(3):
                        image[i, j, c] = backdrop[i, j, c] ** 2
                    continue
                depth[i, j] = z
                px, py, pz = vx * z, vy * z, z
                red, green, blue = _plane_color(planes[m], px, py, pz)
                nx, ny, nz = planes[m, 0], planes[m, 1], planes[m, 2]
                shine = planes[m, 20]
            facing = nx * sun[0] + ny * sun[1] + nz * sun[2]
            share = 0.0
            if facing > 0.0:
                share = facing * _light(
                    tables, starts, rotations, translations, scales, halves, px, py, pz, suns, lights[4, 0]
                )
            sky = _openness(tables, starts, rotations, translations, scales, halves, px, py, pz, nx, ny, nz)
            sky *= 0.675 + 0.325 * (nx * up[0] + ny * up[1] + nz * up[2])
            length = np.sqrt(vx * vx + vy * vy + 1.0)
            hx, hy, hz = sun[0] - vx / length, sun[1] - vy / length, sun[2] - 1.0 / length
            aligned = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
            highlight = shine * max(aligned, 0.0) ** 40 if share > 0.0 else 0.0
            image[i, j, 0] = (
                red * red * (sky * lights[2, 0] + share * lights[1, 0]) + highlight * lights[1, 0]
            )
            image[i, j, 1] = (
                green * green * (sky * lights[2, 1] + share * lights[1, 1]) + highlight * lights[1, 1]
            )
            image[i, j, 2] = (
                blue * blue * (sky * lights[2, 2] + share * lights[1, 2]) + highlight * lights[1, 2]
            )
    return image
