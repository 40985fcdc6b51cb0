"""The paper's alignment of a shape with the truth before the two are compared (appendix D.3).

Prediction and truth are each brought to -1..1, then the prediction is moved by ICP. The paper does not say
where ICP starts. Models differ in what they call up and front, and ICP only finds the nearest optimum, so
here it starts from all 24 turns that take the axes to each other; the start that ends nearest wins. Motions
are rigid: no further change of size, no mirroring.
"""

from itertools import permutations, product

import numpy as np
from scipy.spatial import cKDTree

from vendor_model.evaluation.clouds import Cloud, moved
from vendor_model.layout.alignment import iterative_closest_points

COARSE, FINE = 250, 2000
"""Points of each cloud by which starts are compared, and by which the best one is followed to its end."""


def unit_box(points: np.ndarray) -> np.ndarray:
    """The similarity (4, 4) that brings points (N, 3) to -1..1: centre of the bounding box to 0, longest side
    to 2."""
    low, high = points.min(0), points.max(0)
    matrix = np.eye(4)
    matrix[:3, :3] *= 2 / (high - low).max()
    matrix[3, :3] = -(low + high) / 2 * matrix[0, 0]
    return matrix


def right_turns() -> list[np.ndarray]:
    """The 24 rotations (4, 4) of a cube, the identity first."""
    turns = []
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        matrix = np.eye(4)
        matrix[:3, :3] = np.eye(3)[list(order)] * signs
        if np.linalg.det(matrix) > 0:
            turns.append(matrix)
    return turns


def align(predicted: Cloud, truth: Cloud) -> np.ndarray:
    """The similarity (4, 4) that takes the prediction to the normalised truth: `unit_box`, then ICP."""
    into_box = unit_box(predicted.vertices)
    source, target = moved(predicted.points, into_box), moved(truth.points, unit_box(truth.vertices))
    coarse, coarse_target = source[:COARSE], target[:COARSE]
    tree = cKDTree(coarse_target)

    def distance(motion: np.ndarray) -> float:
        there = moved(coarse, motion)
        return tree.query(there)[0].mean() + cKDTree(there).query(coarse_target)[0].mean()

    motions = [turn @ follow(moved(coarse, turn), coarse_target) for turn in right_turns()]
    best = min(motions, key=distance)
    return into_box @ best @ follow(moved(source[:FINE], best), target[: 2 * FINE])


def remaining_rotation(
    predicted: Cloud, placement: np.ndarray, truth: Cloud, true_placement: np.ndarray
) -> np.ndarray:
    """The rotation (3, 3), for rows, by which ICP still turns a posed prediction towards the posed truth.

    From where they stand, in units of the truth's `unit_box`: the angle is that of any other unit.
    """
    into_box = unit_box(truth.vertices)
    source = moved(predicted.points[:FINE], placement @ np.linalg.inv(true_placement) @ into_box)
    return follow(source, moved(truth.points[: 2 * FINE], into_box))[:3, :3]


def follow(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Point-to-point ICP without a limit of reach: the rigid motion (4, 4) of source points."""
    return iterative_closest_points(source, target, np.inf).transform
