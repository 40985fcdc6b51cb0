"""Every golden file against the product's own functions.

The folder is named by SAM3D_GOLDENS and defaults to the project's copies. A file's component is
found from its metadata or its stem; a file that no component claims fails.
"""

import os
from pathlib import Path

import pytest
from parity import cases
from parity.golden import Golden

FOLDER = Path(os.environ.get("SAM3D_GOLDENS") or Path(__file__).parent / "goldens")
FILES = sorted(FOLDER.glob("*.safetensors"))


def test_folder_has_goldens():
    assert FILES, f"no *.safetensors in {FOLDER}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_component_agrees_with_its_golden(path):
    golden = Golden.load(path)
    cases.find(golden)(golden)
    golden.assert_all_outputs_compared()
