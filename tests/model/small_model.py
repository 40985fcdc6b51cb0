"""The mini model of one block a network, for tests of its training."""

from pathlib import Path

from vendor_model.__main__ import MINI


def write_small_model(folder: Path) -> Path:
    """The yaml files of it, into a folder that is there."""
    for path in MINI.glob("*.yaml"):
        content = path.read_text(encoding="utf-8").replace("[96, 48, 24, 12]", "[16, 8, 8, 8]")
        for count in range(2, 9):
            content = content.replace(f"num_blocks: {count}", "num_blocks: 1")
            if path.name != "moge.yaml":  # which takes features from four of its blocks
                content = content.replace(f"depth: {count}", "depth: 1")
        (folder / path.name).write_text(content, encoding="utf-8")
    return folder
