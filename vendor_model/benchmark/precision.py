"""What the precision policy costs: each module's output in 16 bits against float32, at its real size.

    python -m vendor_model.benchmark.precision --config vendor_model/official --dtype bfloat16

Random weights and inputs, in layers of the configured size; depth is cut to `--blocks` transformer blocks, as
errors of residual blocks add up like those of independent roundings. Relative L2 norms of the difference.
"""

import argparse
import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vendor_model.benchmark import subject
from vendor_model.config import PipelineConfig, read_pipeline
from vendor_model.device import choose_device
from vendor_model.precision import SIXTEEN_BIT, convert, products_in
from vendor_model.sparse.grid import SparseGrid

TOKENS = 512
"""Condition tokens: rounding does not depend on their number."""


def outputs(
    name: str, module: nn.Module, config: PipelineConfig, voxels: int
) -> Callable[[nn.Module], Tensor]:
    """The same drawn input for every version of a module, and what it makes of it, as one tensor."""
    device = next(module.parameters()).device
    generator = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    time = torch.full((1,), 300.0, device=device)
    if name.endswith("embedder"):
        size = (config.ss_preprocessor if name.startswith("ss") else config.slat_preprocessor).size
        inputs = {key: draw(1, 1 if "mask" in key else 3, size, size) for key in module.input_names}
        return lambda module: module(inputs)
    if name == "ss_flow":
        tokens = draw(1, TOKENS, module.cond_channels)
        latents = {key: draw(*shape) for key, shape in module.latent_shapes().items()}
        return lambda module: _joined(module(latents, time, module.prepare_context(tokens), time * 0))
    if name == "ss_decoder":
        latent = draw(1, module.input_layer.in_channels, 8, 8, 8)
        return lambda module: module(latent)
    if name == "depth_model":
        image = draw(1, 3, 240, 320).sigmoid()
        return lambda module: module(image, 300)[0]
    coords = subject.shell(voxels, module.resolution, device)
    if name == "slat_flow":
        tokens, latent = draw(1, TOKENS, module.cond_channels), draw(voxels, module.in_channels)
        return lambda module: module(
            latent, time, module.prepare_coords(coords), module.prepare_context(tokens)
        )
    latent = draw(voxels, module.input_layer.in_features)
    return lambda module: _first(module(latent, SparseGrid(coords)))


def shorten(module: nn.Module, blocks: int) -> nn.Module:
    """Leave each sequence of transformer blocks only its first ones."""
    for part in list(module.modules()):
        inner = getattr(part, "blocks", None)
        if isinstance(inner, nn.ModuleList):
            part.blocks = inner[:blocks]
    return module


@torch.no_grad()
def error(
    folder: Path,
    config: PipelineConfig,
    name: str,
    dtype: torch.dtype,
    device: torch.device,
    blocks: int,
    voxels: int,
) -> float:
    """‖16 bits − float32‖ / ‖float32‖ of a module's output."""
    exact = subject.random_module(folder, config, name, torch.float32, device)
    if name != "depth_model":  # which reads its last four blocks by number
        shorten(exact, blocks)
    run = outputs(name, exact, config, voxels)
    expected = run(exact)
    rounded = convert(copy.deepcopy(exact), dtype)
    with products_in(dtype, device):
        found = run(rounded)
    return float((found.float() - expected).norm() / expected.norm())


def _joined(latents: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in latents.values()])


def _first(result: Tensor | tuple[Tensor, SparseGrid]) -> Tensor:
    return result[0] if isinstance(result, tuple) else result


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m vendor_model.benchmark.precision",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, default=Path(__file__).parents[1] / "official", metavar="FOLDER"
    )
    parser.add_argument("--dtype", choices=("float16", "bfloat16"), help="default: the device's")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--voxels", type=int, default=500)
    arguments = parser.parse_args()
    config, device = read_pipeline(arguments.config), choose_device(arguments.device)
    usual, policy = SIXTEEN_BIT[device.type]
    dtype = getattr(torch, arguments.dtype) if arguments.dtype else usual
    print(
        f"| module | policy on {device.type} | error in {str(dtype).removeprefix('torch.')} |\n|---|---|---|"
    )
    for name in subject.module_names():
        found = error(arguments.config, config, name, dtype, device, arguments.blocks, arguments.voxels)
        kept = str(usual if name in policy else torch.float32).removeprefix("torch.")
        print(f"| {name} | {kept} | {found:.1e} |", flush=True)


if __name__ == "__main__":
    main()
