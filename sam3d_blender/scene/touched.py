"""Which objects the artist has worked on: everything that shows is hashed when an object is made."""

import hashlib

import bpy
import numpy as np

NO_DELTAS = ((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Delta rotation, as quaternion and as Euler angles, and delta scale of a new object."""


def seal(obj: bpy.types.Object) -> None:
    """Remember the object as it is now."""
    obj.sam3d.fingerprint = fingerprint(obj)


def is_touched(obj: bpy.types.Object) -> bool:
    """Whether anything of the object has changed since `seal`, or is about to.

    In a mode of its own, as Edit Mode, an object is being worked on: its data do not show yet what was done.
    """
    return obj.mode != "OBJECT" or obj.sam3d.fingerprint != fingerprint(obj)


def fingerprint(obj: bpy.types.Object) -> str:
    """Hash of name, transform, modifiers, relations and data of a mesh or camera object.

    What a new object has none of counts only where there is some, so that the hash of one that was sealed
    before it was looked for still holds.
    """
    digest = hashlib.sha1()
    for value in (*_object_facts(obj), *_data_facts(obj.data)):
        digest.update(value if isinstance(value, bytes) else repr(value).encode("utf-8"))
    return digest.hexdigest()


def _object_facts(obj):
    yield obj.name
    yield obj.rotation_mode
    for channel in (obj.location, obj.rotation_quaternion, obj.rotation_euler, obj.scale, obj.delta_location):
        yield tuple(channel)
    yield obj.parent.name if obj.parent else None
    yield [modifier.name for modifier in obj.modifiers]
    yield [constraint.name for constraint in obj.constraints]
    yield obj.animation_data is not None
    deltas = (tuple(obj.delta_rotation_quaternion), tuple(obj.delta_rotation_euler), tuple(obj.delta_scale))
    if deltas != NO_DELTAS:
        yield from ("deltas", deltas)
    if obj.vertex_groups:
        yield from ("vertex groups", [group.name for group in obj.vertex_groups])


def _data_facts(data):
    if isinstance(data, bpy.types.Camera):
        yield (data.type, data.lens, data.shift_x, data.shift_y, data.sensor_width, data.sensor_fit)
        return
    yield data.name
    yield _read(data.vertices, "co", 3, np.float32)
    yield _read(data.loops, "vertex_index", 1, np.int32)
    for attribute in data.color_attributes:
        yield attribute.name
        yield _read(attribute.data, "color", 4, np.float32)
    yield [layer.name for layer in data.uv_layers]
    yield data.shape_keys is not None
    seams, sharp = (_read(data.edges, name, 1, bool) for name in ("use_seam", "use_edge_sharp"))
    if any(seams):
        yield from ("seams", seams)
    if any(sharp):
        yield from ("sharp edges", sharp)
    smooth = _read(data.polygons, "use_smooth", 1, bool)
    if not all(smooth):
        yield from ("smooth faces", smooth)
    for material in data.materials:
        yield from _material_facts(material) if material else (None,)


def _material_facts(material):
    yield (material.name, tuple(material.diffuse_color))
    for node in material.node_tree.nodes if material.node_tree else ():
        yield (node.bl_idname, node.name, node.mute)
        for socket in node.inputs:
            value = getattr(socket, "default_value", None)
            yield tuple(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value
    for link in material.node_tree.links if material.node_tree else ():
        yield (link.from_node.name, link.from_socket.identifier, link.to_node.name, link.to_socket.identifier)


def _read(items, attribute: str, width: int, dtype) -> bytes:
    values = np.empty(len(items) * width, dtype)
    items.foreach_get(attribute, values)
    return values.tobytes()
