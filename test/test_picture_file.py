import cv2
import numpy as np
import pytest

from hiu_ros.picture_file import pictures_in, write_picture


def picture(*shape):
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


@pytest.mark.parametrize('shape', [(9, 7, 3), (9, 7)])
def test_a_picture_is_as_it_was_written(tmp_path, shape):
    path = tmp_path / 'a.b.png'
    write_picture(path, picture(*shape))
    write_picture(str(path), picture(*shape))
    assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), picture(*shape))


def test_options_are_those_of_the_format(tmp_path):
    sizes = []
    for quality in (20, 95):
        write_picture(tmp_path / 'a.jpg', picture(64, 64, 3), [cv2.IMWRITE_JPEG_QUALITY, quality])
        sizes.append((tmp_path / 'a.jpg').stat().st_size)
    assert sizes[0] < 0.6 * sizes[1]


@pytest.mark.parametrize('name', ['nowhere/a.png', 'a.txt', 'a'])
def test_what_cannot_be_written_is_named(tmp_path, name):
    with pytest.raises(OSError, match=f'{name} cannot be written: '):
        write_picture(tmp_path / name, picture(4, 4, 3))


def test_an_empty_picture_is_refused(tmp_path):
    with pytest.raises(OSError, match='a.png cannot be written: OpenCV'):
        write_picture(tmp_path / 'a.png', picture(0, 4, 3))


def test_a_full_disk_is_told(tmp_path):
    (tmp_path / 'a.png').symlink_to('/dev/full')
    with pytest.raises(OSError, match='a.png cannot be written: No space left'):
        write_picture(tmp_path / 'a.png', picture(4, 4, 3))


def test_pictures_of_a_folder_come_by_number_and_with_those_below_only_where_asked(tmp_path):
    names = ['a_2.PNG', 'a_10.jpg', 'clip_2/0.tiff', 'clip_2/01.png', 'clip_10/0.png']
    for name in [*names, '._a_2.PNG', 'notes.txt', 'clip_2/.b.png']:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'folder.png').mkdir()
    assert pictures_in(tmp_path) == [tmp_path / name for name in names[:2]]
    assert pictures_in(str(tmp_path), below=True) == [tmp_path / name for name in names]
