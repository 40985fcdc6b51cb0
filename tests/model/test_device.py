"""Where the model runs, and whether it can be trusted there."""

import pytest
import torch

from vendor_model.device import wrong_results


def test_the_processor_agrees_with_itself():
    assert wrong_results(torch.device("cpu")) == []


@pytest.mark.parametrize(
    ("name", "words"), [("conv3d", "convolutions"), ("unique", "counting"), ("matmul", "matrix products")]
)
@pytest.mark.parametrize(
    "fault", [lambda x: x[:-1], lambda x: x * 1.05, lambda x: x * float("nan")], ids=["shape", "value", "NaN"]
)
def test_a_device_that_computes_something_wrong_is_found_out(monkeypatch, name, words, fault):
    right, calls = getattr(torch, name), []

    def sometimes(*inputs, **options):
        calls.append(name)
        result = right(*inputs, **options)
        if len(calls) % 2 == 0:  # the device is asked before the processor
            return result
        return tuple(map(fault, result)) if isinstance(result, tuple) else fault(result)

    monkeypatch.setattr(torch, name, sometimes)
    assert wrong_results(torch.device("cpu")) == [words]
