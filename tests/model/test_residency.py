"""Which modules stay in memory, and what happens when it runs out."""

import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from vendor_model import checkpoints, protocol, residency
from vendor_model import pipeline as pipeline_module
from vendor_model.__main__ import MINI
from vendor_model.benchmark import subject
from vendor_model.config import read_pipeline
from vendor_model.errors import Cancelled, CheckpointError
from vendor_model.memory import free_memory, is_out_of_memory, stay_on_device
from vendor_model.pipeline import Pipeline
from vendor_model.residency import MemoryMode, Residency, choose_mode
from vendor_model.serving import _answer
from vendor_model.worker import ModelJobs

CPU = torch.device("cpu")


def quiet(stage: str, fraction: float) -> None:
    pass


def pipeline(mode: MemoryMode) -> Pipeline:
    torch.set_num_threads(1)
    return Pipeline.load(MINI, "cpu", mode)


def made(pipeline: Pipeline, progress=quiet, **options):
    scene, mask = subject.scene(pipeline.config)
    (one,) = pipeline.reconstruct(scene, [mask], 0, progress, refine_layout=False, **options)
    return one


@pytest.fixture(scope="module")
def reference():
    return made(pipeline(MemoryMode.HIGH))


def assert_same(one, other):
    np.testing.assert_allclose(one.surface.vertices, other.surface.vertices, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one.pose.rotation, other.pose.rotation, rtol=1e-4, atol=1e-4)
    assert np.array_equal(one.surface.faces, other.surface.faces)


@pytest.mark.parametrize(
    ("free", "mode"), [(21, MemoryMode.HIGH), (20, MemoryMode.HIGH), (19, "medium"), (9, "low")]
)
def test_mode_follows_from_free_memory(free, mode):
    assert choose_mode(free, 10) == mode
    assert free_memory(CPU) > 0


@pytest.mark.parametrize("mode", [MemoryMode.MEDIUM, MemoryMode.LOW])
def test_smaller_modes_make_the_same_object_and_keep_nothing(mode, reference):
    smaller = pipeline(mode)
    assert not smaller.models.loaded
    assert_same(made(smaller), reference)
    assert not smaller.models.loaded


def test_a_job_that_is_cancelled_leaves_nothing_on_the_device(monkeypatch):
    jobs, loaded, alive = ModelJobs(MINI), [], []
    model = jobs._pipeline = pipeline(MemoryMode.MEDIUM)

    def progress(stage, fraction):
        if stage == "texture" and fraction > 0:
            loaded.append(weakref.ref(model.models._loaded["slat_flow"]))
            raise Cancelled

    answer = _answer(lambda *_: made(model, progress), protocol.Status("", 1), None)
    assert isinstance(answer, protocol.Cancelled) and model.models.loaded
    monkeypatch.setattr(residency, "give_back", lambda: alive.append(loaded[0]() is not None))
    jobs.clear()
    assert not model.models.loaded and alive == [False]


def test_condition_tokens_do_not_outlive_their_stage():
    model, tokens, alive = pipeline(MemoryMode.HIGH), [], []

    def watched(condition):
        def call(*arguments):
            made = condition(*arguments)
            tokens.append(weakref.ref(made[0] if isinstance(made, tuple) else made))
            return made

        return call

    def decode(*arguments, whole=model.decode):
        alive.append([ref() is not None for ref in tokens])
        return whole(*arguments)

    model.geometry_condition = watched(model.geometry_condition)
    model.texture_condition = watched(model.texture_condition)
    model.decode = decode
    made(model)
    assert alive and all(not any(each) for each in alive)


@pytest.mark.parametrize(("kind", "system"), [("mps", "darwin"), ("cuda", "win32")])
def test_what_a_device_cannot_hold_is_not_put_elsewhere(monkeypatch, kind, system):
    fractions = []
    device = getattr(torch, kind)
    monkeypatch.setattr(device, "set_per_process_memory_fraction", lambda *args: fractions.append(args[0]))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * 2**30, 8 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2**30)
    monkeypatch.setattr(sys, "platform", system)
    stay_on_device(torch.device(kind))
    assert fractions == [1.0 if kind == "mps" else 0.5]


def test_every_stage_goes_by_the_memory_that_is_free_then(monkeypatch):
    asked = []
    monkeypatch.setattr(pipeline_module, "stay_on_device", asked.append)
    made(pipeline(MemoryMode.HIGH))
    assert asked == [CPU] * 5  # conditioning twice, geometry, texture, surface


def test_only_the_modules_at_work_are_loaded():
    loads = []

    def load(name: str) -> torch.nn.Module:
        loads.append(name)
        return torch.nn.Identity()

    models = Residency(load, lambda name: torch.float32, CPU, 0, MemoryMode.MEDIUM)
    for _ in range(2):
        with models.running("ss_flow"), models.running("ss_decoder"):
            assert models.loaded == {"ss_flow", "ss_decoder"}
    models.end_stage()
    assert not models.loaded and loads == ["ss_flow", "ss_decoder"]


def test_memory_that_runs_out_while_all_is_loaded_leaves_the_rest_for_later():
    loads = []

    def load(name: str) -> torch.nn.Module:
        loads.append(name)
        if len(loads) == 2:
            raise MemoryError
        return torch.nn.Identity()

    models = Residency(load, lambda name: torch.float32, CPU, 0, MemoryMode.HIGH)
    assert models.load_all(["ss_flow", "ss_decoder", "slat_flow"]).startswith("Memory ran out: ")
    assert models.mode == MemoryMode.MEDIUM and not models.loaded and loads == ["ss_flow", "ss_decoder"]


def test_a_mode_is_chosen_by_what_the_weights_take_in_memory():
    config = read_pipeline(MINI)
    modules = checkpoints.load(MINI, config, CPU).values()
    held = sum(value.numel() * 4 for module in modules for value in module.state_dict().values())
    assert checkpoints.size(MINI, config, lambda name: torch.float32) == held
    files = sum(path.stat().st_size for path in MINI.glob("*.safetensors"))
    in_half = checkpoints.size(MINI, config, lambda name: torch.float16)
    assert files * 0.95 < in_half < files * 1.3 < held  # norms and small matrices stay in float32


class Exhausted:
    """Stands in for a method that finds memory exhausted the first `times` times it is called."""

    def __init__(self, method, times: int, error: Exception):
        self.method, self.times, self.error, self.modes = method, times, error, []

    def __call__(self, *arguments, **options):
        result = self.method(*arguments, **options)  # random numbers were drawn already
        self.modes.append(self.method.__self__.models.mode)
        if len(self.modes) <= self.times:
            raise self.error
        return result


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    OSError("The paging file is too small for this operation to complete. (os error 1455)"),
    RuntimeError("unable to mmap 1024 bytes from file <ss_generator.ckpt>: Cannot allocate memory (12)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


@pytest.mark.parametrize("stage", ["sample_texture", "decode"])
def test_memory_that_runs_out_is_met_by_smaller_modes_and_said(stage, reference):
    model, said = pipeline(MemoryMode.HIGH), []
    model.notify = said.append
    exhausted = Exhausted(getattr(model, stage), 2, OUT_OF_MEMORY[3])
    setattr(model, stage, exhausted)
    assert_same(made(model), reference)
    assert exhausted.modes == ["high", "medium", "low"] and model.models.mode == MemoryMode.LOW
    assert len(said) == 2 and all(sentence.startswith("Memory ran out: ") for sentence in said)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_memory_that_runs_out_in_the_smallest_mode_is_an_error(error):
    model = pipeline(MemoryMode.LOW)
    model.geometry_condition = Exhausted(model.geometry_condition, 9, error)
    with pytest.raises(type(error)):
        made(model)
    assert is_out_of_memory(error) and not is_out_of_memory(RuntimeError("shapes differ"))


def test_other_errors_are_not_tried_again():
    model = pipeline(MemoryMode.HIGH)
    exhausted = model.geometry_condition = Exhausted(model.geometry_condition, 9, ValueError("shapes"))
    with pytest.raises(ValueError, match="shapes"):
        made(model)
    assert exhausted.modes == ["high"]


def test_tokens_of_the_whole_photo_are_made_once():
    model = pipeline(MemoryMode.HIGH)
    scene, mask = subject.scene(model.config)
    with model.models.running("ss_condition_embedder") as embedder:
        seen, tokens = [], embedder.tokens
        embedder.tokens = lambda name, value: seen.append(name) or tokens(name, value)
    with torch.no_grad():
        together = [model.geometry_condition(scene, mask)[0] for _ in range(2)]
        fresh, _ = subject.scene(model.config)
        alone = model.geometry_condition(fresh, mask)[0]
    assert seen.count("rgb_image") == 2 and seen.count("image") == 3
    assert torch.equal(together[0], together[1]) and torch.equal(together[0], alone)


def test_presets_change_how_is_sampled_and_nothing_else():
    model = pipeline(MemoryMode.HIGH)
    official = subject.random_pipeline(Path(MINI).parent / "official", "cpu", MemoryMode.LOW).config
    assert official.with_preset("reference") == official
    draft = official.with_preset("draft")
    assert (draft.use_stage1_distillation, draft.ss_inference_steps, draft.ss_cfg_strength) == (True, 4, 0.0)
    assert draft.slat_mean == official.slat_mean
    with pytest.raises(CheckpointError, match=r"no preset 'sketch'.*draft, standard, reference"):
        made(model, preset="sketch")
    made(model, preset="draft")
