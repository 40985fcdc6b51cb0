"""Generated scenes: a photo, where everything in it really is, and the objects with their poses.

Three kinds. "isolated": one object before a picture without depth or a far wall. "pasted": two objects,
one hiding a part of the other. "ground": two to five objects that stand or lie on a floor. World frame:
z up; camera and object frames as in vendor_model.types.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from vendor_model.layout.frames import points_from_depth
from vendor_model.layout.transforms import matrix_to_quaternion
from vendor_model.training import backdrops, render
from vendor_model.training.assembly import turn
from vendor_model.training.objects import CATEGORIES, ObjectShape, make_object
from vendor_model.types import Pose

KINDS = ("isolated", "pasted", "ground")


@dataclass(frozen=True)
class Scene:
    """photo: (H, W, 3) uint8 sRGB. point_map: (H, W, 3) float32 camera frame, NaN where nothing is near.

    intrinsics: (3, 3) float64 in pixels, OpenCV axes. masks: (K, H, W) bool, the visible pixels of each
    object. framed_pixels: (K,) pixels that an object would cover were nothing before it; full_pixels: (K,)
    were the photo unbounded, too. objects: K shapes with their poses.
    """

    kind: str
    photo: np.ndarray = field(repr=False)
    point_map: np.ndarray = field(repr=False)
    intrinsics: np.ndarray
    masks: np.ndarray = field(repr=False)
    framed_pixels: np.ndarray
    full_pixels: np.ndarray
    objects: tuple[tuple[ObjectShape, Pose], ...] = field(repr=False)

    @property
    def visible_fraction(self) -> np.ndarray:
        """(K,) float64 in 0..1: visible pixels of all the object's pixels."""
        return self.masks.sum(axis=(1, 2)) / np.maximum(self.full_pixels, 1)

    @property
    def unoccluded_fraction(self) -> np.ndarray:
        """(K,) float64 in 0..1: visible pixels of all that the object has within the photo."""
        return self.masks.sum(axis=(1, 2)) / np.maximum(self.framed_pixels, 1)


@dataclass(frozen=True)
class _Placed:
    """An object in the camera frame: p_object = rotation @ (p_camera - translation) / scale."""

    shape: ObjectShape
    rotation: np.ndarray
    translation: np.ndarray
    scale: float

    def corners(self) -> np.ndarray:
        """(8, 3) corners of its bounding box, camera frame."""
        signs = np.stack(np.meshgrid(*[[-1, 1]] * 3), axis=-1).reshape(8, 3)
        return self.scale * (signs * self.shape.half_size) @ self.rotation + self.translation

    def pose(self) -> Pose:
        quaternion = matrix_to_quaternion(torch.from_numpy(self.rotation)).numpy()
        return Pose(quaternion, np.array(self.translation, np.float64), np.full(3, self.scale))


@dataclass(frozen=True)
class _Camera:
    """rotation: (3, 3), world to camera as column vectors; the camera is at the origin of both."""

    intrinsics: np.ndarray
    rotation: np.ndarray

    @property
    def focal(self) -> float:
        return self.intrinsics[0, 0]

    def at(self, u: float, v: float, depth: float) -> np.ndarray:
        """Point of the camera frame that the pixel position (u, v) shows at z = depth."""
        k = self.intrinsics
        return depth * np.array([-(u - k[0, 2]) / k[0, 0], -(v - k[1, 2]) / k[1, 1], 1.0])


def _camera(rng, size, pitch: float) -> _Camera:
    """Looks along +Y, down by `pitch` degrees, a little rolled."""
    height, width = size
    focal = width * np.exp(rng.uniform(np.log(0.8), np.log(2.5)))
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    level = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])  # rows: left, up, forward
    return _Camera(intrinsics, turn("z", np.clip(rng.normal(0, 2), -5, 5)) @ turn("x", -pitch) @ level)


def _window(placed: _Placed, intrinsics, size) -> tuple[int, int, int, int] | None:
    """left, top, width, height of the pixels that the object can touch, up to one photo beyond the edges."""
    corners = placed.corners()
    if corners[:, 2].min() < 0.05 * placed.scale:
        return None
    u = intrinsics[0, 2] - intrinsics[0, 0] * corners[:, 0] / corners[:, 2]
    v = intrinsics[1, 2] - intrinsics[1, 1] * corners[:, 1] / corners[:, 2]
    left, right = np.clip([np.floor(u.min()), np.ceil(u.max())], -size[1], 2 * size[1]).astype(int)
    top, bottom = np.clip([np.floor(v.min()), np.ceil(v.max())], -size[0], 2 * size[0]).astype(int)
    return int(left), int(top), int(right - left), int(bottom - top)


def _trace(placed: Sequence[_Placed], intrinsics, size):
    """Depth (H, W), owner (H, W), and pixel counts (K,), framed and full."""
    depth = np.full(size, np.inf, np.float32)
    owner = np.full(size, -1, np.int8)
    framed, full = np.zeros((2, len(placed)), np.int64)
    for index, one in enumerate(placed):
        window = _window(one, intrinsics, size)
        if window is None:
            continue
        left, top, width, height = window
        found = render.trace(one.shape.table, one.rotation, one.translation, one.scale, intrinsics, *window)
        full[index] = np.isfinite(found).sum()
        rows = slice(max(top, 0), min(top + height, size[0]))
        columns = slice(max(left, 0), min(left + width, size[1]))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        inside = found[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        framed[index] = np.isfinite(inside).sum()
        nearer = inside < depth[rows, columns]
        depth[rows, columns][nearer] = inside[nearer]
        owner[rows, columns][nearer] = index
    return depth, owner, framed, full


def _lights(rng, up: np.ndarray) -> np.ndarray:
    """(5, 3) as `render.shade` wants them; `up` is the world's up in the camera frame."""
    side = np.cross(up, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side) + 1e-9
    height, around = np.radians(rng.uniform(20, 80)), rng.uniform(0, 2 * np.pi)
    flat = np.cos(around) * side + np.sin(around) * np.cross(up, side)
    sun = np.sin(height) * up + np.cos(height) * flat
    warmth = rng.uniform(-0.12, 0.15)
    strength = rng.uniform(0.3, 1.3)
    sun_color = strength * np.array([1 + warmth, 1.0, 1 - warmth])
    sky_color = rng.uniform(0.3, 0.8) * np.array([1 - 0.5 * warmth, 1.0, 1 + 0.7 * warmth])
    return np.stack([sun, sun_color, sky_color, up, [rng.uniform(4, 25), 0, 0]])


def _develop(rng, image: np.ndarray) -> np.ndarray:
    """Linear (H, W, 3) to a uint8 photo with exposure, white balance, blur and grain of its own."""
    exposure = rng.uniform(0.18, 0.36) / (np.mean(np.minimum(image, 1.5)) + 0.02)
    image = image * np.clip(exposure, 0.5, 2.5) * rng.uniform(0.93, 1.07, 3).astype(np.float32)
    blur = rng.uniform(0.06, 0.22)
    for axis in (0, 1):
        before = np.roll(image, 1, axis)
        after = np.roll(image, -1, axis)
        image = (1 - 2 * blur) * image + blur * (before + after)
    photo = np.sqrt(np.clip(image, 0, 1))
    photo += rng.uniform(0, 0.02) * rng.standard_normal(photo.shape, np.float32)
    return (np.clip(photo, 0, 1) * 255 + 0.5).astype(np.uint8)


def _finish(rng, kind, size, camera, placed, picture, planes) -> Scene:
    """Trace, shade and develop what has been placed."""
    depth, owner, framed, full = _trace(placed, camera.intrinsics, size)
    tables = np.concatenate([one.shape.table for one in placed])
    starts = np.cumsum([0, *(len(one.shape.table) for one in placed)])
    gloss = np.array([rng.choice([0.0, rng.uniform(0, 0.6)]) for _ in placed])
    image = render.shade(
        np.ascontiguousarray(picture, np.float32),
        depth,
        owner,
        camera.intrinsics,
        tables,
        starts,
        np.stack([one.rotation for one in placed]),
        np.stack([one.translation for one in placed]),
        np.array([one.scale for one in placed]),
        np.stack([one.shape.half_size for one in placed]),
        gloss,
        np.array(planes, np.float64).reshape(-1, 22),
        _lights(rng, camera.rotation[:, 2]),
    )
    depth[~np.isfinite(depth)] = np.nan
    seen = [index for index in range(len(placed)) if (owner == index).any()]
    return Scene(
        kind=kind,
        photo=_develop(rng, image),
        point_map=points_from_depth(depth, camera.intrinsics),
        intrinsics=camera.intrinsics,
        masks=np.stack([owner == index for index in seen]) if seen else np.zeros((0, *size), bool),
        framed_pixels=framed[seen],
        full_pixels=full[seen],
        objects=tuple((placed[index].shape, placed[index].pose()) for index in seen),
    )


def _shape(rng, categories) -> ObjectShape:
    return make_object(rng, None if categories is None else categories[rng.integers(len(categories))])


def _orientation(rng, shape, tumbled: float) -> np.ndarray:
    """(3, 3) object to world, column vectors: upright with any yaw, or lying on a side.

    A share `tumbled` of all lies, and half of what is too slender to stand well.
    """
    stand = np.eye(3)
    slender = shape.half_size[2] > 2.5 * shape.half_size[:2].max()
    if rng.random() < (0.5 if slender else tumbled):
        stand = turn("xy"[rng.integers(2)], rng.choice([-90, 90]))
    return turn("z", rng.uniform(0, 360)) @ stand


def _floating(rng, camera, size, share: float, categories) -> _Placed:
    """An object near the middle of the photo whose longest side spans `share` of the photo's shorter one."""
    shape = _shape(rng, categories)
    scale = np.exp(rng.uniform(np.log(0.3), np.log(3)))
    depth = camera.focal * 0.94 * scale / (share * min(size))
    half = share * min(size) / 2
    u = rng.uniform(half, max(size[1] - half, half + 1)) if share < 0.9 else size[1] / 2
    v = rng.uniform(half, max(size[0] - half, half + 1)) if share < 0.9 else size[0] / 2
    world = _orientation(rng, shape, 0.15)
    if rng.random() < 0.1:
        world = turn("x", rng.uniform(0, 360)) @ turn("y", rng.uniform(0, 360)) @ world
    return _Placed(shape, (camera.rotation @ world).T, camera.at(u, v, depth), scale)


def _far_wall(rng, camera, placed) -> list:
    """A wall that faces the camera behind everything, half of the time."""
    if rng.random() < 0.5:
        return []
    farthest = max(one.corners()[:, 2].max() for one in placed)
    depth = farthest * rng.uniform(1.2, 4)
    normal = turn("x", rng.uniform(-15, 15)) @ turn("y", rng.uniform(-15, 15)) @ np.array([0, 0, -1.0])
    along = np.cross(normal, [0.0, 1.0, 0.0])
    unit = depth / camera.focal * 100
    return [
        backdrops.plane(
            rng, normal, np.array([0, 0, depth]), along / np.linalg.norm(along), unit, backdrops.FAR
        )
    ]


def _isolated(rng, size, categories) -> Scene:
    camera = _camera(rng, size, rng.uniform(-15, 50))
    placed = [_floating(rng, camera, size, rng.uniform(0.3, 0.8), categories)]
    picture = backdrops.any_picture(rng, size)
    return _finish(rng, "isolated", size, camera, placed, picture, _far_wall(rng, camera, placed))


def _pasted(rng, size, categories) -> Scene:
    """Moves the nearer object about, judged on a coarse picture, until it hides 10 to 90 % of the other."""
    camera = _camera(rng, size, rng.uniform(-15, 50))
    hidden = _floating(rng, camera, size, rng.uniform(0.35, 0.75), categories)
    occluder = _floating(rng, camera, size, rng.uniform(0.2, 0.7), categories)
    nearer = rng.uniform(0.3, 0.8) * hidden.translation[2]  # same picture, another distance
    occluder = replace(occluder, scale=occluder.scale * nearer / occluder.translation[2])
    coarse = camera.intrinsics / [[4.0], [4.0], [1.0]]
    small = (size[0] // 4, size[1] // 4)
    k = camera.intrinsics
    u = k[0, 2] - k[0, 0] * hidden.translation[0] / hidden.translation[2]
    v = k[1, 2] - k[1, 1] * hidden.translation[1] / hidden.translation[2]
    for _ in range(12):
        shift = rng.normal(0, 0.22, 2) * min(size)
        occluder = replace(occluder, translation=camera.at(u + shift[0], v + shift[1], nearer))
        _, owner, _, full = _trace([hidden, occluder], coarse, small)
        if 0.15 < (owner == 0).sum() / max(full[0], 1) < 0.85:
            break
    else:
        return _pasted(rng, size, categories)
    placed = [hidden, occluder]
    picture = backdrops.any_picture(rng, size)
    return _finish(rng, "pasted", size, camera, placed, picture, _far_wall(rng, camera, placed))


def _footprint(world: np.ndarray, half: np.ndarray, center: np.ndarray) -> np.ndarray:
    """(4, 2) corners of the box's outline on the floor."""
    signs = np.stack(np.meshgrid(*[[-1, 1]] * 3), axis=-1).reshape(8, 3)
    flat = ((signs * half) @ world.T)[:, :2]
    order = np.argsort(np.arctan2(flat[:, 1], flat[:, 0]), kind="stable")
    return flat[order[::2]] + center


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two convex outlines (4, 2) meet: no edge normal separates them."""
    for outline in (a, b):
        for edge in outline - np.roll(outline, 1, axis=0):
            normal = np.array([-edge[1], edge[0]])
            if (a @ normal).max() < (b @ normal).min() or (b @ normal).max() < (a @ normal).min():
                return False
    return True


def _ground(rng, size, categories) -> Scene:
    """Objects at free places of a floor; the first is the largest in the picture."""
    count = rng.integers(2, 6)
    standing = []
    for index in range(count):
        shape = _shape(rng, categories)
        scale = 1.0 if index == 0 else rng.uniform(0.4, 1.15)
        world = _orientation(rng, shape, 0.1)
        rise = scale * np.abs(world @ np.diag(shape.half_size)).sum(axis=1)[2]
        for attempt in range(12):
            center = rng.normal(0, 0.45 + 0.07 * attempt, 2) if index else np.zeros(2)
            outline = _footprint(world, 1.03 * scale * shape.half_size, center)
            if not any(_overlap(outline, other[-1]) for other in standing):
                standing.append((shape, scale, world, np.array([*center, rise]), outline))
                break
    pitch = rng.uniform(-5, 50) if rng.random() < 0.85 else rng.uniform(-5, 15)
    camera = _camera(rng, size, pitch)
    distance = camera.focal * 0.94 / (rng.uniform(0.35, 0.75) * min(size))
    target = np.mean([one[3] for one in standing], axis=0) * [0.8, 0.8, 1.0]
    back = camera.rotation.T @ np.array([rng.normal(0, 0.05), rng.normal(0, 0.05), 1.0]) * distance
    eye = target - back
    eye[2] = max(eye[2], rng.uniform(0.1, 0.4))
    unit = np.exp(rng.uniform(np.log(0.3), np.log(3)))
    placed = []
    for shape, scale, world, center, _ in standing:
        translation = unit * camera.rotation @ (center - eye)
        one = _Placed(shape, (camera.rotation @ world).T, translation, unit * scale)
        k, depth = camera.intrinsics, max(translation[2], 1e-6)
        u, v = k[0, 2] - k[0, 0] * translation[0] / depth, k[1, 2] - k[1, 1] * translation[1] / depth
        if depth > 0.3 * distance * unit and 0 < u < size[1] and 0 < v < size[0]:
            placed.append(one)
    if not placed:
        return _ground(rng, size, categories)
    up = camera.rotation[:, 2]
    right = camera.rotation[:, 0]
    floor = backdrops.plane(rng, up, -unit * eye[2] * up, right, unit, 60 * unit * distance)
    if rng.random() < 0.45:
        return _finish(rng, "ground", size, camera, placed, backdrops.sky_picture(rng, size), [floor])
    facing = camera.rotation @ turn("z", rng.uniform(-40, 40)) @ np.array([0, -1.0, 0])
    depths = np.concatenate([one.corners() for one in placed]) @ facing
    behind = (depths.min() - unit * rng.uniform(0.02, 2.5)) * facing
    wall = backdrops.plane(rng, facing, behind, np.cross(up, facing), unit, backdrops.FAR)
    return _finish(rng, "ground", size, camera, placed, backdrops.any_picture(rng, size), [floor, wall])


def make_scene(
    rng: np.random.Generator,
    size: tuple[int, int] = (224, 224),
    kind: str | None = None,
    categories: Sequence[str] | None = None,
) -> Scene:
    """A scene of the kind (by default half of them on the ground) with objects of the categories (all).

    The same state of `rng` gives the same scene. Raises KeyError for an unknown kind or category.
    """
    makers = {"isolated": _isolated, "pasted": _pasted, "ground": _ground}
    chosen = kind or KINDS[rng.choice(3, p=[0.25, 0.25, 0.5])]
    return makers[chosen](rng, size, categories)


def contact_sheet(photos: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Photos of one size, row by row: (H, W, 3) uint8."""
    rows = -(-len(photos) // columns)
    height, width = photos[0].shape[:2]
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for index, photo in enumerate(photos):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + height, left : left + width] = photo
    return sheet


def main() -> None:
    """Write a contact sheet of scenes and print how fast they were made."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--category", action="append", choices=list(CATEGORIES))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    size = (options.size, options.size)
    scenes, started = [], time.perf_counter()
    for number in range(options.count):
        rng = np.random.default_rng((options.seed, number))
        scenes.append(make_scene(rng, size, options.kind, options.category))
    seconds = time.perf_counter() - started
    views = sum(len(scene.objects) for scene in scenes)
    Image.fromarray(contact_sheet([scene.photo for scene in scenes], columns=6)).save(options.out)
    print(f"{options.count / seconds:.1f} scenes/s, {views / seconds:.1f} object views/s")


if __name__ == "__main__":
    main()
