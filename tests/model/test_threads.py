"""How PyTorch's threads wait for one another, asked of OpenMP itself."""

import os
import subprocess
import sys

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
