"""What PyTorch is told before it is loaded: asked of OpenMP and of the kernel themselves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="GNU OpenMP is PyTorch's on Linux alone")
@pytest.mark.parametrize(("chosen", "expected"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_threads_do_not_keep_cores_that_others_need(chosen, expected):
    others = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    told = subprocess.run(
        [sys.executable, "-c", "import vendor_model, torch"],
        env=others | chosen | {"OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert f"GOMP_SPINCOUNT = '{expected}'" in told


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="no huge pages to ask for"
)
@pytest.mark.parametrize(("chosen", "expected"), [({}, True), ({"THP_MEM_ALLOC_ENABLE": "0"}, False)])
def test_training_asks_for_huge_pages(chosen, expected):
    others = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    code = """
import vendor_model.training, torch
one = torch.ones(8 << 20)
print(any(line.startswith("VmFlags:") and "hg" in line.split() for line in open("/proc/self/smaps")))
"""
    told = subprocess.run(
        [sys.executable, "-c", code], env=others | chosen, capture_output=True, text=True, check=True
    ).stdout
    assert told == f"{expected}\n"
