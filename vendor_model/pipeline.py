"""Photo and masks to posed, coloured objects: the stages in order (spec pipeline.md §2).

A photo's point map and the condition tokens of the whole picture are computed once. Objects go through
the stages together, one stage after the other, so that each part of the model is loaded once a photo where
memory is short.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vendor_model import checkpoints
from vendor_model.config import PipelineConfig, read_pipeline
from vendor_model.depth import clip_far, estimate_point_map, external_point_map
from vendor_model.device import choose_device
from vendor_model.errors import EmptyReconstructionError, MaskError
from vendor_model.layout.geometry_fit import fit_geometry
from vendor_model.layout.pose import decode_pose
from vendor_model.layout.refinement import RefinementSettings, mask_iou, refine_pose
from vendor_model.layout.seen_voxels import correct_seen_voxels
from vendor_model.memory import is_out_of_memory, stay_on_device
from vendor_model.models.texture_flow import denormalise
from vendor_model.models.voxel_decoder import tokens_to_grid
from vendor_model.precision import convert, product_dtype, products_in, search_dtype
from vendor_model.preprocessing import (
    PHOTO_INPUTS,
    PreparedPhoto,
    geometry_inputs,
    prepare_photo,
    square_image,
    texture_inputs,
)
from vendor_model.residency import SMALLER, MemoryMode, Residency
from vendor_model.sampling import SamplerSettings, draw_noise, sample, step_size
from vendor_model.sparse.grid import SparseGrid
from vendor_model.surface.cleaning import drop_cavities_and_crumbs
from vendor_model.surface.extraction import extract_mesh, to_surface
from vendor_model.surface.gaussians import activate, split_head
from vendor_model.surface.photo_colors import color_from_photo
from vendor_model.types import Gaussians, Photo, PointMap, Pose, Progress, Reconstruction, Surface
from vendor_model.voxels import sparse_structure

SAMPLING_SHARE = 0.1
"""Of the progress of a shape that is fitted, what sampling is given; the fit takes far longer."""


@dataclass(frozen=True)
class PhotoScene:
    """What all objects of one photo share: its point map, the prepared pictures of both stages, and, once
    they are made, the condition tokens of the whole picture by embedder and input."""

    photo: Photo
    point_map: PointMap
    geometry_photo: PreparedPhoto
    texture_photo: PreparedPhoto
    tokens: dict[str, dict[str, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """Result of the geometry stage for one object. coords: (N, 4) int32, the voxels that carry the structured
    latent; generator: the state of its random numbers, which the texture stage goes on with."""

    coords: Tensor
    pose: Pose
    generator: torch.Generator


class Pipeline:
    """A model at work. `set_photo` once, then `reconstruct` as often as wanted.

    notify: told in a sentence when memory ran out and a smaller memory mode takes over.
    """

    def __init__(
        self, config: PipelineConfig, models: Residency, notify: Callable[[str], None] = lambda sentence: None
    ):
        self.config, self.models, self.notify = config, models, notify

    @classmethod
    def load(
        cls,
        folder: Path,
        device: str = "auto",
        memory: MemoryMode | None = None,
        notify: Callable[[str], None] = lambda sentence: None,
    ) -> "Pipeline":
        """Read a model folder. memory: None to have the mode chosen from the memory that is free.

        Raises CheckpointError, or UserError for a device that is not there.
        """
        config, chosen = read_pipeline(folder), choose_device(device)

        def dtype(name: str) -> torch.dtype:
            return product_dtype(name, chosen, config.dtype)

        def load(name: str) -> nn.Module:
            kept = torch.float32 if dtype(name) == torch.float32 else None
            module = convert(checkpoints.load_module(folder, config, name, chosen, kept), dtype(name))
            return module.requires_grad_(False)

        models = Residency(load, dtype, chosen, checkpoints.size(folder, config, dtype), memory)
        if models.mode == MemoryMode.HIGH:
            said = models.load_all(name for names in checkpoints.WEIGHTS.values() for name in names)
            if said:
                notify(said)
        return cls(config, models, notify)

    @property
    def device(self) -> torch.device:
        return self.models.device

    @torch.no_grad()
    def set_photo(
        self, photo: Photo, progress: Progress, known_depth: np.ndarray | None = None
    ) -> PhotoScene:
        """Point map and pictures of a photo.

        known_depth: from a scanner, a renderer or another model in place of the depth model's, as in
        `external_point_map`. Raises PhotoError when there is no surface to be seen.
        """
        if known_depth is None:
            (point_map,) = self._stage("depth", [photo], self._estimate_points, progress)
        else:
            point_map = external_point_map(known_depth, photo.size, photo.focal_px)
        return prepare_scene(self.config, photo, point_map)

    @torch.no_grad()
    def reconstruct(
        self,
        scene: PhotoScene,
        masks: Sequence[np.ndarray],
        seed: int,
        progress: Progress,
        refine_layout: bool | None = None,
        preset: str | None = None,
    ) -> list[Reconstruction | None]:
        """One object for each mask (H, W) bool, in their order; None for one of which nothing came.

        refine_layout: correct the poses by render-and-compare; None as the model's configuration says.
        preset: of the configuration, how to sample; None as the configuration itself says.
        Raises MaskError, CheckpointError for a preset that the model does not have, or
        EmptyReconstructionError when of none of them anything came.
        """
        config = self.config if preset is None else self.config.with_preset(preset)
        check_masks(masks, scene.photo.size)
        refine = config.layout_refinement if refine_layout is None else refine_layout
        fits = config.geometry_fit and scene.point_map.handed_in
        each = partial(self._stage, progress=progress)
        tokens = each("conditioning", masks, lambda mask, _: self.geometry_condition(scene, mask))
        shapes = each(
            "geometry",
            list(zip(tokens, masks, strict=True)),
            lambda pair, step: self.sample_shape(
                *pair[0], seed, step, config, (scene.point_map, pair[1]) if fits else None
            ),
        )
        del tokens  # here and below: a hundred times the size of what comes of them
        there = [number for number, shape in enumerate(shapes) if shape is not None]
        texture_tokens = each(
            "conditioning",
            [masks[number] for number in there],
            lambda mask, _: self.texture_condition(scene, mask),
        )
        shapes = [shapes[number] for number in there]
        latents = each(
            "texture",
            list(zip(shapes, texture_tokens, strict=True)),
            lambda pair, step: self.sample_texture(*pair, step, config=config),
        )
        del texture_tokens
        decoded = each(
            "surface",
            list(zip(shapes, latents, strict=True)),
            lambda pair, _: self.decode(SparseGrid(pair[0].coords), pair[1]),
        )
        made: list[Reconstruction | None] = [None] * len(masks)
        for number, shape, surface_and_splats in zip(there, shapes, decoded, strict=True):
            progress("refinement", number / len(masks))
            if surface_and_splats is None:
                continue
            (surface, gaussians), mask = surface_and_splats, masks[number]
            pose, iou = place(surface, shape.pose, mask, scene.point_map, refine)
            if config.photo_colors:
                surface, gaussians = color_from_photo(
                    surface, gaussians, pose, scene.photo.rgb, mask, scene.point_map.intrinsics
                )
            made[number] = Reconstruction(surface, gaussians, pose, iou)
        return made

    def geometry_condition(self, scene: PhotoScene, mask: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Condition tokens (1, T, C) of an object and the inputs that they were made from."""
        photo, factor = scene.geometry_photo, self.config.clip_pointmap_beyond_scale
        if factor is not None:
            near = clip_far(scene.point_map.points, mask, factor)
            photo = replace(photo, points=torch.from_numpy(near).permute(2, 0, 1))
        inputs = geometry_inputs(photo, mask, self.config.ss_preprocessor)
        return self._condition("ss_condition_embedder", scene, inputs), inputs

    def texture_condition(self, scene: PhotoScene, mask: np.ndarray) -> Tensor:
        """Condition tokens (1, T, C) of an object's second stage."""
        inputs = texture_inputs(scene.texture_photo, mask, self.config.slat_preprocessor)
        return self._condition("slat_condition_embedder", scene, inputs)

    def sample_shape(
        self,
        tokens: Tensor,
        inputs: Mapping[str, Tensor],
        seed: int,
        on_step: Callable[[float], None],
        config: PipelineConfig,
        seen: tuple[PointMap, np.ndarray] | None = None,
    ) -> Shape:
        """Voxels and pose of one object (spec geometry.md §6–8). Raises EmptyReconstructionError.

        seen: point map and mask that both are fitted to, where there are such to be trusted.
        """
        generator = torch.Generator().manual_seed(seed)
        settings = geometry_sampler(config)
        sampling = 1.0 if seen is None else SAMPLING_SHARE
        told = step_size(settings, self.device)
        with self.models.running("ss_flow") as flow:
            context = flow.prepare_context(tokens, self.models.keeps_context)
            latents = sample(
                partial(flow, context=context, d=told),
                partial(flow, context=flow.unconditional_context(), d=told),
                draw_noise(flow.latent_shapes(), generator, self.device),
                settings,
                lambda done, _: on_step(sampling * done / settings.inference_steps),
            )
        del context  # the decoder needs its room
        pose_latents = {name: value.cpu().double() for name, value in latents.items() if name != "shape"}
        moments = (inputs["pointmap_scale"].double(), inputs["pointmap_shift"].double())
        pose = Pose(*(part[0].numpy() for part in decode_pose(pose_latents, *moments)))
        shape = latents["shape"]
        with self.models.running("ss_decoder") as decoder:
            if seen is None:
                logits = decoder(tokens_to_grid(shape))
            else:
                logits, pose = self._fitted(
                    decoder, shape, pose, *seen, lambda done: on_step(sampling + (1 - sampling) * done)
                )
        coords, factor = sparse_structure(logits, config.downsample_ss_dist, generator=generator)
        return Shape(coords, replace(pose, scale=pose.scale * factor), generator)

    def _fitted(
        self,
        decoder: nn.Module,
        shape: Tensor,
        pose: Pose,
        point_map: PointMap,
        mask: np.ndarray,
        on_step: Callable[[float], None],
    ) -> tuple[Tensor, Pose]:
        """Logits of the voxels (1, 1, R, R, R) and pose after `fit_geometry`."""
        precision = search_dtype(self.device)

        def decode(latent: Tensor) -> Tensor:
            with products_in(precision, self.device):
                return decoder(tokens_to_grid(latent.to(self.device))).float().cpu()

        with torch.enable_grad():
            fit = fit_geometry(decode, shape.cpu(), pose, point_map, mask, on_step=on_step)
        logits = decode(fit.shape)
        if fit.after < fit.before:
            logits = correct_seen_voxels(logits, fit.pose, point_map, mask)
        return logits.to(self.device), fit.pose

    def sample_texture(
        self, shape: Shape, tokens: Tensor, on_step: Callable[[float], None], config: PipelineConfig
    ) -> Tensor:
        """Structured latent (N, channels) of a shape's voxels, de-normalised (spec texture.md §3)."""
        settings = texture_sampler(config)
        # Of the generator a copy: the stage may have to begin again.
        generator = torch.Generator()
        generator.set_state(shape.generator.get_state())
        with self.models.running("slat_flow") as flow:
            grid = flow.prepare_coords(shape.coords)
            noise = torch.randn(len(shape.coords), flow.in_channels, generator=generator).to(self.device)
            context = flow.prepare_context(tokens, self.models.keeps_context)
            latent = sample(
                partial(flow, grid=grid, context=context),
                partial(flow, grid=grid, context=flow.unconditional_context()),
                noise,
                settings,
                lambda done, _: on_step(done / settings.inference_steps),
            )
        return denormalise(latent, config.slat_mean, config.slat_std)

    def decode(self, grid: SparseGrid, latent: Tensor) -> tuple[Surface, Gaussians]:
        """Mesh and splats of a structured latent, in the object frame (spec texture.md §4–7).

        Raises EmptyReconstructionError when the mesh has no triangle.
        """
        with self.models.running("slat_decoder_mesh") as decoder:
            features, cubes = decoder(latent, grid)
        surface = to_surface(extract_mesh(features, cubes.coords[:, 1:], decoder.output_resolution))
        del features, cubes  # the splats need their room
        if len(surface.faces):
            surface = drop_cavities_and_crumbs(surface)
        if not len(surface.faces):
            raise EmptyReconstructionError(
                "The model found no surface for this object: mark more of it, or try another seed."
            )
        with self.models.running("slat_decoder_gs") as splats:
            head = splats(latent, grid).float()
        parameters = split_head(
            head, grid.coords, splats.offset_perturbation, splats.resolution, splats.settings
        )
        return surface, activate(parameters, splats.settings)

    def _estimate_points(self, photo: Photo, _) -> PointMap:
        with self.models.running("depth_model") as model:
            return estimate_point_map(model, photo)

    def _condition(self, name: str, scene: PhotoScene, inputs: Mapping[str, Tensor]) -> Tensor:
        with self.models.running(name) as embedder:
            placed = {key: inputs[key].to(self.device) for key in embedder.input_names}
            if name not in scene.tokens:
                scene.tokens[name] = {key: embedder.tokens(key, placed[key]) for key in PHOTO_INPUTS}
            return embedder(placed, known=scene.tokens[name])

    def _stage(self, stage: str, items: Sequence, work: Callable, progress: Progress) -> list:
        """work(item, on_step) of every object, reporting the stage's progress over all of them; None for one
        that turns out empty, unless all do.

        Where memory runs out an object is begun again in a smaller memory mode, as long as there is one.
        """
        stay_on_device(self.device)
        results = []
        while len(results) < len(items):
            number = len(results)
            progress(stage, number / len(items))
            on_step = partial(lambda done, first: progress(stage, (first + done) / len(items)), first=number)
            try:
                results.append(work(items[number], on_step))
                continue
            except MaskError as error:
                if len(items) == 1:
                    raise
                raise MaskError(f"Mask {number + 1} of {len(items)}: {error}") from None
            except EmptyReconstructionError:
                results.append(None)
                if len(results) == len(items) and not any(result is not None for result in results):
                    raise
                continue
            except Exception as error:
                if not is_out_of_memory(error) or self.models.mode not in SMALLER:
                    raise
            # Only here, where the error no longer holds on to what was being computed.
            self.notify(self.models.shrink())
        self.models.end_stage()
        return results


def geometry_sampler(config: PipelineConfig) -> SamplerSettings:
    """How a configuration samples shape and pose."""
    return SamplerSettings(
        config.ss_inference_steps,
        config.ss_rescale_t,
        config.ss_cfg_strength,
        config.ss_cfg_interval,
        no_shortcut=not config.use_stage1_distillation,
    )


def texture_sampler(config: PipelineConfig) -> SamplerSettings:
    """How a configuration samples the structured latent."""
    return SamplerSettings(
        config.slat_inference_steps,
        config.slat_rescale_t,
        config.slat_cfg_strength,
        config.slat_cfg_interval,
    )


def prepare_scene(config: PipelineConfig, photo: Photo, point_map: PointMap) -> PhotoScene:
    """A photo with a point map from wherever."""
    for_geometry = prepare_photo(photo.rgb, point_map.points, config.ss_preprocessor)
    # The photo's floats, which may be half a gigabyte, are there once.
    small = square_image(for_geometry.rgb, config.slat_preprocessor.size)[None]
    return PhotoScene(photo, point_map, for_geometry, PreparedPhoto(for_geometry.rgb, small, None))


def check_masks(masks: Sequence[np.ndarray], size: tuple[int, int]) -> None:
    """Raises MaskError for a mask that is not of the photo's size (height, width)."""
    for number, mask in enumerate(masks, start=1):
        if mask.shape != size:
            raise MaskError(
                f"Mask {number} is {mask.shape[1]} x {mask.shape[0]} pixels, "
                f"the photo {size[1]} x {size[0]}: make the mask anew for this photo."
            )


def place(
    surface: Surface, pose: Pose, mask: np.ndarray, point_map: PointMap, refine: bool
) -> tuple[Pose, float]:
    """The object's final pose and the overlap of its silhouette with its mask."""
    if refine:
        pose = refine_pose(surface, pose, mask, point_map, RefinementSettings()).pose
    return pose, mask_iou(surface, pose, mask, point_map)
