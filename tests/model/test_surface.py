"""Surface extraction: its tables, sparse against dense, orientation, and the files it ends in."""

import hashlib
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from vendor_model.surface.extraction import FEATURE_CHANNELS, corner_grid, extract_mesh, vertex_coords
from vendor_model.surface.flexicubes import (
    CORNERS,
    corner_ids,
    cube_ids,
    flexicubes,
    resolve_ambiguity,
    tables,
)
from vendor_model.surface.glb import SceneMesh, encode_glb, linear_rgba, vertex_rgba
from vendor_model.surface.ply import encode_ply, encode_point_cloud
from vendor_model.types import Gaussians, Surface


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_tables_are_the_published_ones():
    digests = [hashlib.sha256(table.numpy().astype("<i4").tobytes()).hexdigest() for table in tables()]
    assert digests == [
        "6a4b18cdb90243596fcb69dd8b45c416f93edbb0536091d9b0c02b36428de293",
        "d6e06217fbcb958fee93b3a63a623ec3338db0259a3496b9c44cd0e3f13099b6",
        "240b6e8594f6abdffd0aecf35ac6037b9fb8f4575d598f8bb27460b33489f9fe",
    ]


def test_ambiguous_cubes_agree_with_their_neighbours_and_not_across_the_border():
    resolution = 4
    cubes = all_cubes(resolution)
    flagged = (tables().ambiguity[:, 0] == 1).nonzero().squeeze(1)
    cases = flagged[torch.randint(len(flagged), (len(cubes),))]
    cases[::5] = 1
    found = resolve_ambiguity(cases, cubes, resolution)
    by_cube = dict(zip(map(tuple, cubes.tolist()), cases.tolist(), strict=True))
    for cube, case, resolved in zip(cubes.tolist(), cases.tolist(), found.tolist(), strict=True):
        flag, *direction, changed = tables().ambiguity[case].tolist()
        neighbour = by_cube.get(tuple(a + b for a, b in zip(cube, direction, strict=True)))
        agrees = flag and neighbour is not None and tables().ambiguity[neighbour, 0] == 1
        assert resolved == (changed if agrees else case)


def all_cubes(resolution: int) -> torch.Tensor:
    axis = torch.arange(resolution)
    return torch.cartesian_prod(axis, axis, axis)


def dense_extraction(features: torch.Tensor, cubes: torch.Tensor, resolution: int):
    """The mesh by arrays over the whole grid, as spec §6.2 words it."""
    side = resolution + 1
    total, count = torch.zeros(side**3, 10), torch.zeros(side**3, 1)
    ids = corner_ids(cubes, resolution)
    sdf, deformation, weights, color = features.split([8, 24, 21, 48], dim=1)
    for corner in range(8):
        values = [sdf[:, corner, None] - 1 / resolution, deformation[:, 3 * corner : 3 * corner + 3]]
        values.append(color[:, 6 * corner : 6 * corner + 6])
        total.index_add_(0, ids[:, corner], torch.cat(values, dim=1))
        count.index_add_(0, ids[:, corner], torch.ones(len(cubes), 1))
    outside = torch.zeros(10)
    outside[0] = 1.0
    values = torch.where(count > 0, total / count.clamp(min=1), outside)
    dense_weights = torch.zeros(resolution**3, 21)
    dense_weights[cube_ids(cubes, resolution)] = weights
    place = vertex_coords(torch.arange(side**3), resolution) / resolution - 0.5
    place = place + (1 - 1e-8) / (2 * resolution) * values[:, 1:4].tanh()
    every = all_cubes(resolution)
    corners = corner_ids(every, resolution)
    return flexicubes(every, corners, values[:, 0], place, values[:, 4:], resolution, dense_weights)


@pytest.mark.parametrize("resolution", [1, 2, 5, 11])
@pytest.mark.parametrize("share", [0.1, 0.7, 1.0])
def test_sparse_extraction_is_the_dense_one(resolution, share):
    cubes = all_cubes(resolution)
    cubes = cubes[torch.randperm(len(cubes))][: max(1, int(share * len(cubes)))]
    features = torch.randn(len(cubes), FEATURE_CHANNELS)
    sparse, dense = extract_mesh(features, cubes, resolution), dense_extraction(features, cubes, resolution)
    assert torch.equal(sparse.faces, dense.faces)
    torch.testing.assert_close(sparse.vertices, dense.vertices, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sparse.attributes, dense.attributes, rtol=1e-4, atol=1e-4)


def sphere_features(resolution: int, radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    cubes = all_cubes(resolution)
    corners = (cubes[:, None] + torch.tensor(CORNERS)) / resolution - 0.5
    features = torch.zeros(len(cubes), FEATURE_CHANNELS)
    features[:, :8] = corners.norm(dim=-1) - radius + 1 / resolution
    return features, cubes


def test_a_ball_becomes_a_closed_sphere_facing_outwards():
    mesh = extract_mesh(*sphere_features(24, 0.3), 24)
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    volume = (a * torch.linalg.cross(b, c)).sum() / 6
    assert volume.item() == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.04)
    directed = torch.cat([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    forward, backward = ({tuple(edge) for edge in edges.tolist()} for edges in (directed, directed.flip(1)))
    assert forward == backward and len(forward) == len(directed)


def test_gradients_reach_every_kind_of_feature():
    features, cubes = sphere_features(6, 0.3)
    features = (features + 0.01 * torch.randn_like(features)).requires_grad_()
    mesh = extract_mesh(features, cubes, 6)
    (mesh.vertices.square().sum() + mesh.attributes.square().sum()).backward()
    assert features.grad.isfinite().all()
    for part in features.grad.split([8, 24, 20, 1, 48], dim=1)[:3]:
        assert part.abs().sum() > 0


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_a_grid_without_a_crossing_gives_no_faces(value):
    cubes = all_cubes(3)
    features = torch.full((len(cubes), FEATURE_CHANNELS), value)
    assert extract_mesh(features, cubes, 3).faces.shape == (0, 3)
    nothing = extract_mesh(features[:0], cubes[:0], 3)
    assert nothing.vertices.shape == (0, 3) and nothing.attributes.shape == (0, 6)
    assert len(corner_grid(features[:0], cubes[:0], 3).ids) == 0


def read_glb(data: bytes) -> tuple[dict, bytes]:
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and size % 4 == 0
    binary_size, binary_kind = struct.unpack_from("<I4s", data, 20 + size)
    assert binary_kind == b"BIN\0" and binary_size % 4 == 0 and 28 + size + binary_size == len(data)
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def accessor(document: dict, binary: bytes, index: int) -> np.ndarray:
    entry = document["accessors"][index]
    view = document["bufferViews"][entry["bufferView"]]
    columns = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[entry["type"]]
    kind = {5126: "<f4", 5125: "<u4", 5123: "<u2"}[entry["componentType"]]
    assert view["byteOffset"] % 4 == 0
    values = np.frombuffer(binary, kind, entry["count"] * columns, view["byteOffset"])
    assert values.nbytes == view["byteLength"]
    return values.reshape(entry["count"], columns)


def test_glb_holds_meshes_where_they_stand_with_linear_colours():
    vertices = np.array([[1, 2, 3], [0, 0, 1], [0, 1, 0]], dtype=np.float32)
    colors = np.array([[0, 0.5, 1], [1, 1, 1], [0, 0, 0]], dtype=np.float32)
    surface = Surface(vertices, np.array([[0, 1, 2]], dtype=np.int32), colors)
    quarter = np.array([0.5**0.5, 0, 0, 0.5**0.5])  # about the upward axis
    mesh = SceneMesh("Stuhl ü", surface, quarter, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    empty = Surface(vertices[:0], np.zeros((0, 3), np.int32), colors[:0])
    document, binary = read_glb(
        encode_glb([mesh, SceneMesh("nothing", empty, quarter, np.ones(3), np.ones(3))])
    )
    (node,) = document["nodes"]
    assert node["name"] == "Stuhl ü" and node["translation"] == [1, 3, -2] and node["scale"] == [1, 3, 2]
    np.testing.assert_allclose(node["rotation"], [0, 0.5**0.5, 0, 0.5**0.5], atol=1e-12)
    (primitive,) = document["meshes"][node["mesh"]]["primitives"]
    placed = accessor(document, binary, primitive["attributes"]["POSITION"])
    np.testing.assert_array_equal(placed, [[1, 3, -2], [0, 1, 0], [0, 0, -1]])
    assert document["accessors"][primitive["attributes"]["POSITION"]]["max"] == [1, 3, 0]
    linear = accessor(document, binary, primitive["attributes"]["COLOR_0"]) / 65535
    np.testing.assert_allclose(linear[0], [0, 0.2159, 1, 1], atol=1e-3)
    np.testing.assert_array_equal(accessor(document, binary, primitive["indices"]).ravel(), [0, 1, 2])


def test_a_glb_without_meshes_is_a_valid_file():
    data = encode_glb([])
    (size,) = struct.unpack_from("<I", data, 12)
    assert json.loads(data[20 : 20 + size])["asset"]["version"] == "2.0" and len(data) == 20 + size


def test_stored_colours_survive_the_way_to_linear_and_back():
    rgba = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, axis=1)
    linear = linear_rgba(rgba)[:, 0] / 65535
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_array_equal(np.round(encoded * 255), np.arange(256))
    assert vertex_rgba(np.array([[-1.0, 2.0, 0.5]])).tolist() == [[0, 255, 128, 255]]


def test_ply_stores_logits_and_logarithms():
    splat = Gaussians(
        positions=np.array([[1, 2, 3]], np.float32),
        scales=np.array([[0.1, 0.2, 0.3]], np.float32),
        rotations=np.array([[2, 0, 0, 0]], np.float32),
        opacities=np.array([0.75], np.float32),
        colors_dc=np.array([[0.5, 0.6, 0.7]], np.float32),
        kernel=0.0009,
    )
    data = encode_ply(splat)
    header, body = data.split(b"end_header\n")
    assert b"element vertex 1\n" in header and header.count(b"property float") == 17 and len(body) == 68
    expected = [1, 2, 3, 0, 0, 0, 0.5, 0.6, 0.7, np.log(3), *np.log([0.1, 0.2, 0.3]), 2, 0, 0, 0]
    np.testing.assert_allclose(np.frombuffer(body, "<f4"), expected, rtol=1e-6)
    for opacity in (0.0, 1.0):
        data = encode_ply(replace(splat, opacities=np.array([opacity], np.float32)))
        assert np.isfinite(np.frombuffer(data.split(b"end_header\n")[1], "<f4")).all()


def test_point_cloud_leaves_out_what_is_not_finite():
    points = np.array([[[1, 2, 3], [np.nan] * 3]], np.float32)
    content = encode_point_cloud(points, np.array([[[0, 0.5, 1], [0, 0, 0]]], np.float32))
    header, body = content.split(b"end_header\n")
    assert b"element vertex 1\n" in header
    assert np.frombuffer(body[:12], "<f4").tolist() == [1, 2, 3] and list(body[12:]) == [0, 128, 255]
