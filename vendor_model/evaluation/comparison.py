"""The figures of one object, as in the paper's tables: of its shape, and of where it stands."""

import numpy as np

from vendor_model.evaluation import metrics
from vendor_model.evaluation.clouds import Cloud, distances, filled, moved, size_change, surface_voxels
from vendor_model.evaluation.registration import remaining_rotation, unit_box

ASSIGNED = 1024
"""Points of each side that the earth mover's distance assigns; the paper does not tell its number. Two
samples of one surface of area 6 are then about 0.05 apart."""

Figures = dict[str, float]

NO_SHAPE = {"f1_001": 0.0, "f1_005": 0.0, "voxel_iou": 0.0, "surface_iou": 0.0, "chamfer": 1.0, "emd": 1.0}
NO_LAYOUT = {"box_iou": 0.0, "icp_rotation": 90.0, "add_s": 1.0, "add_s_01": 0.0}
"""What an object counts for that was not reconstructed: nothing shared, half the longest side apart, a
right angle, a diameter."""


def shape_figures(predicted: Cloud, motion: np.ndarray, truth: Cloud) -> Figures:
    """Table 2 of the paper: the prediction, brought by `motion` (4, 4) to the normalised truth.

    f1_001, f1_005: thresholds 0.01 and 0.05; chamfer, emd: all in units of half the longest side.
    surface_iou: of the cells at 64³ that hold points, as the paper's voxel IoU; voxel_iou: the same with
    what those cells enclose, which asks for the solid rather than for the exact place of its skin.
    """
    into_box = unit_box(truth.vertices)
    accuracy, completeness = distances(predicted, motion, truth, into_box)
    placed, true_points = moved(predicted.points, motion), moved(truth.points, into_box)
    voxels, true_voxels = surface_voxels(placed), surface_voxels(true_points)
    return {
        "f1_001": metrics.f1_score(accuracy, completeness, 0.01),
        "f1_005": metrics.f1_score(accuracy, completeness, 0.05),
        "voxel_iou": metrics.voxel_iou(filled(voxels), filled(true_voxels)),
        "surface_iou": metrics.voxel_iou(voxels, true_voxels),
        "chamfer": metrics.chamfer_distance(accuracy, completeness),
        "emd": metrics.earth_movers_distance(placed[:ASSIGNED], true_points[:ASSIGNED]),
    }


def layout_figures(
    predicted: Cloud, placement: np.ndarray, truth: Cloud, true_placement: np.ndarray
) -> Figures:
    """Table 3 of the paper: both clouds placed in one frame, the camera's, by similarities (4, 4) for rows.

    box_iou: 3D IoU of the boxes along that frame's axes; icp_rotation: ICP-Rot in degrees; add_s: ADD-S in
    diameters of the truth; add_s_01: whether that is below 0.1.
    """
    accuracy, completeness = distances(predicted, placement, truth, true_placement)
    diameter = metrics.diameter(truth.vertices) * size_change(true_placement)
    add_s = metrics.add_s(accuracy, completeness, diameter)
    turn = remaining_rotation(predicted, placement, truth, true_placement)
    boxes = moved(predicted.vertices, placement), moved(truth.vertices, true_placement)
    return {
        "box_iou": metrics.box_iou(*boxes),
        "icp_rotation": metrics.rotation_angle(turn),
        "add_s": add_s,
        "add_s_01": float(add_s < 0.1),
    }
