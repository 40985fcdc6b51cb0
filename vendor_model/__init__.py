"""SAM 3D: a photo and masks to posed, textured objects. Nothing here needs Blender."""

import os

# PyTorch's threads on Linux (GNU OpenMP) wait for one another without giving way.
# Where a render keeps all cores busy, that core is what the other thread waits for, thousands of times over.
# 1,000 rounds suffice while all of them run. Only what is loaded afterwards reads it: PyTorch.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Attention that never holds its whole matrix, gigabytes here, is called experimental on most of AMD's cards.
os.environ.setdefault("TORCH_ROCM_AOTRITON_ENABLE_EXPERIMENTAL", "1")
