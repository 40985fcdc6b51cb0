"""A photo centred in a square and sampled to a fixed size: the grid on which layouts are compared."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PhotoSquare:
    """The square, padded evenly around a photo of height x width pixels, in size x size samples
    (spec layout.md §5.2)."""

    height: int
    width: int
    size: int

    def sample(self, image: np.ndarray) -> np.ndarray:
        """The image (height, width, ...) at the samples' centres, (size, size, ...); zeros in the padding."""
        side = max(self.height, self.width)
        place = (2 * np.arange(self.size) + 1) * side // (2 * self.size)
        rows, columns = place - (side - self.height) // 2, place - (side - self.width) // 2
        here = ((rows >= 0) & (rows < self.height))[:, None] & ((columns >= 0) & (columns < self.width))
        samples = image[np.clip(rows, 0, self.height - 1)[:, None], np.clip(columns, 0, self.width - 1)]
        samples[~here] = 0
        return samples

    def intrinsics(self, photo_intrinsics: np.ndarray) -> np.ndarray:
        """The photo's intrinsics (3, 3) in pixels as parts of the square's side, with one focal length."""
        side = max(self.height, self.width)
        focal = min(photo_intrinsics[0, 0], photo_intrinsics[1, 1])
        centre_x = photo_intrinsics[0, 2] + (side - self.width) / 2
        centre_y = photo_intrinsics[1, 2] + (side - self.height) / 2
        return np.array([[focal, 0, centre_x], [0, focal, centre_y], [0, 0, side]]) / side
