"""Random textured objects: a category's shape, drawn anew each time, in the unit cube.

Object frame: z up, the front towards −y (where no side is the front, the longer side lies along x);
the bounding box is centred at the origin and its longest side is 0.94.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vendor_model.training import constructions, creatures, furnishings, things
from vendor_model.training import distance_fields as fields
from vendor_model.training.assembly import Assembly

_MAKERS = {
    furnishings: "table desk stool chair armchair sofa bed bookcase cabinet lamp candle bench bottle vase "
    "mug bowl bucket teapot monitor laptop",
    things: "ball egg crate barrel cone hat ring hammer axe screwdriver dumbbell pawn trophy cake blocks",
    constructions: "house tower car truck train boat rocket airplane stairs arch",
    creatures: "snowman tree potted_plant mushroom robot dog bear duck fish fruit",
}
CATEGORIES: dict[str, Callable] = {
    name: getattr(module, name) for module, names in _MAKERS.items() for name in names.split()
}


@dataclass(frozen=True)
class ObjectShape:
    """A solid with colours. table: (P, fields.COLUMNS) float32; half_size: (3,) of its bounding box.

    symmetry of the solid (not of its colours): "axis" any turn about z, "full" any rotation, or "none".
    """

    category: str
    table: np.ndarray = field(repr=False)
    half_size: np.ndarray
    symmetry: str

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) object frame -> (N,) float32 signed distance, negative inside."""
        return fields.distances(self.table, np.ascontiguousarray(points, np.float32))

    def albedo(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) object frame -> (N, 3) float32 sRGB, 0..1 display-referred, of the nearest surface."""
        return fields.albedos(self.table, np.ascontiguousarray(points, np.float32))


def make_object(rng: np.random.Generator, category: str | None = None) -> ObjectShape:
    """A new object, of a random category when none is named. Raises KeyError for an unknown one."""
    name = category or list(CATEGORIES)[rng.integers(len(CATEGORIES))]
    assembly = Assembly()
    CATEGORIES[name](assembly, rng)
    table, half_size = assembly.fit()
    return ObjectShape(name, table, half_size, _symmetry(table))


def distance_grid(shape: ObjectShape, resolution: int) -> np.ndarray:
    """(R, R, R) float32 signed distance at cell centres (i + 0.5) / R - 0.5, axes x, y, z."""
    return fields.grid_distances(shape.table, resolution)


def _symmetry(table: np.ndarray) -> str:
    """A shape turns about z if each of its primitives does."""
    kind = table[:, fields.KIND]
    size = table[:, fields.SIZE : fields.SIZE + 4]
    sphere = (kind == fields.ELLIPSOID) & (np.ptp(size[:, :3], axis=1) < 1e-6)
    if len(table) == 1 and sphere[0]:
        return "full"
    centered = np.abs(table[:, fields.CENTER : fields.CENTER + 2]).max(axis=1) < 1e-5
    standing = np.abs(table[:, fields.AXES + 8]) > 1 - 1e-6
    turned = np.isin(kind, (fields.CONE, fields.CAPSULE))
    turned |= (kind == fields.TORUS) & (size[:, 2] == 0)
    turned |= (kind == fields.ELLIPSOID) & (np.abs(size[:, 0] - size[:, 1]) < 1e-6)
    return "axis" if np.all(centered & (sphere | (standing & turned))) else "none"


def main() -> None:
    """Write a sheet with three objects of every category."""
    from PIL import Image

    from vendor_model.training.scenes import contact_sheet, make_scene

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    photos = [
        make_scene(
            np.random.default_rng((arguments.seed, number, variant)), (128, 128), "isolated", [category]
        ).photo
        for number, category in enumerate(CATEGORIES)
        for variant in range(3)
    ]
    Image.fromarray(contact_sheet(photos, columns=15)).save(arguments.out)


if __name__ == "__main__":
    main()
