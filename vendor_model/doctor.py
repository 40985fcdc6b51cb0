"""Is this Python fit for the model? `python -m vendor_model.doctor` says so in one line of JSON.

With the argument `system` only what no package can mend is looked at, for a Python that has none yet.
Standard library only, and written so that a Python too old can still say that it is.
"""

import json
import platform
import re
import sys
from pathlib import Path

OLDEST_PYTHON = (3, 11)
VISUAL_CPP = "msvcp140.dll"
"""PyTorch needs it and does not bring it."""
VISUAL_CPP_PAGE = "https://aka.ms/vs/17/release/vc_redist.x64.exe"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def version_numbers(version):
    """The leading numbers of a version, "2.13.0+cpu" → (2, 13, 0); without trailing zeros for comparing."""
    numbers = [int(number) for number in re.match(r"[0-9.]*", version).group().split(".") if number]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def lowest_versions(requirements):
    """{package: lowest version} from the text of a requirements file."""
    lines = (line.split("#")[0].strip() for line in requirements.splitlines())
    return dict(line.split(">=") for line in lines if line)


def find_system_problem():
    """What is wrong about this Python or its system, in words, or None."""
    if sys.version_info < OLDEST_PYTHON:
        return "it is Python {}, and {}.{} or newer is needed".format(
            platform.python_version(), *OLDEST_PYTHON
        )
    if sys.platform == "win32":
        import ctypes

        try:
            ctypes.CDLL(VISUAL_CPP)
        except OSError:
            return f"Microsoft's Visual C++ runtime is not installed, to be had from {VISUAL_CPP_PAGE}"
    return None


def find_missing_package(requirements):
    """What this Python lacks, in words, or None."""
    import importlib.metadata

    for package, lowest in lowest_versions(requirements).items():
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return f"it lacks {package} {lowest} or newer"
        if version_numbers(version) < version_numbers(lowest):
            return f"it has {package} {version}, and {lowest} or newer is needed"
    return None


def try_device():
    """Compute something where the model would run: the device's name, and what it gets wrong."""
    import torch

    from vendor_model.device import choose_device, wrong_results

    device = choose_device()
    ones = torch.ones(64, 64, device=device)
    if (ones @ ones).sum().item() != 64**3:
        raise ArithmeticError(f"it multiplies wrongly on {device}")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return name, [] if device.type == "cpu" else wrong_results(device)


def examine():
    """{"problem": in words or None, "device": its name, if there is none}."""
    problem = find_system_problem() or find_missing_package(REQUIREMENTS.read_text(encoding="utf-8"))
    if problem is not None:
        return {"problem": problem}
    try:
        device, wrong = try_device()
    except Exception as error:  # a broken installation fails in any way; the words are what is wanted
        return {"problem": f"PyTorch does not work in it ({type(error).__name__}: {error})"}
    if wrong:
        words = ", ".join(wrong)
        return {"problem": f"PyTorch gets {words} wrong on {device}; newer systems and drivers may not"}
    return {"problem": None, "device": device}


if __name__ == "__main__":
    report = {"problem": find_system_problem()} if sys.argv[1:] == ["system"] else examine()
    print(json.dumps(report))
