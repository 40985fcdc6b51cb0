"""Where the model runs, and whether it can be trusted there."""

import pytest
import torch

from vendor_model.device import wrong_results


def test_the_processor_agrees_with_itself():
    assert wrong_results(torch.device("cpu")) == []


@pytest.mark.parametrize(
    ("name", "words"), [("conv3d", "convolutions"), ("unique", "counting"), ("matmul", "matrix products")]
)
def test_a_device_that_computes_something_wrong_is_found_out(monkeypatch, name, words):
    right, calls = getattr(torch, name), []

    def sometimes(*inputs):
        calls.append(name)
        result = right(*inputs)
        return result[:-1] if len(calls) % 2 else result  # the device is asked before the processor

    monkeypatch.setattr(torch, name, sometimes)
    assert wrong_results(torch.device("cpu")) == [words]
