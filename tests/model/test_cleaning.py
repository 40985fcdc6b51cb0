"""Mesh clean-up drops exactly what is broken; decimation keeps the shape."""

import numpy as np

from vendor_model.surface.cleaning import clean_mesh, decimate, drop_cavities_and_crumbs
from vendor_model.types import Surface

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)


def test_a_sound_mesh_stays_as_it_is():
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    vertices, cleaned = clean_mesh(SQUARE, faces)
    np.testing.assert_array_equal(vertices, SQUARE)
    np.testing.assert_array_equal(cleaned, faces)


def test_equal_vertices_are_merged_and_broken_triangles_dropped():
    doubled = np.concatenate([SQUARE, SQUARE[:1]])
    faces = np.array(
        [[4, 1, 2], [0, 4, 1], [1, 2, 0], [0, 2, 3]]
    )  # one flat, one repeated from another corner
    vertices, cleaned = clean_mesh(doubled, faces)
    np.testing.assert_array_equal(vertices, SQUARE)
    np.testing.assert_array_equal(cleaned, [[0, 1, 2], [0, 2, 3]])


def test_of_three_triangles_on_an_edge_the_smallest_goes():
    fin = np.concatenate([SQUARE, [[0.5, 0.5, 0.1]]]).astype(np.float32)
    faces = np.array([[0, 2, 4], [0, 1, 2], [0, 2, 3]])
    np.testing.assert_array_equal(clean_mesh(fin, faces)[1], faces[1:])


def test_decimation_keeps_flat_sides_and_the_size_of_a_ball():
    azimuth, height = np.meshgrid(np.linspace(0, 2 * np.pi, 120, endpoint=False), np.linspace(-1, 1, 120))
    ring = np.sqrt(1 - height**2)
    vertices = np.stack([ring * np.cos(azimuth), ring * np.sin(azimuth), height], -1).reshape(-1, 3)
    number = np.arange(120 * 120).reshape(120, 120)
    a, b = number[:-1], np.roll(number, -1, axis=1)[:-1]
    c, d = np.roll(number, -1, axis=1)[1:], number[1:]
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    coarse, coarse_faces = decimate(vertices.astype(np.float32), faces.astype(np.int32), 2000)
    assert 1000 < len(coarse_faces) <= 2000
    assert set(coarse_faces.reshape(-1)) == set(range(len(coarse)))
    radii = np.linalg.norm(coarse, axis=1)
    assert 0.97 < radii.min() and radii.max() < 1.02


def test_a_small_mesh_is_not_decimated():
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    assert decimate(SQUARE, faces, 2)[1] is faces


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


def test_a_solid_that_the_border_of_the_grid_leaves_open_stays():
    solid, beside = box(0.8, 0, 0.2), box(0.5, 3, 0.3)
    x = beside.vertices[beside.faces][..., 0]
    open_faces = beside.faces[~(x > x.max() - 1e-6).all(axis=1)]
    assert len(open_faces) == 10
    kept = drop_cavities_and_crumbs(joined(solid, Surface(beside.vertices, open_faces, beside.colors)))
    assert len(kept.faces) == 12 + 10
