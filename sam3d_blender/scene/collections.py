"""One collection for each photo, holding its camera and its objects."""

from pathlib import Path

import bpy


def collection_of(scene: bpy.types.Scene, photo: bpy.types.Image) -> bpy.types.Collection:
    """The photo's collection in the scene, made when it is not there. Its name is the artist's to change."""
    for collection in scene.collection.children_recursive:
        if collection.sam3d_photo == photo:
            return collection
    collection = bpy.data.collections.new(Path(photo.name).stem)
    collection.sam3d_photo = photo
    scene.collection.children.link(collection)
    return collection
