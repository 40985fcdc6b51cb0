"""The evaluation's commands: what they measure, of what, how it is told, drawn and gone on with."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

pytest.importorskip("numba")
pytest.importorskip("trimesh")

import trimesh
from test_measures import bracket, similarity

from vendor_model.__main__ import MINI
from vendor_model.config import read_pipeline
from vendor_model.errors import EmptyReconstructionError, PhotoError, UserError
from vendor_model.evaluation import __main__ as command
from vendor_model.evaluation import generated, meshes, pictures, scenes
from vendor_model.evaluation.clouds import cloud
from vendor_model.evaluation.report import summary, table
from vendor_model.evaluation.subjects import KnownPhoto, evaluate, unit_ratio
from vendor_model.pipeline import Pipeline
from vendor_model.surface.glb import SceneMesh, encode_glb
from vendor_model.training.meshes import object_surface
from vendor_model.training.objects import make_object
from vendor_model.training.recipe import MINI as RECIPE
from vendor_model.training.scenes import make_scene
from vendor_model.types import PointMap, Pose, Reconstruction, Surface


def test_the_surface_of_a_generated_object_is_closed_and_where_its_distances_say():
    shape = make_object(np.random.default_rng(3), "mug")
    surface = object_surface(shape)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces)
    assert mesh.is_watertight and mesh.volume > 0
    spread = cloud(surface.vertices, surface.faces).points
    assert np.abs(shape.distance(spread)).mean() < 1e-3
    np.testing.assert_allclose(np.ptp(surface.vertices, axis=0), 2 * shape.half_size, atol=0.02)


@pytest.fixture(scope="module")
def known():
    return next(generated.known_photos(1, 3, ("crate", "car"), size=(96, 96)))


class Oracle:
    """Knows everything, in a unit of half the length."""

    config = SimpleNamespace(layout_refinement=False)

    def __init__(self, known: KnownPhoto, fails: bool = False):
        self.known, self.fails = known, fails

    def set_photo(self, photo, progress, points=None):
        return SimpleNamespace(point_map=PointMap(self.known.points / 2, np.eye(3)))

    def reconstruct(self, scene, masks, seed, progress, refine_layout):
        if self.fails:
            raise EmptyReconstructionError("nothing")
        [subject] = self.known.subjects
        linear = subject.placement[:3, :3]
        size = np.cbrt(np.linalg.det(linear))
        rotation = Rotation.from_matrix(linear / size).as_quat(scalar_first=True)
        pose = Pose(rotation, subject.placement[3, :3] / 2, np.full(3, size / 2))
        surface = Surface(subject.vertices, subject.faces, subject.vertices)
        return [Reconstruction(surface, None, pose, 0.9)]


class Blind(Oracle):
    """Sees no surface in any photo."""

    def set_photo(self, photo, progress, points):
        raise PhotoError("nothing")


def test_the_truth_itself_is_perfect_whatever_its_unit(known):
    assert unit_ratio(known.points / 2, known.points) == pytest.approx(2)
    here, there = np.full((2, 4, 4, 3), np.nan)
    here[0], there[1] = (0, 0, 4), (0, 0, 6)  # maps that know no pixel in common
    assert unit_ratio(here, there) == pytest.approx(1.5)
    [record] = evaluate(Oracle(known), [known], 0, true_points=False)
    assert record["layout"]["box_iou"] == pytest.approx(1, abs=1e-4)
    assert record["layout"]["add_s"] < 0.01 and record["layout"]["icp_rotation"] < 1
    assert record["shape"]["voxel_iou"] > 0.999 and record["layout"]["mask_iou"] == 0.9
    assert "layout_refined" not in record


def test_what_is_not_reconstructed_counts_as_worst(known):
    [record] = evaluate(Oracle(known, fails=True), [known], 0, true_points=False)
    assert record["failed"] and record["shape"]["voxel_iou"] == 0 and record["layout"]["icp_rotation"] == 90
    [unseen] = evaluate(Blind(known), [known], 0, true_points=False)
    assert unseen == record
    figures = summary([record])
    assert figures["failed"] == 1 and "not reconstructed" in table(figures)


def test_generated_photos_hold_as_many_objects_as_wanted_and_only_occluded_ones_if_wanted():
    photos = list(generated.known_photos(3, 5, ("ball", "crate"), occluded=True, size=(96, 96)))
    subjects = [subject for photo in photos for subject in photo.subjects]
    assert len(subjects) == 3 and all(subject.visible < generated.OCCLUDED for subject in subjects)


def test_a_quarter_of_the_generated_objects_is_occluded_within_the_photo_and_the_others_come_first():
    photos = generated.known_photos(16, 7, RECIPE.categories, size=(64, 64))
    occluded = [subject.visible < generated.OCCLUDED for photo in photos for subject in photo.subjects]
    assert len(occluded) == 16 and sum(occluded) >= 4
    assert 12 - 3 <= 16 - sum(occluded) <= 12


def test_what_only_the_edge_of_the_photo_cuts_off_is_not_hidden(monkeypatch):
    cut = make_scene(np.random.default_rng(16), (64, 64), "isolated")
    assert cut.unoccluded_fraction == [1] and cut.visible_fraction < 0.8
    monkeypatch.setattr(generated, "make_scene", lambda *_, **__: cut)
    [photo] = generated.known_photos(1, 0, RECIPE.categories)
    assert [subject.visible for subject in photo.subjects] == [1]


def test_the_command_scores_generated_photos_with_the_steps_that_it_is_told(known, monkeypatch, capsys):
    oracle = Oracle(known)
    oracle.config = replace(read_pipeline(MINI), layout_refinement=False)
    asked = []
    monkeypatch.setattr(Pipeline, "load", lambda folder: oracle)
    monkeypatch.setattr(generated, "known_photos", lambda *options: asked.append(options) or [known])
    monkeypatch.setattr(
        sys, "argv", "evaluation generated --samples 9 --seed 4 --steps 25 --occluded".split()
    )
    command.main()
    assert asked == [(9, 4, RECIPE.categories, True)] and oracle.config.ss_inference_steps == 25
    printed = capsys.readouterr().out
    assert "1 objects, 0 not reconstructed" in printed and "voxel IoU 64³, solid" in printed
    monkeypatch.setattr(sys, "argv", "evaluation generated --unseen".split())
    command.main()
    [kinds] = [kinds for _, _, kinds, _ in asked[1:]]
    assert len(kinds) > 10 and not set(kinds) & set(RECIPE.categories)


def test_the_summary_sorts_by_visibility_and_kind_and_leaves_symmetric_objects_out_of_one_figure(known):
    [record] = evaluate(Oracle(known), [known], 0, true_points=False)
    seen = record | {"visible": 1.0, "symmetric": True}
    hidden = record | {"visible": 0.3, "symmetric": False}
    hidden["layout"] = record["layout"] | {"icp_rotation": 40.0}
    hidden["kind"] = "ground" if known.kind == "pasted" else "pasted"
    figures = summary([seen, hidden])
    assert figures["kinds"][hidden["kind"]]["icp_rotation"] == 40
    assert figures["kinds"][known.kind]["icp_rotation"] < 1
    assert {band: group["objects"] for band, group in figures["visible"].items()} == {
        "0.25-0.50": 1,
        "0.90-1.00": 1,
    }
    assert figures["layout"]["icp_rotation_asymmetric"] == 40
    assert figures["visible"]["0.25-0.50"]["icp_rotation"] == 40
    assert table(figures).count("\n") > 20 and hidden["kind"] in table(figures)


def write_scene(folder, known: KnownPhoto, world: np.ndarray):
    """The photo as a folder; world: (4, 4), camera (OpenCV) to world, for columns."""
    [subject] = known.subjects
    height, width = subject.mask.shape
    folder.mkdir()
    Image.fromarray(known.rgb).save(folder / "photo.png")
    Image.fromarray(subject.mask.astype(np.uint8) * 255).save(folder / "mask_0.png")
    np.savez(folder / "depth.npz", depth=known.points[..., 2])
    np.savez(folder / "mesh_0.npz", vertices=subject.vertices, faces=subject.faces)
    camera = {"fx": known.focal_px, "fy": known.focal_px, "cx": width / 2, "cy": height / 2}
    (folder / "camera.json").write_text(json.dumps(camera | {"camera_to_world_cv": world.tolist()}))
    matrix = world @ np.diag([-1, -1, 1, 1]) @ subject.placement.T
    record = {"kind": "thing", "mask": "mask_0.png", "mesh": "mesh_0.npz", "matrix_world": matrix.tolist()}
    record |= {"visible_fraction": 0.5, "symmetry": "none", "symmetry_rotations_wxyz": [[1, 0, 0, 0]]}
    (folder / "objects.json").write_text(json.dumps({"objects": [record]}))


def test_a_scene_folder_says_what_was_written(tmp_path, known):
    write_scene(tmp_path / "00", known, similarity(30, (0, 0.6, 0.8), 1.0, (1, 2, 3)).T)
    [read] = scenes.known_photos([tmp_path])
    [subject] = read.subjects
    np.testing.assert_allclose(subject.placement, known.subjects[0].placement, atol=1e-6)
    np.testing.assert_allclose(read.points, known.points, atol=1e-4)
    np.testing.assert_array_equal(subject.mask, known.subjects[0].mask)
    assert read.focal_px == known.focal_px and not subject.symmetric


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "mesh_0.npz").unlink(),
        lambda folder: cut(folder / "mesh_0.npz"),
        lambda folder: (folder / "mesh_0.npz").write_bytes(b""),
        lambda folder: cut(folder / "photo.png"),
        lambda folder: (folder / "objects.json").write_text("[1, 2]"),
        lambda folder: (folder / "camera.json").write_text('{"fx": 3}'),
    ],
)
def test_a_damaged_scene_is_named_and_left_out(damage, tmp_path, known, capsys):
    for number in "01":
        write_scene(tmp_path / number, known, np.eye(4))
    damage(tmp_path / "0")
    assert len(list(scenes.known_photos([tmp_path]))) == 1
    assert f"{tmp_path / '0'} is not a complete scene" in capsys.readouterr().err
    with pytest.raises(UserError, match="holds no complete scene"):
        list(scenes.known_photos([tmp_path / "0"]))


class Ended(BaseException):
    """What kill does: nobody catches it."""


def test_an_evaluation_that_was_ended_goes_on_and_is_compared(tmp_path, known, monkeypatch, capsys):
    written, begun, model = tmp_path / "new" / "records.jsonl", [], tmp_path / "model"
    model.mkdir()

    def photos(*options):
        for number in range(3):
            yield replace(known, kind=f"kind {number}")

    class Watched(Oracle):
        def set_photo(self, photo, progress, points=None):
            if len(begun) == self.most:
                raise Ended
            begun.append(photo)
            return super().set_photo(photo, progress, points)

    oracle = Watched(known)
    monkeypatch.setattr(Pipeline, "load", lambda folder: oracle)
    monkeypatch.setattr(generated, "known_photos", photos)

    def run(most: int, *words: str) -> None:
        begun.clear()
        oracle.most = most
        words = ["evaluation", "generated", "--model", str(model), "--records", str(written), *words]
        monkeypatch.setattr(sys, "argv", words)
        command.main()

    with pytest.raises(Ended):
        run(2)
    with written.open("a") as file:
        file.write('{"photo": 2, "obj')  # as one that was killed while it wrote
    run(9)
    assert len(begun) == 1 and "3 objects, 0 not" in capsys.readouterr().out
    run(9)
    assert not begun and "kind 2" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"holds figures of another evaluation \(seed 7\)"):
        run(9, "--seed", "8")
    (model / "pipeline.yaml").write_text("other: weights")
    with pytest.raises(SystemExit, match=r"holds figures of another evaluation \(weights "):
        run(9)
    first, written = written, tmp_path / "other.jsonl"
    oracle.fails = True
    run(9)
    monkeypatch.setattr(sys, "argv", ["evaluation", "compare", str(first), str(written)])
    capsys.readouterr()
    command.main()
    lines = capsys.readouterr().out.splitlines()
    [line] = [line for line in lines if line.startswith("voxel IoU 64³, solid, after ICP")]
    assert lines[0] == "3 objects" and line.split()[-5:] == ["1.0000", "0.0000", "-1.0000", "±", "0.0000"]
    first.write_text('{"kind": "generated"}\n{"photo": 1}\n')
    with pytest.raises(SystemExit, match="holds no figures of an evaluation"):
        command.main()


def test_figures_of_nothing_are_refused():
    with pytest.raises(UserError, match="no object to measure"):
        summary([])


def test_standard_errors_are_those_of_the_mean(known):
    [record] = evaluate(Oracle(known), [known], 0, true_points=False)
    second = record | {"shape": record["shape"] | {"chamfer": record["shape"]["chamfer"] + 1}}
    errors = summary([record, second])["standard_errors"]
    assert errors["shape"]["chamfer"] == pytest.approx(0.5 / 2**0.5) and errors["shape"]["emd"] == 0
    assert "rotation_error" in record["layout"] and "rotation_error" not in errors["layout"]  # a median


def test_two_processes_find_what_one_finds(tmp_path, known, monkeypatch, capsys):
    for number in "01":
        write_scene(tmp_path / number, known, np.eye(4))
    printed = []
    for count in "12":
        words = ["evaluation", "scenes", str(tmp_path), "--json", "--threads", "2", "--workers", count]
        monkeypatch.setattr(sys, "argv", words)
        command.main()
        printed.append(json.loads(capsys.readouterr().out))
    alone, together = printed
    assert alone["objects"] == together["objects"] == 2
    assert together["layout"] == pytest.approx(alone["layout"], abs=1e-3)


def test_a_folder_without_a_scene_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no scene"):
        list(scenes.known_photos([tmp_path]))


def test_pairs_of_meshes_are_compared_across_formats(tmp_path, monkeypatch, capsys):
    solid = bracket()
    surface = Surface(
        solid.vertices.astype(np.float32), solid.faces.astype(np.int32), np.ones((len(solid.vertices), 3))
    )
    still = SceneMesh("bracket", surface, np.array([1.0, 0, 0, 0]), np.array([0.5, 0, 0]), np.ones(3))
    (tmp_path / "bracket.pred.glb").write_bytes(encode_glb([still]))
    solid.export(tmp_path / "bracket.true.ply")
    monkeypatch.setattr(sys, "argv", ["evaluation", "meshes", str(tmp_path), "--json"])
    command.main()
    figures = json.loads(capsys.readouterr().out)
    assert figures["shape"]["f1_001"] > 0.99
    assert figures["layout"]["box_iou"] == pytest.approx(1 / 3, abs=1e-3)  # one unit long, half a unit aside
    (tmp_path / "bracket.pred.glb").unlink()
    with pytest.raises(UserError, match=r"has 0 files bracket\.pred"):
        list(meshes.evaluate(tmp_path))
    (tmp_path / "bracket.pred.obj").write_text("v 0 0 0\n")
    with pytest.raises(UserError, match=r"bracket\.pred\.obj"):
        list(meshes.evaluate(tmp_path))
    (tmp_path / "bracket.pred.obj").unlink()
    (tmp_path / "bracket.pred.glb").write_bytes(b"glTF\2\0\0\0rest")
    with pytest.raises(UserError, match=r"bracket\.pred\.glb cannot be read"):
        list(meshes.evaluate(tmp_path))


def test_forms_are_drawn_as_the_camera_sees_them():
    """x left, y up, near before far, colours as they are."""
    near = np.array([[-1.0, -1, -1], [1, -1, -1], [0, 1, -1]])
    upper_left = np.array([[6.0, 2, 0], [6.5, 2, 0], [6, 2.5, 0]])
    vertices, faces = np.concatenate([near, 2 * near + [0, 0, 3], upper_left]), np.arange(9).reshape(3, 3)
    tile = pictures.drawn(vertices, faces, np.repeat(np.eye(3), 3, axis=0))
    red, green, blue = (
        np.argwhere((tile[..., color] > 9) & (np.delete(tile, color, axis=2) == 0).all(-1))
        for color in range(3)
    )
    assert blue[:, 1].max() < min(red[:, 1].min(), green[:, 1].min())
    assert blue[:, 0].mean() < green[:, 0].mean()
    assert len(red) > 100 and green[:, 0].min() < red[:, 0].min() and red[:, 0].max() < green[:, 0].max()


def test_the_second_view_is_from_the_right():
    upright = np.array([[0.0, -1, -1], [0, -1, 1], [0, 1, 0]])
    right = np.array([-1, 0, 0])
    vertices = np.concatenate([upright + right, upright - right])
    _, aside = pictures.both_sides(vertices, np.arange(6).reshape(2, 3), np.repeat(np.eye(3)[:2], 3, axis=0))
    assert (aside[..., 0] > 9).any() and not ((aside[..., 1] > 9) & (aside[..., 0] < 9)).any()


@pytest.mark.parametrize("true_points", [False, True])
def test_the_pictures_of_one_who_knows_are_those_of_the_truth(known, true_points, tmp_path, monkeypatch):
    monkeypatch.setattr(Pipeline, "load", lambda folder: Oracle(known))
    monkeypatch.setattr(generated, "known_photos", lambda *options: [known])
    words = ["evaluation", "generated", "--pictures", str(tmp_path / "sheet.png")]
    monkeypatch.setattr(sys, "argv", words + ["--true-points"] * true_points)
    command.main()
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    side = pictures.TILE
    assert sheet.shape == (side * -(-len(known.subjects) // 2), 10 * side, 3)
    photo, *forms = (sheet[:side, side * number : side * (number + 1)] for number in range(5))
    made, made_aside, true, true_aside = ((form < 250).any(2) for form in forms)
    assert (made == true).mean() > 0.98 and (made_aside == true_aside).mean() > 0.98
    assert 0.05 < true.mean() and (true != true_aside).mean() > 0.02
    assert (photo == (255, 0, 255)).all(2).sum() > side  # the outline


def test_objects_of_a_photo_without_truth_are_drawn_as_the_model_makes_them(known, tmp_path, monkeypatch):
    large = [
        np.kron(image, np.ones((8, 8, 1), np.uint8))
        for image in (known.rgb, known.subjects[0].mask[..., None])
    ]
    Image.fromarray(large[0]).save(tmp_path / "photo.png")
    Image.fromarray(255 * large[1][..., 0]).save(tmp_path / "mask_0.png")
    monkeypatch.setattr(Pipeline, "load", lambda folder: Oracle(known))
    words = ["evaluation", "photos", str(tmp_path), "--pictures", str(tmp_path / "sheet.png")]
    monkeypatch.setattr(sys, "argv", words)
    command.main()
    side, sheet = pictures.TILE, np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (side, 9 * side, 3)
    photo, front, aside, *rest = np.split(sheet, 9, axis=1)
    assert (photo == (255, 0, 255)).all(2).sum() > side  # the outline, however large the photo
    assert min((tile < 250).any(2).mean() for tile in (front, aside)) > 0.05
    assert min(tile.min() for tile in rest) == 255


def test_what_the_model_does_not_see_stays_white(known):
    [row] = np.split(pictures.sheet(Blind(known), [known], 0, False, columns=1), 1)
    photo, made, aside, *truth = np.split(row, 5, axis=1)
    assert (made == 255).all() and (aside == 255).all() and min(tile.min() for tile in (photo, *truth)) < 200
