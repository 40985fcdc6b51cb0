"""Fine-tuning on one's own scenes: low rank, the search for latents, and the model that comes out."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_model import write_small_model
from torch import nn

pytest.importorskip("numba")
pytest.importorskip("trimesh")

from vendor_model import checkpoints
from vendor_model.config import read_pipeline
from vendor_model.errors import CheckpointError, UserError
from vendor_model.evaluation import generated
from vendor_model.evaluation.subjects import placement
from vendor_model.training import adapt as command
from vendor_model.training import own_data
from vendor_model.training.low_rank import add_low_rank, merge_low_rank
from vendor_model.training.own_data import find_latent, occupancy
from vendor_model.training.recipe import MINI, Run
from vendor_model.training.trainer import Schedule

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 5))


def test_low_rank_begins_with_nothing_and_becomes_a_change_of_that_rank():
    model, sight = network(), torch.randn(3, 6)
    before, weight = model(sight), model[0].weight.clone()
    adapters = add_low_rank(model, 2)
    assert torch.equal(model(sight), before)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("parametrizations.weight.0" in name for name in trained) and len(trained) == 4
    for adapter in adapters.values():
        nn.init.normal_(adapter.up)
    changed = model(sight)
    assert not torch.allclose(changed, before)
    merge_low_rank(model)
    assert set(model.state_dict()) == set(network().state_dict())
    assert torch.allclose(model(sight), changed, atol=1e-6)
    assert torch.linalg.matrix_rank(model[0].weight - weight, atol=1e-5) == 2


class Blocks(nn.Module):
    """A decoder that shows the only channel of each cell as a block of voxels."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, grid):
        return self.gain * grid.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)


def test_a_latent_is_found_that_decodes_to_the_voxels():
    solid = torch.rand(2, 2, 2, generator=torch.Generator().manual_seed(1)) > 0.5
    solid = solid.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    latent = find_latent(Blocks(), solid, (8, 1))
    assert latent.shape == (8, 1)
    assert torch.equal(Blocks()(latent.T.view(1, 1, 2, 2, 2))[0, 0] > 0, solid)


def test_a_cube_that_fills_the_frame_fills_the_voxels():
    corners = np.stack(np.meshgrid(*[np.linspace(-0.99, 0.99, 60)] * 3), -1).reshape(-1, 3)
    walls = corners[np.abs(corners).max(1) > 0.98]
    assert occupancy(walls, 16).all()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The small model with weights, drawn at random."""
    folder = write_small_model(tmp_path_factory.mktemp("model"))
    config = read_pipeline(folder)
    torch.manual_seed(0)
    checkpoints.save(folder, config, checkpoints.build(folder, config), torch.float16)
    return folder


def test_a_model_learns_scenes_of_ones_own_and_stays_a_model_of_its_kind(model, tmp_path, monkeypatch):
    [known] = generated.known_photos(1, 2, ("crate",), size=(96, 96))
    monkeypatch.setattr(command, "known_photos", lambda folders: [known])
    monkeypatch.setattr(own_data, "SEARCH_STEPS", 2)
    run = Run(model, tmp_path / "runs", MINI)
    scenes = [tmp_path / "scenes" / name for name in ("b", "a")]
    for scene in scenes:
        scene.mkdir(parents=True)
        (scene / "objects.json").touch()
    with pytest.raises(CheckpointError):  # whatever was named wrongly may be named again
        command.write_samples(replace(run, model=tmp_path), scenes, 2)
    with pytest.raises(UserError, match="holds no scene"):
        command.write_samples(run, [tmp_path / "none"], 2)
    command.write_samples(run, scenes, 2)
    for steps in (1, 2):  # the second goes on from the first
        parts = command.adapt(run, 2, 1, Schedule(steps, 1e-2, warmup=1, report_every=1, save_every=1))
    log = (tmp_path / "runs" / command.STAGE / "log.jsonl").read_text()
    assert log.count('"step": 1,') == log.count('"step": 2,') == 1
    command.write_samples(run, [tmp_path / "scenes"], 2)  # the same
    for others, rank in ((scenes, 3), (scenes[:1], 2)):
        with pytest.raises(UserError, match="to other scenes or of another rank"):
            command.write_samples(run, others, rank)
    command.write_model(run, parts, tmp_path / "out")
    config = read_pipeline(tmp_path / "out")
    loaded = checkpoints.load(tmp_path / "out", config, CPU)
    old = checkpoints.load(model, config, CPU)
    key = "latent_mapping.shape.out_layer.weight"  # in new networks nothing before it has a say yet
    change = loaded["ss_flow"].state_dict()[key] - old["ss_flow"].state_dict()[key]
    assert change.abs().max() > 1e-5
    values = torch.linalg.svdvals(change)
    assert values[2] < 0.1 * values[0]  # of rank 2 but for rounding to 16 bits
    untouched = ("ss_condition_embedder", "ss_decoder", "slat_flow")
    for name in untouched:
        for first, second in zip(
            loaded[name].state_dict().values(), old[name].state_dict().values(), strict=True
        ):
            assert torch.equal(first, second)


def test_a_model_is_not_written_over_the_one_it_began_with(model, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["adapt", "scenes", "--model", str(model), "--output", f"{model}/."])
    with pytest.raises(SystemExit, match="--output"):
        command.main()


def test_the_stored_pose_is_that_of_the_object_in_the_unit_cube():
    [known] = generated.known_photos(1, 2, ("crate",), size=(96, 96))
    [subject] = known.subjects
    into_box = own_data.unit_box(subject.vertices)
    pose = own_data._pose(into_box, subject.placement)
    cube = own_data.moved(subject.vertices, into_box) / 2
    assert np.ptp(cube, axis=0).max() == pytest.approx(1)
    np.testing.assert_allclose(
        own_data.moved(cube, placement(pose)), own_data.moved(subject.vertices, subject.placement), atol=1e-5
    )
