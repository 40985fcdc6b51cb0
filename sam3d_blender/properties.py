"""What the add-on keeps: prompts with their photo, settings with the scene, set-up in the preferences."""

import uuid
from collections.abc import Collection

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from .core.shapes import Marked, Shape, shapes
from .core.state import Box, Click, object_color, prompt_key
from .scene.photo import adopt
from .worker import releases

ADDON_ID = __package__.rpartition(".")[0] or __package__
"""The extension's root module, under which Blender files its preferences."""

MODELS = (
    (
        releases.BUILT_IN,
        "Mini",
        "The small model of the add-on: rough shapes of simple objects, quickly, on any machine",
    ),
    *((name, release.title, release.description) for name, release in releases.releases().items()),
    (releases.LOCAL, "Local Folder", "A model in a folder of your own"),
)

SEGMENTERS = (
    (
        releases.BEST,
        "Best Available",
        "The largest SAM 2.1 on this machine; without one, the embedded segmenter",
    ),
    (releases.EMBEDDED, "Embedded", "The small segmenter of the add-on, which answers clicks on any machine"),
    *((name, release.title, release.description) for name, release in releases.segmenters().items()),
    (releases.LOCAL, "Folder or Id", "SAM 2.1 or SAM 3 in a folder of your own, or in Hugging Face's cache"),
)

MARKINGS = (
    ("ADD", "Include", "Click on the object, or drag a box around it", "ADD", 0),
    ("EXCLUDE", "Exclude", "Click on what is not part of the object", "REMOVE", 1),
    ("BRUSH", "Brush", "Paint what belongs to the object", "BRUSH_DATA", 2),
    ("ERASE", "Eraser", "Paint what does not belong to the object", "TRASH", 3),
)


PRESETS = (
    ("draft", "Draft", "Fewest steps and no guidance, for a first look"),
    ("standard", "Standard", "Half as many steps as released"),
    ("reference", "Reference", "As the model was released"),
)
"""Names as in `presets` of a model's `pipeline.yaml`; the built-in model takes a single step in each."""

MEMORY_MODES = (
    ("auto", "Automatic", "Choose by the memory that is free"),
    ("high", "High", "Keep the whole model loaded: quickest"),
    ("medium", "Medium", "Load one part of the model at a time"),
    ("low", "Low", "Load one part at a time, and keep nothing between steps: slowest"),
)
"""Names as in `vendor_model.residency.MemoryMode`."""


class SAM3D_PG_click(bpy.types.PropertyGroup):
    """A click, in pixels of the photo from its top left corner."""

    x: FloatProperty()
    y: FloatProperty()
    positive: BoolProperty(default=True)


class SAM3D_PG_prompt(bpy.types.PropertyGroup):
    """An object that the artist points out in a photo: clicks, a box, a given mask, strokes of the brush.

    box: see `core.state.Box`, all zeros when there is none; mask: text of `core.masks`, of the mask that was
    found or given, '' when there is none; mask_key: of the clicks and box it was found from, '' for a given
    mask; added, erased: texts of what the brush does to it; message: why there is no mask, or no mesh, in
    words; is_proposal: whether the segmenter found it and the artist has not kept it yet.
    """

    uuid: StringProperty()
    color: FloatVectorProperty(
        name="Color",
        subtype="COLOR_GAMMA",
        size=3,
        min=0,
        max=1,
        description="Color of the mask in the photo",
    )
    show_mask: BoolProperty(name="Show Mask", default=True, description="Show the mask over the photo")
    clicks: CollectionProperty(type=SAM3D_PG_click)
    box: FloatVectorProperty(size=4)
    mask: StringProperty()
    mask_key: StringProperty()
    added: StringProperty()
    erased: StringProperty()
    message: StringProperty()
    is_proposal: BoolProperty()

    @property
    def drawn_box(self) -> Box | None:
        """The box around the object; None when there is none."""
        return tuple(self.box) if any(self.box) else None

    @property
    def key(self) -> str:
        """Identity of the present clicks and box."""
        clicks = (Click(click.x, click.y, click.positive) for click in self.clicks)
        return prompt_key(clicks, self.drawn_box)

    @property
    def is_given(self) -> bool:
        """Whether the mask came from a file or an image, not from clicks."""
        return bool(self.mask) and not self.mask_key

    @property
    def is_brushed(self) -> bool:
        return bool(self.added or self.erased)

    @property
    def is_marked(self) -> bool:
        """Whether the artist has done anything for it to have a mask."""
        return bool(self.mask or self.added or self.clicks or self.drawn_box)

    @property
    def is_current(self) -> bool:
        """Whether the mask is the one that the clicks ask for; never while all of them exclude."""
        return self.is_given or (self.mask_key == self.key and bool(self.key or not self.clicks))


class SAM3D_PG_photo(bpy.types.PropertyGroup):
    """`Image.sam3d`: the objects pointed out in a photo.

    file_digest: of the photo's file when it was loaded, '' for an image without one; depth_file: from the
    photo's folder on, or an absolute path, see `depth_files.set_depth`; '' to have the depth estimated.
    """

    prompts: CollectionProperty(type=SAM3D_PG_prompt)
    active_index: IntProperty(name="Active Object")
    smaller_wins: BoolProperty(
        name="Smaller Object Wins",
        default=True,
        description="Where masks overlap, give the pixels to the smaller object; off: to both",
    )
    file_digest: StringProperty()
    depth_file: StringProperty()
    lens: FloatProperty(
        name="Lens",
        min=0,
        soft_max=200,
        precision=1,
        description="Focal length in mm, the photo's width being 36 mm, as its camera in the scene has it; "
        "0: as the photo's file says, or estimated",
    )

    def new_prompt(self, name: str = "") -> SAM3D_PG_prompt:
        """Append a prompt with a name and colour of its own, and make it the active one.

        From then on the photo is saved with the file, also when another one is worked on.
        """
        stem, number = (name, 1) if name else ("Object", len(self.prompts))
        while not name or name in self.prompts:
            number += 1
            name = f"{stem} {number}"
        colors = {tuple(round(c, 3) for c in prompt.color) for prompt in self.prompts}
        index = 0
        while tuple(round(c, 3) for c in object_color(index)) in colors:
            index += 1
        prompt = self.prompts.add()
        prompt.name, prompt.uuid, prompt.color = name, uuid.uuid4().hex, object_color(index)
        self.active_index = len(self.prompts) - 1
        self.id_data.use_fake_user = True
        return prompt

    def remove_prompts(self, uuids: Collection[str]) -> None:
        """Take prompts out of the list."""
        for index in reversed(range(len(self.prompts))):
            if self.prompts[index].uuid in uuids:
                self.prompts.remove(index)
        self.active_index = max(0, min(self.active_index, len(self.prompts) - 1))

    def shapes(self) -> dict[str, Shape]:
        """By uuid, the shape of every prompt that has a mask; the same objects until a mask changes."""
        proposed = [prompt for prompt in self.prompts if prompt.is_proposal]
        kept = [prompt for prompt in self.prompts if not prompt.is_proposal]
        return _shapes_of(kept, self.smaller_wins) | _shapes_of(proposed, smaller_wins=False)

    @property
    def active(self) -> SAM3D_PG_prompt | None:
        if 0 <= self.active_index < len(self.prompts):
            return self.prompts[self.active_index]
        return None


def _shapes_of(prompts: list[SAM3D_PG_prompt], smaller_wins: bool) -> dict[str, Shape]:
    marked = tuple(Marked(prompt.mask, prompt.added, prompt.erased) for prompt in prompts)
    each = zip(prompts, shapes(marked, smaller_wins), strict=True)
    return {prompt.uuid: shape for prompt, shape in each if shape is not None}


class SAM3D_PG_scene(bpy.types.PropertyGroup):
    """`Scene.sam3d`: which photo is worked on, how to reconstruct it, and what the last run took.

    peak_memory_mb: of the worker.
    """

    photo: PointerProperty(
        type=bpy.types.Image,
        name="Photo",
        description="The photo to take objects from",
        update=lambda self, context: show_photo(self.photo),
    )
    find_text: StringProperty(
        name="Text",
        description="What to look for, such as “chair”, which SAM 3 understands; empty to find every object",
    )
    seed: IntProperty(
        name="Seed", min=0, default=42, description="The same seed and masks give the same objects again"
    )
    preset: EnumProperty(
        name="Quality",
        items=PRESETS,
        default="reference",
        description="How many steps the model may take; Mini takes one in each",
    )
    refine_layout: BoolProperty(
        name="Match Masks",
        default=True,
        description="Move each object afterwards until its outline fits its mask; takes longer",
    )
    peak_memory_mb: FloatProperty()


class SAM3D_PG_tool(bpy.types.PropertyGroup):
    """`WindowManager.sam3d`: what the marking tool does; undo, which steps through marks, leaves it alone."""

    marking: EnumProperty(
        name="Marking",
        items=MARKINGS,
        description="What the left mouse button does to the active object; with Alt it does the opposite",
    )
    brush_radius: IntProperty(
        name="Radius",
        subtype="PIXEL",
        min=1,
        soft_max=200,
        max=1000,
        default=20,
        description="Radius of the brush on the screen: zoom in to paint finer",
    )


class SAM3D_PG_object(bpy.types.PropertyGroup):
    """`Object.sam3d`: where an object or a photo's camera came from.

    mask: `core.masks.digest` of its whole mask; fingerprint: see `scene.touched`; of a photo's camera
    pixel_aspect, height over width of a pixel, and written_lens, its lens and shifts as last written.
    """

    photo: PointerProperty(type=bpy.types.Image)
    prompt: StringProperty()
    mask: StringProperty()
    seed: IntProperty()
    mask_iou: FloatProperty(name="Mask IoU", min=0, max=1)
    fingerprint: StringProperty()
    pixel_aspect: FloatProperty(default=1.0)
    written_lens: FloatVectorProperty(size=3)


class Preferences:
    """What the add-on's preferences hold; `ui/preferences.py` makes Blender's class of it and draws it."""

    python: StringProperty(
        name="Python",
        description="A Python that has the model's packages; leave empty to use the environment made here",
    )
    model: EnumProperty(name="Model", items=MODELS, description="Which model makes the objects")
    checkpoint: StringProperty(
        name="Model Folder",
        subtype="DIR_PATH",
        description="A folder with a model's configuration and weights, or with released files to convert",
    )
    memory: EnumProperty(name="Memory", items=MEMORY_MODES, description="How much of the model stays loaded")
    segmenter: EnumProperty(
        name="Segmenter", items=SEGMENTERS, description="What turns clicks in the photo into masks"
    )
    segmenter_folder: StringProperty(
        name="Folder or Id",
        subtype="DIR_PATH",
        description="A folder with a SAM 2.1 or SAM 3, or the id of one that Hugging Face's cache holds",
    )
    token: StringProperty(
        name="Token",
        subtype="PASSWORD",
        description="Of your Hugging Face account, for models that ask for one; forgotten once they are here",
    )


def show_photo(photo: bpy.types.Image | None) -> None:
    """Let the window's Image Editors show the photo that is worked on.

    Those for UVs or for painting, and those with an image pinned, keep theirs.
    """
    if photo and not photo.sam3d.file_digest:
        adopt(photo)
    screen = bpy.context.screen
    for area in screen.areas if photo and screen else ():
        space = area.spaces.active
        if area.type == "IMAGE_EDITOR" and space.mode == "VIEW" and not space.use_image_pin:
            space.image = photo


def preferences() -> Preferences | None:
    """The add-on's preferences; None when it runs from a script without being installed."""
    addon = bpy.context.preferences.addons.get(ADDON_ID)
    return addon.preferences if addon else None


CLASSES = (
    SAM3D_PG_click,
    SAM3D_PG_prompt,
    SAM3D_PG_photo,
    SAM3D_PG_scene,
    SAM3D_PG_tool,
    SAM3D_PG_object,
)

POINTERS = {
    (bpy.types.Scene, "sam3d"): PointerProperty(type=SAM3D_PG_scene),
    (bpy.types.WindowManager, "sam3d"): PointerProperty(type=SAM3D_PG_tool),
    (bpy.types.Image, "sam3d"): PointerProperty(type=SAM3D_PG_photo),
    (bpy.types.Object, "sam3d"): PointerProperty(type=SAM3D_PG_object),
    (bpy.types.Collection, "sam3d_photo"): PointerProperty(type=bpy.types.Image),
}
