"""What the stages are fed: shards, selections, mirror images, disturbed point maps."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from vendor_model.errors import UserError
from vendor_model.layout.pose import denormalise_rotation_6d
from vendor_model.layout.transforms import rotation_6d_to_matrix
from vendor_model.training import __main__ as command
from vendor_model.training import distributed, texture_stages
from vendor_model.training.geometry_model import (
    GEOMETRY_SAMPLES,
    Seen,
    condition_tokens,
    drawn_seen,
    geometry_batches,
    geometry_parts,
)
from vendor_model.training.products import fast_products
from vendor_model.training.recipe import MINI, Run
from vendor_model.training.samples import (
    DISTURBED,
    MAPS,
    MASKS,
    PICTURES,
    SampleSizes,
    embedder_inputs,
    mirrored,
    plain_inputs,
)
from vendor_model.training.shards import EVERYTHING, Selection, Shards, save_shard, write_shards
from vendor_model.training.stages import ALONE, STAGES


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_objects_that_are_too_few_for_a_batch_are_named(run):
    with pytest.raises(UserError, match=r"too few samples from scenes .* for a batch of 999"):
        next(run.shards().sparse_batches(("distances",), 999))


def test_pieces_of_objects_are_their_voxels_around_one(run):
    names, shards = ("distances",), run.shards()
    whole = next(Shards(shards.folder, 3).sparse_batches(names, 4, None))
    pieces = next(Shards(shards.folder, 3).sparse_batches(names, 4, 50))
    for item in range(4):
        cells = whole["coords"][whole["coords"][:, 0] == item][:, 1:]
        own = pieces["coords"][:, 0] == item
        piece = pieces["coords"][own][:, 1:]
        places = [int((cells == cell).all(1).nonzero()) for cell in piece]
        assert len(set(places)) == len(piece) == 50
        taken = whole["features"][whole["coords"][:, 0] == item][places]
        assert torch.equal(taken, pieces["features"][own])
        reach = (cells[:, None] - piece[None]).float().norm(dim=-1).amax(1)  # farthest taken from each centre
        rest = np.setdiff1d(np.arange(len(cells)), places)
        nearest = (cells[:, None] - cells[rest][None]).float().norm(dim=-1).amin(1)
        assert (reach <= nearest + 1e-6).any()  # one of them has all it needs around it


def posed_solid(batch: dict[str, torch.Tensor], number: int) -> torch.Tensor:
    """Occupied cells of a stored sample in the camera frame, in the units of its point map."""
    side = batch["distances"].shape[1]
    centers = (torch.stack(torch.meshgrid(*[torch.arange(side)] * 3, indexing="ij"), -1) + 0.5) / side - 0.5
    rotation = rotation_6d_to_matrix(denormalise_rotation_6d(batch["6drotation_normalized"][number]))
    points = centers[batch["distances"][number] < 0]
    return points @ rotation * batch["scale"][number].exp() + batch["translation"][number]


def test_the_statistics_of_the_structured_latent_are_those_of_a_shard(run, capsys):
    STAGES["latent_statistics"](run)
    features = next(run.shards().arrays())["features"].astype(np.float64)
    lines = [line.split(": ") for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in lines] == ["slat_mean", "slat_std"]
    for (_, values), expected in zip(lines, (features.mean(0), features.std(0)), strict=True):
        assert np.allclose(json.loads(values), expected, atol=1e-4)


def test_a_mirrored_sample_stands_where_the_mirrored_photo_shows_it(run):
    batch = next(run.shards().batches(GEOMETRY_SAMPLES, 8))
    changed = mirrored(batch, rng())
    turned = [number for number in range(8) if (changed["mask"][number] != batch["mask"][number]).any()]
    assert 2 <= len(turned) <= 7
    for number in range(8):
        flips = number in turned
        for name in ("image", "rgb_image", "mask", "rgb_image_mask"):
            expected = batch[name][number].flip(-1) if flips else batch[name][number]
            assert torch.equal(changed[name][number], expected)
        x, same_x = changed["pointmap"][number, 0], batch["pointmap"][number, 0]
        assert torch.equal((-x.flip(-1) if flips else x).nan_to_num(7.0), same_x.nan_to_num(7.0))
        mirror = torch.tensor([-1.0, 1.0, 1.0]) if flips else torch.ones(3)
        there, here = posed_solid(changed, number) * mirror, posed_solid(batch, number)
        apart = torch.cdist(there, here, compute_mode="donot_use_mm_for_euclid_dist").min(1).values
        assert apart.max() < 1e-4


def test_the_geometry_model_is_shown_some_samples_in_a_mirror(run):
    run = replace(run, recipe=replace(run.recipe, batch=16))
    everything = [next(Shards.arrays(shards)) for shards in (run.shards(), run.estimated_shards())]
    stored = [{mask.tobytes() for mask in arrays["rgb_image_mask"]} for arrays in everything]
    shown = next(geometry_batches(run))["rgb_image_mask"].numpy()
    # Each sample is a stored one or its mirror image, and three eighths of them are estimated ones.
    plain = [[mask.tobytes() in known for mask in shown] for known in stored]
    turned = [[mask[..., ::-1].tobytes() in known for mask in shown] for known in stored]
    mirrored_ones = sum(any(pair) for pair in zip(*turned, strict=True))
    assert 4 <= mirrored_ones <= 12
    found = [sum(a or b for a, b in zip(*pair, strict=True)) for pair in zip(plain, turned, strict=True)]
    assert found == [10, 6]


def test_the_first_phases_see_no_estimated_points(run):
    phase = replace(MINI.phases["pretraining"], selection=EVERYTHING)
    run = replace(run, recipe=replace(run.recipe, batch=16))
    stored = {mask.tobytes() for mask in next(run.shards().arrays())["rgb_image_mask"]}
    shown = next(geometry_batches(run, phase))["rgb_image_mask"].numpy()
    assert all({mask.tobytes(), mask[..., ::-1].tobytes()} & stored for mask in shown)


def test_what_samples_do_not_see_counts_as_zeros(run):
    batch = next(run.shards().batches(GEOMETRY_SAMPLES, 2))
    parts, inputs = geometry_parts(run), plain_inputs(batch)
    whole = condition_tokens(run, parts, inputs)
    seen = Seen(torch.tensor([True, False]).view(2, 1, 1), torch.tensor([False, True]).view(2, 1, 1))
    shown = condition_tokens(run, parts, inputs, seen)
    with fast_products(run.device):
        without_maps = parts["ss_condition_embedder"](inputs, MAPS)
    assert torch.allclose(shown[0], without_maps[0], atol=0.02) and not torch.equal(shown[0], whole[0])
    assert not shown[1].any() and whole[1].any()


def test_each_sample_misses_its_condition_or_its_point_map_by_its_own_chance():
    condition, point_map = drawn_seen(4000, 0.1, 0.3, rng())
    assert abs(condition.float().mean() - 0.9) < 0.02 and abs(point_map.float().mean() - 0.7) < 0.03
    everything, nothing = drawn_seen(100, 0.0, 1.0, rng())
    assert everything.all() and not nothing.any()


def test_readers_go_through_the_same_shards_in_orders_of_their_own(tmp_path):
    for number in range(8):
        save_shard(tmp_path / f"shard-0-{number}.npz", [{"number": np.array(number)}])

    def first_pass(reader: int) -> list[int]:
        arrays = Shards(tmp_path, 0).read_by(reader).arrays()
        return [int(next(arrays)["number"][0]) for _ in range(8)]

    assert first_pass(0) == first_pass(0) != first_pass(1)
    assert sorted(first_pass(0)) == sorted(first_pass(1)) == list(range(8))


def test_an_object_without_like_sides_is_not_mirrored(run):
    batch = next(run.shards().batches(GEOMETRY_SAMPLES, 4))
    corner = torch.ones_like(batch["distances"])
    corner[:, :8, :8] = -1
    changed = mirrored(batch | {"distances": corner}, rng())
    assert all(
        torch.equal(changed[name], value) for name, value in batch.items() if name in ("image", "mask")
    )


def shard(folder, kinds, visible) -> None:
    count = len(kinds)
    samples = [
        {
            "number": np.array(n),
            "kind": np.array(kinds[n]),
            "visible_fraction": np.float32(visible[n]),
        }
        for n in range(count)
    ]
    save_shard(folder / "shard-0-00000.npz", samples)


def test_a_stage_sees_only_the_samples_of_its_selection(tmp_path):
    shard(tmp_path, ["ground", "isolated", "ground", "pasted"], [0.9, 1.0, 0.3, 0.8])

    def seen(selection: Selection) -> set[int]:
        batches = Shards(tmp_path, 0).batches(("number",), 1, selection)
        return {next(batches)["number"].item() for _ in range(40)}

    assert seen(Selection()) == {0, 1, 2, 3}
    assert seen(Selection(("ground",))) == {0, 2}
    assert seen(Selection(least_visible=0.5)) == {0, 1, 3}
    with pytest.raises(UserError, match="too few samples from scenes isolated or ground, 101% visible"):
        seen(Selection(("isolated", "ground"), least_visible=1.01))


def test_data_that_does_not_tell_its_kinds_is_refused_where_they_matter(tmp_path):
    np.savez(tmp_path / "shard-0-00000.npz", number=np.arange(4), visible_fraction=np.ones(4))
    assert len(next(Shards(tmp_path, 0).batches(("number",), 4))["number"]) == 4
    with pytest.raises(UserError, match="does not say of what kind"):
        next(Shards(tmp_path, 0).batches(("number",), 4, Selection(("ground",))))


def test_several_processes_write_the_same_data_and_say_how_fast(tmp_path, capsys):
    sizes = SampleSizes(photos=((64, 64),))
    for name, workers in (("one", 1), ("two", 2)):
        write_shards(tmp_path / name, 5, 2, 2, ("crate",), sizes, workers)
        assert capsys.readouterr().out.count("objects/s") == 2
    for path in sorted((tmp_path / "one").iterdir()):
        with np.load(path) as first, np.load(tmp_path / "two" / path.name) as second:
            assert sorted(first.files) == sorted(second.files)
            for name in first.files:
                np.testing.assert_array_equal(first[name], second[name])


def test_most_point_maps_are_trained_on_as_they_are():
    count = 2000
    points = torch.randn(count, 3, 8, 8, generator=rng()).half()
    blank = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    batch = dict.fromkeys((*PICTURES, *MASKS), blank) | dict.fromkeys(MAPS, points)
    inputs = embedder_inputs(batch, rng())
    exact = [(inputs[name] == points.float()).flatten(1).all(1) for name in MAPS]
    assert torch.equal(*exact)
    assert exact[0].float().mean().item() == pytest.approx(1 - DISTURBED, abs=0.04)


def test_a_shard_without_any_object_is_refused_in_words(tmp_path):
    with pytest.raises(UserError, match="None of the 2 scenes"):
        write_shards(tmp_path, 5, 1, 2, ("crate",), SampleSizes(), store=lambda scene, sizes: ([], {}))
    assert not list(tmp_path.iterdir())


BATCHES = {"depth": 4, "voxel_decoder": 16, "pretraining": 32, "texture_regression": 32, "texture": 8}


@pytest.mark.parametrize("stage", BATCHES)
def test_a_batch_is_shared_out_among_the_processes(run, stage, monkeypatch):
    """Of two, each has a half of what one alone has, and of the estimated samples too."""
    recipe = replace(run.recipe, batch=32, depth_batch=4, texture_batch=8, piece_batch=32)
    run, seen = replace(run, recipe=recipe), []
    parts = texture_stages.texture_parts(run) if stage == "texture" else None
    monkeypatch.setattr(Run, "trained", lambda *_: parts)
    monkeypatch.setattr(
        Run, "train", lambda self, name, model, loss, batches, **_: seen.append(next(batches))
    )
    for count in (1, 2):
        monkeypatch.setattr(distributed, "processes", lambda count=count: count)
        STAGES[stage](run)
    assert [size_of(batch) for batch in seen] == [BATCHES[stage], BATCHES[stage] // 2]


def size_of(batch) -> int:
    if isinstance(batch, dict):
        return len(batch["photos" if "photos" in batch else "image"])
    return len(batch)


def test_parts_of_a_whole_leave_nothing_over(monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: 4)
    parts = []
    for rank in range(4):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(distributed.part(6))
    assert sum(parts) == 6 and set(parts) == {1, 2}


@pytest.mark.parametrize("count", [3, 16])
def test_processes_that_cannot_share_the_batches_are_named_before_anything_runs(run, count, monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: count)
    with pytest.raises(UserError, match=f"{count} processes cannot share batches of 8, 16, 32"):
        replace(run, recipe=MINI).check_shares()


def test_of_several_processes_the_first_does_what_is_one_ones_work(monkeypatch, tmp_path):
    done = []
    assert set(ALONE) <= set(STAGES)
    for name in STAGES:
        monkeypatch.setitem(STAGES, name, lambda run, name=name: done.append(name))
    words = f"training data shape_code depth estimated export --runs {tmp_path}".split()
    monkeypatch.setattr(sys, "argv", words)
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        command.main()
    assert done == [*words[1:6], "depth"]
