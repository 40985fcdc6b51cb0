"""How much faster the model's forms are than the plain formulas, in one run on the CPU.

    python tests/model/ratios.py [guidance extraction convolution growth]

Layers have the released model's sizes, fewer of them. Seconds are of the CPU, so that a busy machine does not
show; the same inputs, one thread. Each line begins with what was predicted before it was measured.
"""

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import psutil  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from test_surface import dense_extraction  # noqa: E402
from torch import Tensor  # noqa: E402

from vendor_model.benchmark import subject  # noqa: E402
from vendor_model.benchmark.gauges import Reading, measure  # noqa: E402
from vendor_model.models.geometry_flow import GeometryFlow  # noqa: E402
from vendor_model.models.latent_decoders import MeshDecoder  # noqa: E402
from vendor_model.models.texture_flow import TextureFlow  # noqa: E402
from vendor_model.sparse.convolution import SubmanifoldConvolution  # noqa: E402
from vendor_model.sparse.grid import SparseGrid  # noqa: E402
from vendor_model.surface.extraction import extract_mesh  # noqa: E402

CPU = torch.device("cpu")
LATENTS = {
    "shape": {"in_channels": 8, "resolution": 16},
    "6drotation_normalized": {"in_channels": 6, "token_len": 1},
    "translation": {"in_channels": 3, "token_len": 1},
    "scale": {"in_channels": 3, "token_len": 1},
    "translation_scale": {"in_channels": 1, "token_len": 1},
}
POSE = ["6drotation_normalized", "translation", "scale", "translation_scale"]
TOKENS = 7528


def taken(work: Callable[[], object]) -> Reading:
    return measure(work, CPU)[1]


def plain_geometry(flow: GeometryFlow, latents: dict, time: Tensor, tokens: Tensor) -> None:
    """Conditional and unconditional pass as the formulas say: keys and values of all tokens in every block
    and pass, also of the layout stream, and also where the tokens are zeros."""
    for seen in (tokens, torch.zeros_like(tokens)):
        context = [
            {name: attention._keys_values(seen) for name, attention in block.cross_attn.items()}
            for block in flow.blocks
        ]
        for block in flow.blocks:
            for attention in block.cross_attn.values():
                attention._attend = lambda queries, context: F.scaled_dot_product_attention(queries, *context)
        flow(latents, time, context)
        for block in flow.blocks:
            for attention in block.cross_attn.values():
                del attention._attend


def guidance() -> None:
    """A guided step of stage 1; keys and values, made once, are shared among 25 steps."""
    flow = GeometryFlow(1024, 1024, 1, 16, LATENTS, {"6drotation_normalized": POSE}).eval()
    tokens, time = torch.randn(1, TOKENS, 1024), torch.full((1,), 300.0)
    latents = {name: torch.randn(shape) for name, shape in flow.latent_shapes().items()}
    plain = taken(lambda: plain_geometry(flow, latents, time, tokens))
    once = taken(lambda: flow.prepare_context(tokens))
    context, without = flow.prepare_context(tokens), flow.unconditional_context()
    conditional = taken(lambda: flow(latents, time, context))
    unconditional = taken(lambda: flow(latents, time, without))
    guided, steps = 19, 25
    ours = once.cpu_seconds + steps * conditional.cpu_seconds + guided * unconditional.cpu_seconds
    theirs = plain.cpu_seconds * (steps + guided) / 2
    print(f"stage 1, 25 steps, 19 guided, one block: predicted 1.44, goal 1.4, is {theirs / ours:.2f}")


def extraction(voxels: int = 26000, resolution: int = 64) -> None:
    """From cube features to a mesh, over the cubes that matter and over the whole grid."""
    cubes = (
        SparseGrid(subject.shell(voxels, resolution, CPU)).subdivided.subdivided.coords[:, 1:].contiguous()
    )
    features = subject.as_sphere(0.1 * torch.randn(len(cubes), 101), cubes, 4 * resolution)
    before = psutil.Process().memory_info().rss
    pairs = [
        (
            taken(lambda: extract_mesh(features, cubes, 4 * resolution)),
            taken(lambda: dense_extraction(features, cubes, 4 * resolution)),
        )
        for _ in range(3)
    ]
    ours, plain = (min(side.cpu_seconds for side in sides) for sides in zip(*pairs, strict=True))
    our_memory, plain_memory = (
        max(side.peak_ram for side in sides) - before for sides in zip(*pairs, strict=True)
    )
    print(
        f"extraction at {4 * resolution}³: predicted 11 in time and 11 in memory, goal 10, is "
        f"{plain / ours:.1f} and {plain_memory / our_memory:.1f} ({ours:.1f} s, {our_memory / 1e6:.0f} MB)"
    )


def convolution() -> None:
    """Sparse convolutions beside spconv's for the CPU, where that is installed (never a dependency)."""
    fine = SparseGrid(subject.shell(26000, 64, CPU))
    for name, grid, side, channels in ("fine", fine, 64, 128), ("coarse", fine.coarse, 32, 1024):
        ratio = beside_spconv(grid, side, channels)
        print(f"{name} convolution, {channels} channels: predicted 1.1, goal at most 1.5, is {ratio:.2f}")


def beside_spconv(grid: SparseGrid, side: int, channels: int) -> float:
    """Our seconds over spconv's, both with their neighbours looked up already."""
    import spconv.pytorch as spconv

    ours = SubmanifoldConvolution(channels, channels)
    theirs = spconv.SubMConv3d(channels, channels, 3, indice_key="cells")
    feats, links = torch.randn(len(grid), channels), grid.links
    given = spconv.SparseConvTensor(feats, grid.coords, [side] * 3, 1)
    given.indice_dict = theirs(given).indice_dict
    pairs = [(taken(lambda: ours(feats, links)), taken(lambda: theirs(given))) for _ in range(3)]
    return min(our.cpu_seconds for our, _ in pairs) / min(their.cpu_seconds for _, their in pairs)


def growth() -> None:
    """Time a voxel at 32k voxels over that at 2k; shells as thick, the decoder of a third of its width."""
    flow = TextureFlow(64, 8, 1024, 1024, 8, num_blocks=1, num_heads=16).eval()
    decoder = MeshDecoder(64, 256, 8, 2, 4).eval()
    few, many = of_an_object(flow, decoder, 2000, 16), of_an_object(flow, decoder, 32000, 64)
    for name, predicted in ("stage 2", 1.5), ("mesh decoder", 1.0), ("extraction", 1.0):
        ratio = (many[name] / 32000) / (few[name] / 2000)
        print(f"{name}, time a voxel at 32k over 2k: predicted {predicted}, goal at most 1.5, is {ratio:.2f}")


def of_an_object(flow: TextureFlow, decoder: MeshDecoder, voxels: int, side: int) -> dict[str, float]:
    """Seconds of the stages after the first; stage 2 as if it had 24 blocks."""
    coords, latent, time = subject.shell(voxels, side, CPU), torch.randn(voxels, 8), torch.full((1,), 300.0)
    grid, context = flow.prepare_coords(coords), flow.prepare_context(torch.randn(1, 5496, 1024))
    without = flow.unconditional_context()
    flow(latent, time, grid, without)  # looks up every table
    cells, embedded = torch.randn(len(grid.levels[-1]), 1024), flow.t_embedder(time)

    def stage(passes: int, seen: list) -> float:
        whole = taken(lambda: flow(latent, time, grid, seen))
        block = taken(lambda: flow.blocks[0](cells, grid.levels[-1], grid.items, embedded, seen[0]))
        return passes * (whole.cpu_seconds + 23 * block.cpu_seconds)

    (features, cubes), decoded = measure(lambda: decoder(latent, SparseGrid(coords)), CPU)
    cubes = cubes.coords[:, 1:]
    subject.as_sphere(features, cubes, 4 * side)
    extracted = taken(lambda: extract_mesh(features, cubes, 4 * side))
    return {
        "stage 2": stage(25, context) + stage(13, without),
        "mesh decoder": decoded.cpu_seconds,
        "extraction": extracted.cpu_seconds,
    }


WANTED = {work.__name__: work for work in (guidance, extraction, convolution, growth)}


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name in sys.argv[1:] or WANTED:
        WANTED[name]()
        sys.stdout.flush()


if __name__ == "__main__":
    main()
