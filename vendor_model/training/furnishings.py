"""Generated household things: furniture, vessels and lights.

Each function fills an empty Assembly: z up, the front (seat, opening, face) towards −y; where no side
is the front, the longer side lies along x. Radii and half-sizes below 0.018 of the whole are avoided.
"""

import numpy as np

from vendor_model.training.assembly import turn
from vendor_model.training.paints import decorated, metal, plain, wood


def _four_legs(a, rng, width, depth, height, thickness, paint, spread=0.0, z=0.0):
    round_legs = rng.random() < 0.5
    taper = rng.uniform(0.6, 1.0)
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * (width - thickness), sy * (depth - thickness)
            if round_legs or spread:
                foot = (x + sx * spread, y + sy * spread, z)
                a.cone(foot, (x, y, z + height), thickness * taper, thickness, paint)
            else:
                a.box((x, y, z + height / 2), (thickness, thickness, height / 2), paint)


def table(a, rng):
    u, paint = rng.uniform, wood(rng)
    top = paint if rng.random() < 0.6 else decorated(rng)
    width, height, slab = u(0.35, 0.6), u(0.3, 0.75), u(0.02, 0.05)
    depth = width * u(0.5, 1.0)
    if rng.random() < 0.3:
        a.cone((0, 0, height), (0, 0, height + 2 * slab), width, width, top, u(0, 0.02))
        if rng.random() < 0.5:
            a.cone((0, 0, 0.02), (0, 0, height), u(0.03, 0.08), u(0.03, 0.06), paint)
            a.cone((0, 0, 0), (0, 0, u(0.03, 0.08)), width * u(0.5, 0.8), width * u(0.3, 0.5), paint)
        else:
            _four_legs(a, rng, width * 0.68, width * 0.68, height, u(0.025, 0.05), paint, u(0, 0.1))
        return
    a.box((0, 0, height + slab), (width, depth, slab), top, u(0, 0.02))
    _four_legs(a, rng, width * u(0.85, 1), depth * u(0.85, 1), height, u(0.025, 0.06), paint)
    if rng.random() < 0.35:
        a.box((0, 0, height - 0.05), (width * 0.85, depth * 0.85, 0.05), paint)
    elif rng.random() < 0.3:
        a.box((0, 0, height * u(0.2, 0.4)), (width * 0.85, depth * 0.85, 0.022), paint)


def desk(a, rng):
    u, paint, side = rng.uniform, wood(rng), wood(rng)
    width, depth, height = u(0.45, 0.65), u(0.22, 0.33), u(0.45, 0.65)
    a.box((0, 0, height), (width, depth, u(0.02, 0.035)), paint)
    drawers = u(0.12, 0.2)
    x = rng.choice([-1, 1]) * (width - drawers)
    a.box((x, 0, height / 2), (drawers, depth * 0.95, height / 2), side, 0.01)
    for i in range(3):
        a.box((x, -depth, height * (0.2 + 0.3 * i)), (drawers * 0.8, 0.02, height * 0.11), paint)
    if rng.random() < 0.5:
        a.box((-np.sign(x) * (width - 0.025), 0, height / 2), (0.025, depth * 0.95, height / 2), side)
    else:
        for y in (-depth * 0.85, depth * 0.85):
            a.box((-np.sign(x) * (width - 0.04), y, height / 2), (0.028, 0.028, height / 2), side)


def stool(a, rng):
    u, paint = rng.uniform, wood(rng)
    radius, height, slab = u(0.18, 0.3), u(0.35, 0.8), u(0.03, 0.07)
    seat = decorated(rng) if rng.random() < 0.5 else paint
    a.cone((0, 0, height), (0, 0, height + slab), radius, radius * u(0.9, 1), seat, slab * u(0.1, 0.45))
    spread, thickness = u(0.02, 0.14), u(0.022, 0.04)
    for angle in (np.arange(4) + 0.5) * np.pi / 2:
        c, s = np.sin(angle), -np.cos(angle)
        inner = radius * 0.75
        a.cone(
            ((inner + spread) * c, (inner + spread) * s, 0),
            (inner * c, inner * s, height),
            thickness,
            thickness,
            paint,
        )
    if rng.random() < 0.5:
        a.torus((0, 0, height * 0.4), radius * 0.75 + spread * 0.6, 0.02, paint)


def chair(a, rng):
    u, paint = rng.uniform, wood(rng)
    seat = decorated(rng) if rng.random() < 0.5 else paint
    width, depth, height, slab = u(0.2, 0.28), u(0.2, 0.27), u(0.35, 0.5), u(0.02, 0.05)
    back = u(0.35, 0.6)
    a.box((0, 0, height + slab), (width, depth, slab), seat, u(0, 0.02))
    thickness = u(0.02, 0.035)
    _four_legs(a, rng, width, depth, height, thickness, paint, rng.choice([0, u(0, 0.06)]))
    tilt = u(0, 0.1)
    y, z = depth - thickness, height + slab
    style = rng.random()
    if style < 0.45:
        lower = u(0.1, 0.2) if style > 0.3 else 0.0
        a.box(
            (0, y + tilt * 0.5, z + (back + lower) / 2),
            (width, u(0.018, 0.03), (back - lower) / 2),
            seat,
            u(0, 0.018),
            turn("x", -np.degrees(np.arctan2(tilt, back))),
        )
    if style > 0.3:
        for sx in (-1, 1):
            x = sx * (width - thickness)
            a.capsule((x, y, z), (x, y + tilt, z + back), thickness, paint)
        slats = rng.integers(1, 4)
        for i in range(slats):
            f = 1 - 0.3 * i
            a.box(
                (0, y + tilt * f, z + back * f - 0.04), (width - thickness, 0.018, u(0.03, 0.06)), paint, 0.01
            )
    if rng.random() < 0.25:
        for sx in (-1, 1):
            x = sx * width
            a.box((x, 0, z + 0.2), (0.025, depth, 0.02), paint, 0.01)
            a.box((x, -depth * 0.8, z + 0.1), (0.02, 0.02, 0.1), paint)


def armchair(a, rng):
    sofa(a, rng, u_width=rng.uniform(0.22, 0.3))


def sofa(a, rng, u_width=None):
    u = rng.uniform
    cloth, cushion = decorated(rng), decorated(rng)
    if rng.random() < 0.6:
        cushion = cloth
    width = u(0.45, 0.75) if u_width is None else u_width
    depth, seat, back, arm = u(0.24, 0.34), u(0.14, 0.22), u(0.16, 0.3), u(0.05, 0.1)
    foot, soft = u(0.03, 0.08), u(0.015, 0.05)
    a.box((0, 0, foot + seat / 2), (width + arm, depth, seat / 2), cloth, soft * 0.5)
    a.box((0, depth - 0.07, foot + seat + back / 2), (width, 0.07, back / 2 + 0.02), cloth, soft)
    rise = u(0.06, 0.16)
    for sx in (-1, 1):
        x = sx * (width + arm)
        if rng.random() < 0.5:
            a.box((x, 0, foot + (seat + rise) / 2), (arm, depth, (seat + rise) / 2), cloth, soft)
        else:
            a.box((x, 0, foot + seat / 2), (arm * 0.8, depth, seat / 2 + 0.02), cloth, soft)
            a.capsule(
                (x, -depth + arm, foot + seat + rise - arm),
                (x, depth - arm, foot + seat + rise - arm),
                arm,
                cloth,
            )
    pillows = 1 if u_width is not None else rng.integers(1, 4)
    for i in range(pillows):
        x = width * ((2 * i + 1) / pillows - 1)
        a.box((x, -0.05, foot + seat + 0.03), (width / pillows * 0.97, depth - 0.06, 0.045), cushion, 0.03)
    legs = wood(rng)
    for sx in (-1, 1):
        for sy in (-1, 1):
            a.cone(
                (sx * width, sy * depth * 0.8, 0),
                (sx * width, sy * depth * 0.8, foot + 0.02),
                0.025,
                0.03,
                legs,
            )


def bed(a, rng):
    u, frame = rng.uniform, wood(rng)
    width, length, height = u(0.22, 0.42), u(0.48, 0.55), u(0.08, 0.18)
    cover, sheet = decorated(rng), plain(rng, (0.85, 0.85, 0.85))
    a.box((0, 0, height), (width, length, u(0.03, 0.06)), frame, 0.01)
    a.box((0, 0, height + 0.07), (width * 0.95, length * 0.97, 0.06), sheet, 0.03)
    a.box((0, -length * 0.25, height + 0.08), (width * 0.98, length * 0.74, 0.06), cover, 0.03)
    head = u(0.2, 0.4)
    a.box((0, length, height / 2 + head / 2), (width, 0.025, head / 2 + height / 2), frame, u(0, 0.02))
    if rng.random() < 0.5:
        foot = u(0.1, 0.2)
        a.box((0, -length, height / 2 + foot / 2), (width, 0.022, foot / 2 + height / 2), frame, 0.01)
    _four_legs(a, rng, width, length, height, 0.03, frame)
    pillows = 2 if width > 0.32 else 1
    for i in range(pillows):
        x = width * 0.95 * ((2 * i + 1) / pillows - 1)
        a.ellipsoid((x, length * 0.75, height + 0.15), (width * 0.8 / pillows, 0.11, 0.055), sheet)


def bookcase(a, rng):
    u, paint = rng.uniform, wood(rng)
    width, depth, height, board = u(0.2, 0.45), u(0.1, 0.18), u(0.35, 0.6), u(0.018, 0.028)
    shelves = rng.integers(2, 5)
    a.box((0, depth - board, height), (width, board, height), paint)
    for sx in (-1, 1):
        a.box((sx * (width - board), 0, height), (board, depth, height), paint)
    pitch = 2 * (height - board) / shelves
    for i in range(shelves + 1):
        a.box((0, 0, board + i * pitch), (width, depth, board), paint)
        if i < shelves and rng.random() < 0.75:
            filled = u(0.3, 0.95) * (width - 2 * board)
            tall = pitch * u(0.5, 0.85) / 2
            books = decorated(rng)
            x = rng.choice([-1, 1]) * (width - 2 * board - filled)
            a.box((x, 0.02, 2 * board + i * pitch + tall - board), (filled, depth * 0.7, tall), books)


def cabinet(a, rng):
    u, paint = rng.uniform, wood(rng)
    width, depth, height, foot = u(0.25, 0.5), u(0.15, 0.25), u(0.2, 0.5), u(0.0, 0.1)
    a.box((0, 0, foot + height), (width, depth, height), paint, u(0, 0.03))
    front = paint if rng.random() < 0.3 else wood(rng)
    columns, rows = rng.integers(1, 3), rng.integers(1, 4)
    knob = metal(rng)
    for i in range(columns):
        for j in range(rows):
            x = width * ((2 * i + 1) / columns - 1)
            z = foot + height * (2 * j + 1) / rows
            a.box((x, -depth, z), (width / columns * 0.88, 0.02, height / rows * 0.86), front, 0.008)
            a.ellipsoid((x, -depth - 0.03, z), 0.022, knob)
    if foot > 0.03:
        _four_legs(a, rng, width * 0.95, depth * 0.9, foot + 0.02, 0.028, paint)


def lamp(a, rng):
    u, stand = rng.uniform, metal(rng)
    shade = decorated(rng)
    height, radius = u(0.4, 0.9), u(0.13, 0.26)
    rise = radius * u(0.8, 1.5)
    a.cone((0, 0, 0), (0, 0, u(0.03, 0.05)), radius * u(0.6, 0.95), radius * u(0.4, 0.7), stand, 0.01)
    if rng.random() < 0.4:
        bulge = u(0.07, 0.15)
        a.ellipsoid((0, 0, bulge), (bulge, bulge, bulge * u(0.9, 1.6)), decorated(rng), blend=0.03)
    a.cone((0, 0, 0), (0, 0, height + rise * 0.6), 0.022, 0.02, stand)
    if rng.random() < 0.2:
        a.ellipsoid((0, 0, height + radius * 0.8), radius * 0.9, shade)
    else:
        a.cone((0, 0, height), (0, 0, height + rise), radius, radius * u(0.35, 0.95), shade)


def candle(a, rng):
    u, wax = rng.uniform, decorated(rng)
    radius, height = u(0.05, 0.16), u(0.25, 0.7)
    if rng.random() < 0.65:
        holder, saucer = metal(rng), u(1.3, 2.5)
        a.cone((0, 0, -0.05), (0, 0, 0), radius * saucer, radius * saucer * u(0.9, 1.2), holder, 0.01)
        a.cone((0, 0, -0.02), (0, 0, u(0.05, 0.1)), radius * 1.25, radius * 1.25, holder, 0.01)
        if rng.random() < 0.5:
            a.torus((radius * saucer, 0, 0), 0.07, 0.02, holder, rotation=turn("x", 90))
    a.cone((0, 0, 0), (0, 0, height), radius, radius * u(0.85, 1), wax, u(0, 0.02))
    a.capsule((0, 0, height), (0, 0, height + 0.03), 0.018, plain(rng, (0.15, 0.12, 0.1)))
    if rng.random() < 0.5:
        a.ellipsoid((0, 0, height + 0.08), (0.025, 0.025, 0.055), plain(rng, (0.95, 0.7, 0.2)))


def bench(a, rng):
    u, paint, frame = rng.uniform, wood(rng), metal(rng)
    width, depth, height = u(0.45, 0.6), u(0.1, 0.18), u(0.2, 0.32)
    planks = rng.integers(1, 4)
    for i in range(planks):
        y = depth * ((2 * i + 1) / planks - 1)
        a.box((0, y, height), (width, depth / planks * (0.85 if planks > 1 else 1), 0.022), paint, 0.005)
    back = rng.random() < 0.7
    for sx in (-1, 1):
        x = sx * width * 0.8
        a.box((x, 0, height / 2), (0.025, depth, height / 2), frame, 0.01)
        if back:
            a.box((x, depth, height + 0.1), (0.022, 0.022, 0.17), frame, rotation=turn("x", -10))
    if back:
        for i in range(rng.integers(1, 3)):
            a.box(
                (0, depth + 0.015 * i, height + 0.11 + 0.12 * i),
                (width, 0.02, 0.042),
                paint,
                0.005,
                turn("x", -10),
            )


def bottle(a, rng):
    u, paint = rng.uniform, decorated(rng)
    radius, body, neck = u(0.1, 0.2), u(0.3, 0.55), u(0.03, 0.06)
    shoulder, rise = u(0.08, 0.2), u(0.08, 0.22)
    a.cone((0, 0, 0), (0, 0, body), radius, radius * u(0.9, 1.05), paint, u(0.01, 0.05))
    a.cone(
        (0, 0, body - 0.03), (0, 0, body + shoulder), radius * 0.97, neck, paint, 0.01, blend=u(0.02, 0.08)
    )
    a.cone((0, 0, body + shoulder - 0.03), (0, 0, body + shoulder + rise), neck, neck * u(0.9, 1.1), paint)
    if rng.random() < 0.7:
        top = body + shoulder + rise
        a.cone((0, 0, top - 0.04), (0, 0, top + u(0.01, 0.04)), neck * 1.2, neck * 1.2, plain(rng), 0.005)
    if rng.random() < 0.6:
        low = body * u(0.15, 0.3)
        a.cone((0, 0, low), (0, 0, body * u(0.6, 0.9)), radius * 1.04, radius * 1.04, decorated(rng))


def vase(a, rng):
    u, paint = rng.uniform, decorated(rng)
    belly, neck, height = u(0.16, 0.3), u(0.05, 0.13), u(0.5, 0.9)
    middle = height * u(0.3, 0.6)
    a.cone((0, 0, 0), (0, 0, middle), belly * u(0.4, 0.7), belly * 0.75, paint, 0.01)
    a.ellipsoid((0, 0, middle), (belly, belly, belly * u(0.8, 1.4)), paint, blend=0.1)
    a.cone((0, 0, middle), (0, 0, height), neck * u(1, 1.5), neck, paint, blend=0.08)
    lip = neck * u(1.0, 2.0)
    a.cone((0, 0, height - 0.08), (0, 0, height), neck, lip, paint, 0.008, blend=0.04)
    inner = max(lip - 0.045, 0.02)
    a.cone((0, 0, height - 0.25), (0, 0, height + 0.01), max(neck - 0.045, 0.012), inner, paint, carve=True)
    if rng.random() < 0.2:
        for sx in (-1, 1):
            a.torus((sx * neck * 1.2, 0, height * 0.8), 0.09, 0.024, paint, rotation=turn("x", 90))


def mug(a, rng):
    u, paint = rng.uniform, decorated(rng)
    radius, height, wall = u(0.16, 0.26), u(0.3, 0.55), u(0.026, 0.04)
    size = min(height * u(0.28, 0.38), 0.16)
    handle = paint if rng.random() < 0.7 else plain(rng)
    stretch = max(height * 0.3 - size, 0) * u(0, 1)
    a.torus(
        (radius, 0, height * 0.5), size * 0.8, u(0.024, 0.036), handle, stretch, turn("x", 90) @ turn("z", 90)
    )
    top = radius * u(0.95, 1.15)
    a.cone((0, 0, 0), (0, 0, height), radius, top, paint, u(0.0, 0.03))
    inside = paint if rng.random() < 0.5 else plain(rng, (0.9, 0.9, 0.88))
    a.cone((0, 0, u(0.04, 0.07)), (0, 0, height + 0.02), radius - wall, top - wall, inside, 0.01, carve=True)


def bowl(a, rng):
    u, paint = rng.uniform, decorated(rng)
    radius, height, wall = u(0.3, 0.45), u(0.15, 0.35), u(0.03, 0.045)
    inside = paint if rng.random() < 0.5 else decorated(rng)
    if rng.random() < 0.5:
        low = radius * u(0.4, 0.8)
        a.cone((0, 0, 0), (0, 0, height), low, radius, paint, 0.01)
        a.cone((0, 0, wall), (0, 0, height + wall), low - wall, radius, inside, 0.01, carve=True)
    else:
        a.ellipsoid((0, 0, height), (radius, radius, height), paint)
        a.cone((0, 0, -0.02), (0, 0, 0.04), radius * 0.5, radius * 0.45, paint)
        a.ellipsoid((0, 0, height), (radius - wall, radius - wall, height - wall), inside, carve=True)
        a.cone((0, 0, height), (0, 0, height + 1), 1, 1, inside, carve=True)


def bucket(a, rng):
    u, paint = rng.uniform, decorated(rng)
    radius, height, wall = u(0.2, 0.28), u(0.35, 0.5), 0.03
    low = radius * u(0.65, 0.9)
    if rng.random() < 0.6:
        a.torus((0, 0, height), radius, 0.022, metal(rng), rotation=turn("x", 90 + u(-50, 50)))
        a.cone((0, 0, 0), (0, 0, height - 0.02), 1, 1, paint, carve=True)
    a.cone((0, 0, 0), (0, 0, height), low, radius, paint)
    a.torus((0, 0, height), radius, 0.025, plain(rng) if rng.random() < 0.5 else paint)
    a.cone((0, 0, wall), (0, 0, height + 0.02), low - wall, radius - wall, paint, carve=True)


def teapot(a, rng):
    u, paint = rng.uniform, decorated(rng)
    radius, squash = u(0.24, 0.32), u(0.7, 1.0)
    height = radius * squash
    a.torus((-radius * 1.05, 0, 0), height * 0.5, u(0.026, 0.036), paint, rotation=turn("x", 90))
    a.ellipsoid((0, 0, 0), (radius, radius, height), paint)
    a.cone(
        (radius * 0.7, 0, -height * 0.2),
        (radius * 1.5, 0, height * u(0.5, 0.9)),
        0.08,
        0.032,
        paint,
        blend=0.05,
    )
    a.cone((0, 0, -height), (0, 0, -height * 0.8), radius * 0.65, radius * 0.6, paint)
    lid = paint if rng.random() < 0.5 else plain(rng)
    a.ellipsoid((0, 0, height * 0.9), (radius * 0.5, radius * 0.5, height * 0.22), lid)
    a.ellipsoid((0, 0, height * 1.15 + 0.03), 0.045, lid)


def monitor(a, rng):
    u, case = rng.uniform, plain(rng, (rng.choice([0.1, 0.3, 0.8]),) * 3)
    width, height, thick = u(0.35, 0.5), u(0.2, 0.32), u(0.02, 0.06)
    stand = u(0.08, 0.2)
    a.box((0, 0, stand + height), (width, thick, height), case, 0.012)
    a.box((0, -thick, stand + height), (width * 0.93, 0.02, height * 0.9), decorated(rng))
    a.box((0, thick, (stand + height) / 2), (u(0.03, 0.08), 0.02, (stand + height) / 2), case)
    a.box((0, 0, 0.02), (width * u(0.3, 0.6), u(0.1, 0.17), 0.02), case, 0.01)


def laptop(a, rng):
    u, case = rng.uniform, metal(rng)
    width, depth = u(0.35, 0.45), u(0.24, 0.32)
    opening = u(-5, 40)
    a.box((0, 0, 0), (width, depth, 0.022), case, 0.01)
    a.box((0, -depth * 0.1, 0.012), (width * 0.85, depth * 0.45, 0.018), plain(rng, (0.15, 0.15, 0.16)))
    lean = turn("x", -opening)
    for y, half, paint in (
        (0.0, (width, 0.02, depth), case),
        (-0.012, (width * 0.92, 0.016, depth * 0.88), decorated(rng)),
    ):
        center = np.array([0, depth, 0]) + lean @ np.array([0, y, depth])
        a.box(center, half, paint, 0.008, lean)
