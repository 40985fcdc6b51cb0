"""Scenes as a depth model sees them: where objects go, and what is stored of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("numba")

import vendor_model
from vendor_model import checkpoints
from vendor_model.config import read_pipeline
from vendor_model.errors import PhotoError
from vendor_model.layout.frames import pixels_from_camera
from vendor_model.training.estimated_scenes import FARTHEST, StoredAsEstimated, as_estimated
from vendor_model.training.samples import SampleSizes, object_samples
from vendor_model.training.scenes import Scene, make_scene
from vendor_model.training.shards import write_shards
from vendor_model.types import PointMap

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scene() -> Scene:
    scenes = (make_scene(np.random.default_rng((4, n)), (96, 128), categories=("crate",)) for n in range(40))
    return next(scene for scene in scenes if scene.kind == "ground" and len(scene.objects) > 1)


def test_an_estimate_that_is_right_but_for_its_unit_changes_nothing_but_the_unit(scene):
    seen = as_estimated(scene, lambda photo: PointMap(scene.point_map / 5, scene.intrinsics))
    for (_, pose), (_, true_pose) in zip(seen.objects, scene.objects, strict=True):
        np.testing.assert_allclose(pose.translation, true_pose.translation / 5, rtol=1e-5)
        np.testing.assert_allclose(pose.scale, true_pose.scale / 5, rtol=1e-5)
    sizes = SampleSizes(photos=((96, 128),))
    for ours, truth in zip(object_samples(seen, sizes), object_samples(scene, sizes), strict=True):
        for name in ("translation", "scale", "6drotation_normalized"):
            np.testing.assert_allclose(ours[name], truth[name], atol=2e-3)


def test_in_another_camera_objects_stay_at_their_pixels_and_as_large(scene):
    camera = scene.intrinsics.copy()
    camera[0, 0] = camera[1, 1] = 2 * camera[0, 0]
    stretched = scene.point_map * [0.5, 0.5, 1]
    seen = as_estimated(scene, lambda photo: PointMap(stretched.astype(np.float32), camera))
    directions = np.eye(3)[:2] * 0.01
    for (_, pose), (_, true_pose) in zip(seen.objects, scene.objects, strict=True):
        there, here = (
            pixels_from_camera(np.stack([one.translation, *(one.translation + directions * one.scale)]), k)
            for one, k in ((pose, camera), (true_pose, scene.intrinsics))
        )
        np.testing.assert_allclose(there, here, atol=0.01)
        assert pose.translation[2] == pytest.approx(true_pose.translation[2])


def test_a_photo_in_which_the_depth_model_finds_nothing_is_left_out(scene):
    def estimate(photo):
        raise PhotoError("The depth model found no surface.")

    assert as_estimated(scene, estimate) is None
    unknown = np.full_like(scene.point_map, np.nan)
    assert as_estimated(scene, lambda photo: PointMap(unknown, scene.intrinsics)) is None


def test_what_is_stored_is_what_the_trained_depth_model_sees(tmp_path):
    model = Path(vendor_model.__file__).parent / "mini"
    module = checkpoints.load_module(model, read_pipeline(model), "depth_model", CPU, torch.float32)
    (tmp_path / "depth").mkdir()
    torch.save(nn.ModuleDict({"depth_model": module}).state_dict(), tmp_path / "depth" / "average.pt")
    sizes, store = SampleSizes(photos=((96, 96),)), StoredAsEstimated(model, tmp_path / "depth")
    write_shards(tmp_path / "estimated", 7, 1, 6, ("crate",), sizes, store=store)
    write_shards(tmp_path / "true", 7, 1, 6, ("crate",), sizes)
    with np.load(tmp_path / "estimated" / "shard-7-00000.npz") as seen:
        estimates = {name: seen[name] for name in seen.files}
    with np.load(tmp_path / "true" / "shard-7-00000.npz") as true:
        truths = {name: true[name] for name in true.files}
    assert set(truths) - set(estimates) == {
        "photos", "maps", "photo_kind", "coords", "features", "voxel_counts"
    }  # fmt: skip
    assert np.abs(estimates["translation"]).max() <= FARTHEST
    same = [number for number, mask in enumerate(truths["mask"]) if (mask == estimates["mask"][0]).all()]
    assert len(same) == 1
    np.testing.assert_array_equal(estimates["distances"][0], truths["distances"][same[0]])
    apart = np.abs(estimates["pointmap"][0].astype(float) - truths["pointmap"][same[0]])
    assert np.nanmedian(apart) > 0.01
