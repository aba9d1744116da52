import json

import cv2
import numpy as np
import pytest

from hiu_ros.data.sets.folder import ImageFolder
from hiu_ros.data.sets.layout import DataSetError
from hiu_ros.data.sets.photos import PhotoSet
from hiu_ros.data.sets.registry import DATA_SETS, detect, open_data_set, splits
from hiu_ros.evaluation.evaluate_command import LABELLED


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('')


@pytest.mark.parametrize('name,file', [
    ('freihand', 'evaluation_K.json'), ('ho3d', 'evaluation.txt'),
    ('rhd', 'training/anno_training.pickle'), ('stb', 'labels/B1Counting_SK.mat'),
    ('dexter_object', 'data/Grasp1/color/a.png'), ('panoptic', 'hand_labels/manual_train/a.json'),
    ('interhand', 'annotations/val/InterHand2.6M_val_data.json'), ('hiu_data', 'train.lst'),
    ('coco_wholebody', 'annotations/coco_wholebody_val_v1.0.json'), ('photos', 'labels.jsonl'),
    ('renders', 'bgra.npy'), ('folder', 'some/image.png'),
])
def test_a_data_set_is_known_by_its_files(tmp_path, name, file):
    touch(tmp_path / file)
    assert detect(tmp_path) == name


@pytest.mark.parametrize('name', sorted(DATA_SETS))
def test_every_data_set_says_that_its_folder_is_missing(tmp_path, name):
    with pytest.raises(DataSetError, match='does not exist'):
        open_data_set(name, tmp_path / 'none')


@pytest.mark.parametrize('name', sorted(DATA_SETS))
def test_every_data_set_says_what_an_empty_folder_lacks(tmp_path, name):
    with pytest.raises(DataSetError) as error:
        open_data_set(name, tmp_path)
    assert str(tmp_path) in str(error.value) and '\n' not in str(error.value)


def test_a_file_in_place_of_a_folder_is_called_a_file(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'')
    for attempt in (detect, lambda root: open_data_set('rhd', root)):
        with pytest.raises(DataSetError, match='a.jpg is a file, expected a folder'):
            attempt(tmp_path / 'a.jpg')


def test_unknown_names_and_splits_are_told(tmp_path):
    with pytest.raises(ValueError, match="no data set 'nyu'; there are freihand"):
        open_data_set('nyu', tmp_path)
    with pytest.raises(ValueError, match="rhd has the splits .*not 'test'"):
        open_data_set('rhd', tmp_path, 'test')
    assert splits('renders') == ('all',)


@pytest.mark.parametrize('name', LABELLED)
def test_what_is_evaluated_on_by_default_is_made_for_it(name):
    assert splits(name)[-1] in ('evaluation', 'test', 'val', 'manual_test')


def test_an_unknown_option_is_told_with_those_that_there_are(tmp_path):
    touch(tmp_path / '1.jpg')
    with pytest.raises(ValueError, match=r"folder has the options \['side'\], not \['sides'\]"):
        open_data_set('folder', tmp_path, sides='left')
    with pytest.raises(ValueError, match="side is 'both', expected 'left' or 'right'"):
        open_data_set('folder', tmp_path, side='both')


def test_a_folder_of_images_has_no_labels(tmp_path):
    for name in ('b/2.PNG', 'a/1.jpg', 'a/notes.txt'):
        touch(tmp_path / name)
    cv2.imwrite(str(tmp_path / 'a/1.jpg'), np.zeros((4, 5, 3), np.uint8))
    data = ImageFolder(tmp_path)
    assert [data[i].source for i in range(len(data))] == ['folder/a/1.jpg', 'folder/b/2.PNG']
    assert data[0].labels == frozenset() and data[0].read_image().shape == (4, 5, 3)
    with pytest.raises(DataSetError, match='2.PNG; it is missing or damaged'):
        data[1].read_image()
    (tmp_path / 'a/1.jpg').write_bytes((tmp_path / 'a/1.jpg').read_bytes()[:-9])
    with pytest.raises(DataSetError, match='1.jpg; it is missing or damaged'):
        data[0].read_image()


def test_photo_sets_give_their_hands(tmp_path):
    hand = {'side': 'left', 'side_score': 0.9, 'keypoints_px': [[5.0, 6.0]] * 20 + [[-4, 3]],
            'keypoints_m': [[0.0, 0.1, 0.2]] * 21}
    line = {'set': 'home', 'file': 'a.png', 'width': 10, 'height': 8, 'split': 'val',
            'licence': 'none', 'hands': [hand, hand]}
    (tmp_path / 'labels.jsonl').write_text(json.dumps(line))
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((8, 10, 3), np.uint8))
    data = PhotoSet(tmp_path, 'val')
    assert len(data) == 2 and len(PhotoSet(tmp_path, 'train')) == 0
    sample = data[0]
    assert sample.root_relative and sample.side == 'left'
    assert sample.visibility.tolist() == [0] * 20 + [2]
    assert sample.read_image().shape == (8, 10, 3)
