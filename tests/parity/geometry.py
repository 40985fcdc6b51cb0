"""Condition embedders, geometry flow, sampling, voxels and pose against their goldens."""

from functools import partial

import torch
from parity.golden import Golden
from torch import Tensor, nn

from vendor_model import sampling, voxels
from vendor_model.layout import pose, transforms
from vendor_model.models import conditioning
from vendor_model.models.conditioning import DinoEmbedder, EmbedderFuser, PointPatchEmbedder
from vendor_model.models.dinov2 import DinoV2
from vendor_model.models.geometry_flow import GeometryFlow, LatentMapping, MixtureBlock
from vendor_model.models.layers import TimestepEmbedder, sinusoid
from vendor_model.models.voxel_decoder import VoxelDecoder, tokens_to_grid
from vendor_model.sampling import SamplerSettings

TOLERANCE = 2e-5
SAMPLER_TOLERANCE = 1e-4
SCHEDULE_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}


def dino_backbone(config: dict) -> DinoV2:
    names = (
        *("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio"),
        *("num_register_tokens", "interpolate_antialias", "interpolate_offset"),
    )
    return DinoV2(**{name: config[name] for name in names})


def point_embedder(config: dict) -> PointPatchEmbedder:
    names = ("embed_dim", "input_size", "patch_size", "remap_output", "num_heads", "mlp_ratio")
    return PointPatchEmbedder(**{name: config[name] for name in names})


def geometry_flow(config: dict) -> GeometryFlow:
    names = (
        *("model_channels", "cond_channels", "num_blocks", "num_heads", "mlp_ratio"),
        *("qk_rms_norm", "is_shortcut_model", "latent_share_transformer"),
    )
    return GeometryFlow(latent_mapping=config["latents"], **{name: config[name] for name in names})


def loaded(module: nn.Module, golden: Golden) -> nn.Module:
    module.load_state_dict(golden.weights(), strict=True)
    return module.eval()


@torch.no_grad()
def check_dino_embedder(golden: Golden) -> None:
    config = golden.config

    def embedder(input_size: int, prenorm_features: bool = False) -> DinoEmbedder:
        backbone = dino_backbone(config["vit"])
        return loaded(
            DinoEmbedder(backbone, input_size, config["normalize_images"], prenorm_features), golden
        )

    inputs = golden.inputs()
    standard = embedder(config["input_size"])
    golden.check("tokens_image", standard(inputs["image"]), TOLERANCE)
    golden.check("tokens_image_resized", standard(inputs["image_odd"]), TOLERANCE)
    golden.check("tokens_mask", standard(inputs["mask"]), TOLERANCE)
    golden.check("tokens_mask_resized", standard(inputs["mask_odd"]), TOLERANCE)
    prenorm = embedder(config["input_size"], prenorm_features=True)
    golden.check("tokens_image_prenorm", prenorm(inputs["image"]), TOLERANCE)
    resampled = embedder(config["posinterp_input_size"])
    golden.check("tokens_image_posinterp", resampled(inputs["image"]), TOLERANCE)


@torch.no_grad()
def check_pointmap_embedder(golden: Golden) -> None:
    embedder = loaded(point_embedder(golden.config), golden)
    inputs = golden.inputs()
    golden.check("tokens", embedder(inputs["pointmap"]), TOLERANCE)
    golden.check("tokens_same_size", embedder(inputs["pointmap_same_size"]), TOLERANCE)
    golden.check("tokens_all_invalid", embedder(torch.full((1, 3, 20, 20), torch.nan)), TOLERANCE)
    resized = conditioning.resize_points(inputs["pointmap"], golden.config["input_size"])
    golden.check("resized_hwc", resized, TOLERANCE)
    for name, remap in conditioning.REMAPS.items():
        golden.check(f"remap_{name}", remap(inputs["points"]), TOLERANCE)


@torch.no_grad()
def check_embedder_fuser(golden: Golden) -> None:
    config = golden.config
    build = {
        "dino": lambda: DinoEmbedder(dino_backbone(config["vit"]), config["dino_input_size"]),
        "pointmap": lambda: point_embedder(config["pointmap"]),
    }
    fuser = EmbedderFuser(
        [(build[kind](), named) for kind, named in config["embedder_list"]],
        config["projection_net_hidden_dim_multiplier"],
    )
    loaded(fuser, golden)
    golden.check("tokens", fuser(golden.inputs()), TOLERANCE)
    golden.check("tokens_forced_drop", fuser(golden.inputs(), drop=config["forced_drop"]), TOLERANCE)


@torch.no_grad()
def check_timestep_embedder(golden: Golden) -> None:
    embedder = TimestepEmbedder(golden.config["hidden_size"], golden.config["frequency_embedding_size"])
    loaded(embedder, golden)
    time = golden.inputs()["t"]
    golden.check("sinusoid", sinusoid(time, golden.config["frequency_embedding_size"]), TOLERANCE)
    golden.check("emb", embedder(time), TOLERANCE)
    for name in golden.outputs("shape_pos_emb_"):
        channels, resolution = (int(number[1:]) for number in name.split("_"))
        table = LatentMapping(channels, in_channels=1, resolution=resolution).pos_emb
        golden.check(f"shape_pos_emb_{name}", table, TOLERANCE)


@torch.no_grad()
def check_mot_block(golden: Golden) -> None:
    names = (
        *("channels", "ctx_channels", "num_heads", "mlp_ratio"),
        *("latent_names", "protect_modality_list", "qk_rms_norm"),
    )
    block = loaded(MixtureBlock(**{name: golden.config[name] for name in names}), golden)
    streams, inputs = golden.inputs("x."), golden.inputs()
    for name, attended in block.self_attn(streams).items():
        golden.check(f"self_attn.{name}", attended, TOLERANCE)
    result = block(streams, inputs["mod"], block.prepare_context(inputs["context"]))
    for name, tokens in result.items():
        golden.check(f"x.{name}", tokens, TOLERANCE)


@torch.no_grad()
def check_ss_flow(golden: Golden) -> None:
    flow = loaded(geometry_flow(golden.config), golden)
    latents, inputs = golden.inputs("latent."), golden.inputs()
    time, size = inputs["t"], inputs["d"]
    context = flow.prepare_context(inputs["cond"])
    zero = torch.zeros_like(size)
    cases = {
        "d0": flow(latents, time, context, zero),
        "d1": flow(latents, time, context, size),
        "uncond": flow(latents, time, flow.unconditional_context(), zero),
        "nod": flow(latents, time, context),
        "shared_t": flow(latents, time[:1], context, zero[:1]),
    }
    for case, velocities in cases.items():
        for name, velocity in velocities.items():
            golden.check(f"{case}.{name}", velocity, TOLERANCE)


@torch.no_grad()
def check_sampler(golden: Golden) -> None:
    flow = loaded(geometry_flow(golden.config["flow"]), golden)
    context = flow.prepare_context(golden.inputs()["cond"])
    for run, config in golden.config["runs"].items():
        settings = SamplerSettings(
            inference_steps=config["steps"],
            rescale_t=config["rescale_t"],
            strength=config["strength"],
            interval=config["interval"],
            no_shortcut=config.get("no_shortcut", True),
            solver=config.get("solver", "euler"),
        )
        check_schedule(golden, f"{run}.t_seq", settings.inference_steps, settings.rescale_t)
        size = None
        if flow.is_shortcut_model:
            size = sampling.step_size(settings)
            golden.check(f"{run}.d", size, TOLERANCE)

        def check_step(done: int, latents: dict[str, Tensor], run: str = run) -> None:
            for name, value in latents.items():
                golden.check(f"{run}.step{done}.{name}", value, SAMPLER_TOLERANCE)

        sampling.sample(
            partial(flow, context=context, d=size),
            partial(flow, context=flow.unconditional_context(), d=size),
            golden.inputs("x0."),
            settings,
            check_step,
        )
    if "t_seq_25_rescale3" in golden.outputs():
        check_schedule(
            golden, "t_seq_25_rescale3", SamplerSettings.inference_steps, SamplerSettings.rescale_t
        )
    if golden.outputs("noise."):
        torch.manual_seed(golden.config["noise_seed"])
        for name, noise in sampling.draw_noise(flow.latent_shapes()).items():
            golden.check(f"noise.{name}", noise)


def check_schedule(golden: Golden, name: str, steps: int, rescale_t: float) -> None:
    tolerance = SCHEDULE_TOLERANCE[golden.outputs()[name].dtype]
    times = torch.tensor(sampling.schedule(steps, rescale_t), dtype=torch.float64)
    golden.check(name, times, tolerance)


@torch.no_grad()
def check_ss_decoder(golden: Golden) -> None:
    names = ("out_channels", "latent_channels", "num_res_blocks", "num_res_blocks_middle", "channels")
    decoder = loaded(VoxelDecoder(**{name: golden.config[name] for name in names}), golden)
    cube = tokens_to_grid(golden.inputs()["shape_latent"])
    logits = decoder(cube)
    golden.check("cube", cube, TOLERANCE)
    golden.check("logits", logits, TOLERANCE)
    golden.check("coords", voxels.occupied(logits))


def check_coords(golden: Golden) -> None:
    config, logits = golden.config, golden.inputs()["logits"]
    golden.check("coords", voxels.occupied(logits))
    for distance in config["prune_dists"]:
        golden.check(f"pruned_dist{distance}", voxels.prune(voxels.occupied(logits), distance))
    for name, factor, limit in (
        ("default_downsample", "default_factor", voxels.MAX_COORDS),
        (
            f"downsampled_max{config['downsampled_max_coords']}",
            f"downsampled_max{config['downsampled_max_coords']}_factor",
            config["downsampled_max_coords"],
        ),
    ):
        coords, shrunk_by = voxels.sparse_structure(logits, 1, limit)
        golden.check(name, coords)
        golden.check(factor, [shrunk_by])


def check_sparse_structure(golden: Golden) -> None:
    pruned = voxels.prune(golden.inputs()["coords"], golden.config["dist"])
    golden.check("pruned", pruned)
    coords, factor = voxels.downsample(pruned, golden.config["max_coords"])
    golden.check("downsampled", coords)
    golden.check("factor", factor)


def check_pose(golden: Golden) -> None:
    inputs = golden.inputs()
    rotation, translation, scale = check_decoded_pose(golden, TOLERANCE)
    rotation_6d = pose.denormalise_rotation_6d(inputs["6drotation_normalized"])
    golden.check("rot6d", rotation_6d, TOLERANCE)
    golden.check("rotation_6d_mean", pose.ROTATION_6D_MEAN, TOLERANCE)
    golden.check("rotation_6d_std", pose.ROTATION_6D_STD, TOLERANCE)
    matrix = transforms.compose(transforms.quaternion_to_matrix(rotation), translation, scale)
    golden.check("matrix", matrix, TOLERANCE)
    golden.check("points_scene", transforms.transform_points(inputs["points"], matrix), TOLERANCE)
    quaternions = transforms.matrix_to_quaternion(inputs["rotation_matrices"])
    golden.check("quaternions_from_matrices", quaternions, TOLERANCE)


def check_pose_ssi(golden: Golden) -> None:
    check_decoded_pose(golden, 2e-6)


def check_decoded_pose(golden: Golden, tolerance: float) -> tuple[Tensor, Tensor, Tensor]:
    inputs = golden.inputs()
    decoded = pose.decode_pose(inputs, inputs["scene_scale"], inputs["scene_shift"])
    for name, value in zip(("rotation", "translation", "scale"), decoded, strict=True):
        golden.check(name, value, tolerance)
    return decoded


def check_quaternion_algebra(golden: Golden) -> None:
    tolerance = 3e-6
    inputs = golden.inputs()
    rotation = transforms.quaternion_to_matrix(inputs["q"])
    golden.check("R", rotation, tolerance)
    golden.check("q_back", transforms.matrix_to_quaternion(rotation), tolerance)
    golden.check("q_mul", transforms.quaternion_multiply(inputs["q"], inputs["q2"]), tolerance)
    matrix = transforms.compose(rotation, inputs["t"], inputs["s"])
    golden.check("matrix", matrix, tolerance)
    points = transforms.transform_points(inputs["p"], matrix)
    golden.check("points", points, tolerance)
    golden.check("points_inv", transforms.transform_points(points, torch.linalg.inv(matrix)), tolerance)
    for name, value in zip(("rotation", "translation", "scale"), transforms.decompose(matrix), strict=True):
        golden.check(f"dec_{name}", value, tolerance)


CHECKS = {
    "dino_embedder": check_dino_embedder,
    "pointmap_embedder": check_pointmap_embedder,
    "embedder_fuser": check_embedder_fuser,
    "timestep_embedder": check_timestep_embedder,
    "mot_block": check_mot_block,
    "ss_flow": check_ss_flow,
    "sampler_shortcut": check_sampler,
    "sampler_flow_matching": check_sampler,
    "ss_decoder": check_ss_decoder,
    "coords": check_coords,
    "sparse_struct": check_sparse_structure,
    "sparse_structure": check_sparse_structure,
    "pose": check_pose,
    "pose_decode": check_pose_ssi,
    "pose_ssi": check_pose_ssi,
    "quat_ops": check_quaternion_algebra,
    "quat_transform": check_quaternion_algebra,
}
