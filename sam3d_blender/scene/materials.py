"""The look of a reconstructed object: its vertex colours, in every viewport mode and in a render."""

import bpy

COLOR_ATTRIBUTE = "Color"


def vertex_color_material(name: str, mean_color: tuple[float, float, float]) -> bpy.types.Material:
    """A rough material whose base colour is the mesh's colour attribute.

    mean_color: linear, for Solid viewports that show material colours.
    """
    material = bpy.data.materials.new(name)
    material.diffuse_color = (*mean_color, 1.0)
    material.roughness = 0.8
    if bpy.app.version < (5, 0, 0):  # later versions always use nodes, and warn
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = next(node for node in nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    shader.inputs["Roughness"].default_value = 0.8
    colors = nodes.new("ShaderNodeVertexColor")
    colors.layer_name = COLOR_ATTRIBUTE
    colors.location = (shader.location.x - 240, shader.location.y)
    links.new(colors.outputs["Color"], shader.inputs["Base Color"])
    return material


def show_vertex_colors() -> None:
    """Let Solid viewports that show material colours, as they do by default, show vertex colours."""
    for screen in bpy.data.screens:
        for area in screen.areas:
            for space in area.spaces:
                if space.type == "VIEW_3D" and space.shading.color_type == "MATERIAL":
                    space.shading.color_type = "VERTEX"
