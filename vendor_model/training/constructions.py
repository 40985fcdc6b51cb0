"""Generated vehicles and buildings.

Each function fills an empty Assembly: z up, the front (face, bonnet, door) towards −y; where no side
is the front, the longer side lies along x. Radii and half-sizes below 0.018 of the whole are avoided.
"""

import numpy as np

from vendor_model.training.assembly import turn
from vendor_model.training.paints import decorated, metal, plain, wood


def house(a, rng):
    u, walls, roof = rng.uniform, decorated(rng) if rng.random() < 0.4 else plain(rng), decorated(rng)
    width, depth, height = u(0.3, 0.48), u(0.22, 0.4), u(0.15, 0.35)
    a.box((0, 0, height), (width, depth, height), walls)
    rise, eave = u(0.1, 0.22), u(0.02, 0.07)
    style = rng.random()
    if style < 0.45:
        a.prism((0, 0, 2 * height + rise), width + eave, 0.02, depth + eave, rise, roof)
    elif style < 0.85:
        a.prism(
            (0, 0, 2 * height + rise), depth + eave, 0.02, width + eave, rise, roof, rotation=turn("z", 90)
        )
    else:
        a.box((0, 0, 2 * height), (width + eave, depth + eave, 0.03), roof)
    if rng.random() < 0.6:
        x, y = u(-0.6, 0.6) * width, u(0, 0.6) * depth
        a.box((x, y, 2 * height + rise), (0.045, 0.045, rise + 0.04), plain(rng, (0.55, 0.25, 0.2)))
    door, glass = plain(rng), plain(rng, rng.choice([[0.2, 0.25, 0.35], [0.8, 0.85, 0.6]]))
    x = u(-0.4, 0.4) * width
    a.box((x, -depth, height * 0.5), (0.065, 0.02, height * 0.5), door)
    for sx in (-1, 1):
        wx = sx * width * u(0.55, 0.7)
        if abs(wx - x) > 0.15:
            a.box((wx, -depth, height * 1.15), (0.06, 0.018, 0.07), glass)
        a.box((sx * width, u(-0.4, 0.4) * depth, height * 1.15), (0.018, 0.06, 0.07), glass)


def tower(a, rng):
    u, wall = rng.uniform, decorated(rng)
    radius, height, roof = u(0.12, 0.2), u(0.4, 0.65), u(0.15, 0.3)
    a.cone((0, 0, 0), (0, 0, height), radius * u(1, 1.3), radius, wall)
    if rng.random() < 0.5:
        a.cone((0, 0, height), (0, 0, height + roof), radius * u(1.1, 1.5), 0.02, decorated(rng))
    else:
        a.cone((0, 0, height), (0, 0, height + 0.1), radius * 1.25, radius * 1.25, wall)
        a.cone((0, 0, height + 0.04), (0, 0, height + 0.2), radius * 0.95, radius * 0.95, wall, carve=True)
        for angle in np.arange(3) * np.pi / 3:
            notch = turn("z", np.degrees(angle))
            a.box((0, 0, height + 0.12), (0.4, 0.045, 0.06), wall, rotation=notch, carve=True)
    dark = plain(rng, (0.15, 0.12, 0.12))
    a.box((0, -radius * 1.1, 0.1), (0.06, 0.06, 0.1), dark)
    a.box((0, -radius * 0.98, height * 0.7), (0.03, 0.03, 0.05), dark)


def _wheels(a, rng, half_width, positions, radius, width):
    tyre, hub = plain(rng, (0.1, 0.1, 0.1)), metal(rng)
    for y in positions:
        for sx in (-1, 1):
            x = sx * half_width
            a.cone((x - sx * width, y, radius), (x + sx * width, y, radius), radius, radius, tyre, 0.01)
            a.cone((x, y, radius), (x + sx * (width + 0.012), y, radius), radius * 0.5, radius * 0.5, hub)


def car(a, rng):
    u, paint, glass = (
        rng.uniform,
        decorated(rng) if rng.random() < 0.3 else plain(rng),
        plain(rng, (0.15, 0.2, 0.28)),
    )
    width, length, height = u(0.17, 0.22), u(0.42, 0.5), u(0.06, 0.1)
    wheel = u(0.08, 0.11)
    a.box((0, 0, wheel + height), (width, length, height), paint, u(0.02, 0.06))
    cabin, start = u(0.16, 0.28), u(-0.02, 0.16)
    rise = u(0.07, 0.1)
    z = wheel + 2 * height + rise * 0.8
    side = turn("z", 90)
    a.prism((0, start, z), cabin, cabin * u(0.55, 0.85), width * 0.9, rise, glass, 0.02, side)
    a.prism((0, start, z + 0.004), cabin * 0.45, cabin * 0.45, width * 0.92, rise * 0.99, paint, 0.02, side)
    a.box((0, start, z + rise), (width * 0.85, cabin * 0.55, 0.022), paint, 0.015)
    _wheels(a, rng, width - 0.015, (-length * 0.62, length * 0.62), wheel, 0.035)
    light, tail = plain(rng, (0.95, 0.93, 0.75)), plain(rng, (0.75, 0.1, 0.1))
    for sx in (-1, 1):
        a.ellipsoid((sx * width * 0.65, -length, wheel + height * 1.1), (0.04, 0.02, 0.03), light)
        a.box((sx * width * 0.65, length, wheel + height * 1.2), (0.045, 0.018, 0.02), tail)


def truck(a, rng):
    u, paint, load = rng.uniform, plain(rng), decorated(rng)
    width, length, wheel = u(0.15, 0.2), u(0.42, 0.5), u(0.07, 0.1)
    a.box((0, 0, wheel + 0.03), (width * 0.9, length, 0.035), plain(rng, (0.2, 0.2, 0.2)))
    cab, tall = u(0.11, 0.15), u(0.13, 0.18)
    a.box((0, -length + cab, wheel + tall), (width, cab, tall), paint, 0.025)
    a.box((0, -length, wheel + tall * 1.35), (width * 0.85, 0.02, tall * 0.4), plain(rng, (0.15, 0.2, 0.28)))
    bed, style = length - cab - 0.02, rng.random()
    y, z = length - bed, wheel + 0.06
    if style < 0.5:
        high = u(0.15, 0.24)
        a.box((0, y, z + high), (width * 1.02, bed, high), load, 0.01)
    elif style < 0.75:
        radius = u(0.13, 0.17)
        a.cone((0, y - bed, z + radius), (0, y + bed, z + radius), radius, radius, load, 0.05)
    else:
        a.box((0, y, z + 0.08), (width, bed, 0.08), load)
        a.box((0, y, z + 0.12), (width - 0.035, bed - 0.035, 0.09), load, carve=True)
    _wheels(a, rng, width - 0.02, (-length * 0.7, length * 0.35, length * 0.75), wheel, 0.035)


def train(a, rng):
    u, paint, dark = rng.uniform, plain(rng), plain(rng, (0.15, 0.15, 0.16))
    radius, wheel, length = u(0.12, 0.16), u(0.07, 0.09), 0.48
    a.box((0, 0, wheel + 0.03), (radius * 1.15, length, 0.035), dark)
    z = wheel + 0.05 + radius
    a.cone((0, -length * 0.9, z), (0, length * 0.4, z), radius, radius, paint, 0.02)
    a.cone((0, -length * 0.95, z), (0, -length * 0.85, z), radius * 0.85, radius * 0.85, dark)
    a.box((0, length * 0.62, wheel + 0.22), (radius * 1.2, length * 0.32, 0.2), decorated(rng), 0.01)
    a.box((0, length * 0.62, wheel + 0.42), (radius * 1.4, length * 0.38, 0.022), dark)
    a.cone((0, -length * 0.65, z), (0, -length * 0.65, z + radius + u(0.1, 0.18)), 0.04, u(0.04, 0.07), dark)
    a.ellipsoid((0, -length * 0.1, z + radius), 0.06, metal(rng))
    _wheels(a, rng, radius, (-length * 0.7, -length * 0.25, length * 0.55), wheel, 0.03)


def boat(a, rng):
    u, hull, deck = rng.uniform, decorated(rng), wood(rng)
    length, width, height = 0.48, u(0.13, 0.2), u(0.06, 0.1)
    a.prism((0, 0.08, height), width * 0.6, width, length * 0.7, height, hull, 0.01)
    a.ellipsoid((0, -length * 0.55, height * 1.9), (width, length * 0.55, height * 1.9), hull)
    a.box((0, 0, height * 2 + 0.5), (1, 1, 0.5), deck, carve=True)
    a.box((0, 0.08, height * 2), (width * 0.8, length * 0.62, 0.03), deck, carve=True)
    if rng.random() < 0.5:
        mast = u(0.4, 0.7)
        a.cone((0, -0.05, height), (0, -0.05, mast + 0.1), 0.022, 0.02, wood(rng))
        sail = turn("z", 90)
        a.prism((0, 0.12, mast * 0.5 + 0.15), 0.17, 0.02, 0.018, mast * 0.4, decorated(rng), rotation=sail)
    else:
        a.box(
            (0, 0.12, height * 2 + 0.06),
            (width * 0.65, length * 0.3, 0.09),
            plain(rng, (0.9, 0.9, 0.9)),
            0.01,
        )
        a.cone((0, 0.12, height * 2), (0, 0.12, height * 2 + u(0.2, 0.3)), 0.05, 0.05, decorated(rng))


def rocket(a, rng):
    u, body, accent = rng.uniform, decorated(rng), plain(rng)
    radius, length, nose = u(0.09, 0.16), u(0.4, 0.6), u(0.12, 0.3)
    a.cone((0, 0, 0), (0, 0, length), radius * u(0.8, 1), radius, body)
    a.cone((0, 0, length), (0, 0, length + nose), radius, 0.02, accent, 0.01)
    a.cone((0, 0, -0.08), (0, 0, 0), radius * 0.8, radius * 0.5, metal(rng))
    fins, out = rng.choice([2, 4]), u(0.1, 0.2)
    for i in range(fins):
        spin = turn("z", 360 * i / fins)
        a.prism(spin @ np.array([radius, 0, 0.08]), out, 0.03, 0.02, u(0.12, 0.16), accent, 0.005, spin)
    a.ellipsoid((0, -radius * 0.9, length * 0.7), (0.05, 0.03, 0.05), plain(rng, (0.5, 0.7, 0.85)))


def airplane(a, rng):
    u, body, wings = rng.uniform, decorated(rng), plain(rng)
    radius, length, span = u(0.05, 0.08), 0.48, u(0.35, 0.5)
    a.ellipsoid((0, 0, 0), (radius, length, radius), body)
    a.cone((0, -length * 0.5, 0), (0, length * 0.5, 0), radius * 0.95, radius * 0.75, body, 0.03)
    chord, sweep, z = u(0.08, 0.13), u(-5, 25), u(-0.04, 0.05)
    for sx in (-1, 1):
        swing = turn("z", -sx * sweep)
        a.box(
            swing @ np.array([sx * span * 0.5, 0, 0]) + (0, -0.05, z),
            (span * 0.5, chord, 0.02),
            wings,
            0.01,
            swing,
        )
    tail = u(0.13, 0.2)
    a.box((0, length * 0.88, 0.01), (tail, 0.06, 0.018), wings, 0.01)
    a.box((0, length * 0.9, tail * 0.5), (0.018, 0.06, tail * 0.5), wings, 0.01, turn("x", -15))
    if rng.random() < 0.5:
        for sx in (-1, 1):
            x = sx * span * 0.45
            a.cone((x, -0.18, z - 0.03), (x, 0.06, z - 0.03), 0.04, 0.03, metal(rng), 0.01)
    else:
        a.ellipsoid((0, -length, 0), 0.035, metal(rng))
        a.box(
            (0, -length - 0.01, 0),
            (0.12, 0.016, 0.025),
            plain(rng, (0.2, 0.2, 0.2)),
            0.005,
            turn("y", u(0, 180)),
        )


def stairs(a, rng):
    u, paint = rng.uniform, decorated(rng) if rng.random() < 0.5 else wood(rng)
    steps, width = rng.integers(3, 6), u(0.15, 0.4)
    run, rise = u(0.7, 1.0) / steps, u(0.5, 0.9) / steps
    for i in range(steps):
        half = (steps - i) * run / 2
        a.box((0, 0.5 - half, (i + 0.5) * rise), (width, half, rise / 2 + 0.004), paint)
    if rng.random() < 0.3:
        for sx in (-1, 1):
            a.box(
                (sx * width, 0.5 - steps * run / 2, steps * rise / 2),
                (0.025, steps * run / 2, steps * rise / 2),
                wood(rng),
            )


def arch(a, rng):
    u, stone = rng.uniform, decorated(rng)
    width, depth, height = u(0.3, 0.45), u(0.1, 0.2), u(0.3, 0.48)
    a.box((0, 0, height), (width, depth, height), stone, u(0, 0.02))
    opening, spring = width * u(0.45, 0.7), height * u(0.5, 1.0)
    a.box((0, 0, spring / 2 - 0.1), (opening, 1, spring / 2 + 0.1), stone, carve=True)
    if rng.random() < 0.6:
        a.cone((0, -1, spring), (0, 1, spring), opening, opening, stone, carve=True)
    if rng.random() < 0.5:
        a.box((0, 0, 2 * height), (width * 1.15, depth * 1.2, 0.04), decorated(rng), 0.01)
    if spring + opening > 1.9 * height:
        a.box((0, 0, 2 * height), (width, depth, 0.06), stone)
