"""Cavities and crumbs go, whatever else can be seen stays; and the photo's points as a file."""

import numpy as np

from vendor_model.surface.cleaning import drop_cavities_and_crumbs
from vendor_model.surface.ply import encode_point_cloud
from vendor_model.types import Surface

CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32) - 0.5
QUADS = np.array([(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
FACES = np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]]]).astype(np.int32)


def box(size: float, place: float, color: float, inward: bool = False) -> Surface:
    return Surface(
        CORNERS * np.float32(size) + np.float32(place),
        FACES[:, ::-1] if inward else FACES,
        np.full((8, 3), color, np.float32),
    )


def joined(*parts: Surface) -> Surface:
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    return Surface(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)]).astype(
            np.int32
        ),
        np.concatenate([part.colors for part in parts]),
    )


def test_cavities_and_crumbs_are_dropped_and_separate_solids_stay():
    cavity, solid, beside = box(0.5, 0, 0.1, inward=True), box(0.8, 0, 0.2), box(0.2, 3, 0.3)
    crumb = box(0.1, -3, 0.4)
    kept = drop_cavities_and_crumbs(joined(cavity, solid, crumb, beside))
    wanted = joined(solid, beside)
    np.testing.assert_array_equal(kept.vertices, wanted.vertices)
    np.testing.assert_array_equal(kept.faces, wanted.faces)
    np.testing.assert_array_equal(kept.colors, wanted.colors)


def test_point_cloud_leaves_out_what_is_not_finite():
    points = np.array([[[1, 2, 3], [np.nan] * 3]], np.float32)
    content = encode_point_cloud(points, np.array([[[0, 0.5, 1], [0, 0, 0]]], np.float32))
    header, body = content.split(b"end_header\n")
    assert b"element vertex 1\n" in header
    assert np.frombuffer(body[:12], "<f4").tolist() == [1, 2, 3] and list(body[12:]) == [0, 128, 255]
