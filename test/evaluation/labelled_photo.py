"""Photos of made-up labelled hands, for what is done to photos."""

import numpy as np

from hiu_ros.data.photos import LabelledHand, Photo

WIDTH, HEIGHT = 320, 240


def photo(name='a.png', size=100, hands=1):
    """A photo of `WIDTH` x `HEIGHT` whose hands lie anywhere in a square of `size` px."""
    rng = np.random.default_rng(len(name))
    labels = tuple(
        LabelledHand('right', 1.0, rng.uniform(0, size, (21, 2)) + [110, 70],
                     rng.normal(size=(21, 3))) for _ in range(hands))
    return Photo('home', name, WIDTH, HEIGHT, 'val', '', labels)
