"""Corrects a predicted pose so that the object covers its mask: layout post-optimisation (spec layout.md §5).

Steps: refuse when the mask does not show the whole outline; move the mesh onto the point map; ICP; compare
renderings with the mask. Where the reference gives up a step whose outline is worse than before, here every
step is a start for the comparison, and the best outline wins, if only the predicted one.

The point map shows one side of the object, so the mesh is moved by what the camera sees of it: by all of
its vertices it would end up in front of its place, and too small.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vendor_model.layout.alignment import (
    align_to_points,
    drop_farthest,
    iterative_closest_points,
    reliable_pixels,
)
from vendor_model.layout.frames import camera_from_object, pixel_intrinsics
from vendor_model.layout.occlusion import drop_specks, find_hiding
from vendor_model.layout.render_compare import Outline, fit_outline, resize_mask
from vendor_model.layout.silhouette import hard_silhouette, intersection_over_union
from vendor_model.layout.square import PhotoSquare
from vendor_model.layout.transforms import (
    compose,
    decompose,
    matrix_to_quaternion,
    quaternion_to_matrix,
    transform_points,
)
from vendor_model.surface.cleaning import clean_mesh, decimate
from vendor_model.types import PointMap, Pose, Surface


@dataclass(frozen=True)
class RefinementSettings:
    """working_size: side in pixels of the square in which mask and points are compared; render_size: side
    of the square silhouettes; max_faces: triangles that are rendered; icp_reach: how far ICP looks for
    partners, in sizes of the object; min_iou: least overlap of a correction; max_resize: its largest
    change of size."""

    working_size: int = 518
    render_size: int = 256
    max_faces: int = 5000
    icp_reach: float = 0.15
    min_iou: float = 0.5
    max_resize: float = 2.0


class Refinement(NamedTuple):
    """pose: the better one of prediction and correction; iou: its silhouette's overlap with the mask."""

    pose: Pose
    iou: float
    accepted: bool


def refine_pose(
    surface: Surface,
    pose: Pose,
    mask: np.ndarray,
    point_map: PointMap,
    settings: RefinementSettings = RefinementSettings(),
) -> Refinement:
    """The pose of an object, corrected where that makes its silhouette agree better with its mask.

    mask: (H, W) bool, of the point map's size. The pose comes back unchanged, with accepted False, when
    the object is cut by the photo's border, hidden by another or in pieces, when the point map shows
    nothing of it, or when the result is no better, far larger or smaller, or behind the camera.
    """
    if not point_map.handed_in:
        return _refined(surface, pose, mask, point_map, settings)
    # Gaps, steps and penalties are meant for depths about 1, as estimated ones are: a scanner's may be in mm.
    unit = np.nanmedian(point_map.points[..., 2])
    near = replace(point_map, points=point_map.points / unit)
    found = _refined(surface, _scaled(pose, 1 / unit), mask, near, settings)
    return found._replace(pose=_scaled(found.pose, unit) if found.accepted else pose)


def _refined(
    surface: Surface, pose: Pose, mask: np.ndarray, point_map: PointMap, settings: RefinementSettings
) -> Refinement:
    square = PhotoSquare(*mask.shape, settings.working_size)
    mask, points = square.sample(mask), square.sample(point_map.points)
    vertices, faces = clean_mesh(camera_from_object(surface.vertices, pose), surface.faces)
    vertices, faces = decimate(vertices, faces, settings.max_faces)
    vertices, faces = torch.from_numpy(vertices), torch.from_numpy(faces).long()
    small = resize_mask(torch.from_numpy(mask).float(), settings.render_size)
    intrinsics = pixel_intrinsics(square.intrinsics(point_map.intrinsics), tuple(small.shape))
    outline = Outline(small, torch.from_numpy(intrinsics).float())

    def overlap(motion: Tensor) -> float:
        return outline.iou(_moved(vertices, motion), faces)

    target = drop_farthest(points[reliable_pixels(points, mask)])
    visible = drop_farthest(outline.visible_points(vertices, faces).numpy())
    hidden = any(find_hiding(drop_specks(mask), points[..., 2]))
    if hidden or not (_have_height(target) and _have_height(visible)):
        return Refinement(pose, overlap(torch.eye(4)), False)

    starts = _starts(visible, target, settings.icp_reach * pose.scale.mean())
    motions = starts + [_fitted(start, vertices, faces, outline, pose) for start in starts]
    overlaps = [overlap(motion) for motion in motions]
    best = int(np.argmax(overlaps))
    refined = _moved_pose(pose, motions[best])
    resize = (refined.scale / pose.scale).max()
    nearest = _moved(vertices, motions[best])[:, 2].min()
    better = overlaps[best] > overlaps[0] and overlaps[best] >= settings.min_iou
    if better and 1 / settings.max_resize <= resize <= settings.max_resize and nearest > 0:
        return Refinement(refined, overlaps[best], True)
    return Refinement(pose, overlaps[0], False)


def _scaled(pose: Pose, factor: float) -> Pose:
    return replace(pose, translation=pose.translation * factor, scale=pose.scale * factor)


def mask_iou(
    surface: Surface, pose: Pose, mask: np.ndarray, point_map: PointMap, working_size: int = 518
) -> float:
    """Overlap of a mask (H, W) bool with the pixels that the posed surface covers, seen through the
    point map's camera, on a square of working_size pixels around the photo."""
    square = PhotoSquare(*mask.shape, working_size)
    size = (working_size, working_size)
    covered = hard_silhouette(
        torch.from_numpy(camera_from_object(surface.vertices, pose)),
        torch.from_numpy(surface.faces).long(),
        torch.from_numpy(pixel_intrinsics(square.intrinsics(point_map.intrinsics), size)).float(),
        size,
    )
    return intersection_over_union(covered, torch.from_numpy(square.sample(mask)))


def _starts(visible: np.ndarray, target: np.ndarray, reach: float) -> list[Tensor]:
    """Motions (4, 4) worth comparing with the mask: none, onto the point map, and that corrected by ICP."""
    onto = align_to_points(visible, target)
    aligned = visible @ onto[:3, :3] + onto[3, :3]
    registered = onto @ iterative_closest_points(aligned, target, reach).transform
    return [torch.from_numpy(motion) for motion in (np.eye(4), onto, registered)]


def _fitted(start: Tensor, vertices: Tensor, faces: Tensor, outline: Outline, pose: Pose) -> Tensor:
    """A start, followed by the correction about the object's centre that render-and-compare finds."""
    centre = _moved(torch.from_numpy(pose.translation)[None].float(), start)[0]
    correction = fit_outline(_moved(vertices, start), faces, outline, centre)
    return start @ correction.matrix().detach().double()


def _have_height(points: np.ndarray) -> bool:
    return len(points) > 0 and np.ptp(points[:, 1]) > 0


def _moved(points: Tensor, motion: Tensor) -> Tensor:
    return transform_points(points, motion.to(points.dtype))


def _moved_pose(pose: Pose, motion: Tensor) -> Pose:
    """The pose that is followed by a row transform (4, 4) of camera space; its scale is averaged."""
    rotation, translation, scale = (
        torch.as_tensor(part, dtype=torch.float64) for part in vars(pose).values()
    )
    placed = compose(quaternion_to_matrix(rotation), translation, scale) @ motion
    matrix, translation, scale = decompose(placed)
    return Pose(matrix_to_quaternion(matrix).numpy(), translation.numpy(), np.full(3, scale.mean().item()))
