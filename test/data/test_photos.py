import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from hiu_ros.data.photos import PhotoError, PhotoFolder, label_line

SHARED = Path(os.environ.get(
    'HIU_SHARED', Path(__file__).resolve().parents[2] / '..' / 'shared'))
REAL = SHARED / 'data' / 'real'


def test_photos_and_hands_in_the_order_of_the_labels(photo_folder):
    folder = PhotoFolder(photo_folder)
    assert [photo.file for photo in folder] == [
        'first/a.png', 'first/b.png', 'second/c.png', 'second/d.png']
    assert folder.sets == ('first', 'second')
    assert [(index, number) for index, number, *_ in folder.hands()] == [
        (0, 0), (1, 0), (3, 0), (3, 1)]


def test_sides_and_shapes(photo_folder):
    hands = [hand for *_, hand in PhotoFolder(photo_folder).hands()]
    assert [hand.side for hand in hands] == ['right', 'left', 'right', 'right']
    assert hands[0].keypoints_px.shape == (21, 2) and hands[0].keypoints_m.shape == (21, 3)


def test_labels_that_are_written_are_read_back_from_another_file(photo_folder, tmp_path):
    folder, other = PhotoFolder(photo_folder), tmp_path / 'other.jsonl'
    other.write_text(''.join(label_line(photo) + '\n' for photo in folder.photos[1:]))
    again = PhotoFolder(photo_folder, other)
    assert [photo.file for photo in again] == [photo.file for photo in folder][1:]
    for a, b in zip(folder.photos[1:], again):
        assert (a.set, a.width, a.height, a.split, a.licence) == (
            b.set, b.width, b.height, b.split, b.licence)
        for one, two in zip(a.hands, b.hands, strict=True):
            assert one.side == two.side
            np.testing.assert_allclose(one.keypoints_px, two.keypoints_px, atol=0.006)
            np.testing.assert_allclose(one.keypoints_m, two.keypoints_m, atol=6e-6)
    with pytest.raises(PhotoError, match='absent.jsonl, the labels of'):
        PhotoFolder(photo_folder, tmp_path / 'absent.jsonl')


def test_select(photo_folder):
    folder = PhotoFolder(photo_folder)
    assert [photo.file for photo in folder.select('val')] == ['first/b.png']
    assert len(folder.select('train', ('second',))) == 2
    with pytest.raises(ValueError, match='split'):
        folder.select('test')
    with pytest.raises(ValueError, match='third'):
        folder.select(sets=('third',))


def test_missing_folder_and_missing_labels_are_named(tmp_path):
    with pytest.raises(PhotoError, match='does not exist'):
        PhotoFolder(tmp_path / 'nowhere')
    with pytest.raises(PhotoError, match='is a file; give the folder'):
        PhotoFolder(Path(__file__))
    with pytest.raises(PhotoError, match='labels.jsonl'):
        PhotoFolder(tmp_path)


@pytest.mark.parametrize('old, new, match', [
    ('"side": "right"', '"side": "both"', 'line 1.*both'),
    ('"split": "train"', '"split": "test"', 'line 1.*test'),
    ('"keypoints_px": [[', '"keypoints_px": [[1, 2], [', 'line 1.*keypoints_px'),
    ('"keypoints_px": [[', '"keypoints_px": [null, [', 'line 1: keypoints_px must be 21 x 2'),
    ('"keypoints_m": [[', '"keypoints_m": [["a"], [', 'line 1: keypoints_m must be 21 x 3'),
    ('"width"', '"breadth"', "line 1: there is no 'width'"),
    ('{"set"', '{set', 'line 1: it is not whole JSON'),
    ('{"set"', '[7]\n{"set"', 'line 1: expected an object, got a list'),
])
def test_a_bad_line_is_named(photo_folder, old, new, match):
    labels = photo_folder / 'labels.jsonl'
    labels.write_text(labels.read_text().replace(old, new, 1))
    with pytest.raises(PhotoError, match=match):
        PhotoFolder(photo_folder)


def test_labels_that_are_no_text_are_named_and_a_byte_order_mark_is_none_of_them(photo_folder):
    labels = photo_folder / 'labels.jsonl'
    text = labels.read_bytes()
    labels.write_bytes(b'\xef\xbb\xbf' + text)
    assert len(PhotoFolder(photo_folder)) == text.count(b'\n')
    labels.write_bytes(b'\xff\xfe' + text)
    with pytest.raises(PhotoError, match='labels.jsonl, line 1: it is not whole JSON .*utf-8'):
        PhotoFolder(photo_folder)


def test_a_hand_without_extent_is_named(photo_folder):
    labels = photo_folder / 'labels.jsonl'
    lines = [json.loads(line) for line in labels.read_text().splitlines()]
    lines[3]['hands'][1]['keypoints_px'] = [[5, 7]] * 21
    labels.write_text('\n'.join(map(json.dumps, lines)))
    with pytest.raises(PhotoError, match='line 4.*keypoints_px are all at one place, .5.0, 7.0'):
        PhotoFolder(photo_folder)


@pytest.mark.parametrize('moved', [(-5000, 0), (0, 5000)])
def test_a_hand_wholly_outside_its_image_is_named(photo_folder, moved):
    labels = photo_folder / 'labels.jsonl'
    lines = [json.loads(line) for line in labels.read_text().splitlines()]
    hand = lines[3]['hands'][1]
    points, size = np.array(hand['keypoints_px']), (lines[3]['width'], lines[3]['height'])
    hand['keypoints_px'] = (points + moved).tolist()
    labels.write_text('\n'.join(map(json.dumps, lines)))
    with pytest.raises(PhotoError, match=f'line 4.*outside the {size[0]} x {size[1]} image'):
        PhotoFolder(photo_folder)
    # One joint in a corner is enough.
    hand['keypoints_px'] = (points - points[0] + np.sign(moved) * size).tolist()
    hand['keypoints_px'][0] = [size[0] - 1, size[1] - 1]
    labels.write_text('\n'.join(map(json.dumps, lines)))
    assert len(list(PhotoFolder(photo_folder).hands())) == 4


def test_images_are_read_and_checked(photo_folder):
    folder = PhotoFolder(photo_folder)
    photo = folder.photos[0]
    assert folder.read_image(photo).shape == (photo.height, photo.width, 3)
    cv2.imwrite(str(photo_folder / photo.file), np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(PhotoError, match='5 x 5'):
        folder.read_image(photo)
    (photo_folder / photo.file).unlink()
    with pytest.raises(PhotoError, match='cannot read'):
        folder.read_image(photo)


def test_a_photo_that_is_cut_short_is_named_and_not_filled_with_grey(photo_folder):
    folder = PhotoFolder(photo_folder)
    photo = folder.photos[0]
    data = cv2.imencode('.jpg', np.full((photo.height, photo.width, 3), 200, np.uint8))[1]
    file = photo_folder / photo.file
    file.write_bytes(data.tobytes())
    assert folder.read_image(photo).min() > 190
    file.write_bytes(data.tobytes()[:-9])
    with pytest.raises(PhotoError, match=f'cannot read the image {file} .* missing or damaged'):
        folder.read_image(photo)


@pytest.mark.skipif(not REAL.is_dir(), reason='the labelled photographs are not here')
def test_the_real_photographs():
    folder = PhotoFolder(REAL)
    assert len(folder) == 10677 and len(list(folder.hands())) == 11628
    unseen = folder.select(sets=('dorm_counting', 'phone_above'))
    assert {photo.split for photo in unseen} == {'val'}
    folder.read_image(unseen[0])
