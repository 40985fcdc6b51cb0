"""Scenes of coloured meshes as binary glTF (spec texture.md §8.2, layout.md §3.2).

glTF is y up: object-frame (x, y, z) becomes (x, z, -y). Importers that are z up turn it back, so a mesh's
local vertices are those of the object frame again.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vendor_model.types import Surface

TO_GLTF = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Column vectors of a z-up frame to glTF's."""

ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
FLOAT, UNSIGNED_INT, UNSIGNED_SHORT = 5126, 5125, 5123
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942


@dataclass(frozen=True)
class SceneMesh:
    """A surface and where it stands in a z-up scene: columns are scaled, then rotated, then moved.

    rotation: quaternion (w, x, y, z); translation: (3,); scale: (3,) along the object's own axes.
    """

    name: str
    surface: Surface
    rotation: np.ndarray
    translation: np.ndarray
    scale: np.ndarray


def gltf_vertices(vertices: np.ndarray) -> np.ndarray:
    """(V, 3) float32, z up -> y up."""
    return np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], axis=1).astype(np.float32)


def vertex_rgba(colors: np.ndarray) -> np.ndarray:
    """Display-referred colours (V, 3) -> (V, 4) uint8, opaque; halves round to even."""
    rgba = np.full((len(colors), 4), 255, dtype=np.uint8)
    rgba[:, :3] = np.clip(np.round(colors * 255), 0, 255)
    return rgba


def linear_rgba(rgba: np.ndarray) -> np.ndarray:
    """sRGB (V, 4) uint8 -> linear (V, 4) uint16, both full scale.

    The released export writes `vertex_rgba` as it is, but glTF defines COLOR_0 as linear: viewers would show
    it too bright. Sixteen bits keep the dark tones that eight linear ones would lose.
    """
    encoded = np.arange(256) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    table = np.round(linear * 65535).astype(np.uint16)
    return np.concatenate([table[rgba[:, :3]], rgba[:, 3:].astype(np.uint16) * 257], axis=1)


def encode_glb(meshes: Sequence[SceneMesh]) -> bytes:
    """A complete .glb: one named node per mesh, its transform on the node, colours in COLOR_0."""
    binary, accessors, views, nodes, gltf_meshes = bytearray(), [], [], [], []

    def add(array: np.ndarray, kind: str, component: int, target: int, **extra) -> int:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes, "target": target})
        binary.extend(array.tobytes())
        binary.extend(bytes(-len(binary) % 4))
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": component, "count": len(array), "type": kind}
            | extra
        )
        return len(accessors) - 1

    for mesh in meshes:
        if len(mesh.surface.faces) == 0:
            continue  # glTF has no empty accessors
        vertices = gltf_vertices(mesh.surface.vertices)
        bounds = {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}
        colors = linear_rgba(vertex_rgba(mesh.surface.colors)).astype("<u2")
        indices = mesh.surface.faces.astype("<u4").reshape(-1)
        attributes = {
            "POSITION": add(vertices.astype("<f4"), "VEC3", FLOAT, ARRAY_BUFFER, **bounds),
            "COLOR_0": add(colors, "VEC4", UNSIGNED_SHORT, ARRAY_BUFFER, normalized=True),
        }
        primitive = {
            "attributes": attributes,
            "indices": add(indices, "SCALAR", UNSIGNED_INT, ELEMENT_ARRAY_BUFFER),
            "material": 0,
        }
        gltf_meshes.append({"name": mesh.name, "primitives": [primitive]})
        nodes.append({"name": mesh.name, "mesh": len(gltf_meshes) - 1} | _transform(mesh))
    material = {
        "name": "Vertex colours",
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
    }
    document = {
        "asset": {"version": "2.0", "generator": "SAM 3D for Blender"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))} if nodes else {}],
    }
    if nodes:
        document |= {
            "nodes": nodes,
            "meshes": gltf_meshes,
            "materials": [material],
            "accessors": accessors,
            "bufferViews": views,
            "buffers": [{"byteLength": len(binary)}],
        }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text
    if nodes:
        chunks += struct.pack("<II", len(binary), BINARY_CHUNK) + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _transform(mesh: SceneMesh) -> dict:
    """Node properties: rotation from (w, x, y, z) to glTF's (x, y, z, w), all axes from z up to y up."""
    w, x, y, z = np.asarray(mesh.rotation, dtype=float) / np.linalg.norm(mesh.rotation)
    sx, sy, sz = np.asarray(mesh.scale, dtype=float)
    return {
        "translation": (TO_GLTF @ np.asarray(mesh.translation, dtype=float)).tolist(),
        "rotation": [*(TO_GLTF @ [x, y, z]).tolist(), w],
        "scale": [sx, sz, sy],
    }
