"""Adam against PyTorch's own, and why it is not PyTorch's own."""

import subprocess
import sys
from pathlib import Path

import torch

from vendor_model.layout.adam import Adam

PROJECT = Path(__file__).parents[2]

FIRST_OBJECT = """
import runpy, sys
sys.argv = ["vendor_model", "samples/toys.jpg", "--mask", "samples/masks/bottle.png", "--output", sys.argv[1]]
runpy.run_module("vendor_model", run_name="__main__")
print(*(name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor"))), sep="\\n")
"""


def test_it_steps_as_pytorchs_own_does():
    torch.manual_seed(0)
    ours = [torch.randn(4, 3), torch.randn(2)]
    theirs = [parameter.clone() for parameter in ours]
    for parameter in (*ours, *theirs):
        parameter.requires_grad_()

    def loss(turn, shift):
        return (turn.sin() * turn).sum() + (shift - 1).square().sum() * turn.square().mean()

    adam = Adam([(ours[0], 0.05), (ours[1], 0.2)])
    reference = torch.optim.Adam([{"params": theirs[:1], "lr": 0.05}, {"params": theirs[1:], "lr": 0.2}])
    falling = torch.optim.lr_scheduler.LinearLR(reference, 1.0, 0.1, 20)
    for step in range(20):
        adam.step(loss(*ours), 1 - 0.9 * step / 20)
        reference.zero_grad()
        loss(*theirs).backward()
        reference.step()
        falling.step()
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-7)


def test_the_first_object_waits_for_no_compiler_to_be_imported(tmp_path):
    command = [sys.executable, "-c", FIRST_OBJECT, tmp_path / "bottle.glb"]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "bottle.glb").is_file()
    assert not [line for line in ran.stdout.splitlines() if line.startswith("torch.")]
