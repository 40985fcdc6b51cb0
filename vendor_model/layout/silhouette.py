"""A mesh's outline as the camera sees it: soft, with gradients to the vertices, and hard.

The soft silhouette is that of PyTorch3D's rasteriser with a blurred silhouette shader (spec layout.md
§5.6). It takes two passes, so that no array grows with pixels x faces: a search without gradients lists
the faces near each pixel, then the squared distances of the listed pairs alone are differentiated.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch

from vendor_model.layout.frames import ndc_from_camera, ndc_from_pixels, pixels_from_ndc

BLUR_RADIUS = 1e-6
"""Squared NDC distance up to which a face reaches beyond its outline."""
SIGMA = 1e-4
"""Squared NDC distance over which the outline fades."""
FACES_PER_PIXEL = 50
PAIRS_PER_CHUNK = 1 << 18


class Fragments(NamedTuple):
    """K pairs of a pixel and a face that covers it or almost does.

    pixel: (K,) row * width + column; face: (K,); depth: (K,) camera z; inside: (K,) bool;
    ends: (K, 2) vertices of the face's edge that is nearest to the pixel's centre, and along: (K,)
    where on it, 0..1, the nearest point lies.
    """

    pixel: torch.Tensor
    face: torch.Tensor
    depth: torch.Tensor
    inside: torch.Tensor
    ends: torch.Tensor
    along: torch.Tensor


def soft_silhouette(
    vertices: torch.Tensor, faces: torch.Tensor, intrinsics: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """Opacity (height, width) in 0..1 of a mesh; differentiable in the vertices.

    vertices: (V, 3) camera frame; faces: (F, 3) int64; intrinsics: (3, 3) in pixels; size: (height,
    width). Faces with a vertex behind the camera are left out.
    """
    ndc = ndc_from_camera(vertices, intrinsics, size)
    fragments = nearest_fragments(ndc.detach(), faces, size)
    transparency = torch.nn.functional.logsigmoid(signed_distances(ndc, fragments, size) / SIGMA)
    height, width = size
    total = ndc.new_zeros(height * width).index_add(0, fragments.pixel, transparency)
    return -torch.expm1(total).view(height, width)


@torch.no_grad()
def hard_silhouette(
    vertices: torch.Tensor, faces: torch.Tensor, intrinsics: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """Which pixel centres (height, width), bool, a mesh covers. Arguments as for `soft_silhouette`."""
    height, width = size
    ndc = ndc_from_camera(vertices, intrinsics, size)
    covered = torch.zeros(height * width, dtype=torch.bool, device=ndc.device)
    for fragments in _fragments(ndc, faces, size):
        covered[fragments.pixel[fragments.inside]] = True
    return covered.view(height, width)


@torch.no_grad()
def visible_points(
    vertices: torch.Tensor, faces: torch.Tensor, intrinsics: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """What a point map would show of a mesh: the surface point (N, 3), camera frame, at the centre of each
    pixel that it covers. Arguments as for `soft_silhouette`."""
    height, width = size
    depth = vertices.new_full((height * width,), torch.inf)
    for fragments in _fragments(ndc_from_camera(vertices, intrinsics, size), faces, size):
        pixel, values = fragments.pixel[fragments.inside], fragments.depth[fragments.inside]
        depth.scatter_reduce_(0, pixel, values, "amin")
    pixel = depth.isfinite().nonzero()[:, 0]
    centres = torch.stack([pixel % width, pixel // width], dim=-1) + 0.5
    offset = intrinsics[:2, 2] - centres  # camera x and y point left and up
    focal = intrinsics.diagonal()[:2]
    return torch.cat([offset / focal, torch.ones_like(offset[:, :1])], dim=-1) * depth[pixel, None]


def intersection_over_union(first: torch.Tensor, second: torch.Tensor) -> float:
    """Overlap of two bool masks of one shape, 0 where both are empty."""
    union = (first | second).sum().item()
    return (first & second).sum().item() / union if union else 0.0


@torch.no_grad()
def nearest_fragments(ndc: torch.Tensor, faces: torch.Tensor, size: tuple[int, int]) -> Fragments:
    """Per pixel the up to 50 nearest faces in depth, of those within the blur radius.

    ndc: (V, 3) NDC x, y and camera z.
    """
    parts = list(_fragments(ndc, faces, size))
    fragments = Fragments(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
    per_pixel = torch.bincount(fragments.pixel, minlength=size[0] * size[1])
    if per_pixel.max() <= FACES_PER_PIXEL:
        return fragments
    order = torch.argsort(fragments.depth, stable=True)
    order = order[torch.argsort(fragments.pixel[order], stable=True)]
    first = torch.cumsum(per_pixel, 0) - per_pixel
    rank = torch.arange(len(order), device=order.device) - first[fragments.pixel[order]]
    nearest = order[rank < FACES_PER_PIXEL]
    return Fragments(*(column[nearest] for column in fragments))


def signed_distances(ndc: torch.Tensor, fragments: Fragments, size: tuple[int, int]) -> torch.Tensor:
    """Squared NDC distance (K,) from each pixel's centre to the face's outline, negative inside.

    Differentiable in ndc (V, 3). Where on its edge the nearest point lies is held fixed: there, the
    distance does not change with it to first order.
    """
    # One coordinate at a time: several threads would sum the gradient of `ndc[ends]` in whatever order they
    # come, and the same photo give another pose each time.
    start, end = fragments.ends.unbind(-1)
    x, y = (
        torch.lerp(coordinate.index_select(0, start), coordinate.index_select(0, end), fragments.along)
        for coordinate in ndc[:, :2].unbind(-1)
    )
    centre_x, centre_y = _pixel_centres(fragments.pixel, size, ndc.dtype).unbind(-1)
    squared = (centre_x - x).square() + (centre_y - y).square()
    return torch.where(fragments.inside, -squared, squared)


def _fragments(ndc: torch.Tensor, faces: torch.Tensor, size: tuple[int, int]) -> Iterator[Fragments]:
    """All fragments, in chunks that keep the working memory small; faces in order."""
    corners = ndc[faces]
    a, b, c = corners[..., :2].unbind(1)
    area = _cross(c - a, b - a)
    shown = ((area.abs() > 1e-8) & (corners[..., 2] >= 1e-8).all(1)).nonzero()[:, 0]
    table = _face_table(corners[shown], area[shown])
    for pixel, row in _candidate_pairs(corners[shown, :, :2], size):
        yield _covering_pairs(pixel, row, table, faces[shown], shown, size)


def _face_table(corners: torch.Tensor, area: torch.Tensor) -> torch.Tensor:
    """What a pixel needs to know of a face, (21, F): its three depths, then for each of the edges
    b→a, c→a, c→b the start, the vector, 1 / length² (0 for a point: the start is then the nearest) and
    the factor that makes perspective-correct barycentric weights of cross products."""
    a, b, c = corners[..., :2].unbind(1)
    za, zb, zc = corners[..., 2].unbind(1)
    columns = [za, zb, zc]
    for start, end, factor in ((b, a, -za * zb), (c, a, za * zc), (c, b, -zb * zc)):
        vector = end - start
        squared = vector.square().sum(-1)
        inverse = torch.where(squared > 1e-8, 1 / squared, 0)
        columns += [*start.unbind(-1), *vector.unbind(-1), inverse, factor / (area + 1e-8)]
    return torch.stack(columns)


def _candidate_pairs(
    corners: torch.Tensor, size: tuple[int, int]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pixels and rows of the face table (K,), for all pixel centres in each face's box, grown by the blur."""
    height, width = size
    margin = BLUR_RADIUS**0.5 * min(size) / 2 + 1e-3  # in pixels; a little more, for rounding
    centres = pixels_from_ndc(corners, size) - 0.5
    low = torch.ceil(centres.amin(1) - margin).clamp(min=0)
    high = torch.floor(centres.amax(1) + margin).clamp(max=low.new_tensor([width - 1, height - 1]))
    extent = (high - low + 1).clamp(min=0).long()
    low = low.long()
    count = extent.prod(1)
    total = torch.cumsum(count, 0)
    limits = total.new_tensor(range(PAIRS_PER_CHUNK, int(count.sum()), PAIRS_PER_CHUNK))
    bounds = [0, *torch.unique(torch.searchsorted(total, limits, right=True)).tolist(), len(count)]
    for first, last in pairwise(bounds):
        members = count[first:last]
        row = torch.repeat_interleave(torch.arange(len(members), device=count.device), members)
        within = torch.arange(len(row), device=count.device) - (torch.cumsum(members, 0) - members)[row]
        row += first
        width_here = extent[row, 0]
        down = torch.div(within, width_here, rounding_mode="floor")
        across = within - down * width_here
        yield (low[row, 1] + down) * width + low[row, 0] + across, row


def _covering_pairs(pixel, row, table, corners, names, size) -> Fragments:
    """Those of the candidate pairs whose pixel the face covers or almost does.

    corners: (F, 3) vertices and names: (F,) mesh face of each row of the face table.
    """
    depths, *edges = table[:, row].split([3, 6, 6, 6])
    x, y = _pixel_centres(pixel, size, table.dtype).unbind(-1)
    weights, distances, alongs = [], [], []
    for start_x, start_y, vector_x, vector_y, inverse, factor in edges:
        offset_x, offset_y = x - start_x, y - start_y
        weights.append((offset_x * vector_y - offset_y * vector_x) * factor)
        along = ((offset_x * vector_x + offset_y * vector_y) * inverse).clamp(0, 1)
        distances.append((offset_x - along * vector_x).square() + (offset_y - along * vector_y).square())
        alongs.append(along)
    weights = torch.stack(weights[::-1])  # edge c→b faces corner a, and so on
    weights /= weights.sum(0).clamp(min=1e-8)
    inside = (weights > 0).all(0)
    clipped = weights.clamp(min=0)
    depth = (clipped * depths).sum(0) / clipped.sum(0).clamp(min=1e-5)
    distance, edge = torch.stack(distances).min(0)
    kept = ((inside | (distance < BLUR_RADIUS)) & (depth >= 0)).nonzero()[:, 0]

    edge, row = edge[kept], row[kept]
    ends = corners[row].gather(1, edge.new_tensor([[1, 0], [2, 0], [2, 1]])[edge])
    along = torch.stack(alongs)[edge, kept]
    return Fragments(pixel[kept], names[row], depth[kept], inside[kept], ends, along)


def _pixel_centres(pixel: torch.Tensor, size: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    """NDC (K, 2) of the centres of pixels numbered row by row."""
    row = torch.div(pixel, size[1], rounding_mode="floor")
    column = pixel - row * size[1]
    return ndc_from_pixels(torch.stack([column, row], dim=-1).to(dtype) + 0.5, size)


def _cross(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """z of the cross product of vectors (..., 2)."""
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
