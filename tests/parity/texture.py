"""Goldens of the texture stage: sparse layers, structured-latent flow, decoders, surface extraction."""

from functools import partial

import numpy as np
import torch
from parity.golden import Golden
from splats import covariances
from torch import Tensor, nn

from vendor_model.models.conditioning import EmbedderFuser
from vendor_model.models.latent_decoders import GaussianDecoder, MeshDecoder, WindowBlock
from vendor_model.models.texture_flow import (
    Context,
    FlowGrid,
    ModulatedCrossBlock,
    SparseResBlock,
    TextureFlow,
    denormalise,
)
from vendor_model.sampling import SamplerSettings, sample, schedule
from vendor_model.sparse.attention import item_groups, window_groups
from vendor_model.sparse.convolution import PointwiseConvolution, SubmanifoldConvolution
from vendor_model.sparse.grid import SparseGrid
from vendor_model.surface import gaussians
from vendor_model.surface.extraction import (
    corner_attributes,
    corner_grid,
    extract_mesh,
    to_surface,
    vertex_coords,
    vertex_positions,
)
from vendor_model.surface.flexicubes import (
    corner_ids,
    cube_cases,
    cube_ids,
    flexicubes,
    is_surface,
    resolve_ambiguity,
)
from vendor_model.surface.glb import gltf_vertices, vertex_rgba
from vendor_model.surface.ply import encode_ply

FLOW_ARGUMENTS = (
    *(
        "resolution",
        "in_channels",
        "model_channels",
        "cond_channels",
        "out_channels",
        "num_blocks",
        "num_heads",
    ),
    *("mlp_ratio", "patch_size", "num_io_res_blocks", "io_block_channels", "qk_rms_norm"),
)
DECODER_ARGUMENTS = (
    *(
        "resolution",
        "model_channels",
        "latent_channels",
        "num_blocks",
        "num_heads",
        "mlp_ratio",
        "window_size",
    ),
)


def _pick(config: dict, names: tuple[str, ...]) -> dict:
    return {name: config[name] for name in names if name in config}


def _loaded(module: nn.Module, golden: Golden, prefix: str = "") -> nn.Module:
    module.load_state_dict(golden.weights(prefix))
    return module.eval()


@torch.no_grad()
def subm_conv3(golden: Golden) -> None:
    given = golden.inputs()
    layer = _loaded(
        SubmanifoldConvolution(golden.config["in_channels"], golden.config["out_channels"]), golden
    )
    golden.check("feats", layer(given["feats"], SparseGrid(given["coords"]).links), 1e-5, floor=0)


@torch.no_grad()
def subm_conv1(golden: Golden) -> None:
    layer = _loaded(PointwiseConvolution(golden.config["in_channels"], golden.config["out_channels"]), golden)
    golden.check("feats", layer(golden.inputs()["feats"]), 1e-5, floor=0)


def down_up_subdivide(golden: Golden) -> None:
    given = golden.inputs()
    grid = SparseGrid(given["coords"])
    golden.check("down_coords", grid.coarse.coords)
    golden.check("down_feats", grid.pool(given["feats"]), 1e-5, floor=0)
    golden.check("down_index", grid.coarse_rows)
    golden.check("up_coords", grid.coords)
    golden.check("up_feats", given["coarse_feats"].index_select(0, grid.coarse_rows), 1e-5, floor=0)
    golden.check("sub_coords", grid.subdivided.coords)
    golden.check("sub_feats", given["feats"].repeat_interleave(8, dim=0), 1e-5, floor=0)


@torch.no_grad()
def window_block(golden: Golden) -> None:
    given, config = golden.inputs(), golden.config
    grid, x = SparseGrid(given["coords"]), given["feats"]
    for index in range(2):
        windows = window_groups(grid, config["window_size"], index * (config["window_size"] // 2))
        golden.check(f"window_id_block{index}", windows.ids)
        golden.check(f"seq_lens_block{index}", windows.lengths)
        items = torch.empty_like(windows.lengths).scatter_(0, windows.ids, grid.item_rows)
        golden.check(f"seq_batch_block{index}", items)
        block = WindowBlock(config["channels"], config["num_heads"], config["mlp_ratio"])
        x = _loaded(block, golden, f"{index}.")(x, windows)
        golden.check(f"feats_block{index}", x, 2e-5, floor=0)


@torch.no_grad()
def mod_cross_block(golden: Golden) -> None:
    given, config = golden.inputs(), golden.config
    block = ModulatedCrossBlock(
        config["channels"],
        config["ctx_channels"],
        config["num_heads"],
        config["mlp_ratio"],
        config["qk_rms_norm"],
    )
    _loaded(block, golden)
    grid = SparseGrid(given["coords"])
    zeroed = torch.zeros(1, 1, config["ctx_channels"])
    for name, tokens in {"feats": given["context"], "feats_zero_context": zeroed}.items():
        context = block.cross_attn.prepare(tokens, True)
        golden.check(
            name, block(given["feats"], grid, item_groups(grid), given["mod"], context), 2e-5, floor=0
        )


@torch.no_grad()
def res_blocks(golden: Golden) -> None:
    given, config = golden.inputs(), golden.config
    narrow, wide, embedded = config["channels"], config["out_channels"], config["emb_channels"]
    grid = SparseGrid(given["coords"])
    same = _loaded(SparseResBlock(narrow, embedded, narrow), golden, "same.")
    down = _loaded(SparseResBlock(narrow, embedded, wide, "down"), golden, "down.")
    up = _loaded(SparseResBlock(wide, embedded, narrow, "up"), golden, "up.")
    x = same(given["feats"], grid, given["emb"])
    golden.check("feats_same", x, 2e-5, floor=0)
    x = down(x, grid, given["emb"])
    golden.check("feats_down", x, 2e-5, floor=0)
    golden.check("coords_down", grid.coarse.coords)
    golden.check("feats_up", up(x, grid, given["emb"]), 2e-5, floor=0)


@torch.no_grad()
def slat_flow(golden: Golden) -> None:
    given = golden.inputs()
    flow = _loaded(TextureFlow(**_pick(golden.config, FLOW_ARGUMENTS)), golden)
    grid = flow.prepare_coords(given["coords"])
    golden.check("coarse_coords", grid.levels[-1].coords)
    golden.check("ape_coarse", grid.positions, 5e-5, floor=0)
    contexts = {"cond": flow.prepare_context(given["cond"]), "uncond": flow.unconditional_context()}
    taps = {name for name in golden.outputs() if name.startswith("tap_")}
    for name in golden.outputs():
        if not name.startswith("v_"):
            continue
        _, branch, time = name.split("_")
        seen = _record(flow) if branch == "cond" else {}
        velocity = flow(given["x"][0], torch.tensor([float(time[1:])]), grid, contexts[branch])
        golden.check(name, velocity[None], 5e-5, floor=0)
        for tap in taps if branch == "cond" else ():
            prefix, _, part = tap.partition(".")
            if prefix == f"tap_{time}":
                golden.check(tap, seen[{"t_emb": "t_embedder"}.get(part, part)], 5e-5, floor=0)


@torch.no_grad()
def slat_sampler(golden: Golden) -> None:
    given, config = golden.inputs(), golden.config
    sibling = golden.sibling("slat_sampler", "slat_flow")
    flow = _loaded(TextureFlow(**_pick(sibling.config, FLOW_ARGUMENTS)), sibling)
    grid = flow.prepare_coords(given["coords"])
    conditional, unconditional = (
        partial(_velocity, flow, grid, context)
        for context in (flow.prepare_context(given["cond"]), flow.unconditional_context())
    )
    for run in sorted({name.split(".")[0] for name in golden.outputs()}):
        options = config[run]
        settings = SamplerSettings(
            options["steps"], options["rescale_t"], options["strength"], tuple(options["interval"])
        )
        times = schedule(settings.inference_steps, settings.rescale_t)
        golden.check(f"{run}.t_seq", np.float32(times), 1e-4, floor=0)
        golden.check(f"{run}.t", np.float32(times[:-1]), 1e-4, floor=0)
        states = []
        latent = sample(
            conditional,
            unconditional,
            given["noise"][0],
            settings,
            lambda _, state, to=states: to.append(state),
        )
        golden.check(f"{run}.traj", torch.stack(states), 1e-4, floor=0)
        if f"{run}.slat" in golden.outputs():
            latent = denormalise(latent, config["slat_mean"], config["slat_std"])
            golden.check(f"{run}.slat", latent, 1e-4, floor=0)


def _velocity(flow: TextureFlow, grid: FlowGrid, context: Context, latent: Tensor, time: Tensor) -> Tensor:
    return flow(latent, time, grid, context)


def _record(module: nn.Module) -> dict[str, Tensor]:
    """Outputs of all submodules by name, filled while the module runs."""
    seen = {}
    for name, part in module.named_modules():
        part.register_forward_hook(lambda _, __, result, name=name: seen.__setitem__(name, result))
    return seen


def cond_fuser(golden: Golden) -> None:
    given, config = golden.inputs(), golden.config
    # The first input of a position group names it; embedders follow the inputs' kinds: pictures, then masks.
    groups = {
        name: f"group {group}" for name, group in zip(config["order"], config["pos_group"], strict=True)
    }
    pictures = [(name, group) for name, group in groups.items() if "mask" not in name]
    masks = [(name, group) for name, group in groups.items() if "mask" in name]
    fuser = EmbedderFuser(
        [(_Identity(config["embed_dim"]), pictures), (_Identity(config["embed_dim"]), masks)]
    )
    _loaded(fuser, golden)
    tokens = fuser({name: given[f"{name}_tokens"] for name in config["order"]})
    golden.check("tokens", tokens, 1e-5, floor=0)


class _Identity(nn.Identity):
    """Stands for an embedder whose tokens the golden gives."""

    def __init__(self, embed_dim: int):
        super().__init__()
        self.embed_dim = embed_dim


@torch.no_grad()
def gs_decoder(golden: Golden) -> None:
    given, config = golden.inputs(), golden.config
    decoder = GaussianDecoder(
        **_pick(config, DECODER_ARGUMENTS), representation_config=config["representation_config"]
    )
    assert torch.allclose(decoder.offset_perturbation, golden.weights()["offset_perturbation"], atol=1e-6)
    _loaded(decoder, golden)
    head = decoder(given["feats"], SparseGrid(given["coords"]))
    golden.check("head", head, 2e-5, floor=0)
    stored = gaussians.split_head(
        head, given["coords"], decoder.offset_perturbation, decoder.resolution, decoder.settings
    )
    splats = gaussians.activate(stored, decoder.settings)
    covariance = covariances(splats)
    rows, columns = torch.triu_indices(3, 3)
    values = {
        "raw_xyz": stored.xyz,
        "features_dc": stored.features_dc[:, None],
        "raw_scaling": stored.scaling,
        "raw_rotation": stored.rotation,
        "raw_opacity": stored.opacity,
        "xyz": splats.positions,
        "scaling": splats.scales,
        "rotation": gaussians.unit(torch.from_numpy(splats.rotations)),
        "opacity": splats.opacities[:, None],
        "rgb": gaussians.colors(stored.features_dc),
        "covariance6": covariance[:, rows, columns],
    }
    outputs = golden.outputs()
    for name in values.keys() & outputs.keys():
        golden.check(name, values[name], 2e-5, floor=0)
    if "ply_bytes" in outputs:
        _check_ply(golden, encode_ply(splats))


def _check_ply(golden: Golden, data: bytes) -> None:
    """Header and length to the byte, numbers to rounding."""
    expected = golden.outputs()["ply_bytes"].numpy().tobytes()
    end = expected.index(b"end_header\n") + len(b"end_header\n")
    assert data[:end] == expected[:end] and len(data) == len(expected)
    actual, wanted = (np.frombuffer(content[end:], "<f4").reshape(-1, 17) for content in (data, expected))
    assert np.abs(actual - wanted).max() <= 1e-5 * np.abs(wanted).max()
    golden.skip("ply_bytes", "compared above: header exact, floats to 1e-5")


@torch.no_grad()
def mesh_decoder_feats(golden: Golden) -> None:
    given = golden.inputs()
    decoder = _loaded(MeshDecoder(**_pick(golden.config, DECODER_ARGUMENTS)), golden)
    seen = _record(decoder)
    grid = SparseGrid(given["coords"])
    head, cubes = decoder(given["feats"], grid)
    rows = golden.outputs()["rows"].long()
    last = len(decoder.upsample) - 1
    golden.check("coords", cubes.coords)
    golden.check("rows", rows)
    golden.check("torso", seen[f"blocks.{len(decoder.blocks) - 1}"], 5e-5, floor=0)
    golden.check("up0_head", seen["upsample.0"][: len(golden.outputs()["up0_head"])], 5e-5, floor=0)
    golden.check("up1", seen[f"upsample.{last}"][rows], 5e-5, floor=0)
    golden.check("head", head[rows], 5e-5, floor=0)
    golden.check("head_mean", head.mean(0), 1e-3, floor=0)
    golden.check("head_absmean", head.abs().mean(0), 1e-3, floor=0)


def features2mesh(golden: Golden) -> None:
    given, resolution = golden.inputs(), golden.config["res"]
    cubes = given["coords"][:, 1:]
    grid = corner_grid(given["feats"], cubes, resolution)
    deformation, color = corner_attributes(given["feats"], grid.cubes)
    golden.check("corner_coords", vertex_coords(grid.ids, resolution))
    golden.check("corner_attrs", torch.cat([grid.sdf[:, None], deformation, color], dim=1), 1e-5, floor=0)
    golden.check("corner_pos", vertex_positions(grid.ids, deformation, resolution), 1e-5, floor=0)
    mesh = extract_mesh(given["feats"], cubes, resolution)
    golden.check("vertices", mesh.vertices, 1e-5, floor=0)
    golden.check("faces", mesh.faces)
    golden.check("vertex_attrs", mesh.attributes, 1e-5, floor=0)
    surface = to_surface(mesh)
    golden.check("glb_vertices", gltf_vertices(surface.vertices), 1e-5, floor=0)
    golden.check("glb_faces", surface.faces)
    golden.check("glb_vertex_rgba", vertex_rgba(surface.colors))


def flexicubes_dense(golden: Golden) -> None:
    given, resolution = golden.inputs(), golden.config["res"]
    axis = torch.arange(resolution)
    cubes = torch.cartesian_prod(axis, axis, axis)
    corners = corner_ids(cubes, resolution)
    weights = torch.zeros(len(cubes), 21)
    weights[given["cube_ids"].long()] = given["weights"]
    cases = cube_cases(given["sdf"][corners])
    surface = is_surface(cases)
    assert torch.equal(cube_ids(cubes[surface], resolution), given["cube_ids"].long())
    golden.check("case_raw", cases[surface])
    golden.check("case_resolved", resolve_ambiguity(cases[surface], cubes[surface], resolution))
    shape = (cubes, corners, given["sdf"], given["grid_pos"], given["colors_logit"], resolution)
    mesh = flexicubes(*shape, weights)
    golden.check("vertices", mesh.vertices, 1e-4, floor=0)
    golden.check("faces", mesh.faces)
    golden.check("colors", mesh.attributes, 1e-4, floor=0)
    plain = flexicubes(*shape)
    golden.check("vertices_noweights", plain.vertices, 1e-4, floor=0)
    golden.check("faces_noweights", plain.faces)


CHECKS = {
    "subm_conv3": subm_conv3,
    "subm_conv1": subm_conv1,
    "down_up_subdivide": down_up_subdivide,
    "window_block": window_block,
    "mod_cross_block": mod_cross_block,
    "res_blocks": res_blocks,
    "slat_flow": slat_flow,
    "slat_sampler": slat_sampler,
    "cond_fuser": cond_fuser,
    "gs_decoder": gs_decoder,
    "mesh_decoder_feats": mesh_decoder_feats,
    "features2mesh": features2mesh,
    "flexicubes": flexicubes_dense,
}
