"""Which files `hiu predict` reads and writes, and that each answer goes with its image."""

import json

import cv2
import numpy as np
import pytest

from hiu_ros.cli import main
from hiu_ros.perception import pipeline
from hiu_ros.perception.boxes_file import read_boxes
from hiu_ros.perception.hand_record import hand_entry
from hiu_ros.perception.predict_command import _Names, image_files
from hiu_ros.perception.result import Hand, Hands

FACES = {'left': np.array([[0, 1, 2]]), 'right': np.array([[0, 2, 1]])}
SQUARE = np.array([[-0.05, -0.05, 0], [0.05, -0.05, 0], [0, 0.05, 0]])


def hand(number, place=None):
    """A hand whose score is a number of 0 to 100 in percent."""
    points = np.random.default_rng(number).uniform(20, 40, (21, 2))
    joints = np.pad((points - points[0]) / 1000, ((0, 0), (0, 1)))
    return Hand('left_1', 'left', 0.75, number / 100, np.array([20, 20, 20, 20]), points,
                np.linspace(0, 1, 21), np.ones(21, bool), joints, SQUARE, np.zeros(48),
                np.arange(10) / 7, np.eye(3), np.full((2, 3), 255, np.uint8), (5, 7), place)


class Stub:
    """A pipeline that reads the score of an image's hand off its pixels."""

    faces, batches, frames = FACES, [], []

    def __init__(self, options, template=None):
        Stub.options = options
        Stub.batches, Stub.frames = [], []

    def process_many(self, frames):
        Stub.batches.append(len(frames))
        Stub.frames += frames
        place = np.array([0, 0, 0.5]) if frames and frames[0].camera else None
        return [Hands(*frame.image.shape[1::-1], (hand(int(frame.image[0, 0, 0]), place),))
                for frame in frames]


@pytest.fixture
def predict(monkeypatch, tmp_path):
    """Runs the command on the images of a folder; gives its status and its entries."""
    monkeypatch.setattr(pipeline, 'Pipeline', Stub)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        status = main(['predict', '--json', 'out.json', *map(str, words)])
        return status, json.loads((tmp_path / 'out.json').read_text())['images']

    return run


def image(path, value, size=(60, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), value, np.uint8))
    return path


def test_every_answer_goes_with_its_image_also_behind_a_broken_one(predict, tmp_path):
    for k in range(19):
        image(tmp_path / f'in/{k:02}.png', k, (60, 70 + k))
    for broken in (3, 9):
        (tmp_path / f'in/{broken:02}.png').write_bytes(b'broken')
    status, entries = predict('in')
    assert status == 1 and Stub.batches == [7, 7, 3]
    for k, entry in enumerate(entries):
        assert entry['file'] == f'in/{k:02}.png'
        if k in (3, 9):
            assert entry['hands'] == [] and entry['width'] == entry['height'] == 0
        else:
            assert (entry['width'], entry['height']) == (70 + k, 60)
            assert [found['score'] for found in entry['hands']] == [k / 100]


def test_what_is_asked_for_is_asked_of_the_pipeline(predict, tmp_path):
    image(tmp_path / 'a.png', 9)
    predict('a.png')
    usual = Stub.options
    assert (usual.regions, usual.tracking, usual.views) == ('finder', None, 4)
    assert usual.detail == 'fast'
    assert (usual.max_hands, usual.min_score, usual.hand_length_m) == (8, 0.5, None)
    assert not usual.small_hands and not usual.mirrored_input
    assert Stub.frames[0].camera is None and Stub.frames[0].boxes is None
    (tmp_path / 'boxes.json').write_text('{"a.png": [[1, 2, 3, 4]]}')
    predict('a.png', '--boxes', 'boxes.json', '--views', 2, '--detail', 'render', '--max-hands', 3,
            '--min-score', 0.3, '--hand-length', 0.18, '--small-hands', '--mirrored',
            '--device', 'cpu', '--intrinsics', 100, 110, 40, 30)
    changed = Stub.options
    assert (changed.regions, changed.views, changed.detail) == ('boxes', 2, 'render')
    assert (changed.max_hands, changed.min_score, changed.hand_length_m) == (3, 0.3, 0.18)
    assert changed.small_hands and changed.mirrored_input and changed.device == 'cpu'
    frame, = Stub.frames
    assert frame.boxes == [[1, 2, 3, 4]]
    camera = frame.camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (100, 110, 40, 30)
    assert (camera.width, camera.height) == (80, 60)


def test_intrinsics_of_another_resolution_are_told_once_and_used(predict, tmp_path, capsys):
    for name in ('a.png', 'b.png'):
        image(tmp_path / name, 9)
    status, entries = predict('a.png', 'b.png', '--intrinsics', 600, 600, 320, 240)
    assert status == 0 and capsys.readouterr().err == (
        'hiu predict: --intrinsics are hardly those of a.png: its principal point 320, 240 is '
        'outside of the 80 x 60 image; it may be of another resolution\n')
    assert all(entry['hands'][0]['translation_m'] for entry in entries)


@pytest.mark.parametrize('given, order', [
    ((40, 30, 100, 110), 'CX CY FX FY'), ((100, 40, 110, 30), 'FX CX FY CY')])
def test_intrinsics_in_another_order_are_told(predict, tmp_path, capsys, given, order):
    image(tmp_path / 'a.png', 9)
    predict('a.png', '--intrinsics', *given)
    assert f'{" ".join(map(str, given))} looks like {order}\n' in capsys.readouterr().err


def test_intrinsics_in_their_order_are_not_told_to_be_in_another(predict, tmp_path, capsys):
    image(tmp_path / 'a.png', 9)
    predict('a.png', '--intrinsics', 38, 38, 20, 15)  # as CX CY FX FY none would be doubted
    assert capsys.readouterr().err.endswith('it may be of another resolution\n')


def test_masks_and_meshes_are_written_beside_their_names(predict, tmp_path):
    image(tmp_path / 'a.png', 50)
    _, (entry,) = predict('a.png', '--masks', 'm', '--meshes', 'n')
    found, = entry['hands']
    assert (found['mask'], found['mesh']) == ('m/a_left_1.png', 'n/a_left_1.npz')
    mask = cv2.imread(str(tmp_path / 'm/a_left_1.png'), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (60, 80) and (mask[7:9, 5:8] == 255).all() and mask.sum() == 6 * 255
    with np.load(tmp_path / 'n/a_left_1.npz') as mesh:
        assert np.allclose(mesh['vertices'], SQUARE) and mesh['faces'].tolist() == [[0, 1, 2]]


def test_meshes_are_written_for_viewers_where_that_is_asked_for(predict, tmp_path):
    image(tmp_path / 'a.png', 50)
    _, (entry,) = predict('a.png', '--meshes', 'n', '--mesh-format', 'obj')
    assert entry['hands'][0]['mesh'] == 'n/a_left_1.obj'
    lines = (tmp_path / 'n/a_left_1.obj').read_text().splitlines()
    assert lines[0].startswith('#') and 'metres' in lines[0]
    corners = [[float(x) for x in line.split()[1:]] for line in lines if line[0] == 'v']
    assert np.allclose(corners, SQUARE, atol=1e-6)
    assert [line for line in lines if line[0] == 'f'] == ['f 1 2 3']  # counted from 1


@pytest.mark.parametrize('name, told', [('clip.MP4', True), ('notes.txt', False)])
def test_who_gives_a_video_is_told_what_videos_are_for(predict, tmp_path, capsys, name, told):
    (tmp_path / name).write_bytes(b'no image')
    assert predict(name, '--draw', 'd')[0] == 1
    error = capsys.readouterr().err
    assert f'{name} is no image that can be read' in error
    assert ('hiu follow VIDEO' in error) == told


def test_meshes_are_drawn_where_that_is_asked_for_and_through_the_camera(predict, tmp_path):
    image(tmp_path / 'a.png', 99)
    pictures = []
    for words in ((), ('--draw-mesh',), ('--draw-mesh', '--intrinsics', 100, 100, 60, 45)):
        predict('a.png', '--draw', 'd', *words)
        pictures.append(cv2.imread(str(tmp_path / 'd/a.jpg')).astype(int))
    plain, fitted, placed = pictures
    assert np.abs(fitted - plain).max() > 50
    # The mesh, 0.5 m away, is 20 px wide about the principal point.
    rows, columns = np.nonzero(np.abs(placed - plain).max(axis=2)[20:, 50:] > 12)
    assert abs(columns.mean() + 50 - 60) < 3 and abs(rows.mean() + 20 - 45) < 5


def test_results_may_go_to_standard_output(predict, tmp_path, capsys):
    image(tmp_path / 'a.png', 20)
    assert main(['predict', 'a.png', '--json', '-']) == 0
    entry, = json.loads(capsys.readouterr().out)['images']
    assert entry['hands'][0]['score'] == 0.2
    assert [path.name for path in tmp_path.iterdir()] == ['a.png']


def test_entries_hold_the_values_of_a_hand():
    entry = hand_entry(hand(31, np.array([0.1, -0.2, 0.7])), 'mask.png', 'mesh.npz')
    assert (entry['id'], entry['side'], entry['side_score']) == ('left_1', 'left', 0.75)
    assert entry['score'] == 0.31 and entry['box'] == [20, 20, 20, 20]
    assert entry['translation_m'] == pytest.approx([0.1, -0.2, 0.7], abs=1e-6)
    assert entry['shape'][3] == pytest.approx(3 / 7, abs=1e-6)
    assert entry['keypoint_scores'][10] == pytest.approx(0.5)
    assert np.allclose(entry['keypoints_px'], hand(31).keypoints_px, atol=1e-3)
    assert (entry['mask'], entry['mesh']) == ('mask.png', 'mesh.npz')


def test_folders_give_their_images_sorted_and_nothing_else(tmp_path):
    for name in ('b.PNG', 'a/c.jpeg', 'a/.d.png', 'e.txt', 'a.webp'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'folder.png').mkdir()
    single = str(tmp_path / 'e.txt')
    assert image_files([single, str(tmp_path)]) == [
        single, *(str(tmp_path / name) for name in ('a.webp', 'a/c.jpeg', 'b.PNG'))]


def test_names_of_outputs_are_used_for_one_image_each():
    names = _Names()
    files = ['x/a.png', 'a.jpg', 'a-2.png', 'y/a.png']
    stems = [names.stem(file) for file in files]
    assert len(set(stems)) == 4 and stems[:2] == ['a', 'a-2']
    assert [names.stem(file) for file in files] == stems


def test_boxes_are_of_the_file_as_given_then_from_here_then_beside_the_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'list').mkdir()
    (tmp_path / 'list/boxes.json').write_text(json.dumps(
        {'a.png': [[1, 1, 1, 1]], './a.png': [[2, 2, 2, 2]], '../b.png': [[3, 3, 3, 3]]}))
    path = str(tmp_path / 'list/boxes.json')
    files = ['a.png', 'x/../a.png', 'list/a.png', 'b.png']
    assert [boxes[0][0] for boxes in read_boxes(path, files).values()] == [1, 2, 1, 3]
