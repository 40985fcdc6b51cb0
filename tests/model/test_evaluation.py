"""The paper's figures: against hand-made cases, closed forms and other libraries."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from scipy.stats import wasserstein_distance_nd

pytest.importorskip("numba")
pytest.importorskip("trimesh")

import trimesh

from vendor_model.__main__ import MINI
from vendor_model.config import read_pipeline
from vendor_model.errors import EmptyReconstructionError, PhotoError, UserError
from vendor_model.evaluation import __main__ as command
from vendor_model.evaluation import generated, meshes, metrics, pictures, scenes
from vendor_model.evaluation.clouds import SAMPLES, cloud, distances, filled, moved, surface_voxels
from vendor_model.evaluation.comparison import layout_figures, shape_figures
from vendor_model.evaluation.registration import align, remaining_rotation, right_turns, unit_box
from vendor_model.evaluation.report import summary, table
from vendor_model.evaluation.subjects import KnownPhoto, evaluate, unit_ratio
from vendor_model.pipeline import Pipeline
from vendor_model.surface.glb import SceneMesh, encode_glb
from vendor_model.training.meshes import object_surface
from vendor_model.training.objects import make_object
from vendor_model.training.recipe import MINI as RECIPE
from vendor_model.training.scenes import make_scene
from vendor_model.types import PointMap, Pose, Reconstruction, Surface


def from_trimesh(mesh):
    return cloud(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def similarity(degrees=0.0, axis=(0, 0, 1), scale=1.0, shift=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3] = scale * Rotation.from_rotvec(np.radians(degrees) * np.array(axis)).as_matrix().T
    matrix[3, :3] = shift
    return matrix


def bracket():
    """A solid without symmetry: an L with a pin."""
    parts = [
        ((1.0, 0.4, 0.2), (0, 0, 0)),
        ((0.2, 0.4, 0.7), (0.4, 0, 0.45)),
        ((0.1, 0.3, 0.1), (-0.3, 0.3, 0)),
    ]
    boxes = [trimesh.creation.box(size).apply_translation(place) for size, place in parts]
    return trimesh.util.concatenate(boxes)


@pytest.fixture(scope="module")
def bracket_cloud():
    return from_trimesh(bracket())


def test_f1_of_hand_made_distances():
    accuracy, completeness = np.array([0.005, 0.02]), np.array([0.005, 0.001, 0.009, 0.02])
    assert metrics.f1_score(accuracy, completeness, 0.01) == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert metrics.f1_score(np.ones(2), np.ones(3), 0.01) == 0


def test_distances_between_concentric_spheres_are_the_difference_of_their_radii():
    inner, outer = (from_trimesh(trimesh.creation.icosphere(5, radius)) for radius in (0.9, 1.0))
    accuracy, completeness = distances(inner, np.eye(4), outer, np.eye(4))
    assert metrics.chamfer_distance(accuracy, completeness) == pytest.approx(0.1, abs=1e-3)
    assert metrics.f1_score(accuracy, completeness, 0.101) > 0.99
    assert metrics.f1_score(accuracy, completeness, 0.099) < 0.01
    assert metrics.add_s(accuracy, completeness, metrics.diameter(outer.vertices)) == pytest.approx(
        0.05, abs=1e-3
    )


def test_distances_are_in_the_unit_of_the_frame_and_do_not_depend_on_where_it_stands(bracket_cloud):
    other = from_trimesh(trimesh.creation.box((1, 1, 1)))
    plain = distances(bracket_cloud, np.eye(4), other, np.eye(4))
    frame = similarity(40, (0.6, 0, 0.8), 3.0, (1, 2, 3))
    for near, far in zip(plain, distances(bracket_cloud, frame, other, frame), strict=True):
        np.testing.assert_allclose(far, 3 * near, atol=1e-9)


def test_earth_movers_distance_is_that_of_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.random((24, 3)), rng.random((24, 3)) + 0.3
    assert metrics.earth_movers_distance(first, second) == pytest.approx(
        wasserstein_distance_nd(first, second)
    )
    assert metrics.earth_movers_distance(first, np.add(first[::-1], [0, 0, 2])) == pytest.approx(2)


def test_boxes_that_share_a_half_or_a_part_as_trimesh_has_it():
    box = np.array([[0.0, 0, 0], [2, 1, 1]])
    assert metrics.box_iou(box, np.add(box, [1, 0, 0])) == pytest.approx(1 / 3)
    assert metrics.box_iou(box, np.add(box, [5, 0, 0])) == 0
    assert metrics.box_iou(box * [1, 1, 0], box * [1, 1, 0]) == 0  # flat
    first, second = (
        trimesh.creation.box((1, 2, 3)),
        trimesh.creation.box(bounds=[[-0.2, 0.1, -1], [0.9, 2, 1]]),
    )
    corners = np.stack([np.maximum(*(b.bounds[0] for b in (first, second))),
                        np.minimum(*(b.bounds[1] for b in (first, second)))])  # fmt: skip
    shared = trimesh.creation.box(bounds=corners).volume
    union = first.volume + second.volume - shared
    assert metrics.box_iou(first.vertices, second.vertices) == pytest.approx(shared / union)


def test_diameter_and_angles_against_closed_forms_and_scipy():
    assert metrics.diameter(trimesh.creation.box((3, 4, 12)).vertices) == pytest.approx(13)
    assert metrics.diameter(trimesh.creation.box((3, 4, 0)).vertices) == pytest.approx(5)  # a flat thing
    turn = Rotation.random(random_state=1)
    assert metrics.rotation_angle(turn.as_matrix()) == pytest.approx(np.degrees(turn.magnitude()))
    first, second = Rotation.random(2, random_state=2)
    error = metrics.rotation_error(*(r.as_quat(scalar_first=True) for r in (first, second)))
    assert error == pytest.approx(np.degrees((first.inv() * second).magnitude()))


def test_points_are_spread_by_area(bracket_cloud):
    sampled, _ = trimesh.sample.sample_surface(bracket(), SAMPLES, seed=1)
    np.testing.assert_allclose(bracket_cloud.points.mean(0), sampled.mean(0), atol=5e-3)
    np.testing.assert_allclose(np.cov(bracket_cloud.points.T), np.cov(sampled.T), atol=5e-3)
    beginning = bracket_cloud.points[:4096]
    np.testing.assert_allclose(beginning.mean(0), sampled.mean(0), atol=3e-2)


def test_voxels_of_a_cube_and_of_what_it_encloses():
    cube = from_trimesh(trimesh.creation.box((1.98, 1.98, 1.98)))
    walls = surface_voxels(cube.points)
    assert walls.sum() == 64**3 - 62**3
    assert filled(walls).sum() == 64**3
    assert metrics.voxel_iou(walls, filled(walls)) == pytest.approx(1 - (62 / 64) ** 3)


def test_flat_walls_at_the_end_of_the_box_do_not_depend_on_rounding():
    cube = from_trimesh(trimesh.creation.box((2, 2, 2)))
    walls = surface_voxels(cube.points)
    assert walls.sum() == pytest.approx(64**3 - 62**3, abs=2)  # a corner's cell may hold no point
    assert filled(walls).sum() == pytest.approx(64**3, abs=2)
    for shift in (1e-12, -1e-12):
        assert (surface_voxels(cube.points + shift) == walls).all()
    itself = shape_figures(cube, align(cube, cube), cube)
    assert itself["surface_iou"] > 0.999 and itself["voxel_iou"] > 0.999


def test_voxels_of_a_surface_are_those_of_trimesh():
    ball = trimesh.creation.icosphere(5, 0.83).apply_translation([0.05, -0.02, 0.1])
    walls = surface_voxels(from_trimesh(ball).points)
    cells = ball.apply_translation([-1 / 64] * 3).voxelized(
        1 / 32
    )  # whose cells lie around multiples of 1/32
    found = np.zeros_like(walls)
    found[tuple((np.rint(cells.points * 32).astype(int) + 64).T)] = True
    assert metrics.voxel_iou(walls, found) > 0.9  # cells that a surface hardly touches are missed by either


def test_a_pinhole_does_not_empty_a_solid_but_a_cup_is_empty():
    cube = from_trimesh(trimesh.creation.box((1.98, 1.98, 1.98)))
    points = cube.points
    pierced = points[~((points[:, 2] > 0.98) & (np.abs(points[:, :2]) < 0.015).all(1))]
    assert filled(surface_voxels(pierced)).sum() > 64**3 - 10
    cup = points[points[:, 2] < 0.9]
    assert filled(surface_voxels(cup)).sum() < 0.2 * 64**3


def test_a_turned_moved_and_resized_shape_is_the_same_shape(bracket_cloud):
    turn = next(turn for turn in right_turns() if np.trace(turn[:3, :3]) == 0)
    changed = moved(np.asarray(bracket().vertices), turn @ similarity(4, (1, 0, 0), 0.3, (5, 0, 1)))
    predicted = cloud(changed, bracket().faces)
    aligned = shape_figures(predicted, align(predicted, bracket_cloud), bracket_cloud)
    plain = shape_figures(predicted, unit_box(predicted.vertices), bracket_cloud)
    assert aligned["f1_005"] > 0.95 and aligned["voxel_iou"] > 0.75
    assert plain["f1_005"] < 0.6 and plain["voxel_iou"] < 0.5
    itself = shape_figures(bracket_cloud, align(bracket_cloud, bracket_cloud), bracket_cloud)
    assert itself["f1_001"] > 0.999 and itself["voxel_iou"] == 1 and itself["surface_iou"] == 1


def test_there_are_24_different_turns_without_mirroring():
    turns = np.stack([turn[:3, :3] for turn in right_turns()])
    assert len(np.unique(turns, axis=0)) == 24
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    np.testing.assert_array_equal(turns[0], np.eye(3))


def test_the_rotation_that_icp_leaves_is_the_one_that_was_made_and_the_one_that_trimesh_finds(bracket_cloud):
    frame, turned = similarity(70, (0, 1, 0), 2.0, (0, 0, 9)), similarity(15, (0.6, 0.8, 0))
    left = remaining_rotation(bracket_cloud, turned @ frame, bracket_cloud, frame)
    assert metrics.rotation_angle(left) == pytest.approx(15, abs=1.0)
    source = moved(bracket_cloud.points[:2000], turned)
    found, _, _ = trimesh.registration.icp(source, bracket_cloud.points[:4000], reflection=False, scale=False)
    assert metrics.rotation_angle(left) == pytest.approx(metrics.rotation_angle(found[:3, :3]), abs=1.0)


def test_layout_of_a_cube_that_stands_half_its_side_aside():
    cube = from_trimesh(trimesh.creation.box((1, 1, 1)))
    figures = layout_figures(
        cube, similarity(scale=2, shift=(1, 0, 4)), cube, similarity(scale=2, shift=(0, 0, 4))
    )
    assert figures["box_iou"] == pytest.approx(1 / 3)
    assert figures["icp_rotation"] < 2
    apart = cdist(np.add(cube.points[:3000], [0.5, 0, 0]), cube.points[3000:9000])
    mean = (apart.min(0).mean() + apart.min(1).mean()) / 2
    assert figures["add_s"] == pytest.approx(mean / 3**0.5, rel=0.05)
    assert figures["add_s_01"] == 0
    nearer = layout_figures(cube, similarity(shift=(0.1, 0, 4)), cube, similarity(shift=(0, 0, 4)))
    assert nearer["add_s"] < 0.1 and nearer["add_s_01"] == 1


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
