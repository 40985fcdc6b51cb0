"""The training of the click network: its photos, its simulated artist, its windows."""

import numpy as np
import pytest
import torch

from vendor_model.segmentation.evidence import CHANNELS
from vendor_model.segmentation.network import ClickNet
from vendor_model.segmentation.prompts import Prompts
from vendor_model.segmentation.windows import around
from vendor_model.training import clicks
from vendor_model.training.click_photos import read_photos, write_photos
from vendor_model.training.clicks import Session, Sessions, click_loss, loose_box
from vendor_model.training.clutter import NOBODY, Clutter, make_clutter, objects
from vendor_model.training.trainer import Schedule, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, seed=3, shards=1, photos=3, plain=0.3, categories=["ball", "crate"])
    return folder


@pytest.fixture(scope="module")
def photos(folder):
    return list(read_photos(folder))


def test_photos_are_the_same_again_and_files_that_exist_are_kept(folder, photos, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_photos(folder, seed=3, shards=1, photos=3, plain=0.3, categories=["ball", "crate"])
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_photos(tmp_path, seed=3, shards=1, photos=3, plain=0.3, categories=["ball", "crate"])
    again = list(read_photos(tmp_path))
    assert len(again) == len(photos) > 0
    for one, other in zip(photos, again, strict=True):
        assert np.array_equal(one.rgb, other.rgb) and np.array_equal(one.owner, other.owner)
        assert one.rgb.shape[:2] == one.owner.shape == one.graph.labels.shape


def test_what_is_pasted_is_where_its_owner_says():
    """On a photo without contrast, only pasted things and their soft shadows stand out."""
    plain = Clutter(np.full((96, 128, 3), 128, np.uint8), np.full((96, 128), NOBODY, np.uint8))
    plain.owner[20:60, 20:70] = 0
    plain.photo[20:60, 20:70] = 30, 200, 60
    found = 0
    for seed in range(12):
        made = make_clutter(np.random.default_rng(seed), [plain])
        assert made.photo.shape == plain.photo.shape and made.photo.dtype == np.uint8
        for number in objects(made.owner, 0.01):
            mask = made.owner == number
            assert 0.01 <= mask.mean() <= 0.6
            found += 1
    assert found > 12


def test_a_window_holds_mask_clicks_and_box_inside_the_photo():
    rng = np.random.default_rng(0)
    for _ in range(200):
        height, width = rng.integers(16, 90, 2)
        mask = np.zeros((height, width), bool)
        if rng.random() < 0.7:
            y, x = rng.integers(0, (height, width))
            mask[y : y + rng.integers(1, 40), x : x + rng.integers(1, 40)] = True
        points = rng.integers(0, (width, height), (int(rng.integers(1, 4)), 2))
        box = (-5.0, 3.5, width * 0.6, height + 9.0) if rng.random() < 0.3 else None
        prompts = Prompts(points, np.ones(len(points), bool), box)
        window = around(mask, prompts, rng.uniform(1, 5), tuple(rng.normal(0, 2, 2)))
        assert 0 <= window.left and window.left + window.width <= width
        assert 0 <= window.top and window.top + window.height <= height
        held = np.zeros_like(mask)
        held[window.slices] = True
        assert held[mask].all() and held[points[:, 1], points[:, 0]].all()
        if box:
            assert held[4:, : int(width * 0.6)].all()


def test_a_session_ends_with_the_mask_when_the_network_is_perfect(photos):
    for seed in range(10):
        session = Session(np.random.default_rng(seed), photos[0])
        seen, target = session.look(64)
        assert seen.shape == (CHANNELS, 64, 64) and np.isfinite(seen).all() and target.shape == (64, 64)
        for _ in range(4):
            if not session.answer(target):
                break
            _, target = session.look(64)
        assert (session.share > 0.5)[session.truth].mean() > 0.8
        assert len(session.prompts.labels) <= 3


def test_a_session_clicks_what_is_wrong(photos):
    looks = 0
    for seed in range(10):
        session = Session(np.random.default_rng(seed), photos[0])
        known = len(session.prompts.labels)
        while session.answer(np.full((64, 64), looks % 2, np.float32)):
            looks += 1
            clicked = session.prompts
            for (x, y), positive in zip(clicked.points[known:], clicked.labels[known:], strict=True):
                assert session.truth[y, x] == positive != (session.share > 0.5)[y, x]
            known = len(clicked.labels)
    assert looks > 10


def test_a_loose_box_is_about_the_object():
    truth = np.zeros((60, 80), bool)
    truth[20:40, 30:70] = True
    for seed in range(20):
        left, top, right, bottom = loose_box(np.random.default_rng(seed), truth)
        inside = np.zeros_like(truth)
        inside[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = True
        assert (inside & truth).sum() > 0.8 * truth.sum() and inside.sum() < 1.8 * truth.sum()


def test_the_loss_falls_with_the_error():
    target = torch.zeros(1, 32, 32)
    target[:, 8:20, 8:20] = 1
    right, half, wrong = (click_loss(8 * scale * (2 * target - 1), target)[0] for scale in (1, 0.1, -1))
    assert right < 0.05 < half < wrong


def test_the_network_learns(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(clicks, "SIDES", (64,))
    torch.manual_seed(0)
    network = ClickNet()
    sessions = Sessions(network, photos, batch=4, seed=0)
    figures = []

    def loss(batch):
        value, parts = sessions.loss(batch)
        figures.append(value.item())
        return value, parts

    train(network, loss, sessions, Schedule(16, 3e-3, warmup=2), tmp_path)
    assert np.mean(figures[-4:]) < 0.8 * np.mean(figures[:4])
