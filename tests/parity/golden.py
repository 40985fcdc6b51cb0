"""A golden file: tensors in, weights, tensors out, and the comparison that its README prescribes."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open


@dataclass
class Golden:
    stem: str
    metadata: dict
    config: dict
    tensors: dict
    compared: set = field(default_factory=set)
    path: Path | None = None

    @classmethod
    def load(cls, path: Path) -> "Golden":
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        return cls(path.stem, metadata, json.loads(metadata.get("config", "{}")), tensors, path=path)

    def sibling(self, own: str, other: str) -> "Golden":
        """The file beside this one with `other` for `own` in its stem, its suffix the same or none."""
        same_suffix = self.path.with_stem(self.stem.replace(own, other, 1))
        return Golden.load(same_suffix if same_suffix.exists() else self.path.with_stem(other))

    def inputs(self, prefix: str = "") -> dict[str, torch.Tensor]:
        """Tensors `in.<prefix><name>` by name."""
        return self._group(f"in.{prefix}")

    def outputs(self, prefix: str = "") -> dict[str, torch.Tensor]:
        """Tensors `out.<prefix><name>` by name."""
        return self._group(f"out.{prefix}")

    def weights(self, prefix: str = "") -> dict[str, torch.Tensor]:
        """State dict: tensors `weights.<prefix><key>` by key."""
        return self._group(f"weights.{prefix}")

    def _group(self, prefix: str) -> dict[str, torch.Tensor]:
        return {key[len(prefix) :]: value for key, value in self.tensors.items() if key.startswith(prefix)}

    def check(self, name: str, actual, tolerance: float = 0.0, *, floor: float = 1.0) -> None:
        """Compare with `out.<name>`: integers and bools exactly; floats with the same NaN and infinity
        pattern and max|a-b| <= tolerance * max(floor, max|expected|)."""
        expected = self.tensors[f"out.{name}"]
        actual = torch.as_tensor(
            np.asarray(actual) if not isinstance(actual, torch.Tensor) else actual
        ).detach()
        self.compared.add(name)
        assert tuple(actual.shape) == tuple(expected.shape), f"{name}: {actual.shape} is not {expected.shape}"
        if not expected.dtype.is_floating_point:
            assert torch.equal(actual.to(expected.dtype), expected), f"{name}: integers differ"
            return
        expected, actual = expected.double(), actual.double()
        finite = expected.isfinite()
        assert torch.equal(actual.isnan(), expected.isnan()), f"{name}: NaN pattern differs"
        assert torch.equal(actual.isinf(), expected.isinf()), f"{name}: infinity pattern differs"
        assert torch.equal(actual[expected.isinf()], expected[expected.isinf()]), (
            f"{name}: signs of infinity differ"
        )
        if finite.any():
            error = (actual - expected)[finite].abs().max().item()
            limit = tolerance * max(floor, expected[finite].abs().max().item())
            assert error <= limit, f"{name}: error {error:.3g} exceeds {limit:.3g}"

    def skip(self, name: str, reason: str) -> None:
        """Count `out.<name>` as seen without comparing it; only where the goldens' README says so."""
        assert reason
        self.compared.add(name)

    def assert_all_outputs_compared(self) -> None:
        missing = set(self.outputs()) - self.compared
        assert not missing, f"{self.stem}: outputs never compared: {sorted(missing)}"
