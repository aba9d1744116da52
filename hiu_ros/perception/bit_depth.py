"""Images of more than 8 bits a sample, brought to the 8 that everything here works with."""

import cv2
import numpy as np

#: Bits that sensors have; what 16-bit samples hold is taken to be of the fewest that suffice.
_BITS = (10, 12, 14, 16)
#: What PNG files begin with.
PNG = b'\x89PNG\r\n\x1a\n'


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


def unpacked(data: np.ndarray, flags: int = 0) -> np.ndarray | None:
    """The image file in (N,) uint8 as (H, W, 3) uint8 BGR; None where it is none.

    flags: of `cv2.imdecode`, besides those of colour and depth. Raises cv2.error where OpenCV
    does, as for an absurd size.
    """
    if not len(data) or data[:8].tobytes() == PNG and not whole_png(data.tobytes()):
        return None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | flags)
    if image is not None and image.dtype not in (np.uint8, np.uint16):
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | flags)
    return None if image is None else eight_bits(image)


def whole_png(data: bytes) -> bool:
    """Whether the chunks of a PNG follow each other up to the one that ends it.

    OpenCV takes memory for what a chunk claims to hold, gigabytes where its length is damaged.
    """
    at = len(PNG)
    while at + 12 <= len(data):
        if data[at + 4:at + 8] == b'IEND':
            return True
        at += 12 + int.from_bytes(data[at:at + 4], 'big')
    return False
