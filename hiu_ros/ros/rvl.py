"""RVL, a fast lossless packing of depth images (Wilson, "Fast Lossless Depth Image Compression",
ISS 2017), as image_transport's compressedDepth writes it.

A stream of numbers: how many pixels in a row are zero, how many are not, then of each of these the
difference to the last that was not zero, with the sign in its lowest bit; and so on. Numbers lie
in nibbles of three bits, the lowest bits first, the fourth one set where more follow; nibbles in
32 bit words of little endian, the highest first.
"""

import numpy as np

#: Nibbles of the longest number: more than 30 bits are none.
_LONGEST = 10
#: Most bytes of a pixel: a nibble for either count, six for a difference of 17 bits.
_MOST = 4
_SHIFTS = np.arange(28, -1, -4, dtype=np.uint32)


def unpack_rvl(data: bytes, pixels: int) -> np.ndarray:
    """(pixels,) uint16 of a packed image; ValueError where the data does not hold so many.

    What stands behind as much as so many pixels can take is not looked at.
    """
    numbers = _numbers(data[:_MOST * (pixels + 1)])
    read = numbers.tolist()
    inside = np.zeros(pixels, bool)
    counts = np.zeros(len(numbers), bool)
    at = done = 0
    while done < pixels:
        if at + 1 >= len(read):
            raise ValueError(f'ends after {done} of {pixels} pixels')
        zeros, others = read[at:at + 2]
        if not 0 < zeros + others <= pixels - done:
            raise ValueError(f'tells of {zeros + others} pixels where {pixels - done} are due')
        counts[at:at + 2] = True
        inside[done + zeros:done + zeros + others] = True
        at, done = at + 2 + others, done + zeros + others
    if at > len(read):
        raise ValueError('ends within its last pixels')
    steps = numbers[:at][~counts[:at]]
    result = np.zeros(pixels, np.uint16)
    result[inside] = np.cumsum((steps >> 1) ^ -(steps & 1)).astype(np.uint16)
    return result


def _numbers(data: bytes) -> np.ndarray:
    """(N,) int64: the numbers in whole words of the data."""
    words = np.frombuffer(data, '<u4', count=len(data) // 4)
    nibbles = (words[:, None] >> _SHIFTS).ravel() & 15
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.zeros(0, np.int64)
    starts = np.append(0, ends[:-1] + 1)
    place = np.arange(ends[-1] + 1) - np.repeat(starts, ends - starts + 1)
    if place.max() >= _LONGEST:
        raise ValueError('holds a number of more than 30 bits')
    parts = (nibbles[:ends[-1] + 1] & 7).astype(np.int64) << (3 * place)
    return np.add.reduceat(parts, starts)
