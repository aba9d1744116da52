"""Every encoding against a picture of known colours, and every way a message can be broken."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hiu_ros.ros.images import (
    ENCODINGS,
    MAX_SIDE,
    ImageError,
    decode,
    decode_compressed,
    decode_depth,
)

HEIGHT, WIDTH = 24, 32


def picture():
    """Large flat patches, so that chroma and Bayer sampling blur their borders alone."""
    patches = [[[200, 30, 40], [20, 190, 60]], [[30, 50, 210], [120, 130, 110]]]
    image = np.array(patches, np.uint8)
    return np.repeat(np.repeat(image, HEIGHT // 2, axis=0), WIDTH // 2, axis=1)


def message(encoding, rows, big_endian=False, padding=0, height=HEIGHT, width=WIDTH):
    """A duck-typed sensor_msgs/Image from an array of rows; `padding` bytes behind every row."""
    rows = np.ascontiguousarray(rows)
    table = rows.view(np.uint8).reshape(rows.shape[0], -1)
    table = np.pad(table, ((0, 0), (0, padding)), constant_values=255)
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, step=table.shape[1],
        is_bigendian=int(big_endian), data=table.tobytes(),
    )


def encode(image, encoding):
    """The rows of `image` in `encoding`, written independently of the decoder's table."""
    blue, green, red = (image[..., k] for k in range(3))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    name = encoding.lower()
    if name.endswith('16') or encoding.startswith('16UC'):
        small = encode(image, {'16UC3': 'bgr8', '16UC4': 'bgra8'}.get(encoding, name[:-2] + '8'))
        return small.astype('<u2') * 256 + 17
    if name in ('mono8', '8uc1'):
        return grey
    if name in ('bgr8', '8uc3'):
        return image
    if name == 'rgb8':
        return image[..., ::-1]
    if name in ('bgra8', '8uc4'):
        return np.dstack([image, np.full_like(blue, 77)])
    if name == 'rgba8':
        return np.dstack([image[..., ::-1], np.full_like(blue, 77)])
    if name.startswith('bayer_'):
        rows = np.empty_like(blue)
        planes = {'r': red, 'g': green, 'b': blue}
        for place, letter in enumerate(name[6:10]):
            at = np.s_[place // 2 :: 2, place % 2 :: 2]
            rows[at] = planes[letter][at]
        return rows
    # ITU-R BT.601, video range.
    b, g, r = (plane.astype(float) for plane in (blue, green, red))
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    y, u, v = (np.clip(np.round(plane), 0, 255).astype(np.uint8) for plane in (y, u, v))
    if name in ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv'):
        rows = np.empty((HEIGHT, WIDTH, 2), np.uint8)
        chroma, luma = (0, 1) if name in ('yuv422', 'uyvy') else (1, 0)
        rows[..., luma] = y
        rows[:, 0::2, chroma], rows[:, 1::2, chroma] = u[:, ::2], v[:, ::2]
        return rows
    if name == 'nv24':
        return np.vstack([y, np.dstack([u, v]).reshape(2 * HEIGHT, WIDTH)])
    assert name in ('nv12', 'nv21')
    first, second = (u, v) if name == 'nv12' else (v, u)
    pairs = np.dstack([first[::2, ::2], second[::2, ::2]]).reshape(HEIGHT // 2, WIDTH)
    return np.vstack([y, pairs])


COLOURED = sorted(set(ENCODINGS) - {'nv24'})


def test_the_encodings_of_ros_cameras_are_known():
    names = 'bgr{0} rgb{0} bgra{0} rgba{0} mono{0} {0}UC3 {0}UC4 '
    names += 'bayer_rggb{0} bayer_grbg{0} bayer_bggr{0} bayer_gbrg{0}'
    assert {*names.format(8).split(), *names.format(16).split(), 'nv24'} <= set(ENCODINGS)


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', COLOURED)
def test_every_encoding_gives_the_colours_of_the_picture(encoding, padding):
    image = picture()
    result = decode(message(encoding, encode(image, encoding), padding=padding))
    assert result.shape == image.shape and result.dtype == np.uint8
    assert result.flags.c_contiguous
    if 'mono' in encoding or encoding == '8UC1':
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    tolerance = 4 if 'uv' in encoding or 'nv' in encoding or 'uy' in encoding else 0
    for row in (4, 18):
        for column in (5, 25):
            difference = np.abs(result[row, column].astype(int) - image[row, column])
            assert difference.max() <= tolerance, (row, column)


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'mono8'])
def test_cv_bridge_where_it_is_installed_sees_the_same(encoding):
    bridge = pytest.importorskip('cv_bridge').CvBridge()
    source = message(encoding, encode(picture(), encoding))
    image = pytest.importorskip('sensor_msgs.msg').Image(**vars(source))
    assert np.array_equal(bridge.imgmsg_to_cv2(image, 'bgr8'), decode(source))


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_cv_bridge_unpacks_the_same(suffix):
    bridge = pytest.importorskip('cv_bridge').CvBridge()
    source = compressed(suffix)
    packed = pytest.importorskip('sensor_msgs.msg').CompressedImage(**vars(source))
    assert np.array_equal(bridge.compressed_imgmsg_to_cv2(packed, 'bgr8'),
                          decode_compressed(source))


def test_nv24_gives_every_pixel_its_own_colour_and_brightness():
    image = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    image[:2] = [[[0]], [[255]]]
    result = decode(message('nv24', encode(image, 'nv24')))
    assert result.flags.c_contiguous and result.dtype == np.uint8
    assert np.abs(result.astype(int) - image).max() <= 4


@pytest.mark.parametrize('cut', [0, 6])
def test_nv24_rows_of_colour_end_with_the_padding_of_two_rows(cut):
    rng = np.random.default_rng(3)
    luma, pairs = (rng.integers(0, 256, (HEIGHT, k * WIDTH), np.uint8) for k in (1, 2))
    tight = message('nv24', np.vstack([luma, pairs.reshape(-1, WIDTH)]))
    loose = message('nv24', luma, padding=6)
    loose.data += message('nv24', pairs, padding=12).data
    loose.data = loose.data[: len(loose.data) - cut]
    assert np.array_equal(decode(loose), decode(tight))


@pytest.mark.parametrize('encoding', ['BGR8', 'Mono16', 'NV12', 'YUYV'])
def test_encodings_are_known_in_capital_letters(encoding):
    rows = encode(picture(), encoding)
    assert np.array_equal(decode(message(encoding, rows)), decode(message(encoding.lower(), rows)))


@pytest.mark.parametrize('encoding', ['mono16', 'bgr16', 'bayer_rggb16'])
def test_byte_order_follows_the_flag(encoding):
    rows = encode(picture(), encoding)
    little = decode(message(encoding, rows))
    big = decode(message(encoding, rows.astype('>u2'), big_endian=True))
    assert np.array_equal(little, big)


@pytest.mark.parametrize('encoding', ['mono16', 'rgba16', 'bayer_rggb16'])
def test_a_sensor_of_12_bits_gives_the_picture_that_16_give(encoding):
    rows = encode(picture(), encoding)
    assert np.array_equal(decode(message(encoding, rows >> 4)), decode(message(encoding, rows)))


def test_bgr8_without_padding_is_not_copied():
    source = message('bgr8', picture())
    source.data = bytearray(source.data)
    result = decode(source)
    source.data[0] = 99
    assert result[0, 0, 0] == 99


def test_last_row_may_lack_its_padding():
    source = message('bgr8', picture(), padding=6)
    source.data = source.data[:-6]
    assert np.array_equal(decode(source), picture())


@pytest.mark.parametrize('change, words', [
    ({'data': b'\x00' * 100}, ['data holds 100 bytes', str(HEIGHT * WIDTH * 3)]),
    ({'data': b''}, ['data holds 0 bytes']),
    ({'encoding': 'rgb16', 'step': 192, 'data': bytes(4606)}, ['4606 bytes, 4608 are needed']),
    ({'encoding': 'nv24', 'step': WIDTH, 'data': bytes(2303)}, ['2303 bytes, 2304 are needed']),
    ({'encoding': 'rgb9'}, ['unknown encoding', 'rgb9', 'bgr8']),
    ({'encoding': ''}, ['unknown encoding']),
    ({'encoding': '32FC1'}, ['depth']),
    ({'encoding': '16UC1'}, ['depth']),
    ({'width': 0}, ['size is zero']),
    ({'height': 0}, ['size is zero']),
    ({'width': 0, 'height': 0, 'step': 0, 'data': b''}, ['size is zero']),
    ({'step': 3 * WIDTH - 1}, ['step is 95 bytes', 'at least 96']),
    ({'step': 0}, ['step is 0 bytes']),
    ({'width': MAX_SIDE + 1}, [str(MAX_SIDE)]),
    ({'height': 2**32 - 1}, [str(MAX_SIDE)]),
    ({'encoding': 'yuyv', 'width': 31}, ['width must be even']),
    ({'encoding': 'nv12', 'height': 23}, ['size must be even']),
    ({'encoding': 'bayer_rggb8', 'height': 23}, ['size must be even']),
])
def test_broken_messages_name_the_fault(change, words):
    source = message('bgr8', picture())
    for name, value in change.items():
        setattr(source, name, value)
    with pytest.raises(ImageError) as error:
        decode(source)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize('big_endian', [False, True])
def test_depth_unit_follows_the_encoding(big_endian):
    order = '>' if big_endian else '<'
    millimetres = np.array([[0, 500], [1250, 65535]], order + 'u2')
    for encoding in ('16UC1', 'mono16'):
        depth = decode_depth(message(encoding, millimetres, big_endian, 4, height=2, width=2))
        np.testing.assert_allclose(depth, [[np.nan, 0.5], [1.25, 65.535]], rtol=1e-6)
    metres = np.array([[np.nan, 0.5], [-1, np.inf]], order + 'f4')
    depth = decode_depth(message('32FC1', metres, big_endian, 8, height=2, width=2))
    np.testing.assert_allclose(depth, [[np.nan, 0.5], [np.nan, np.nan]])
    assert depth.dtype == np.float32


def test_millimetres_that_say_metres_are_refused():
    millimetres = np.array([[0, np.nan], [640, 65000]], '<f4')
    with pytest.raises(ImageError, match='nearer than 640 m; 32FC1 holds metres, 16UC1 mill'):
        decode_depth(message('32FC1', millimetres, height=2, width=2))
    metres = np.array([[0, np.nan], [0.64, 65000]], '<f4')
    decode_depth(message('32FC1', metres, height=2, width=2))


@pytest.mark.parametrize('encoding, values', [
    ('16UC1', np.zeros((2, 2), '<u2')), ('32FC1', np.array([[0, np.nan], [np.inf, -1]], '<f4'))])
def test_depth_images_of_a_sensor_that_measured_nothing_are_refused(encoding, values):
    with pytest.raises(ImageError, match='none of its pixels has a distance'):
        decode_depth(message(encoding, values, height=2, width=2))


def test_depth_refuses_colour_by_name():
    with pytest.raises(ImageError, match='bgr8.*32FC1'):
        decode_depth(message('bgr8', picture()))


def compressed(suffix, image=None):
    ok, data = cv2.imencode(suffix, picture() if image is None else image)
    assert ok
    return SimpleNamespace(format=suffix[1:], data=data.tobytes())


@pytest.mark.parametrize('suffix, tolerance', [('.png', 0), ('.jpg', 12)])
def test_compressed_images_decode(suffix, tolerance):
    result = decode_compressed(compressed(suffix))
    assert result.shape == (HEIGHT, WIDTH, 3)
    assert abs(int(result[5, 5, 0]) - 200) <= tolerance


def test_grey_and_16_bit_compressed_images_become_bgr8():
    grey = np.full((8, 8), 90, np.uint8)
    assert decode_compressed(compressed('.jpg', grey)).shape == (8, 8, 3)
    deep = decode_compressed(compressed('.png', grey.astype(np.uint16) * 257))
    assert deep.dtype == np.uint8 and (deep == 90).all()
    twelve_bits = decode_compressed(compressed('.png', grey.astype(np.uint16) * 16))
    assert (twelve_bits == 90).all()


@pytest.mark.parametrize('bits', ['8', '16'])
@pytest.mark.parametrize('rest', ['; png compressed ', '; png compressed bayer_gbrg8', ''])
def test_a_compressed_bayer_pattern_gets_its_colours(bits, rest):
    encoding = f'bayer_gbrg{bits}'
    rows = encode(picture(), encoding)
    packed = compressed('.png', rows)
    packed.format = encoding + rest
    assert np.array_equal(decode_compressed(packed), decode(message(encoding, rows)))


@pytest.mark.parametrize('name', [
    'bayer_gbrg8; jpeg compressed mono8', 'bayer_gbrg12; png compressed ', 'png',
    'rgb8; png compressed bgr8'])
def test_what_is_not_stored_as_a_bayer_pattern_is_left_as_it_is(name):
    grey = cv2.cvtColor(picture(), cv2.COLOR_BGR2GRAY)
    packed = compressed('.png', grey)
    packed.format = name
    assert np.array_equal(decode_compressed(packed), np.dstack([grey] * 3))
    packed = compressed('.png')
    packed.format = 'bayer_gbrg8; png compressed '
    assert np.array_equal(decode_compressed(packed), picture())


def test_mutated_messages_never_raise_anything_but_image_error():
    rng = np.random.default_rng(6)
    sources = [message(name, encode(picture(), name)) for name in COLOURED]
    packed = [compressed('.png'), compressed('.jpg')]
    decoded = 0
    for _ in range(600):
        source = SimpleNamespace(**vars(sources[rng.integers(len(sources))]))
        field = rng.choice(['height', 'width', 'step', 'encoding', 'data', 'is_bigendian'])
        setattr(source, field, {
            'encoding': str(rng.choice([*ENCODINGS, '', 'jpeg', '32FC1'])),
            'data': source.data[: rng.integers(len(source.data) + 1)],
            'is_bigendian': int(rng.integers(256)),
        }.get(field, int(rng.choice([0, 1, 2, 3, 23, 33, 65536, 2**32 - 1]))))
        image = SimpleNamespace(**vars(packed[rng.integers(2)]))
        data = bytearray(image.data)
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(len(data))] = rng.integers(256)
        image.data = bytes(data)
        for function, item in ((decode, source), (decode_compressed, image)):
            try:
                assert function(item).ndim == 3
                decoded += 1
            except ImageError:
                pass
    assert decoded > 50
