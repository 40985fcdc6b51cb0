"""The benchmark at a reduced size, and what it rests on."""

import copy
import dataclasses
import json
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from vendor_model.__main__ import MINI
from vendor_model.benchmark import subject
from vendor_model.benchmark.__main__ import benchmark, evaluations
from vendor_model.benchmark.gauges import measure, throughput
from vendor_model.benchmark.precision import error
from vendor_model.config import read_pipeline
from vendor_model.models.geometry_flow import GeometryFlow
from vendor_model.models.texture_flow import TextureFlow
from vendor_model.pipeline import geometry_sampler, texture_sampler
from vendor_model.precision import convert, product_dtype, weight_dtype
from vendor_model.residency import MemoryMode
from vendor_model.sampling import SamplerSettings, sample
from vendor_model.sparse.grid import SparseGrid

CPU = torch.device("cpu")
OFFICIAL = MINI.parent / "official"
STAGES = [
    "depth",
    "conditioning",
    "geometry",
    "conditioning",
    "texture",
    "mesh decoder",
    "extraction",
    "splats",
]


@pytest.mark.parametrize("voxels", [300])
def test_every_stage_is_measured(voxels, capfd):
    torch.set_num_threads(1)
    pipeline = subject.random_pipeline(MINI, "cpu", MemoryMode.LOW)
    rows = list(benchmark(pipeline, pipeline.config.with_preset("draft"), voxels))
    assert [name for name, _, _ in rows] == STAGES
    for name, dtype, reading in rows:
        assert dtype == "float32" and reading.seconds > 0 and 50e6 < reading.peak_ram < 6e9
        assert 0 < reading.peak_device < reading.peak_ram
        assert (reading.flops > 1e6) == (name != "extraction"), name
    assert not pipeline.models.loaded


def test_command_prints_a_line_a_stage():
    command = [sys.executable, "-m", "vendor_model.benchmark", "--config", str(MINI), "--weights", "--json"]
    lines = subprocess.check_output([*command, "--voxels", "300", "--device", "cpu"], text=True).splitlines()
    facts, *rows = map(json.loads, lines)
    assert facts["model"] == read_pipeline(MINI).version and facts["weights"] == "real"
    assert [row["stage"] for row in rows] == STAGES and all(row["share"] >= 0 for row in rows)


def test_evaluations_of_the_release_are_those_of_the_specification():
    """44 of stage 1, 38 of stage 2 (spec pipeline): guidance covers a part of the steps."""
    config = read_pipeline(OFFICIAL)
    assert evaluations(geometry_sampler(config)) == (25, 19)
    assert evaluations(texture_sampler(config)) == (25, 13)
    draft = config.with_preset("draft")
    assert evaluations(geometry_sampler(draft)) == evaluations(texture_sampler(draft)) == (4, 0)


def test_operations_are_counted_two_a_multiply_add():
    left, right, query = torch.ones(8, 16), torch.ones(16, 4), torch.ones(1, 2, 8, 4)
    _, reading = measure(lambda: left @ right, CPU)
    assert reading.flops == 2 * 8 * 16 * 4
    _, reading = measure(lambda: torch.nn.functional.scaled_dot_product_attention(query, query, query), CPU)
    assert reading.flops == 2 * 2 * 2 * 8 * 8 * 4
    assert throughput(torch.float32, CPU) > 1e8


def test_memory_is_the_most_that_was_taken():
    _, small = measure(lambda: torch.ones(1), CPU)
    _, large = measure(lambda: [torch.ones(50_000_000).exp() for _ in range(2)], CPU)
    assert large.peak_ram - small.peak_ram > 150e6


def test_tensors_alive_are_counted_once_and_only_while_they_live():
    kept = torch.ones(1_000_000)
    _, nothing = measure(lambda: None, CPU)

    def work():
        for _ in range(5):
            first = kept.exp()  # 4 MB
            second = torch.cat([first, first])[10:]  # 8 MB, of which a view is kept
            del first
        return second

    _, reading = measure(work, CPU)
    assert reading.peak_device - nothing.peak_device == pytest.approx(
        20e6, abs=1e5
    )  # the one before still lives
    assert nothing.peak_device >= 4e6


def test_shell_has_the_voxels_asked_for_in_order():
    coords = subject.shell(3000, 32, CPU)
    assert coords.shape == (3000, 4) and torch.equal(coords, coords.unique(dim=0))
    assert coords[:, 1:].min() >= 0 and coords[:, 1:].max() < 32


def test_sixteen_bits_are_for_matrices_of_configured_modules():
    cuda, cpu = torch.device("cuda"), CPU
    assert product_dtype("slat_decoder_mesh", cuda, "float16") == torch.float16
    assert product_dtype("slat_decoder_mesh", cpu, "float16") == torch.float32
    assert product_dtype("ss_flow", cuda, "float32") == torch.float32
    assert weight_dtype("blocks.0.mlp.0.weight", (512, 128), torch.float16) == torch.float16
    for key, shape in ("norm.weight", (1 << 15,)), ("mlp.0.bias", (512,)), ("out_layer.weight", (8, 512)):
        assert weight_dtype(key, shape, torch.float16) == torch.float32
    layer = torch.nn.Linear(256, 256)
    shared = layer.weight
    assert convert(layer, torch.bfloat16).weight is shared and shared.dtype == torch.bfloat16
    assert layer.bias.dtype == torch.float32


@pytest.mark.parametrize("name", subject.module_names())
def test_sixteen_bits_change_little(name):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = error(MINI, read_pipeline(MINI), name, torch.bfloat16, CPU, blocks=2, voxels=200)
    assert 1e-5 < found < 0.03


def on_meta(value):
    """The same with every tensor on the meta device, where nothing can be read back."""
    if isinstance(value, Tensor):
        return value.to("meta")
    if isinstance(value, SparseGrid):
        moved = copy.copy(value)
        vars(moved).update({name: on_meta(entry) for name, entry in vars(value).items()})
        return moved
    if dataclasses.is_dataclass(value):
        entries = {field.name: on_meta(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return type(value)(**entries)
    if isinstance(value, tuple | list):
        return type(value)(map(on_meta, value))
    return value


def steps(flow, latents, **given) -> None:
    """A guided sampler's steps, which fail where the host would wait for a value of the device."""
    context = flow.prepare_context(torch.ones(1, 7, flow.cond_channels, device="meta"))

    def velocity(context):
        return lambda x, t: flow(x, t, context=context, **given)

    settings = SamplerSettings(inference_steps=3)
    sample(velocity(context), velocity(flow.unconditional_context()), latents, settings)


@torch.no_grad()
def test_no_step_waits_for_the_device():
    latents = {"shape": {"in_channels": 8, "resolution": 2}, "scale": {"in_channels": 3, "token_len": 1}}
    flow = GeometryFlow(40, 24, 2, 5, latents, {"pose": ["scale"]}).to("meta")
    steps(flow, {name: torch.ones(shape, device="meta") for name, shape in flow.latent_shapes().items()})
    flow = TextureFlow(8, 8, 36, 20, 8, num_blocks=2, num_heads=3, io_block_channels=(16,))
    grid = flow.prepare_coords(subject.shell(100, 8, CPU))
    context = flow.prepare_context(torch.ones(1, 7, 20))
    flow(torch.ones(100, 8), torch.ones(1), grid, context)  # looks up every table once
    steps(flow.to("meta"), torch.ones(100, 8, device="meta"), grid=on_meta(grid))
