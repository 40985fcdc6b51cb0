"""What each stage of a model takes on this machine.

    python -m vendor_model.benchmark --config vendor_model/official --voxels 26000 --preset draft

Without --weights the model has random weights, which take as long as trained ones. Stages run one after the
other, as for one object, and each line is printed as soon as its stage is over.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from vendor_model.benchmark import subject
from vendor_model.benchmark.gauges import Reading, measure, throughput
from vendor_model.config import PipelineConfig
from vendor_model.errors import exit_in_words
from vendor_model.pipeline import Pipeline, geometry_sampler, texture_sampler
from vendor_model.residency import MemoryMode
from vendor_model.sampling import SamplerSettings, Velocity, sample
from vendor_model.sparse.grid import SparseGrid
from vendor_model.surface.extraction import extract_mesh
from vendor_model.surface.gaussians import split_head

Stage = tuple[str, tuple[str, ...], Callable[[], object]]
"""Name, the modules that it runs, and the work."""


def stages(pipeline: Pipeline, config: PipelineConfig, voxels: int) -> Iterator[Stage]:
    """The stages of one object of that many voxels; each is to be done before the next is asked for."""
    models, device, made = pipeline.models, pipeline.device, {}

    def keep(name: str, value: object) -> object:
        made[name] = value
        return value

    scene, mask = subject.scene(config)
    height, width = mask.shape

    def depth():
        with models.running("depth_model") as model:
            return model(torch.rand(1, 3, height, width, device=device))

    yield "depth", ("depth_model",), torch.no_grad(depth)
    condition = torch.no_grad(lambda: keep("condition", pipeline.geometry_condition(scene, mask)))
    yield "conditioning", ("ss_condition_embedder",), condition
    sampled = torch.no_grad(lambda: pipeline.sample_shape(*made["condition"], 0, _tell("geometry"), config))
    yield "geometry", ("ss_flow", "ss_decoder"), sampled
    condition = torch.no_grad(lambda: keep("condition", pipeline.texture_condition(scene, mask)))
    yield "conditioning", ("slat_condition_embedder",), condition
    with models.running("slat_decoder_mesh") as decoder:
        shape = subject.shape(voxels, decoder.resolution, device)
    models.end_stage()

    def texture():
        return pipeline.sample_texture(shape, made["condition"], _tell("texture"), config)

    yield "texture", ("slat_flow",), torch.no_grad(lambda: keep("latent", texture()))

    def mesh_features():
        with models.running("slat_decoder_mesh") as decoder:
            features, cubes = decoder(made["latent"], SparseGrid(shape.coords))
            return keep("features", (features, cubes.coords[:, 1:], decoder.output_resolution))

    yield "mesh decoder", ("slat_decoder_mesh",), torch.no_grad(mesh_features)
    subject.as_sphere(*made["features"])
    yield "extraction", ("slat_decoder_mesh",), torch.no_grad(lambda: extract_mesh(*made["features"]))
    del made["features"]

    def splats():
        grid = SparseGrid(shape.coords)
        with models.running("slat_decoder_gs") as decoder:
            head = decoder(made["latent"], grid).float()
        return split_head(
            head, grid.coords, decoder.offset_perturbation, decoder.resolution, decoder.settings
        )

    yield "splats", ("slat_decoder_gs",), torch.no_grad(splats)


def evaluations(settings: SamplerSettings) -> tuple[int, int]:
    """How often sampling asks the network with the condition and, for guidance, without."""
    asked = []

    def network(conditional: bool) -> Velocity:
        return lambda latents, time: asked.append(conditional) or latents

    sample(network(True), network(False), torch.zeros(1), settings)
    return asked.count(True), asked.count(False)


def _tell(stage: str) -> Callable[[float], None]:
    return lambda done: print(f"{stage} {done:.0%}", file=sys.stderr, flush=True)


def benchmark(pipeline: Pipeline, config: PipelineConfig, voxels: int) -> Iterator[tuple[str, str, Reading]]:
    """Stage, precision and readings, one after the other."""
    for name, modules, work in stages(pipeline, config, voxels):
        for module in modules:
            with pipeline.models.running(module):  # loading is not what is measured
                pass
        _, reading = measure(work, pipeline.device)
        pipeline.models.end_stage()
        yield name, str(pipeline.models.dtype(modules[0])).removeprefix("torch."), reading


def run(arguments: argparse.Namespace) -> None:
    if arguments.weights:
        pipeline = Pipeline.load(arguments.config, arguments.device, arguments.memory)
    else:
        pipeline = subject.random_pipeline(arguments.config, arguments.device, arguments.memory)
    config = pipeline.config.with_preset(arguments.preset)
    device = pipeline.device
    speeds = {
        str(dtype).removeprefix("torch."): throughput(dtype, device)
        for dtype in {pipeline.models.dtype(module) for module in subject.module_names()}
    }
    facts = {
        "model": config.version,
        "weights": "real" if arguments.weights else "random",
        "voxels": arguments.voxels,
        "preset": arguments.preset,
        "evaluations": {
            "geometry": evaluations(geometry_sampler(config)),
            "texture": evaluations(texture_sampler(config)),
        },
        "memory": pipeline.models.mode,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "matrix_tflops": {name: round(speed / 1e12, 3) for name, speed in speeds.items()},
    }
    say = _json_line if arguments.json else _table_line
    print(json.dumps(facts), flush=True)
    if not arguments.json:
        print("| stage | s | CPU s | device MB | RAM MB | TFLOP | precision | of matrix throughput |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, dtype, reading in benchmark(pipeline, config, arguments.voxels):
        busy = reading.cpu_seconds if device.type == "cpu" else reading.seconds
        print(say(name, dtype, reading, reading.flops / busy / speeds[dtype]), flush=True)


def _table_line(name: str, dtype: str, reading: Reading, share: float) -> str:
    return (
        f"| {name} | {reading.seconds:.2f} | {reading.cpu_seconds:.2f} | {reading.peak_device / 1e6:.0f} "
        f"| {reading.peak_ram / 1e6:.0f} | {reading.flops / 1e12:.2f} | {dtype} | {share:.0%} |"
    )


def _json_line(name: str, dtype: str, reading: Reading, share: float) -> str:
    return json.dumps({"stage": name, "precision": dtype, "share": share, **dataclasses.asdict(reading)})


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m vendor_model.benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, default=Path(__file__).parents[1] / "official", metavar="FOLDER"
    )
    parser.add_argument("--weights", action="store_true", help="use the folder's weights, not random ones")
    parser.add_argument("--voxels", type=int, default=26000, help="that carry the structured latent")
    parser.add_argument("--preset", default="reference")
    parser.add_argument("--memory", type=MemoryMode, choices=list(MemoryMode), help="default: by free memory")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="a line of JSON a stage instead of a table")
    with exit_in_words():
        run(parser.parse_args())


if __name__ == "__main__":
    main()
