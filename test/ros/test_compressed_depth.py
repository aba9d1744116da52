"""Depth of compressedDepth, PNG and RVL: units, what was not measured, faults."""

import re
import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hiu_ros.ros.compressed_depth import decode_compressed_depth
from hiu_ros.ros.images import ImageError

#: What image_transport makes of depth up to 10 m with its usual quantisation of 100.
A = 100.0 * 101.0
B = 1.0 - A / 10.0


#: 13 pixels, as packed by a program of the paper's text.
PACKED = [0, 0, 700, 701, 699, 0, 0, 0, 1500, 1500, 65535, 1, 0]
RVL = bytes.fromhex('23d28f230e93a834ff3baf89000031ff')


def size(width, height):
    return struct.pack('<ii', width, height)


def png(pixels):
    return cv2.imencode('.png', pixels)[1].tobytes()


def message(data, kind='16UC1; compressedDepth png'):
    return SimpleNamespace(format=kind, data=data)


def header(a=A, b=B):
    return struct.pack('<iff', 0, a, b)


@pytest.fixture
def millimetres():
    pixels = np.random.default_rng(1).integers(200, 9000, (6, 8), dtype=np.uint16)
    pixels[0, :3] = 0
    return pixels


@pytest.mark.parametrize('kind', [
    '16UC1; compressedDepth png', '16UC1; compressedDepth', '16UC1;compressedDepth png', 'mono16',
])
@pytest.mark.parametrize('before', [header(), header(0.0, 0.0), b''],
                         ids=['header', 'zeros', 'bare'])
def test_millimetres_are_as_they_were(millimetres, kind, before):
    depth = decode_compressed_depth(message(before + png(millimetres), kind))
    assert depth.dtype == np.float32 and np.isnan(depth[0, :3]).all()
    measured = millimetres > 0
    assert np.isnan(depth).sum() == 3
    np.testing.assert_allclose(depth[measured], millimetres[measured] / 1000, rtol=1e-6)


def test_metres_are_as_they_were_to_the_step_that_was_kept(millimetres):
    metres = millimetres / 1000.0
    stored = np.zeros_like(millimetres)
    measured = metres > 0
    stored[measured] = np.round(A / metres[measured] + B)
    depth = decode_compressed_depth(message(header() + png(stored), '32FC1; compressedDepth png'))
    assert np.isnan(depth[0, :3]).all() and np.isnan(depth).sum() == 3
    # A step of inverse depth is a depth of its square over a.
    off = np.abs(depth[measured] - metres[measured])
    assert (off <= 0.51 * metres[measured] ** 2 / A + 1e-5).all()


@pytest.mark.parametrize('width, height', [(13, 1), (1, 13)])
def test_rvl_holds_what_was_packed(width, height):
    data = header() + size(width, height) + RVL
    depth = decode_compressed_depth(message(data, '16UC1; compressedDepth rvl'))
    assert depth.shape == (height, width)
    np.testing.assert_allclose(np.nan_to_num(depth).ravel(), np.array(PACKED) / 1000, rtol=1e-6)
    as_metres = decode_compressed_depth(message(data, '32FC1; compressedDepth rvl')).ravel()
    assert as_metres[2] == pytest.approx(A / (700 - B)) and np.isnan(as_metres[0])


def faults():
    good = np.full((6, 8), 700, np.uint16)
    whole, kind = header() + png(good), '32FC1; compressedDepth png'
    return [
        (whole, '8UC1; compressedDepth', 'expected 16UC1'),
        (whole, '', 'expected 16UC1'),
        (bytes(12), '16UC1; compressedDepth rvl', 'cut short'),
        (bytes(12) + size(13, -1), '16UC1; compressedDepth rvl', 'claims 13 x -1 px'),
        (bytes(12) + size(40000, 1), '16UC1; compressedDepth rvl', 'claims 40000 x 1 px'),
        (bytes(12) + size(14, 1) + RVL, '16UC1; compressedDepth rvl', 'or damaged, it '),
        (b'', '16UC1; compressedDepth', 'no PNG behind the header'),
        (b'\x01' * 12, kind, "where 'nothing' stands"),
        (b'\x01' * 40, kind, "where '01010101' stands"),
        (whole[:-20], kind, 'cut short'),
        (header() + png(good)[:10], kind, 'cut short'),
        (png(good), kind, 'the PNG alone'),
        (header(float('nan')) + png(good), kind, 'the steps of depth in its header are nan'),
        (header(-1.0) + png(good), kind, 'are -1, '),
        (header(b=float('inf')) + png(good), kind, 'inf, expected a positive and a finite'),
        (header() + png(good.astype(np.uint8)), kind, 'holds uint8 of shape (6, 8)'),
        (header() + png(np.dstack([good] * 3)), '16UC1', 'holds uint16 of shape (6, 8, 3)'),
        (header() + png(0 * good), kind, 'none of its pixels has a distance'),
        (header(1e9, 0.0) + png(good), kind, 'nothing is nearer than'),
        (whole.replace(struct.pack('>II', 8, 6), struct.pack('>II', 40000, 6)), kind,
         'claims 40000 x 6 px'),
        (re.sub(b'(?<=IDAT)....', bytes(4), whole, flags=re.DOTALL), kind, 'does not decode'),
    ]


@pytest.mark.parametrize('data, kind, words', faults())
def test_faults_are_told(data, kind, words):
    with pytest.raises(ImageError) as error:
        decode_compressed_depth(message(data, kind))
    assert words in str(error.value)


def test_a_step_that_would_lie_at_no_distance_is_none():
    stored = np.array([[100, 200]], np.uint16)
    depth = decode_compressed_depth(message(header(100.0, 100.0) + png(stored), '32FC1'))
    assert np.isnan(depth[0, 0]) and depth[0, 1] == pytest.approx(1.0)
