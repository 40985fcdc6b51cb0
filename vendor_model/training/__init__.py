"""The recipe that trains mini, or a model of one's own; `python -m vendor_model.training` runs its stages."""

import os

# Every step takes memory anew (190 MB of the geometry model's). In pages of 2 MB, where Linux has them to
# give, a step of it on a CPU takes 0.93 of the time. PyTorch reads it when it is loaded.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
