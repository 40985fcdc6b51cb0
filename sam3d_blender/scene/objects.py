"""A reconstructed surface as a Blender object whose own transform is the predicted pose."""

import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector

from ..core.colors import linear_from_srgb
from ..core.frames import ObjectTransform, transform_matrix
from .materials import COLOR_ATTRIBUTE, vertex_color_material


def build_mesh(name: str, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> bpy.types.Mesh:
    """A smooth-shaded mesh with a colour for each vertex, and the material that shows it.

    vertices: (V, 3) float; faces: (F, 3) int, counter-clockwise from outside; colors: (V, 3) sRGB 0..1.
    """
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, np.int32).ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    attribute = mesh.color_attributes.new(COLOR_ATTRIBUTE, "BYTE_COLOR", "POINT")
    opaque = np.ones((len(vertices), 4), np.float32)
    opaque[:, :3] = colors
    attribute.data.foreach_set("color_srgb", opaque.ravel())
    mesh.update(calc_edges=True)
    mesh.validate()
    mean_color = linear_from_srgb(np.asarray(colors, np.float64)).mean(axis=0)
    mesh.materials.append(vertex_color_material(name, tuple(mean_color)))
    return mesh


def centre_of(vertices: np.ndarray) -> np.ndarray:
    """(3,) float64: the middle of the bounding box of (V, 3) vertices."""
    return (vertices.min(axis=0).astype(np.float64) + vertices.max(axis=0)) / 2


def moved_origin(transform: ObjectTransform, centre: np.ndarray) -> ObjectTransform:
    """The transform under which vertices minus `centre` stand where the vertices stood."""
    linear = transform_matrix(transform)[:3, :3]
    return transform._replace(location=transform.location + linear @ centre)


def set_transform(obj: bpy.types.Object, transform: ObjectTransform, follow: Matrix) -> None:
    """Place the object by its own channels, carried along by the rigid 4×4 matrix `follow`."""
    obj.rotation_mode = "QUATERNION"
    obj.location = follow @ Vector(transform.location)
    obj.rotation_quaternion = follow.to_quaternion() @ Quaternion(transform.rotation_quaternion)
    obj.scale = transform.scale


def remove_mesh(mesh: bpy.types.Mesh) -> None:
    """Remove a mesh, and its materials, as far as nothing else uses them."""
    materials = [material for material in mesh.materials if material]
    if mesh.users == 0:
        bpy.data.meshes.remove(mesh)
    for material in materials:
        if material.users == 0:
            bpy.data.materials.remove(material)
