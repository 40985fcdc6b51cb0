"""Photo and masks to objects with the embedded model, whole."""

import json
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import vendor_model
from vendor_model import __main__ as command
from vendor_model import checkpoints
from vendor_model import pipeline as pipeline_module
from vendor_model.__main__ import MINI
from vendor_model.config import read_pipeline
from vendor_model.errors import Cancelled, CheckpointError, EmptyReconstructionError, MaskError, UserError
from vendor_model.layout.frames import camera_from_object
from vendor_model.photo import read_mask, read_photo
from vendor_model.pipeline import Pipeline

SAMPLES = Path(vendor_model.__file__).parent.parent / "samples"
NAMES = ("toadstool", "bottle")


@pytest.fixture(scope="module")
def photo():
    return read_photo(SAMPLES / "toys.jpg")


@pytest.fixture(scope="module")
def masks(photo):
    return [read_mask(SAMPLES / "masks" / f"{name}.png", photo.size) for name in NAMES]


@pytest.fixture(scope="module")
def pipeline():
    torch.set_num_threads(1)
    return Pipeline.load(MINI, "cpu")


@pytest.fixture(scope="module")
def scene(pipeline, photo):
    return pipeline.set_photo(photo, lambda stage, fraction: None)


@pytest.fixture(scope="module")
def made(pipeline, scene, masks):
    stages = []
    result = pipeline.reconstruct(scene, masks, 0, lambda stage, fraction: stages.append((stage, fraction)))
    assert all(0 <= fraction <= 1 for _, fraction in stages)
    assert {stage for stage, _ in stages} == {"conditioning", "geometry", "texture", "surface", "refinement"}
    return result


def test_point_map_covers_the_photo_in_front_of_the_camera(scene, photo):
    points = scene.point_map.points
    assert points.shape == (*photo.size, 3) and points.dtype == np.float32
    assert np.isfinite(points).mean() > 0.5
    assert np.nanmin(points[..., 2]) > 0


def test_objects_stand_where_the_photo_shows_them(made):
    assert [one.mask_iou > 0.5 for one in made] == [True, True]


def test_an_object_projects_onto_its_mask(made, masks, scene):
    k = scene.point_map.intrinsics
    for one, mask in zip(made, masks, strict=True):
        centre = camera_from_object(np.zeros((1, 3)), one.pose)[0]
        column, row = k[0, 2] - k[0, 0] * centre[0] / centre[2], k[1, 2] - k[1, 1] * centre[1] / centre[2]
        rows, columns = np.nonzero(mask)
        assert rows.min() < row < rows.max() and columns.min() < column < columns.max()


def test_surfaces_are_closed_coloured_and_inside_their_cube(made):
    for one in made:
        surface = one.surface
        assert np.abs(surface.vertices).max() <= 0.5
        assert len(surface.faces) > 500 and surface.faces.max() < len(surface.vertices)
        assert surface.colors.min() >= 0 and surface.colors.max() <= 1 and surface.colors.std() > 0.01
        assert one.gaussians.positions.shape == one.gaussians.scales.shape


def test_the_same_seed_makes_the_same_object_and_the_company_does_not_matter(pipeline, scene, masks, made):
    [again] = pipeline.reconstruct(scene, masks[1:], 0, lambda stage, fraction: None)
    np.testing.assert_array_equal(again.surface.faces, made[1].surface.faces)
    np.testing.assert_allclose(again.pose.translation, made[1].pose.translation, atol=1e-5)


def test_an_object_of_more_voxels_than_fit_keeps_its_size_on_a_coarser_grid(
    pipeline, scene, masks, monkeypatch
):
    tokens, inputs = pipeline.geometry_condition(scene, masks[0])

    def made(factor: float):
        monkeypatch.setattr(pipeline_module, "sparse_structure", lambda *_, **__: (torch.zeros(1, 4), factor))
        return pipeline.sample_shape(tokens, inputs, 0, lambda done: None, pipeline.config)

    np.testing.assert_allclose(made(2.0).pose.scale, 2 * made(1.0).pose.scale)


def test_the_texture_goes_on_with_the_random_numbers_of_the_shape(pipeline, scene, masks):
    tokens, inputs = pipeline.geometry_condition(scene, masks[0])
    shape = pipeline.sample_shape(tokens, inputs, 5, lambda done: None, pipeline.config)
    assert not torch.equal(shape.generator.get_state(), torch.Generator().manual_seed(5).get_state())


def test_an_object_all_of_whose_parts_are_dropped_is_one_of_which_nothing_came(
    pipeline, scene, masks, monkeypatch
):
    def nothing(surface):
        return replace(surface, faces=surface.faces[:0])

    monkeypatch.setattr(pipeline_module, "drop_cavities_and_crumbs", nothing)
    with pytest.raises(EmptyReconstructionError, match="no surface"):
        pipeline.reconstruct(scene, masks[:1], 0, lambda stage, fraction: None)


def test_a_job_can_be_cancelled_at_any_step(pipeline, scene, masks):
    calls = []

    def progress(stage, fraction):
        calls.append(stage)
        if stage == "texture":
            raise Cancelled

    with pytest.raises(Cancelled):
        pipeline.reconstruct(scene, masks, 0, progress)
    assert "surface" not in calls


def test_a_mask_of_another_size_and_an_empty_one_are_refused(pipeline, scene, masks):
    with pytest.raises(MaskError, match="Mask 2 is 9 x 8 pixels"):
        pipeline.reconstruct(scene, [masks[0], np.ones((8, 9), bool)], 0, lambda stage, fraction: None)
    with pytest.raises(MaskError, match="empty"):
        pipeline.reconstruct(scene, [np.zeros_like(masks[0])], 0, lambda stage, fraction: None)


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "vendor_model", SAMPLES / "toys.jpg", *arguments]
    return subprocess.run([str(part) for part in command], cwd=SAMPLES.parent, capture_output=True, text=True)


@pytest.mark.parametrize("stage", ["sample_shape", "decode"])
def test_an_object_of_which_nothing_comes_costs_the_others_nothing(
    pipeline, scene, masks, made, monkeypatch, stage
):
    calls, work = [], getattr(pipeline, stage)

    def first_fails(*arguments, **options):
        calls.append(None)
        if len(calls) == 1:
            raise EmptyReconstructionError("No surface.")
        return work(*arguments, **options)

    monkeypatch.setattr(pipeline, stage, first_fails)
    nothing, other = pipeline.reconstruct(scene, masks, 0, lambda stage, fraction: None)
    assert nothing is None
    np.testing.assert_allclose(other.surface.vertices, made[1].surface.vertices, atol=1e-5)


def test_a_mask_that_is_too_small_is_numbered_among_several(pipeline, scene, masks):
    speck = np.zeros_like(masks[0])
    speck[5, 5] = True
    for chosen, sentence in (([speck], "The mask is only"), ([masks[0], speck], "Mask 2 of 2: The mask is")):
        with pytest.raises(MaskError, match=f"^{sentence}"):
            pipeline.reconstruct(scene, chosen, 0, lambda stage, fraction: None)


def test_objects_of_which_nothing_comes_at_all_are_an_error(pipeline, scene, masks, monkeypatch):
    def fail(*_):
        raise EmptyReconstructionError("No surface.")

    monkeypatch.setattr(pipeline, "decode", fail)
    for chosen in (masks[:1], masks):
        with pytest.raises(EmptyReconstructionError, match=r"^No surface\.$"):
            pipeline.reconstruct(scene, chosen, 0, lambda stage, fraction: None)


def test_command_writes_what_came_and_names_what_did_not(made, tmp_path, monkeypatch, capsys):
    stand_in = SimpleNamespace(set_photo=lambda *_: None, reconstruct=lambda *_: [None, made[1]])
    monkeypatch.setattr(command.Pipeline, "load", lambda *_: stand_in)
    paths = [SAMPLES / "masks" / f"{name}.png" for name in NAMES]
    words = ["vendor_model", SAMPLES / "toys.jpg", "--output", tmp_path / "scene.glb"]
    words += [part for path in paths for part in ("--mask", path)]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    command.main()
    said = capsys.readouterr()
    assert said.err == f"Nothing came of {paths[0].name}: mark more of the object, or try another seed.\n"
    assert (
        said.out.startswith("bottle: mask IoU")
        and b'"toadstool"' not in (tmp_path / "scene.glb").read_bytes()
    )


def test_command_refuses_a_folder_that_is_not_there_before_it_works(tmp_path):
    result = run("--mask", SAMPLES / "masks" / "bottle.png", "--output", tmp_path / "none" / "scene.glb")
    assert result.returncode == 1
    assert (
        result.stderr == f"scene.glb cannot be written: make the folder {tmp_path}/none, or name another.\n"
    )


@pytest.mark.parametrize("suffix", [".glb", ".ply"])
def test_command_writes_a_scene(tmp_path, suffix):
    output = tmp_path / f"scene{suffix}"
    mask = SAMPLES / "masks" / "bottle.png"
    result = run("--mask", mask, "--output", output, "--no-refine-layout")
    assert result.returncode == 0, result.stderr
    assert "bottle: mask IoU" in result.stdout
    content = output.read_bytes()
    if suffix == ".ply":
        assert content.startswith(b"ply\n")
        return
    length = struct.unpack("<I", content[12:16])[0]
    document = json.loads(content[20 : 20 + length])
    assert [node["name"] for node in document["nodes"] if "mesh" in node] == ["bottle"]


def test_command_refuses_an_unknown_kind_of_output_in_a_sentence(tmp_path):
    result = run("--mask", SAMPLES / "masks" / "bottle.png", "--output", tmp_path / "scene.xyz")
    assert result.returncode == 1
    assert result.stderr.strip() == "The output ends in '.xyz': name a file that ends in .glb or .ply."


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(MINI, tmp_path / "model"))


def test_a_model_folder_that_is_not_whole_is_refused_in_words(copy):
    (copy / "ss_decoder.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"ss_decoder\.safetensors is not a complete weights file"):
        Pipeline.load(copy)
    (copy / "ss_decoder.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"ss_decoder\.safetensors is missing"):
        Pipeline.load(copy)
    (copy / "pipeline.yaml").unlink()
    with pytest.raises(CheckpointError, match=r"pipeline\.yaml is missing"):
        Pipeline.load(copy)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("pipeline.yaml", "version:", "colour: red\nversion:", "settings this version does not know"),
        ("pipeline.yaml", "slat_mean: [", "slat_mean: [one, ", "not of the expected kind"),
        ("pipeline.yaml", "slat_mean", "slat_average", "does not know"),
        ("ss_decoder.yaml", "latent_channels: 64", "latent_channels: 32", "does not fit its configuration"),
        ("ss_decoder.yaml", "latent_channels", "channels_of_latent", "does not describe a ss_decoder"),
        ("ss_generator.yaml", "module:", "modules:", "has no section"),
        ("moge.yaml", "encoder:", "- encoder:", "cannot be read"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_in_words(copy, file, old, new, message):
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1))
    with pytest.raises(CheckpointError, match=message):
        Pipeline.load(copy)


def test_a_device_that_is_not_there_is_refused_in_words():
    with pytest.raises(UserError, match="choose one of"):
        Pipeline.load(MINI, "abacus")


def test_weights_survive_saving_and_the_embedded_checkpoint_is_small(copy):
    config = read_pipeline(copy)
    before = checkpoints.load(copy, config, torch.device("cpu"))
    checkpoints.save(copy, config, before, torch.float16)
    after = checkpoints.load(copy, config, torch.device("cpu"))
    for name, module in before.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, after[name].state_dict()[key]), key
    assert sum(file.stat().st_size for file in MINI.iterdir()) <= 30e6


def test_command_takes_a_point_map_and_writes_the_points(tmp_path):
    rows, columns = np.mgrid[0.5:-0.5:24j, 0.66:-0.66:32j]
    plane = np.stack([columns, rows, np.ones_like(rows)], -1).astype(np.float32)
    np.save(tmp_path / "plane.npy", 3 * plane)
    mask, points = SAMPLES / "masks" / "bottle.png", tmp_path / "points.ply"
    common = ("--mask", mask, "--output", tmp_path / "scene.glb", "--no-refine-layout")
    result = run(*common, "--point-map", tmp_path / "plane.npy", "--points", points)
    assert result.returncode == 0, result.stderr
    assert b"element vertex 786432\n" in points.read_bytes()[:100]
    result = run(*common, "--point-map", mask)
    assert result.returncode == 1 and "give a .npy file" in result.stderr


def test_command_takes_depth_alone_with_a_lens(tmp_path):
    np.save(tmp_path / "depth.npy", np.full((18, 24), 3000, np.uint16))
    mask, points = SAMPLES / "masks" / "bottle.png", tmp_path / "points.ply"
    common = ("--mask", mask, "--output", tmp_path / "scene.glb", "--point-map", tmp_path / "depth.npy")
    for lens, words in ((), "give the focal length"), (("--lens", "0"), "focal length above zero"):
        result = run(*common, *lens)
        assert result.returncode == 1 and words in result.stderr
    result = run(*common, "--lens", "36", "--points", points, "--no-refine-layout")
    assert result.returncode == 0, result.stderr
    body = points.read_bytes().split(b"end_header\n")[1]
    vertices = np.frombuffer(body, np.dtype([("place", "<f4", 3), ("color", "u1", 3)]))["place"]
    np.testing.assert_allclose(np.abs(vertices).max(0), (1500, 1125, 3000), rtol=2e-3)
