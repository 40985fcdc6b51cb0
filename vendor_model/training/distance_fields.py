"""Signed distance and colour of objects that are lists of simple solids, compiled for the CPU.

An object is a float32 table, one row a primitive, combined from the first row to the last: union,
smooth union (blend radius) or subtraction from all rows before. The same table is sphere-traced,
sampled into voxels, and asked for its albedo. Distances are lower bounds near carved and blended
edges and exact elsewhere, but for ellipsoids, whose distance is a first-order estimate.

Local coordinates of a primitive: AXES @ (point - CENTER). Its SIZE means
  BOX        half-sizes x, y, z
  ELLIPSOID  radii x, y, z
  CONE       radius at the bottom, radius at the top, half-height (along z)
  TORUS      ring radius, tube radius, half-length of straight pieces along x
  CAPSULE    half-length (along z), radius
  PRISM      half-width (x) at the bottom, at the top, half-depth (y), half-height (z)
"""

import numpy as np
from numba import njit

BOX, ELLIPSOID, CONE, TORUS, CAPSULE, PRISM = range(6)
UNION, SMOOTH_UNION, SUBTRACTION = range(3)
PLAIN, STRIPES, SECTORS, CHECKER, BAND, SPOTS, GRAIN = range(7)

KIND, OPERATION, BLEND = 0, 1, 2
CENTER, AXES, SIZE = 3, 6, 15
ROUNDING, REACH = 19, 20
PATTERN, PERIOD, PHASE = 21, 22, 23
COLOR, SECOND_COLOR = 24, 27
COLUMNS = 30

_fast = njit(cache=True, fastmath=True, nogil=True, error_model="numpy")


@_fast
def _cone_profile(x, z, bottom, top, height):
    """Distance in the plane to a symmetric trapezoid, x ≥ 0 measured from its axis."""
    cap_x = x - min(x, bottom if z < 0.0 else top)
    cap_z = abs(z) - height
    slope_x, slope_z = top - bottom, 2.0 * height
    along = ((top - x) * slope_x + (height - z) * slope_z) / (slope_x * slope_x + slope_z * slope_z)
    along = min(max(along, 0.0), 1.0)
    side_x = x - top + slope_x * along
    side_z = z - height + slope_z * along
    squared = min(cap_x * cap_x + cap_z * cap_z, side_x * side_x + side_z * side_z)
    return -np.sqrt(squared) if side_x < 0.0 and cap_z < 0.0 else np.sqrt(squared)


@_fast
def _primitive_distance(row, x, y, z):
    """Signed distance to one primitive, x, y, z relative to its centre."""
    u = row[6] * x + row[7] * y + row[8] * z
    v = row[9] * x + row[10] * y + row[11] * z
    w = row[12] * x + row[13] * y + row[14] * z
    kind = row[KIND]
    a, b, c, e = row[15], row[16], row[17], row[18]
    r = row[ROUNDING]
    if kind == BOX:
        a, b, c = abs(u) - a + r, abs(v) - b + r, abs(w) - c + r
        outside = max(a, 0.0) ** 2 + max(b, 0.0) ** 2 + max(c, 0.0) ** 2
        return np.sqrt(outside) + min(max(a, max(b, c)), 0.0) - r
    if kind == CONE:
        return _cone_profile(np.sqrt(u * u + v * v), w, max(a - r, 0.0), max(b - r, 0.0), c - r) - r
    if kind == ELLIPSOID:
        if a == b and b == c:
            return np.sqrt(u * u + v * v + w * w) - a
        k0 = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2)
        k1 = np.sqrt((u / (a * a)) ** 2 + (v / (b * b)) ** 2 + (w / (c * c)) ** 2)
        return k0 * (k0 - 1.0) / k1 if k1 > 1e-6 else -min(a, min(b, c))
    if kind == TORUS:
        u = max(abs(u) - c, 0.0)
        ring = np.sqrt(u * u + v * v) - a
        return np.sqrt(ring * ring + w * w) - b
    if kind == CAPSULE:
        w = max(abs(w) - a, 0.0)
        return np.sqrt(u * u + v * v + w * w) - b
    profile = _cone_profile(abs(u), w, max(a - r, 0.0), max(b - r, 0.0), e - r)
    depth = abs(v) - c + r
    return min(max(profile, depth), 0.0) + np.sqrt(max(profile, 0.0) ** 2 + max(depth, 0.0) ** 2) - r


@_fast
def table_distance(table, count, px, py, pz):
    """Signed distance of a point to the object that the first `count` rows make."""
    distance = 1e9
    for i in range(count):
        row = table[i]
        x, y, z = px - row[3], py - row[4], pz - row[5]
        operation = row[OPERATION]
        room = row[REACH] + row[BLEND] + (-distance if operation == SUBTRACTION else distance)
        if room < 0.0 or x * x + y * y + z * z > room * room:
            continue
        other = _primitive_distance(row, x, y, z)
        if operation == UNION:
            distance = min(distance, other)
        elif operation == SUBTRACTION:
            distance = max(distance, -other)
        else:
            blend = row[BLEND]
            overlap = max(blend - abs(distance - other), 0.0)
            distance = min(distance, other) - overlap * overlap * 0.25 / blend
    return distance


@_fast
def _hash(i, j, k):
    """A number in 0..1 for each lattice point."""
    n = (np.int64(i) * 73856093) ^ (np.int64(j) * 19349663) ^ (np.int64(k) * 83492791)
    n = (n ^ (n >> 13)) * 1274126177
    return ((n ^ (n >> 16)) & 0xFFFF) / 65535.0


@_fast
def value_noise(x, y, z):
    """Smooth noise in 0..1 with unit lattice."""
    i, j, k = np.floor(x), np.floor(y), np.floor(z)
    u, v, w = x - i, y - j, z - k
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                weight = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
                total += weight * _hash(i + a, j + b, k + c)
    return total


@_fast
def flat_noise(x, y):
    """Smooth noise in 0..1 of the plane, with unit lattice."""
    i, j = np.floor(x), np.floor(y)
    u, v = x - i, y - j
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    near = _hash(i, j, 0) + u * (_hash(i + 1, j, 0) - _hash(i, j, 0))
    far = _hash(i, j + 1, 0) + u * (_hash(i + 1, j + 1, 0) - _hash(i, j + 1, 0))
    return near + v * (far - near)


@_fast
def pattern_weight(pattern, x, y, z, period, phase, reach):
    """Share of the second colour, 0..1, at a point in local coordinates."""
    if pattern == PLAIN:
        return 0.0
    if pattern == STRIPES:
        return 1.0 if (z / period + phase) % 1.0 < 0.5 else 0.0
    if pattern == SECTORS:
        sectors = max(2.0, np.floor(3.0 * reach / period + 0.5))
        return 1.0 if (np.arctan2(y, x) / (2 * np.pi) * sectors + phase) % 1.0 < 0.5 else 0.0
    if pattern == CHECKER:
        shift = phase + 0.5
        cell = np.floor(x / period + shift) + np.floor(y / period + shift) + np.floor(z / period + shift)
        return cell % 2.0
    if pattern == BAND:
        return 1.0 if abs(z / reach - (phase - 0.5)) < 0.25 else 0.0
    if pattern == SPOTS:
        i, j, k = np.floor(x / period), np.floor(y / period), np.floor(z / period)
        u, v, w = x / period - i - 0.5, y / period - j - 0.5, z / period - k - 0.5
        return 1.0 if u * u + v * v + w * w < 0.16 and _hash(i, j, k) < 0.3 + 0.7 * phase else 0.0
    grain = value_noise(x * 5.0 / period, y * 5.0 / period, z / period + 7.0 * phase)
    return 0.6 * grain + 0.4 * value_noise(x * 11.0 / period, y * 11.0 / period, z * 2.0 / period)


@_fast
def table_albedo(table, px, py, pz):
    """Display-referred colour (r, g, b) of the surface nearest to a point."""
    distance, owner = 1e9, 0
    for i in range(table.shape[0]):
        row = table[i]
        x, y, z = px - row[3], py - row[4], pz - row[5]
        room = row[REACH] + (-distance if row[OPERATION] == SUBTRACTION else distance)
        if room < 0.0 or x * x + y * y + z * z > room * room:
            continue
        other = _primitive_distance(row, x, y, z)
        if row[OPERATION] == SUBTRACTION:
            if -other > distance:
                distance, owner = -other, i
        elif other < distance:
            distance, owner = other, i
    row = table[owner]
    x, y, z = px - row[3], py - row[4], pz - row[5]
    u = row[6] * x + row[7] * y + row[8] * z
    v = row[9] * x + row[10] * y + row[11] * z
    w = row[12] * x + row[13] * y + row[14] * z
    share = pattern_weight(row[PATTERN], u, v, w, row[PERIOD], row[PHASE], row[REACH])
    return (
        row[24] + share * (row[27] - row[24]),
        row[25] + share * (row[28] - row[25]),
        row[26] + share * (row[29] - row[26]),
    )


@_fast
def distances(table, points):
    """(P, COLUMNS), (N, 3) -> (N,) float32."""
    result = np.empty(len(points), np.float32)
    for i in range(len(points)):
        result[i] = table_distance(table, len(table), points[i, 0], points[i, 1], points[i, 2])
    return result


@_fast
def albedos(table, points):
    """(P, COLUMNS), (N, 3) -> (N, 3) float32."""
    result = np.empty((len(points), 3), np.float32)
    for i in range(len(points)):
        result[i] = table_albedo(table, points[i, 0], points[i, 1], points[i, 2])
    return result


@_fast
def grid_distances(table, resolution):
    """(P, COLUMNS) -> (R, R, R) float32 at cell centres (i + 0.5) / R - 0.5, axes x, y, z."""
    result = np.empty((resolution, resolution, resolution), np.float32)
    for i in range(resolution):
        x = (i + 0.5) / resolution - 0.5
        for j in range(resolution):
            y = (j + 0.5) / resolution - 0.5
            for k in range(resolution):
                result[i, j, k] = table_distance(table, len(table), x, y, (k + 0.5) / resolution - 0.5)
    return result
