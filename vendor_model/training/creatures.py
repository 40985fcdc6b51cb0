"""Generated animals, figures and plants.

Each function fills an empty Assembly: z up, the front (face, bonnet, door) towards −y; where no side
is the front, the longer side lies along x. Radii and half-sizes below 0.018 of the whole are avoided.
"""

import numpy as np

from vendor_model.training.assembly import Paint, turn
from vendor_model.training.distance_fields import SPOTS
from vendor_model.training.paints import any_color, decorated, leaves, metal, plain, vary, wood


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
