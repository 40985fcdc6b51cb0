"""SAM 2.1 and 3, small random networks of the real classes: pictures, prompts, masks as `transformers`' own.

`sam_processors.safetensors` holds what transformers 5.23 makes: its Sam2Processor of a larger and a smaller
photo with points, a box and mask logits, its Sam3ImageProcessor of a detector's raw output.
"""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sam_models
import torch
from safetensors.torch import load_file

from vendor_model.errors import CheckpointError, MaskError
from vendor_model.segmentation import concepts
from vendor_model.segmentation.sam import SamSegmenter
from vendor_model.segmentation.segmenters import load_segmenter

THEIRS = load_file(Path(__file__).with_name("sam_processors.safetensors"))
SIZE = (90, 130)


def quiet(stage, fraction):
    pass


@pytest.fixture(scope="module")
def sam_2_folder(tmp_path_factory):
    return sam_models.save_sam_2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def sam_3_folder(tmp_path_factory):
    return sam_models.save_sam_3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="module", params=["sam_2_folder", "sam_3_folder"])
def loaded(request):
    return load_segmenter(str(request.getfixturevalue(request.param)))


@pytest.fixture
def segmenter(loaded):
    loaded.set_photo(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8))
    return loaded


@pytest.fixture
def decoded(segmenter, monkeypatch):
    """What the network is asked while the test runs."""
    asked = []
    answer = type(segmenter._network).forward

    def forward(self, **inputs):
        asked.append(inputs)
        return answer(self, **inputs)

    monkeypatch.setattr(type(segmenter._network), "forward", forward)
    return asked


@pytest.mark.parametrize("case", ["sam2", "sam2_small"])
def test_picture_prompts_and_mask_are_those_of_the_processor(sam_2_folder, case):
    segmenter = SamSegmenter.load(str(sam_2_folder), "cpu")
    rgb = THEIRS[f"{case}.rgb"].numpy()
    segmenter.set_photo(rgb)
    torch.testing.assert_close(segmenter._pixels, THEIRS[f"{case}.pixel_values"], rtol=0, atol=1e-6)
    for ours, theirs in ("points", "input_points"), ("box", "input_boxes"):
        where = THEIRS[f"{case}.{ours}"]
        scaled = segmenter._to_square(where.reshape(-1, 2)).reshape(where.shape)
        torch.testing.assert_close(scaled, THEIRS[f"{case}.{theirs}"])
    mask = segmenter._enlarge(THEIRS[f"{case}.logits"])
    np.testing.assert_array_equal(mask, THEIRS[f"{case}.masks"][0, 0].numpy())


def test_one_click_gives_the_networks_best_mask(segmenter):
    x, y = 100, 30
    scale = segmenter._side / np.array([SIZE[1], SIZE[0]])
    point = torch.tensor(np.array([x, y]) * scale, dtype=torch.float32)[None, None, None]
    with torch.no_grad():  # with the picture itself, not its embedding
        answer = segmenter._network(
            pixel_values=segmenter._pixels.clone(), input_points=point, input_labels=torch.ones(1, 1, 1).int()
        )
    assert answer.pred_masks.shape[2] == 3
    best = answer.pred_masks[:, :, answer.iou_scores[0, 0].argmax()]
    expected = torch.nn.functional.interpolate(best, SIZE, mode="bilinear")[0, 0] > 0
    mask = segmenter.mask([[x, y]], [True])
    assert mask.dtype == bool and mask.shape == SIZE
    assert (mask == expected.numpy()).mean() > 0.999


def test_photo_is_embedded_once_and_each_click_decoded_once(segmenter, decoded):
    encoder = []
    hook = segmenter._network.vision_encoder.register_forward_hook(lambda *_: encoder.append(1))
    clicks, labels = [[20, 30], [40, 50], [90, 20]], [True, False, True]
    masks = [segmenter.mask(clicks[:count], labels[:count]) for count in (1, 2, 3)]
    np.testing.assert_array_equal(segmenter.mask(clicks[:2], labels[:2]), masks[1])  # undo
    hook.remove()
    assert encoder == [] and len(decoded) == 3
    assert [inputs["multimask_output"] for inputs in decoded] == [True, False, False]
    assert decoded[0]["input_masks"] is None
    for before, inputs in zip(masks, decoded[1:], strict=False):
        np.testing.assert_array_equal(segmenter._enlarge(inputs["input_masks"]), before)
    assert [inputs["input_labels"].tolist() for inputs in decoded[1:]] == [[[[1, 0]]], [[[1, 0, 1]]]]


def test_same_prompts_give_the_same_mask_whatever_was_clicked_before(segmenter):
    clicks, labels = [[20, 30], [40, 50]], [True, False]
    segmenter.mask(clicks[:1], labels[:1])
    step_by_step = segmenter.mask(clicks, labels)
    segmenter._decoded.clear()
    np.testing.assert_array_equal(segmenter.mask(clicks, labels), step_by_step)


def test_box_and_clicks_go_to_the_network_in_its_pixels(segmenter, decoded):
    box = (13.0, 9.0, 65.0, 81.0)
    segmenter.mask(np.zeros((0, 2)), [], box)
    segmenter.mask([[26, 18]], [False], box)
    side = segmenter._side
    expected = torch.tensor([[[0.1 * side, 0.1 * side, 0.5 * side, 0.9 * side]]])
    torch.testing.assert_close(decoded[0]["input_boxes"], expected)
    assert "input_points" not in decoded[0] and not decoded[0]["multimask_output"]
    assert decoded[1]["input_masks"] is not None and not decoded[1]["multimask_output"]
    torch.testing.assert_close(decoded[1]["input_points"], torch.tensor([[[[0.2 * side, 0.2 * side]]]]))


def test_masks_before_the_first_click_on_the_object_are_no_prompt(segmenter, decoded):
    segmenter.mask([[20, 30], [40, 50]], [False, True])
    assert len(decoded) == 1 and decoded[0]["input_masks"] is None


@pytest.mark.parametrize(
    "points, labels, words",
    [([], [], "no click"), ([[1, 1]], [False], "exclude"), ([[200, 1]], [True], "outside the photo")],
)
def test_prompts_of_no_use_are_refused_in_words(segmenter, points, labels, words):
    with pytest.raises(MaskError, match=words):
        segmenter.mask(points, labels)


def test_another_photo_forgets_the_masks_of_the_first(segmenter):
    first = segmenter.mask([[20, 30]], [True])
    segmenter.set_photo(np.random.default_rng(1).integers(0, 256, (60, 50, 3), np.uint8))
    assert segmenter.mask([[20, 30]], [True]).shape == (60, 50) != first.shape


def test_grid_proposes_what_is_sure_and_stable(segmenter, monkeypatch):
    """A network that sees a square left, unsurely another one right, and at one point trembles."""

    def answer(image_embeddings, input_points, input_labels):
        count = input_points.shape[1]
        logits = torch.full((1, count, 3, 16, 16), -8.0)
        logits[:, :, 0, 4:8, 2:6] = 8.0
        logits[:, :, 1, 4:8, 9:13] = 8.0
        logits[:, :, 2, 10:14, 2:12] = 0.5
        return SimpleNamespace(
            pred_masks=logits, iou_scores=torch.tensor([0.9, 0.7, 0.95]).expand(1, count, 3)
        )

    monkeypatch.setattr(segmenter, "_network", answer)
    (first, _), *_ = segmenter._sure_masks(np.zeros((4, 2)))
    assert first.untyped_storage().nbytes() == 16 * 16 * 4  # its batch is let go of
    told = []
    found = segmenter.find_objects("", lambda stage, fraction: told.append((stage, fraction)))
    assert len(found) == 1 and found[0].score == pytest.approx(0.9)
    expected = np.zeros(SIZE, bool)
    expected[round(4 * 90 / 16) : round(8 * 90 / 16), round(2 * 130 / 16) : round(6 * 130 / 16)] = True
    both = found[0].mask & expected
    assert both.sum() / (found[0].mask | expected).sum() > 0.9
    assert {stage for stage, _ in told} == {"objects"} and told[-1][1] > 0.5


def test_text_finds_every_instance_that_the_detector_is_sure_of(sam_3_folder, monkeypatch):
    segmenter = load_segmenter(str(sam_3_folder))
    segmenter.set_photo(np.zeros((40, 30, 3), np.uint8))
    looked = []
    segmenter._network.vision_encoder.backbone.module.register_forward_hook(lambda *_: looked.append(1))
    asked = []

    def answer(self, **inputs):
        asked.append(inputs)
        return SimpleNamespace(
            pred_logits=THEIRS["instances.logits"],
            presence_logits=THEIRS["instances.presence"],
            pred_masks=THEIRS["instances.pred_masks"],
        )

    monkeypatch.setattr(concepts.Sam3Model, "forward", answer)
    found = segmenter.find_objects("chair", quiet)
    np.testing.assert_allclose([one.score for one in found], THEIRS["instances.scores"].numpy(), rtol=1e-5)
    for one, theirs in zip(found, THEIRS["instances.masks"], strict=True):
        np.testing.assert_array_equal(one.mask, theirs.numpy())
    tokens = asked[0]["input_ids"][0].tolist()
    assert tokens[:7] == [0, 2, 3, 4, 5, 6, 1] and len(tokens) == concepts.LONGEST_TEXT
    assert looked == []  # the backbone's answer for the clicks serves the detector too


def test_detector_itself_runs_on_the_shared_backbone(sam_3_folder, monkeypatch):
    segmenter = load_segmenter(str(sam_3_folder))
    segmenter.set_photo(np.random.default_rng(2).integers(0, 256, (40, 30, 3), np.uint8))
    monkeypatch.setattr(concepts, "LEAST_SCORE", 0.0)
    found = segmenter.find_objects("chair", quiet)
    whole = concepts.Sam3Model.from_pretrained(sam_3_folder, local_files_only=True).eval()
    words = segmenter._concepts._tokens("chair", padding="max_length", max_length=32, return_tensors="pt")
    with torch.no_grad():
        answer = whole(pixel_values=segmenter._pixels.clone(), **words)
    scores = (answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid())[0].sort(descending=True)[0]
    np.testing.assert_allclose(found[0].score, scores[: len(found)].max(), rtol=1e-4)
    assert found[0].mask.shape == (40, 30)


def test_sam_2_does_not_read(sam_2_folder):
    segmenter = SamSegmenter.load(str(sam_2_folder), "cpu")
    segmenter.set_photo(np.zeros((40, 30, 3), np.uint8))
    with pytest.raises(MaskError, match=r"“chair”.*choose SAM 3"):
        segmenter.find_objects("chair", quiet)


@pytest.mark.parametrize("source", ["/no/such/folder", "facebook/no-such-sam"])
def test_weights_that_are_not_there_are_refused_in_words(source):
    with pytest.raises(CheckpointError, match=f"“{source}” is no complete SAM model.*download it"):
        load_segmenter(source)


def test_damaged_and_incomplete_weights_are_refused_in_words(tmp_path, sam_2_folder):
    whole = (sam_2_folder / "model.safetensors").read_bytes()
    (tmp_path / "config.json").write_bytes((sam_2_folder / "config.json").read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="no complete SAM model"):
        load_segmenter(str(tmp_path))
    from safetensors.torch import load, save_file

    tensors = load(whole)
    del tensors["mask_decoder.iou_token.weight"]
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 1 tensors.*iou_token"):
        load_segmenter(str(tmp_path))


def test_pickled_weights_are_not_opened(tmp_path, sam_2_folder):
    (tmp_path / "config.json").write_bytes((sam_2_folder / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(CheckpointError, match="no complete SAM model"):
        load_segmenter(str(tmp_path))


def test_another_kind_of_model_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="of type bert"):
        load_segmenter(str(tmp_path))


def test_embedded_segmenter_needs_no_transformers():
    code = "import sys; from vendor_model.segmentation.segmenters import load_segmenter; load_segmenter()"
    subprocess.run([sys.executable, "-c", f"{code}; sys.exit('transformers' in sys.modules)"], check=True)
