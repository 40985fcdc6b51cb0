"""Generated toys, tools, vehicles, buildings, plants and animals.

Each function fills an empty Assembly: z up, the front (face, bonnet, door) towards −y; where no side
is the front, the longer side lies along x. Radii and half-sizes below 0.018 of the whole are avoided.
"""

import numpy as np

from vendor_model.training.assembly import Paint, turn
from vendor_model.training.distance_fields import SPOTS, STRIPES
from vendor_model.training.paints import any_color, decorated, leaves, metal, plain, vary, wood


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


def snowman(a, rng):
    u, snow = rng.uniform, plain(rng, (0.9, 0.9, 0.93)) if rng.random() < 0.7 else decorated(rng)
    r, z = u(0.2, 0.27), 0.0
    parts = rng.integers(2, 4)
    for i in range(parts):
        a.ellipsoid((0, 0, z), r, snow, blend=0.02 if i else 0.0)
        head, head_r = z, r
        shrink = u(0.65, 0.8)
        z += r * (0.75 + 0.75 * shrink)
        r *= shrink
    dark = plain(rng, (0.1, 0.1, 0.1))
    a.cone(
        (0, -head_r * 0.9, head),
        (0, -head_r - u(0.06, 0.14), head),
        0.035,
        0.015,
        plain(rng, (0.9, 0.45, 0.1)),
    )
    for sx in (-1, 1):
        a.ellipsoid((sx * head_r * 0.35, -head_r * 0.85, head + head_r * 0.35), 0.024, dark)
        if parts == 3 and rng.random() < 0.7:
            a.capsule(
                (sx * 0.12, 0, head - 0.2),
                (sx * u(0.3, 0.36), u(-0.1, 0.1), head - u(0.0, 0.2)),
                0.02,
                wood(rng),
            )
    if rng.random() < 0.6:
        top, cloth = head + head_r * 0.8, decorated(rng)
        a.cone((0, 0, top), (0, 0, top + 0.035), head_r, head_r, cloth)
        a.cone((0, 0, top), (0, 0, top + u(0.1, 0.2)), head_r * 0.65, head_r * 0.65, cloth)
    if rng.random() < 0.5:
        a.torus((0, 0, head - head_r * 0.85), head_r * 0.65, 0.035, decorated(rng))


def tree(a, rng):
    u, bark, crown = rng.uniform, plain(rng, (0.36, 0.24, 0.15)), leaves(rng)
    trunk = u(0.15, 0.4)
    thick = u(0.03, 0.06)
    if rng.random() < 0.5:
        a.cone((0, 0, 0), (0, 0, trunk + 0.1), thick, thick * 0.8, bark)
        tiers, radius, z = rng.integers(1, 5), u(0.2, 0.32), trunk
        height = u(0.5, 0.8) / tiers
        for i in range(tiers):
            f = 1 - 0.75 * i / tiers
            a.cone((0, 0, z), (0, 0, z + height * 1.35), radius * f, radius * f * 0.15, crown, 0.01)
            z += height
    else:
        a.cone((0, 0, 0), (0, 0, trunk + 0.25), thick, thick * 0.7, bark)
        radius = u(0.2, 0.3)
        a.ellipsoid((0, 0, trunk + radius), (radius, radius, radius * u(0.9, 1.2)), crown)
        for _ in range(rng.integers(0, 6)):
            angle, r = u(0, 2 * np.pi), radius * u(0.4, 0.65)
            x, y = radius * 0.75 * np.cos(angle), radius * 0.75 * np.sin(angle)
            a.ellipsoid((x, y, trunk + radius * u(0.6, 1.6)), r, crown, blend=0.04)


def potted_plant(a, rng):
    u, pot = rng.uniform, decorated(rng) if rng.random() < 0.5 else plain(rng, (0.7, 0.38, 0.25))
    radius, height = u(0.14, 0.22), u(0.2, 0.32)
    a.cone((0, 0, 0), (0, 0, height), radius * u(0.6, 0.9), radius, pot, 0.01)
    a.cone((0, 0, height - 0.05), (0, 0, height), radius * 1.1, radius * 1.1, pot)
    a.cone(
        (0, 0, height - 0.03),
        (0, 0, height + 0.01),
        radius,
        radius,
        plain(rng, (0.2, 0.13, 0.09)),
        carve=True,
    )
    green = leaves(rng)
    style = rng.random()
    if style < 0.35:
        blades = rng.integers(5, 10)
        for i in range(blades):
            angle = 2 * np.pi * (i + u(-0.2, 0.2)) / blades
            lean, length = u(0.1, 0.35), u(0.25, 0.5)
            tip = (lean * np.cos(angle), lean * np.sin(angle), height + length)
            a.cone(
                (0.03 * np.cos(angle), 0.03 * np.sin(angle), height - 0.06), tip, u(0.03, 0.045), 0.02, green
            )
    elif style < 0.65:
        thick, tall = u(0.07, 0.12), u(0.25, 0.5)
        a.capsule((0, 0, height - 0.05), (0, 0, height + tall), thick, green)
        for sx in (-1, 1):
            if rng.random() < 0.7:
                z, out = height + tall * u(0.3, 0.6), thick + u(0.06, 0.12)
                a.capsule((0, 0, z), (sx * out, 0, z), thick * 0.5, green)
                a.capsule((sx * out, 0, z), (sx * out, 0, z + u(0.08, 0.2)), thick * 0.5, green)
    else:
        stem, crown = u(0.1, 0.3), u(0.16, 0.26)
        a.cone(
            (0, 0, height - 0.05), (0, 0, height + stem + 0.05), 0.025, 0.022, plain(rng, (0.36, 0.24, 0.15))
        )
        a.ellipsoid((0, 0, height + stem + crown * 0.8), crown, green)
        for _ in range(rng.integers(0, 5)):
            offset = rng.normal(size=3)
            offset *= crown * 0.8 / np.linalg.norm(offset)
            middle = np.array([0, 0, height + stem + crown * 0.8])
            a.ellipsoid(middle + offset, crown * u(0.3, 0.5), green, blend=0.03)
            a.ellipsoid(middle + 1.3 * offset, 0.035, plain(rng))


def mushroom(a, rng):
    u = rng.uniform
    stem, radius, height = u(0.06, 0.16), u(0.25, 0.42), u(0.25, 0.5)
    cap, dome = decorated(rng), u(0.45, 1.0) * radius
    if rng.random() < 0.4:
        cap = Paint(any_color(rng), vary(rng, (0.9, 0.9, 0.88)), SPOTS, u(0.15, 0.25), rng.random())
    pale = plain(rng, (0.88, 0.82, 0.7))
    a.ellipsoid((0, 0, height), (radius, radius, dome), cap)
    a.cone((0, 0, height - 0.01 - 2 * dome), (0, 0, height - 0.01), 1, 1, pale, carve=True)
    a.cone((0, 0, 0), (0, 0, height + 0.03), stem * u(1, 1.4), stem, pale, 0.02)


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


def robot(a, rng):
    u, body, limbs = rng.uniform, decorated(rng), metal(rng)
    width, depth, height = u(0.13, 0.2), u(0.09, 0.14), u(0.14, 0.22)
    leg, head = u(0.12, 0.22), u(0.08, 0.13)
    a.box((0, 0, leg + height), (width, depth, height), body, u(0.01, 0.05))
    top = leg + 2 * height
    a.cone((0, 0, top - 0.02), (0, 0, top + 0.05), 0.04, 0.04, limbs)
    skull = plain(rng)
    z = top + 0.03 + head
    a.box((0, 0, z), (head * u(0.9, 1.4), head, head), skull, rng.choice([0.01, head * 0.8]))
    for sx in (-1, 1):
        a.ellipsoid((sx * head * 0.45, -head, z + 0.02), 0.028, plain(rng, (0.9, 0.85, 0.3)))
        a.box((sx * width * 0.55, -0.02, leg * 0.5), (0.045, 0.055, leg * 0.5 + 0.01), limbs, 0.01)
        reach = u(-0.1, 0.2)
        a.capsule((sx * width, 0, top - 0.06), (sx * (width + 0.08), -reach, top - u(0.2, 0.3)), 0.035, limbs)
    if rng.random() < 0.5:
        a.capsule((0, 0, z + head), (0, 0, z + head + 0.1), 0.018, limbs)
        a.ellipsoid((0, 0, z + head + 0.1), 0.03, plain(rng))


def dog(a, rng):
    """A four-legged animal: dog, horse, pig, by proportions."""
    u, fur, dark = (
        rng.uniform,
        decorated(rng) if rng.random() < 0.5 else wood(rng),
        plain(rng, (0.08, 0.08, 0.08)),
    )
    length, belly, leg, thick = u(0.2, 0.32), u(0.09, 0.16), u(0.12, 0.32), u(0.03, 0.055)
    z = leg + belly * 0.7
    a.ellipsoid((0, 0, z), (belly, length, belly), fur)
    for sx in (-1, 1):
        for sy in (-1, 1):
            foot = (sx * belly * 0.6, sy * length * 0.62)
            a.cone((*foot, 0), (*foot, z), thick, thick * 1.1, fur, 0.01, blend=0.02)
    neck, head = u(0.08, 0.25), u(0.08, 0.12)
    hz, hy = z + neck, -length - u(0.02, 0.1)
    a.cone((0, -length * 0.7, z), (0, hy, hz), belly * 0.7, head * 0.7, fur, blend=0.05)
    a.ellipsoid((0, hy, hz), (head * 0.9, head, head * 0.9), fur, blend=0.03)
    snout = u(0.06, 0.14)
    a.cone((0, hy, hz - 0.02), (0, hy - head - snout * 0.6, hz - 0.03), head * 0.65, head * 0.45, fur, 0.02)
    a.ellipsoid((0, hy - head - snout * 0.6, hz - 0.02), 0.025, dark)
    ears = u(0.05, 0.12)
    for sx in (-1, 1):
        a.ellipsoid((sx * head * 0.4, hy - head * 0.72, hz + head * 0.45), 0.02, dark)
        a.ellipsoid(
            (sx * head * 0.65, hy, hz + head * 0.7), (0.03, 0.025, ears), fur, turn("y", sx * u(0, 60))
        )
    a.capsule((0, length * 0.9, z), (0, length + u(0.05, 0.15), z + u(-0.1, 0.15)), u(0.02, 0.035), fur)


def bear(a, rng):
    """A sitting soft toy."""
    u, fur, pale, dark = (
        rng.uniform,
        plain(rng),
        plain(rng, (0.85, 0.75, 0.6)),
        plain(rng, (0.08, 0.08, 0.08)),
    )
    belly, head = u(0.2, 0.26), u(0.15, 0.2)
    a.ellipsoid((0, 0, belly), (belly, belly * 0.85, belly * 1.1), fur)
    a.ellipsoid((0, -belly * 0.35, belly * 0.95), (belly * 0.65, belly * 0.55, belly * 0.7), pale)
    z = belly * 2 + head * 0.7
    a.ellipsoid((0, 0, z), (head * 1.1, head, head), fur, blend=0.02)
    a.ellipsoid((0, -head * 0.85, z - head * 0.2), (head * 0.45, head * 0.45, head * 0.38), pale)
    a.ellipsoid((0, -head * 1.3, z - head * 0.1), 0.028, dark)
    ear, long_ears = u(0.06, 0.08), rng.random() < 0.3
    for sx in (-1, 1):
        up = 0.14 if long_ears else 0.0
        a.ellipsoid((sx * head * 0.75, 0, z + head * 0.8 + up), (ear, 0.035, ear + up), fur)
        a.ellipsoid((sx * head * 0.4, -head * 0.9, z + head * 0.2), 0.024, dark)
        a.capsule(
            (sx * belly * 0.8, 0, belly * 1.6), (sx * (belly + 0.06), -0.12, belly * u(0.9, 1.9)), 0.06, fur
        )
        a.capsule((sx * belly * 0.6, -0.08, 0.04), (sx * belly * 0.95, -belly - 0.12, 0.06), 0.075, fur)


def duck(a, rng):
    u, body = rng.uniform, plain(rng, (0.92, 0.78, 0.15)) if rng.random() < 0.4 else decorated(rng)
    length, height, head = u(0.28, 0.36), u(0.17, 0.23), u(0.12, 0.16)
    a.ellipsoid((0, 0, height), (height * 1.1, length, height), body)
    hy, hz = -length * 0.6, height * 1.6 + head * u(0.7, 1.5)
    a.cone((0, -length * 0.5, height), (0, hy, hz), head * 0.8, head * 0.7, body, blend=0.06)
    a.ellipsoid((0, hy, hz), head, body, blend=0.04)
    a.ellipsoid((0, hy - head, hz - 0.02), (0.065, 0.09, 0.03), plain(rng, (0.9, 0.5, 0.1)))
    a.cone((0, length * 0.7, height * 1.2), (0, length * 1.1, height * 1.9), 0.09, 0.02, body, blend=0.05)
    for sx in (-1, 1):
        a.ellipsoid(
            (sx * head * 0.5, hy - head * 0.75, hz + head * 0.3), 0.024, plain(rng, (0.05, 0.05, 0.05))
        )
        a.ellipsoid((sx * height * 1.0, 0.05, height * 1.15), (0.05, length * 0.5, height * 0.45), body)


def fish(a, rng):
    u, skin, fins = rng.uniform, decorated(rng), plain(rng)
    length, height, width = u(0.3, 0.38), u(0.12, 0.22), u(0.07, 0.11)
    a.ellipsoid((0, 0, 0), (width, length, height), skin)
    a.prism(
        (0, length + 0.03, 0),
        u(0.03, 0.05),
        u(0.13, 0.2),
        0.02,
        0.1,
        fins,
        0.005,
        turn("x", -90) @ turn("z", 90),
    )
    a.prism((0, 0.02, height), u(0.12, 0.18), 0.06, 0.02, 0.07, fins, 0.005, turn("z", 90))
    for sx in (-1, 1):
        a.ellipsoid((sx * width * 0.7, -length * 0.65, height * 0.25), 0.03, plain(rng, (0.95, 0.95, 0.95)))
        a.ellipsoid(
            (sx * width, -length * 0.05, -height * 0.3), (0.07, 0.07, 0.022), fins, turn("y", sx * 40)
        )


def fruit(a, rng):
    """Apple, pear, pumpkin or lemon."""
    u = rng.uniform
    tones = [(0.75, 0.12, 0.1), (0.45, 0.65, 0.15), (0.9, 0.55, 0.1), (0.92, 0.8, 0.2)]
    skin, style = plain(rng, tones[rng.integers(4)]) if rng.random() < 0.7 else decorated(rng), rng.random()
    radius = 0.35
    if style < 0.4:
        a.ellipsoid((0, 0, 0), (radius, radius, radius * u(0.85, 1)), skin)
        a.cone((0, 0, radius * 0.75), (0, 0, radius * 1.1), 0.02, 0.12, skin, carve=True)
        top = radius * 0.72
    elif style < 0.7:
        a.ellipsoid((0, 0, 0), radius, skin)
        top = radius * u(1.4, 1.8)
        a.ellipsoid((0, 0, top - 0.16), radius * u(0.45, 0.6), skin, blend=0.2)
    else:
        ribs = rng.integers(6, 9)
        for angle in np.arange(ribs) * 2 * np.pi / ribs:
            x, y = radius * 0.5 * np.cos(angle), radius * 0.5 * np.sin(angle)
            a.ellipsoid((x, y, 0), (radius * 0.55, radius * 0.55, radius * 0.75), skin)
        top = radius * 0.6
    a.cone(
        (0, 0, top - 0.05),
        (u(-0.03, 0.03), 0, top + u(0.12, 0.2)),
        0.03,
        0.024,
        plain(rng, (0.35, 0.25, 0.12)),
    )
    if rng.random() < 0.5:
        a.ellipsoid((0.1, 0, top + 0.09), (0.11, 0.06, 0.024), leaves(rng), turn("y", -25))


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
