"""Parity of the condition inputs: crop, resize, point-map normalisation (spec pipeline.md §6)."""

import torch
from parity.golden import Golden

from vendor_model.preprocessing import (
    ObjectCentricSSI,
    PreprocessorSettings,
    crop,
    crop_box,
    geometry_inputs,
    prepare_photo,
    resize_point_map,
    texture_inputs,
)

# Constructor arguments that the goldens' README lists for `config.normalizer`.
NORMALIZERS = {
    "objcentric_scene": ObjectCentricSSI(),
    "objcentric_clip": ObjectCentricSSI(clip_beyond_scale=2.0),
    "objcentric_object": ObjectCentricSSI(use_scene_scale=False),
    "objcentric_normmedian": ObjectCentricSSI(use_scene_scale="object_norm_median", scale_factor=1.5),
}
WINDOWS = {
    ".stride37": lambda tensor: tensor[..., ::37, ::37],
    ".patch": lambda tensor: tensor[..., 240:264, 250:274],
}


def check_image_like(golden: Golden, name: str, actual: torch.Tensor, tolerance: float) -> None:
    """Compare `name`, or, where the golden keeps only windows of it, those."""
    if name in golden.outputs():
        golden.check(name, actual, tolerance)
    else:
        for suffix, window in WINDOWS.items():
            golden.check(name + suffix, window(actual), tolerance)


def prepared(golden: Golden, points=None):
    rgba = golden.inputs()["rgba"].numpy()
    settings = PreprocessorSettings(size=golden.config["size"])
    return prepare_photo(rgba[..., :3], points, settings), rgba[..., 3] / 255, settings


def check_images(golden: Golden, inputs) -> None:
    for name, tolerance in (("image", 2e-6), ("mask", 0), ("rgb_image", 2e-6), ("rgb_image_mask", 0)):
        check_image_like(golden, name, inputs[name], tolerance)


def preprocess_slat(golden: Golden) -> None:
    photo, mask, settings = prepared(golden)
    alpha = torch.tensor(mask, dtype=torch.float32)[None]
    box = crop_box(alpha, settings.box_size_factor)
    image, cropped_mask = crop(photo.rgb, box, 0.0), crop(alpha, box, 0.0)
    golden.check("bbox", box)
    golden.check("crop_hw", image.shape[-2:])
    if "crop_image" in golden.outputs():
        golden.check("crop_image", image, 2e-6)
        golden.check("crop_mask", cropped_mask)
    check_images(golden, texture_inputs(photo, mask, settings))


def preprocess_ss(golden: Golden) -> None:
    points = golden.inputs()["pointmap"].permute(1, 2, 0).numpy()
    inputs = geometry_inputs(*prepared(golden, points))
    check_images(golden, inputs)
    for name in ("pointmap", "rgb_pointmap"):
        check_image_like(golden, name, inputs[name], 2e-5)
        golden.check(f"{name}_scale", inputs["pointmap_scale"], 2e-5)
        golden.check(f"{name}_shift", inputs["pointmap_shift"], 2e-5)


def resize_all(golden: Golden) -> None:
    inputs = golden.inputs()
    size = inputs["image"].shape[-2:]
    golden.check("pointmap", resize_point_map(inputs["pointmap"], size), 2e-6)
    # The photo and its mask have the target size, so the product passes them on as they are.
    golden.check("image", inputs["image"])
    golden.check("mask", inputs["mask"])


def ssi(golden: Golden) -> None:
    normalizer, inputs = NORMALIZERS[golden.config["normalizer"]], golden.inputs()
    points, scale, shift = normalizer.normalize(
        inputs["pointmap"], inputs["mask"], inputs.get("scale"), inputs.get("shift")
    )
    golden.check("pointmap", points, 2e-5)
    golden.check("scale", scale, 2e-5)
    golden.check("shift", shift, 2e-5)
    golden.check("denormalized", normalizer.denormalize(points, scale, shift), 2e-5)


CHECKS = {
    "preprocess_slat": preprocess_slat,
    "preprocess_ss": preprocess_ss,
    "resize_all": resize_all,
    "ssi": ssi,
}
