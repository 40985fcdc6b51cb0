"""What the released model's configuration says, number by number: what neither keys nor shapes would betray.

Source: spec geometry.md §1 and §6, texture.md §1 to §5, moge.md §0, pipeline.md §0.
"""

from pathlib import Path

import pytest
import torch

import vendor_model
from vendor_model import checkpoints
from vendor_model.config import PipelineConfig, read_pipeline
from vendor_model.models import geometry_flow, latent_decoders, texture_flow
from vendor_model.models.conditioning import DinoEmbedder, PointPatchEmbedder
from vendor_model.pipeline import geometry_sampler, texture_sampler
from vendor_model.precision import weight_dtype
from vendor_model.sampling import step_size
from vendor_model.sparse.grid import SparseGrid

OFFICIAL = Path(vendor_model.__file__).parent / "official"


@pytest.fixture(scope="module")
def config() -> PipelineConfig:
    return read_pipeline(OFFICIAL)


@pytest.fixture
def build(config):
    def build(name: str) -> torch.nn.Module:
        with torch.device("meta"):
            return checkpoints.build_one(OFFICIAL, config, name)

    return build


def test_the_first_stage_takes_25_guided_steps_of_which_the_early_ones_are_short(config):
    sampler = geometry_sampler(config)
    assert (sampler.inference_steps, sampler.rescale_t) == (25, 3.0)
    assert (sampler.strength, tuple(sampler.interval)) == (7.0, (0.0, 500.0))
    assert float(step_size(sampler, torch.device("cpu"))) == 0


def test_the_second_stage_takes_25_even_steps_under_weak_guidance(config):
    sampler = texture_sampler(config)
    assert (sampler.inference_steps, sampler.rescale_t) == (25, 1.0)
    assert (sampler.strength, tuple(sampler.interval)) == (1.0, (0.0, 500.0))


def test_the_distilled_first_stage_is_told_how_far_it_steps(config):
    sampler = geometry_sampler(config.with_preset("draft"))
    assert (sampler.inference_steps, sampler.rescale_t, sampler.strength) == (4, 3.0, 0.0)
    assert float(step_size(sampler, torch.device("cpu"))) == 250


def test_constants_of_the_pipeline(config):
    assert config.slat_mean == (
        *(0.12211431, 0.37204156, -1.26521907, -2.05276058),
        *(-3.10432536, -0.11294304, -0.85146744, 0.45506954),
    )
    assert config.slat_std == (
        *(2.37326008, 2.13174402, 2.2413953, 2.30589401),
        *(2.1191894, 1.8969511, 2.41684989, 2.08374642),
    )
    assert config.ss_preprocessor.size == config.slat_preprocessor.size == 518
    assert (config.dtype, config.downsample_ss_dist, config.clip_pointmap_beyond_scale) == (
        "float16",
        1,
        None,
    )


def test_a_whole_number_is_as_good_as_a_fraction(tmp_path):
    text = (OFFICIAL / "pipeline.yaml").read_text("utf-8") + "clip_pointmap_beyond_scale: 3\n"
    (tmp_path / "pipeline.yaml").write_text(text, "utf-8")
    assert read_pipeline(tmp_path).clip_pointmap_beyond_scale == 3.0


def test_splats_leave_their_decoder_in_float32():
    with torch.random.fork_rng():
        decoder = latent_decoders.GaussianDecoder(8, 32, 4, 1, 2, window_size=8).eval()
    grid = SparseGrid(torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4]], dtype=torch.int32))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert decoder(torch.randn(2, 4), grid).dtype == torch.float32


def test_the_weights_of_the_splats_are_kept_in_float32(build):
    key = "out_layer.weight"
    shape = tuple(build("slat_decoder_gs").state_dict()[key].shape)
    assert weight_dtype(key, shape, torch.float16) == torch.float32
    assert weight_dtype("blocks.0.mlp.0.weight", shape, torch.float16) == torch.float16


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        *(("depth_model", 16), ("ss_condition_embedder", 16), ("slat_condition_embedder", 16)),
        *(("ss_flow", 16), ("slat_flow", 16), ("slat_decoder_gs", 12), ("slat_decoder_mesh", 12)),
    ],
)
def test_attention_has_the_released_heads(build, name, heads):
    assert {part.num_heads for part in build(name).modules() if hasattr(part, "num_heads")} == {heads}


@pytest.mark.parametrize(
    ("name", "prenorm", "tokens"),
    [
        ("ss_condition_embedder", False, 4 * 1370 + 2 * 1024),
        ("slat_condition_embedder", True, 4 * 1374),
    ],
)
def test_condition_tokens_are_as_many_as_the_release_has(build, name, prenorm, tokens):
    embedder = build(name)
    dinos = [part for part in embedder.modules() if isinstance(part, DinoEmbedder)]
    assert [(dino.prenorm_features, dino.input_size) for dino in dinos] == [(prenorm, 518)] * 2
    channels = {"mask": 1, "rgb_image_mask": 1}
    inputs = {
        key: torch.zeros(1, channels.get(key, 3), 32, 32, device="meta") for key in embedder.input_names
    }
    assert embedder(inputs).shape == (1, tokens, 1024)


def test_points_enter_the_embedder_as_they_are(build):
    [embedder] = [
        part for part in build("ss_condition_embedder").modules() if isinstance(part, PointPatchEmbedder)
    ]
    points = torch.tensor([-2.0, 0.5, 3.0])
    assert torch.equal(embedder.remap(points), points)


def test_depth_is_estimated_at_its_finest(build):
    assert build("depth_model").num_tokens == 2551


def test_decoders_look_at_windows_of_eight_cells_and_mesh_on_256(build):
    mesh, splats = build("slat_decoder_mesh"), build("slat_decoder_gs")
    assert mesh.window_size == splats.window_size == 8
    assert (mesh.resolution, splats.resolution, mesh.output_resolution) == (64, 64, 256)


def test_splats_have_the_released_constants(build):
    settings = build("slat_decoder_gs").settings
    assert (settings.num_gaussians, settings.voxel_size, settings.perturb_offset) == (32, 1.5, True)
    assert (settings.scaling_bias, settings.opacity_bias, settings.kernel) == (0.004, 0.1, 0.0009)


def test_norms_have_the_released_epsilons(build):
    """Goldens at their tolerances cannot tell 1e-5 from 1e-6 (spec geometry.md §10 no. 3)."""

    def epsilons(name: str) -> set[float]:
        return {part.eps for part in build(name).modules() if isinstance(part, torch.nn.LayerNorm)}

    assert epsilons("depth_model") == epsilons("ss_flow") == epsilons("slat_flow") == {1e-6}
    assert epsilons("ss_condition_embedder") == epsilons("slat_condition_embedder") == {1e-6, 1e-5}
    assert epsilons("ss_decoder") == {1e-5}
    assert (geometry_flow.BLOCK_NORM_EPS, geometry_flow.OUTPUT_NORM_EPS) == (1e-6, 1e-5)
    for module in (texture_flow, latent_decoders):
        assert (module.BLOCK_NORM_EPS, module.OUTPUT_NORM_EPS) == (1e-6, 1e-5)
