"""The training of mini: its codes, its targets, its loop."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("numba")

from vendor_model.errors import UserError
from vendor_model.evaluation.metrics import rotation_error, voxel_iou
from vendor_model.layout.transforms import matrix_to_quaternion
from vendor_model.sparse.grid import SparseGrid
from vendor_model.training import depth_stage, distributed, shape_latent, surface_targets, trainer
from vendor_model.training.canonical import about_z, canonical_pose
from vendor_model.training.objectives import flow_matching, sample_times
from vendor_model.training.objects import distance_grid, make_object
from vendor_model.training.recipe import MINI, Run
from vendor_model.training.samples import SampleSizes, object_samples
from vendor_model.training.scenes import make_scene
from vendor_model.training.shards import Shards, write_shards
from vendor_model.training.structured_latent import features, occupied_voxels, shell_coords
from vendor_model.training.trainer import Schedule, train
from vendor_model.types import Pose


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def grids(count: int) -> torch.Tensor:
    source = rng()
    return torch.from_numpy(np.stack([distance_grid(make_object(source), 16) for _ in range(count)]))


def test_shape_code_with_all_components_is_lossless():
    distances = grids(12)
    code = shape_latent.fit(distances, patch=4, channels=64)
    decoded = code.decode(code.encode(distances))
    assert torch.allclose(decoded, shape_latent.truncate(distances), atol=1e-3)


def test_shape_code_has_unit_mean_square_and_the_flow_grids_order():
    distances = grids(12)
    code = shape_latent.fit(distances, patch=8, channels=32)
    tokens = code.encode(distances)
    assert tokens.shape == (12, 8, 32)
    changed = distances.clone()
    changed[:, :8, :8, 8:] += 1  # the patch at (0, 0, 1)
    assert (code.encode(changed) != tokens).any(-1).any(0).tolist() == [False, True] + [False] * 6


def test_equal_poses_of_a_round_object_become_one():
    shape = make_object(rng(), "barrel")
    distances = distance_grid(shape, 32)
    assert shape.symmetry == "axis"
    tilt = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])

    def pose(angle: float) -> Pose:
        turned = torch.from_numpy((tilt @ about_z(angle)).T.copy())
        return Pose(matrix_to_quaternion(turned).numpy(), np.array([0.3, 0.1, 4.0]), np.ones(3))

    first, second = (canonical_pose(shape, pose(angle), distances) for angle in (0.2, 2.5))
    assert rotation_error(first.rotation, second.rotation) < 1e-3
    lopsided = replace(shape, symmetry="none")
    distances[:16] = 1.0
    kept = canonical_pose(lopsided, pose(0.2), distances)
    assert rotation_error(kept.rotation, pose(0.2).rotation) < 1e-3


def test_flow_matching_is_zero_for_the_true_velocity_and_one_for_the_noise_alone():
    generator = torch.Generator().manual_seed(0)
    data = {"shape": torch.zeros(64, 10, 16)}
    times = torch.full((64,), 0.5)
    exact, _ = flow_matching(lambda x, t: {"shape": -2 * x["shape"]}, data, {"shape": 1.0}, times, generator)
    blind, _ = flow_matching(lambda x, t: {"shape": 0 * x["shape"]}, data, {"shape": 1.0}, times, generator)
    assert exact < 1e-10
    assert abs(blind - 1) < 0.05


def test_training_resumes_where_it_was_killed_and_skips_a_loss_that_is_not_finite(tmp_path):
    seen = []

    def batches():
        for number in range(100):
            seen.append(number)
            yield torch.full((4, 1), float("nan") if number == 2 else 1.0)

    def run(steps: int) -> nn.Module:
        torch.manual_seed(0)
        model = nn.Linear(1, 1)
        schedule = Schedule(steps, 0.1, warmup=1, report_every=2, save_every=2)
        train(model, lambda x: ((model(x) - 3).square().mean(), {}), batches(), schedule, tmp_path)
        return model

    run(4)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"step": 3, "skipped": "loss or gradient is not finite"} in log
    before = torch.load(tmp_path / "last.pt", weights_only=True)
    assert before["step"] == 4
    seen.clear()
    model = run(6)
    assert len(seen) == 2  # the two steps that were left
    assert torch.isfinite(model.weight).all()


class Killed(BaseException):
    """What kill does: nobody catches it."""


def test_a_stage_killed_as_it_saves_its_end_still_ends(tmp_path, monkeypatch):
    """Where only the checkpoint that says "finished" were kept, its average would stay behind for ever."""
    model, schedule = nn.Linear(1, 1), Schedule(2, 0.1, warmup=1)
    batches, save = iter(torch.ones(9, 4, 1)), trainer._save

    def train_to_its_end():
        train(model, lambda x: (model(x).square().mean(), {}), batches, schedule, tmp_path)

    def killed_after_one(path, state):
        save(path, state)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_save", killed_after_one)
        with pytest.raises(Killed):
            train_to_its_end()
    train_to_its_end()
    left = torch.load(tmp_path / "last.pt", weights_only=True)
    average = torch.load(tmp_path / "average.pt", weights_only=True)
    assert left["step"] == 2 and all(torch.equal(average[key], left["average"][key]) for key in average)


@pytest.mark.parametrize("kept", [0, 1000])
def test_a_broken_shard_is_named_and_left_out(kept, tmp_path, capsys):
    write_shards(tmp_path, 1, 1, 2, ("ball", "crate"), SampleSizes(photos=((64, 64),)))
    [good] = tmp_path.glob("*.npz")
    (tmp_path / "shard-1-00007.npz").write_bytes(good.read_bytes()[:kept])
    shards = Shards(tmp_path, 0).arrays()
    for _ in range(3):
        assert "image" in next(shards)
    assert "shard-1-00007.npz is left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"number": np.arange(2)}, "it lacks visible_fraction"),
        ({"number": np.arange(3), "visible_fraction": np.ones(2)}, "do not have equally many rows"),
        ({"number": np.array(1), "visible_fraction": np.ones(2)}, "do not have equally many rows"),
    ],
)
def test_a_shard_that_is_not_whole_is_named_and_left_out(arrays, reason, tmp_path, capsys):
    np.savez(tmp_path / "shard-0-00000.npz", **arrays)
    np.savez(tmp_path / "shard-0-00001.npz", number=np.full(2, 9), visible_fraction=np.ones(2))
    batches = Shards(tmp_path, 0).batches(("number",), 2)
    assert [next(batches)["number"].tolist() for _ in range(3)] == [[9, 9]] * 3
    printed = capsys.readouterr().out
    assert printed.count("shard-0-00000.npz is left out") == 1 and reason in printed


def test_most_times_of_flow_matching_are_near_the_noise_as_in_the_release():
    times = sample_times(40_000, 0.0, torch.Generator().manual_seed(0))
    logits = torch.logit(times)
    assert abs(logits.mean() + 1) < 0.03 and abs(logits.std() - 1) < 0.03
    at_noise = sample_times(40_000, 0.25, torch.Generator().manual_seed(0))
    assert abs((at_noise == 0).float().mean() - 0.25) < 0.02


def test_depth_is_learnt_from_scenes_that_tell_it(tmp_path):
    kinds = np.array(["ground", "pasted", "isolated", "ground"])
    photos, maps = np.zeros((4, 8, 8, 3), np.uint8), np.zeros((4, 4, 4, 3), np.float16)
    photos[:, 0, 0, 0] = np.arange(4)
    np.savez(tmp_path / "shard-0-00000.npz", photos=photos, maps=maps, photo_kind=kinds)
    shards = Shards(tmp_path, 0)
    seen = next(shards.photos(3, depth_stage.DEPTH_KINDS))["photos"][:, 0, 0, 0]
    assert sorted(seen.tolist()) == [0, 2, 3]
    with pytest.raises(UserError, match="4 photos of kind isolated or ground"):
        next(shards.photos(4, depth_stage.DEPTH_KINDS))


def test_the_depth_model_mostly_sees_few_patches():
    rng = torch.Generator().manual_seed(0)
    drawn = sorted(depth_stage.drawn_tokens(rng) for _ in range(400))
    assert drawn[0] == 25 and 60 < drawn[-1] < 65
    assert drawn[200] < 35


def test_processes_that_train_together_draw_alike_patches(monkeypatch, tmp_path):
    """Each step they wait for each other: one with fewer would gain nothing."""
    photos, truth = torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.ones(2, 4, 4, 3)

    def drawn(process: int) -> list[int]:
        patches = []

        class Recorder(nn.Module):
            def forward(self, photos, count):
                patches.append(count)
                return truth, torch.ones(2, 4, 4)

        def some_steps(run, stage, parts, loss, batches):
            for _ in range(20):
                loss({"photos": photos, "maps": truth})

        monkeypatch.setattr(distributed, "rank", lambda: process)
        monkeypatch.setattr(Run, "module", lambda run, name: Recorder())
        monkeypatch.setattr(Run, "train", some_steps)
        depth_stage.depth(Run(tmp_path, tmp_path, MINI))
        return patches

    assert len(set(drawn(0))) > 5
    assert drawn(0) == drawn(1)


def test_a_mirrored_photo_keeps_its_points():
    """A pixel's colour here is a function of where its point lies."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 6), torch.linspace(-1, 1, 6), indexing="ij")
    points = torch.stack([-columns, -rows, torch.full((6, 6), 2.0)], -1).repeat(20, 1, 1, 1)
    photos = (points[..., 0] / 2 + 0.5).unsqueeze(1).repeat(1, 3, 1, 1) * 0.5
    seen, moved = depth_stage.varied(photos, points, torch.Generator().manual_seed(0))
    shade = seen[:, 0] / seen[:, 0].amax((1, 2), keepdim=True)
    toward = -moved[..., 0]  # x points left: columns grow as x falls
    slope = shade[:, :, -1] - shade[:, :, 0]
    mirrored = slope.mean(1) > 0
    assert 4 < mirrored.sum() < 16
    torch.testing.assert_close(toward, columns.expand(20, 6, 6))
    torch.testing.assert_close(shade[mirrored].flip(2), shade[~mirrored][:1].expand_as(shade[mirrored]))


def test_samples_have_a_finite_pose_and_a_shell_inside_the_grid():
    [sample, *_] = object_samples(make_scene(rng(), (96, 96), "ground", ("crate",)), SampleSizes())
    assert np.isfinite(sample["translation"]).all()
    assert sample["coords"].max() < 32 and len(sample["coords"]) == len(sample["features"]) > 100


def test_the_truth_itself_has_no_surface_loss():
    shape = make_object(rng(), "mug")
    truth = surface_targets.targets(shape, 16, 32, 2)
    sdf = truth.sdf.clamp(-3 / 32, 3 / 32) * surface_targets.SDF_GAIN + 1 / 32
    logit = torch.cat([truth.albedo, truth.normals], -1).clamp(1e-4, 1 - 1e-4).logit()
    perfect = torch.cat([sdf, torch.zeros(len(sdf), 45), logit.flatten(1)], 1)
    loss, figures = surface_targets.cube_loss(perfect, truth)
    assert loss < 1e-3 and figures["wrong_signs"] == 0
    assert len(truth.points) == 2 * len(SparseGrid(truth.coords))
    assert np.abs(shape.distance(truth.points.numpy())).max() < 0.03


def test_structured_latent_tells_colour_and_side():
    shape = make_object(rng(), "ball")
    coords = shell_coords(occupied_voxels(distance_grid(shape, 32)), 1)
    latent = features(shape, coords, 32)
    outward = (coords[:, 1:].numpy() + 0.5) / 32 - 0.5
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    assert (latent[:, 1:4] * outward).sum(1).min() > 0.95
    assert latent[:, 4:7].min() >= -1 and latent[:, 4:7].max() <= 1


def test_metrics_of_hand_made_cases():
    a, b = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    a[:2], b[1:3] = True, True
    assert voxel_iou(a, b) == pytest.approx(1 / 3)
    assert rotation_error(np.array([1.0, 0, 0, 0]), np.array([2**-0.5, 0, 0, 2**-0.5])) == pytest.approx(90)
