"""Images of more than 8 bits a sample, brought to the 8 that everything here works with."""

import numpy as np

#: Bits that sensors have; what 16-bit samples hold is taken to be of the fewest that suffice.
_BITS = (10, 12, 14, 16)


def eight_bits(samples: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C) uint8 of uint16 samples, whose upper byte is kept; uint8 stays.

    Cameras of 10, 12 and 14 bits fill the lower ones of 16, and an upper byte of 16 would leave
    of their images a few dark shades. The brightest sample of a colour (not of a fourth channel,
    alpha) tells how many bits there are, so an image that is dark all over is made brighter.
    """
    if samples.dtype == np.uint8:
        return samples
    largest = int(samples.max() if samples.ndim == 2 else samples[..., :3].max())
    bits = next(bits for bits in _BITS if largest < 1 << bits)
    # What is above the largest colour can be alpha alone, which is not used.
    return (samples >> (bits - 8)).astype(np.uint8)
