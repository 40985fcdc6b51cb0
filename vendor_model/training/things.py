"""Generated toys, tools and packages.

Each function fills an empty Assembly: z up, the front (face, bonnet, door) towards −y; where no side
is the front, the longer side lies along x. Radii and half-sizes below 0.018 of the whole are avoided.
"""

import numpy as np

from vendor_model.training.assembly import Paint, turn
from vendor_model.training.distance_fields import STRIPES
from vendor_model.training.paints import any_color, decorated, metal, plain, wood


def ball(a, rng):
    a.ellipsoid((0, 0, 0), 0.5, decorated(rng))


def egg(a, rng):
    a.ellipsoid((0, 0, 0), (0.3, 0.3, 0.3 * rng.uniform(1.2, 1.7)), decorated(rng))
    if rng.random() < 0.5:
        a.cone((0, 0, -0.5), (0, 0, -0.25), 0.18, 0.24, decorated(rng), 0.02)


def crate(a, rng):
    u, paint = rng.uniform, decorated(rng) if rng.random() < 0.5 else wood(rng)
    half = np.array([u(0.25, 0.5), u(0.2, 0.5), u(0.15, 0.5)])
    half[:2] = np.sort(half[:2])[::-1]
    a.box((0, 0, 0), half, paint, rng.choice([0, u(0, 0.1)]))
    style = rng.random()
    if style < 0.3:
        trim, edge = wood(rng), 0.035
        for sx in (-1, 1):
            for sy in (-1, 1):
                a.box((sx * half[0], sy * half[1], 0), (edge, edge, half[2] + edge * 0.5), trim)
        for sz in (-1, 1):
            a.box((0, 0, sz * half[2]), (half[0] + edge * 0.9, half[1] + edge * 0.9, edge), trim)
    elif style < 0.5:
        ribbon = plain(rng)
        a.box((0, 0, 0.005), (half[0] + 0.012, u(0.03, 0.06), half[2] + 0.012), ribbon)
        a.box((0, 0, 0.005), (u(0.03, 0.06), half[1] + 0.012, half[2] + 0.012), ribbon)
        for sx in (-1, 1):
            a.torus(
                (sx * 0.07, 0, half[2] + 0.06),
                0.055,
                0.025,
                ribbon,
                rotation=turn("y", 30 * sx) @ turn("x", 90),
            )
    elif style < 0.7:
        a.box((0, 0, half[2]), half * (1.06, 1.06, 0.2), decorated(rng), 0.01)


def barrel(a, rng):
    u, paint = rng.uniform, decorated(rng)
    radius, half = u(0.2, 0.4), u(0.25, 0.45)
    a.cone((0, 0, -half), (0, 0, half), radius, radius, paint, u(0, 0.03))
    style = rng.random()
    if style < 0.5:
        hoop = metal(rng)
        for z in (-half * 0.9, -half * 0.35, half * 0.35, half * 0.9):
            a.torus((0, 0, z), radius, u(0.02, 0.03), hoop)
    elif style < 0.8:
        for sz in (-1, 1):
            a.cone((0, 0, sz * half), (0, 0, sz * (half + 0.025)), radius * 0.93, radius * 0.85, metal(rng))


def cone(a, rng):
    u, paint = rng.uniform, decorated(rng)
    radius, height = u(0.2, 0.4), u(0.45, 0.9)
    if rng.random() < 0.6:
        paint = Paint(any_color(rng), (0.92, 0.92, 0.92), STRIPES, height / rng.integers(1, 4), rng.random())
    a.cone((0, 0, 0), (0, 0, height), radius, u(0.02, 0.08), paint)
    if rng.random() < 0.6:
        half, base = radius * u(1.05, 1.4), plain(rng)
        a.box((0, 0, 0), (half, half, u(0.02, 0.035)), base, 0.01)


def hat(a, rng):
    u, paint = rng.uniform, decorated(rng)
    brim, crown, height = u(0.4, 0.5), u(0.17, 0.27), u(0.15, 0.5)
    a.cone((0, 0, 0), (0, 0, 0.05), brim, brim * u(0.95, 1.0), paint, 0.015)
    if rng.random() < 0.4:
        a.ellipsoid((0, 0, 0), (crown, crown, height), paint)
    else:
        a.cone((0, 0, 0), (0, 0, height), crown, crown * u(0.4, 1.1), paint, 0.02)
    a.cone((0, 0, 0.03), (0, 0, 0.1), crown * 1.05, crown * 1.03, plain(rng))


def ring(a, rng):
    u = rng.uniform
    if rng.random() < 0.7:
        a.torus((0, 0, 0), 0.35, u(0.06, 0.14), decorated(rng))
        if rng.random() < 0.4:
            a.torus((0, 0, 0.03), 0.35, u(0.06, 0.1), plain(rng))
    else:
        radius, half = u(0.3, 0.45), u(0.08, 0.25)
        a.cone((0, 0, -half), (0, 0, half), radius, radius, decorated(rng), 0.02)
        a.cone((0, 0, -1), (0, 0, 1), radius * u(0.4, 0.8), radius * u(0.4, 0.8), plain(rng), carve=True)


def hammer(a, rng):
    u, handle, head = rng.uniform, wood(rng), metal(rng)
    length, thick = u(0.7, 0.95), u(0.025, 0.045)
    a.cone((0, 0, 0), (0, 0, length), thick * u(1, 1.3), thick, handle, 0.01)
    wide, size = u(0.13, 0.25), u(0.05, 0.09)
    if rng.random() < 0.5:
        a.cone((-wide, 0, length), (wide * 0.6, 0, length), size, size, head, 0.01)
        a.cone((wide * 0.5, 0, length), (wide * 1.3, 0, length), size * 0.9, 0.02, head)
    else:
        a.box((0, 0, length), (wide, size, size), head, 0.015)


def axe(a, rng):
    u, head = rng.uniform, metal(rng)
    length, thick = u(0.65, 0.9), u(0.03, 0.045)
    a.cone((0, 0, 0), (0, 0, length), thick, thick, wood(rng), 0.01)
    reach, edge = u(0.2, 0.3), u(0.12, 0.2)
    sides = (-1, 1) if rng.random() < 0.3 else (1,)
    for sx in sides:
        center = (sx * reach / 2, 0, length - 0.1)
        a.prism(center, 0.06, edge, 0.035, reach / 2, head, 0.005, turn("y", 90 * sx))
    a.box((0, 0, length - 0.1), (0.05, 0.045, 0.06), head, 0.01)


def screwdriver(a, rng):
    u = rng.uniform
    length, grip = u(0.3, 0.55), u(0.3, 0.4)
    a.cone((0, 0, 0), (0, 0, grip), u(0.05, 0.08), u(0.06, 0.09), decorated(rng), 0.03)
    a.cone((0, 0, grip), (0, 0, grip + length), 0.025, 0.024, metal(rng))
    a.box((0, 0, grip + length), (0.035, 0.02, 0.03), metal(rng), 0.005)


def dumbbell(a, rng):
    u, paint = rng.uniform, decorated(rng)
    bar, thick, radius = u(0.15, 0.4), u(0.025, 0.05), u(0.12, 0.22)
    a.cone((-bar, 0, 0), (bar, 0, 0), thick, thick, metal(rng))
    wide = u(0.04, 0.12)
    spheres = rng.random() < 0.3
    for sx in (-1, 1):
        if spheres:
            a.ellipsoid((sx * (bar + radius * 0.7), 0, 0), radius, paint)
        else:
            a.cone((sx * bar, 0, 0), (sx * (bar + 2 * wide), 0, 0), radius, radius, paint, u(0.005, 0.03))
            if wide < 0.08:
                a.cone(
                    (sx * bar, 0, 0), (sx * (bar + 3.5 * wide), 0, 0), radius * 0.7, radius * 0.7, paint, 0.01
                )


def pawn(a, rng):
    u, paint = rng.uniform, wood(rng) if rng.random() < 0.5 else plain(rng)
    base, neck, height, head = u(0.2, 0.28), u(0.06, 0.1), u(0.4, 0.6), u(0.12, 0.17)
    a.cone((0, 0, 0), (0, 0, 0.08), base, base * 0.9, paint, 0.03)
    a.cone((0, 0, 0.06), (0, 0, height), base * 0.75, neck, paint, blend=0.08)
    a.cone((0, 0, height - 0.03), (0, 0, height + 0.02), neck * 2, neck * 1.8, paint, 0.015)
    if rng.random() < 0.7:
        a.ellipsoid((0, 0, height + head), head, paint)
    else:
        a.cone((0, 0, height), (0, 0, height + 0.25), neck * 1.2, neck * 2, paint, 0.01)
        a.ellipsoid((0, 0, height + 0.27), neck * 1.2, paint)


def trophy(a, rng):
    u, gold = rng.uniform, plain(rng, (0.8, 0.62, 0.25)) if rng.random() < 0.6 else metal(rng)
    radius, height = u(0.15, 0.24), u(0.25, 0.4)
    a.box((0, 0, 0.06), (u(0.12, 0.18), u(0.1, 0.12), 0.06), decorated(rng), 0.01)
    a.cone((0, 0, 0.1), (0, 0, 0.35), 0.06, 0.03, gold, blend=0.03)
    for sx in (-1, 1):
        a.torus(
            (sx * radius * 0.95, 0, 0.35 + height * 0.55), height * 0.28, 0.024, gold, rotation=turn("x", 90)
        )
    low = radius * u(0.4, 0.8)
    a.cone((0, 0, 0.33), (0, 0, 0.35 + height), low, radius, gold, 0.02)
    a.cone((0, 0, 0.4), (0, 0, 0.37 + height), low - 0.04, radius - 0.04, gold, carve=True)


def cake(a, rng):
    u, z, radius = rng.uniform, 0.0, rng.uniform(0.35, 0.45)
    for _ in range(rng.integers(1, 4)):
        height = u(0.12, 0.22)
        a.cone((0, 0, z), (0, 0, z + height), radius, radius, decorated(rng), 0.02)
        icing = plain(rng)
        a.torus((0, 0, z + height - 0.01), radius - 0.02, 0.03, icing)
        z, top, radius = z + height, radius, radius * u(0.6, 0.8)
    candles = rng.choice([0, 1, 4])
    for angle in np.arange(candles) * np.pi / 2:
        x, y = (top * 0.6 * np.cos(angle), top * 0.6 * np.sin(angle)) if candles > 1 else (0.0, 0.0)
        a.cone((x, y, z), (x, y, z + 0.14), 0.022, 0.022, plain(rng))


def blocks(a, rng):
    """Toy blocks stuck together at random: shapes that no category has."""
    u = rng.uniform
    solid = [(np.zeros(3), 0.0)]  # places and how far around them is inside
    for _ in range(rng.integers(2, 6)):
        place, room = solid[rng.integers(len(solid))]
        direction = rng.normal(size=3)
        place = place + direction / np.linalg.norm(direction) * room * u(0.5, 0.95)
        paint, size = decorated(rng), u(0.09, 0.24, 3)
        rotation = turn("z", u(0, 360)) @ turn("x", rng.choice([0, 0, 90, u(0, 360)]))
        shape, blend, room = rng.integers(5), rng.choice([0, 0, 0.06]), size.min()
        if shape == 0:
            a.box(place, size, paint, u(0, 0.05), rotation, blend)
        elif shape == 1:
            a.ellipsoid(place, size, paint, rotation, blend)
        elif shape == 2:
            axis = rotation[:, 2] * size[0]
            a.cone(
                place - axis, place + axis, size[1], size[2] * rng.choice([0.5, 1]), paint, u(0, 0.04), blend
            )
            room *= 0.7
        elif shape == 3:
            ring, room = size[0] * 0.8, max(size[1] * 0.35, 0.04)
            a.torus(place + ring * rotation[:, 0], ring, room, paint, 0, rotation, blend)
        else:
            a.prism(place, size[0], size[0] * u(0.4, 0.8), size[1], size[2], paint, u(0, 0.03), rotation)
            room *= 0.6
        solid.append((place, room))
