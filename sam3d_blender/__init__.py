"""SAM 3D for Blender: click objects in a photo, get coloured meshes where they stand."""


def register() -> None:
    from . import registration  # not above: `core` and `worker` are also used, and tested, without bpy

    registration.register()


def unregister() -> None:
    from . import registration

    registration.unregister()
