"""Sources and recordings of the demo: what is written can be read, what is wrong is named."""

import json
import struct
import time
import zlib

import cv2
import numpy as np
import pytest

from hiu_ros.perception.picture_source import SourceError, Video
from hiu_ros.ros.recording import SHEET, Sheet
from hiu_ros.ros.sources import open_source


def picture(k, size=(64, 48)):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, : 4 * k + 4] = (40, 90, 200)
    return image


def write_video(path, count=5, size=(64, 48)):
    video = Video(path, 20.0)
    for k in range(count):
        video.write(picture(k, size))
    video.close()
    return video.path


def test_video_is_read_as_it_was_written(tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    source = open_source(str(path))
    pictures = list(source.pictures)
    assert source.count == len(pictures) == 5 and source.rate == pytest.approx(20.0)
    assert [p.time for p in pictures] == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])
    assert np.abs(pictures[4].image.astype(int) - picture(4)).mean() < 8
    assert pictures[0].info is None


def test_a_video_that_ends_before_its_time_says_so(tmp_path):
    path = tmp_path / 'a.avi'
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 20.0, (64, 48))
    for k in range(40):
        video.write(picture(k % 8))
    video.release()
    whole = open_source(str(path))
    assert len(list(whole.pictures)) == 40 and not whole.skipped
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    source = open_source(str(path))
    shown = len(list(source.pictures))
    assert 10 < shown < 30 and source.unusable == 40 - shown
    assert f'{path} could not be read beyond frame {shown} of about 40' in source.skipped


def test_rendered_video_brings_its_camera_matrix(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 1)
    k = [[60.0, 0.0, 31.5], [0.0, 60.0, 23.5], [0.0, 0.0, 1.0]]
    path.with_suffix('.json').write_text(json.dumps({'K': k}))
    info = next(open_source(str(path)).pictures).info
    assert info['k'] == list(np.ravel(k)) and (info['width'], info['height']) == (64, 48)
    path.with_suffix('.json').write_text('{"K": "none"')
    assert next(open_source(str(path)).pictures).info is None


def test_pictures_of_a_camera_are_of_when_they_came(monkeypatch):
    class Capture:
        left = 3

        def isOpened(self):  # noqa: N802
            return True

        def get(self, what):
            return 100.0

        def read(self):
            time.sleep(0.05)
            self.left -= 1
            return self.left >= 0, picture(self.left)

        def release(self):
            pass

    monkeypatch.setattr(cv2, 'VideoCapture', lambda number: Capture())
    source, times = open_source('0'), []
    with pytest.raises(SourceError, match='camera 0 gives no more pictures'):
        times.extend(p.time for p in source.pictures)
    assert source.live and times[0] == 0 and len(times) == 3
    assert all(0.05 <= later - earlier < 0.5 for earlier, later in zip(times, times[1:]))


def test_odd_and_changing_sizes_fit_into_one_video(tmp_path):
    video = Video(tmp_path / 'a.mp4', 10.0)
    video.write(picture(1, (65, 49)))
    video.write(picture(1, (32, 24)))
    video.close()
    assert [p.image.shape for p in open_source(str(video.path)).pictures] == [(48, 64, 3)] * 2


@pytest.mark.parametrize('rate', [29.97, 66.123, 239.7602])
def test_any_cameras_rate_fits_into_a_video(tmp_path, rate):
    video = Video(tmp_path / 'a.mp4', rate)
    video.write(picture(1))
    video.close()
    assert video.path == tmp_path / 'a.mp4'
    assert open_source(str(video.path)).rate == pytest.approx(rate, abs=0.05)


def test_folder_is_read_in_order_of_names(tmp_path):
    for k in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f'{k}.png'), picture(k))
    (tmp_path / 'notes.txt').write_text('not a picture')
    source = open_source(str(tmp_path))
    assert source.count == 3
    for k, one in enumerate(source.pictures):
        assert np.array_equal(one.image, picture(k))


def test_frames_numbered_without_zeros_are_played_in_the_order_of_their_numbers(tmp_path):
    names = ('clip_2.png', 'clip_9.tiff', 'clip_10.png', 'clip_011.png', 'clip_100.png')
    for k, name in enumerate(names):
        cv2.imwrite(str(tmp_path / name), picture(k))
    for k, one in enumerate(open_source(str(tmp_path)).pictures):
        assert np.array_equal(one.image, picture(k))
    assert k == len(names) - 1


def test_what_is_hidden_in_a_folder_and_folders_named_like_pictures_are_no_pictures(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), picture(0))
    (tmp_path / '._a.png').write_bytes(b'what macOS leaves on a stick')
    (tmp_path / 'b.png').mkdir()
    source = open_source(str(tmp_path))
    assert source.count == len(list(source.pictures)) == 1 and not source.skipped


@pytest.mark.parametrize('name', ['', '0.png'], ids=['folder', 'file'])
def test_pictures_of_a_camera_of_12_bits_are_not_dark(tmp_path, name):
    cv2.imwrite(str(tmp_path / '0.png'), picture(0).astype(np.uint16) * 16)
    (one,) = open_source(str(tmp_path / name)).pictures
    assert np.array_equal(one.image, picture(0))


@pytest.mark.parametrize('name', ['', 'a.jpg'], ids=['folder', 'file'])
def test_a_phones_photograph_is_turned_upright(tmp_path, name):
    good, data = cv2.imencode('.jpg', picture(0))
    exif = b'Exif\0\0MM\0*' + struct.pack('>IHHHIHHI', 8, 1, 0x112, 3, 1, 6, 0, 0)
    head = b'\xff\xd8\xff\xe1' + struct.pack('>H', 2 + len(exif)) + exif
    (tmp_path / 'a.jpg').write_bytes(head + data.tobytes()[2:])
    (one,) = open_source(str(tmp_path / name)).pictures
    upright = cv2.rotate(picture(0), cv2.ROTATE_90_CLOCKWISE)
    assert one.image.shape == upright.shape
    assert np.abs(one.image.astype(int) - upright).mean() < 8


@pytest.mark.parametrize('make, words', [
    (lambda folder: folder / 'nothing.mp4', 'does not exist'),
    (lambda folder: folder, 'holds no images'),
    (lambda folder: (folder / 'x.mp4', (folder / 'x.mp4').write_bytes(b'no video'))[0],
     'not a video'),
    (lambda folder: '~nobody of this name/x.mp4', 'does not exist'),
    (lambda folder: 93, 'camera 93 cannot be opened'),
    (lambda folder: '/dev/video93', 'camera 93 cannot be opened'),
    (lambda folder: 2**31, '2147483648 does not exist'),
])
def test_a_wrong_source_is_named(tmp_path, make, words):
    what = str(make(tmp_path))
    with pytest.raises(SourceError, match=words) as error:
        open_source(what)
    assert what in str(error.value)


def test_a_broken_picture_is_skipped_and_named(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), picture(0))
    (tmp_path / 'b.png').write_bytes(b'broken')
    cv2.imwrite(str(tmp_path / 'c.png'), picture(2))
    data = bytearray((tmp_path / 'a.png').read_bytes())
    data[16:24] = struct.pack('>II', 2**20, 2**20)
    data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    (tmp_path / 'd.png').write_bytes(data)
    source = open_source(str(tmp_path))
    assert [p.time for p in source.pictures] == pytest.approx([0.0, 2 / 30])
    assert source.skipped.startswith('2 unusable images') and 'd.png is not' in source.skipped


def test_a_broken_bag_is_named(tmp_path):
    pytest.importorskip('rosbags')
    (tmp_path / 'a.mcap').write_bytes(b'broken')
    with pytest.raises(SourceError, match='a.mcap'):
        open_source(str(tmp_path / 'a.mcap'))


@pytest.mark.parametrize('count', [1, 7, 500])
def test_contact_sheet_spreads_over_everything(tmp_path, count):
    sheet = Sheet()
    for k in range(count):
        image = np.full((48, 64, 3), 255 * k // max(count - 1, 1), np.uint8)
        sheet.offer(image)
    sheet.save(tmp_path / 'sheet.png')
    picture = cv2.imread(str(tmp_path / 'sheet.png'))
    columns, rows, width = SHEET
    assert picture.shape[1] == columns * width
    shown = min(count, columns * rows)
    height = round(48 * width / 64)
    assert picture.shape[0] == -(-shown // columns) * height
    first = picture[5, 5, 0]
    place = shown - 1
    last = picture[place // columns * height + 5, place % columns * width + 5, 0]
    assert first == 0 and (count == 1 or last > 220)


def test_pictures_of_any_shape_are_recorded(tmp_path):
    """A strip among others makes no sheet of gigabytes, and a line has two even sides."""
    sheet, video = Sheet(), Video(tmp_path / 'a.mp4', 10.0)
    for shape in ((40000, 1, 3), (48, 64, 3), (1, 40000, 3)):
        sheet.offer(np.full(shape, 200, np.uint8))
    sheet.save(tmp_path / 'sheet.png')
    assert max(cv2.imread(str(tmp_path / 'sheet.png')).shape) == SHEET[0] * SHEET[2]
    video.write(np.full((64, 1, 3), 200, np.uint8))
    video.close()
    assert len(list(open_source(str(video.path)).pictures)) == 1


def test_a_sheet_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / 'sheet.png').mkdir()
    sheet = Sheet()
    sheet.offer(picture(0))
    with pytest.raises(OSError, match='sheet.png cannot be written'):
        sheet.save(tmp_path / 'sheet.png')
