import math

import pytest
import torch

from vendor_model.errors import Cancelled
from vendor_model.sampling import SamplerSettings, draw_noise, sample, schedule, step_size


def count_evaluations(settings: SamplerSettings) -> int:
    evaluations = []

    def velocity(latents, time):
        evaluations.append(time.item())
        return torch.zeros_like(latents)

    sample(velocity, velocity, torch.zeros(1), settings)
    return len(evaluations)


def test_released_settings_take_44_evaluations():
    assert count_evaluations(SamplerSettings()) == 44


def test_guidance_counts_the_end_of_its_interval_as_inside():
    assert schedule(4, 3) == pytest.approx([0, 0.1, 0.25, 0.5, 1], abs=1e-12)
    assert count_evaluations(SamplerSettings(inference_steps=4)) == 8


def test_guidance_pushes_away_from_the_unconditional_velocity():
    settings = SamplerSettings(inference_steps=1, strength=7)
    result = sample(lambda x, t: x * 0 + 3, lambda x, t: x * 0 + 2, torch.zeros(2), settings)
    assert result.tolist() == [8 * 3 - 7 * 2] * 2


@pytest.mark.parametrize(("solver", "error"), [("euler", 6e-1), ("midpoint", 4e-2), ("rk4", 1e-4)])
def test_solvers_follow_growth_whose_rate_changes_with_time(solver, error):
    settings = SamplerSettings(inference_steps=8, rescale_t=1, strength=0, solver=solver)
    start = {"x": torch.ones(1, dtype=torch.float64)}
    result = sample(lambda x, t: {"x": x["x"] * 2 * t / 1000}, None, start, settings)
    assert error / 20 < abs(result["x"].item() - math.e) < error


def test_shortcut_model_is_told_even_steps():
    assert step_size(SamplerSettings(inference_steps=4, no_shortcut=False)).tolist() == [250]
    assert step_size(SamplerSettings(inference_steps=4)).tolist() == [0]


def test_sampling_reports_each_step_and_can_be_cancelled():
    seen = []

    def cancel_after_two(done, latents):
        seen.append(done)
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        sample(lambda x, t: x, lambda x, t: x, torch.zeros(1), SamplerSettings(), cancel_after_two)
    assert seen == [1, 2]


def test_same_generator_seed_draws_the_same_noise():
    shapes = {"b": (1, 2), "a": (1, 3)}
    first = draw_noise(shapes, torch.Generator().manual_seed(5))
    second = draw_noise(dict(reversed(shapes.items())), torch.Generator().manual_seed(5))
    assert all(torch.equal(first[name], second[name]) for name in shapes)
