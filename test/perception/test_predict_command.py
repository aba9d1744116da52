import json
import os
import re
import resource
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from hiu_ros.cli import main
from hiu_ros.network import checkpoint
from hiu_ros.network.config import HIU_LITE
from hiu_ros.network.finder import Finder, FinderConfig, save_finder
from hiu_ros.network.hiu import HIU
from hiu_ros.perception.boxes_file import read_boxes
from hiu_ros.perception.image_file import read_image
from hiu_ros.perception.predict_command import image_files

KEYS = ['id', 'side', 'side_score', 'score', 'box', 'keypoints_px', 'keypoint_scores',
        'keypoints_m', 'translation_m', 'pose', 'shape', 'mask', 'mesh']


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Untrained weights and images of noise, in a folder of their own."""
    folder = tmp_path_factory.mktemp('predict')
    checkpoint.save(folder / 'hiu.safetensors', HIU(HIU_LITE))
    save_finder(folder / 'finder.safetensors', Finder(FinderConfig()))
    rng = np.random.default_rng(0)
    (folder / 'more').mkdir()
    for name in ('a.png', 'b.jpg', 'more/a.png'):
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (90, 120, 3), dtype=np.uint8))
    (folder / 'broken.jpg').write_bytes(b'no image at all')
    (folder / 'boxes.json').write_text(json.dumps({
        str(folder / 'a.png'): [[20, 10, 60, 50], [50, 20, 40, 40]],
        'b.jpg': [[10, 10, 50, 60]], str(folder / 'more' / 'a.png'): []}))
    return folder


def predict(folder, *arguments, weights=True):
    given = ['--weights', str(folder / 'hiu.safetensors'),
             '--finder-weights', str(folder / 'finder.safetensors')] if weights else []
    return main(['predict', *map(str, arguments), '--device', 'cpu', *given])


def test_json_has_the_shape_that_scripts_rely_on(place, tmp_path, capsys):
    out = tmp_path / 'out' / 'hands.json'
    files = [str(place / 'a.png'), str(place / 'b.jpg'), str(place / 'more' / 'a.png')]
    status = predict(place, *files, '--json', out, '--boxes', place / 'boxes.json',
                     '--masks', tmp_path / 'masks', '--meshes', tmp_path / 'meshes',
                     '--draw', tmp_path / 'drawn', '--intrinsics', 100, 100, 60, 45)
    assert status == 0 and capsys.readouterr().err == ''
    images = json.loads(out.read_text())['images']
    assert [image['file'] for image in images] == files
    assert [len(image['hands']) for image in images] == [2, 1, 0]
    assert all(list(image) == ['file', 'width', 'height', 'hands'] for image in images)
    assert (images[0]['width'], images[0]['height']) == (120, 90)
    for hand in images[0]['hands'] + images[1]['hands']:
        assert list(hand) == KEYS
        assert hand['id'].split('_')[0] == hand['side']
        for key, shape in (('box', (4,)), ('keypoints_px', (21, 2)), ('keypoint_scores', (21,)),
                           ('keypoints_m', (21, 3)), ('pose', (48,)), ('shape', (10,))):
            assert np.shape(hand[key]) == shape, key
        assert np.allclose(hand['keypoints_m'][0], 0, atol=1e-6)
        assert hand['translation_m'] is None or len(hand['translation_m']) == 3
        mask = cv2.imread(hand['mask'], cv2.IMREAD_UNCHANGED)
        assert mask.shape == (90, 120) and set(np.unique(mask)) <= {0, 255}
        with np.load(hand['mesh']) as mesh:
            assert mesh['vertices'].shape[1] == mesh['faces'].shape[1] == 3
            assert mesh['faces'].max() < len(mesh['vertices'])
    assert sorted(p.name for p in (tmp_path / 'drawn').iterdir()) == ['a-2.jpg', 'a.jpg', 'b.jpg']


def test_the_documentation_names_every_key_of_a_hand():
    text = (Path(__file__).parents[2] / 'docs' / 'predict.md').read_text()
    assert re.findall(r'^\| `(\w+)` \|', text, re.MULTILINE) == KEYS


def test_without_intrinsics_there_is_no_translation_and_paths_are_null(place, tmp_path):
    out = tmp_path / 'hands.json'
    assert predict(place, place / 'a.png', '--json', out, '--boxes', place / 'boxes.json') == 0
    for hand in json.loads(out.read_text())['images'][0]['hands']:
        assert hand['translation_m'] is hand['mask'] is hand['mesh'] is None


def test_the_longest_name_of_a_file_leaves_room_for_those_of_its_masks(place, tmp_path):
    image = tmp_path / f'{"x" * 251}.png'
    image.write_bytes((place / 'a.png').read_bytes())
    (tmp_path / 'boxes.json').write_text(json.dumps({str(image): [[20, 10, 60, 50]]}))
    assert predict(place, image, '--masks', tmp_path / 'm', '--draw', tmp_path / 'd', '--boxes',
                   tmp_path / 'boxes.json') == 0
    assert len(list((tmp_path / 'm').iterdir())) == len(list((tmp_path / 'd').iterdir())) == 1


def test_folders_are_expanded_and_the_finder_runs(place, tmp_path):
    out = tmp_path / 'hands.json'
    assert predict(place, place / 'more', place / 'b.jpg', '--json', out) == 0
    assert [image['file'] for image in json.loads(out.read_text())['images']] == [
        str(place / 'more' / 'a.png'), str(place / 'b.jpg')]


def test_a_broken_image_is_named_and_the_others_are_done(place, tmp_path, capsys):
    out = tmp_path / 'hands.json'
    assert predict(place, place / 'broken.jpg', place / 'b.jpg', '--json', out) == 1
    assert 'broken.jpg is no image' in capsys.readouterr().err
    images = json.loads(out.read_text())['images']
    assert len(images) == 2 and images[0]['hands'] == [] and images[1]['width'] == 120


@pytest.mark.parametrize('arguments, message', [
    (['nowhere.png', '--json', 'x'], 'nowhere.png does not exist'),
    (['{place}/a.png'], 'nothing to write'),
    (['{place}/a.png', '--draw', '{place}/o', '--draw-mesh', '--mirrored'], 'cannot go with'),
    (['{place}/a.png', '--json', '{out}', '--boxes', '{place}/b.jpg'], 'is no JSON'),
    (['{place}/a.png', '--json', '{out}', '--boxes', '{place}/nowhere.json'],
     'boxes file {place}/nowhere.json cannot be read: No such file'),
    (['{place}/a.png', '--draw', '{place}/drawn.JPG'], 'drawn.JPG names a file; name the folder'),
    (['{place}/a.png', '--masks', '{place}/a.png'], '--masks {place}/a.png names a file'),
    (['{place}/a.png', '--json', '{out}', '--intrinsics', '0', '0', '0', '0'], 'focal'),
    (['{place}/a.png', '--json', '{out}', '--intrinsics', 'nan', '1', '1', '1'], 'not finite'),
    (['{place}/a.png', '--json', '{out}', '--hand-length', '19'],
     '--hand-length is 19.0, expected 0.08 to 0.3 m\n'),
    (['{place}/a.png', '--json', '{out}', '--views', '0'], '--views is 0, expected 1 to 6\n'),
    (['{place}/a.png', '--json', '{out}', '--max-hands', '-1'], '--max-hands is -1, expected an'),
    (['{place}/a.png', '--json', '{out}', '--draw-mesh'], '--draw-mesh needs --draw'),
    (['{place}/a.png', '--json', '{out}', '--mesh-format', 'obj'], 'needs --meshes DIR'),
    (['{place}/a.png', '--json', '{out}', '--device', 'cuda:63'], 'cuda:63 is not there'),
    (['{place}/a.png', '--json', '{out}', '--device', 'gpu'], "device 'gpu' is none that PyTorch"),
    (['{place}', '--draw', '{place}'], 'would write over the image {place}/b.jpg'),
])
def test_one_clear_error_for_what_cannot_be_done(place, tmp_path, capsys, arguments, message):
    words = [a.format(place=place, out=tmp_path / 'out.json') for a in arguments]
    given = ['--weights', str(place / 'hiu.safetensors'),
             '--finder-weights', str(place / 'finder.safetensors')]
    assert main(['predict', *words, *given]) == 1
    error = capsys.readouterr().err
    assert message.format(place=place) in error
    assert error.count('\n') == 1 and 'Traceback' not in error
    assert not (tmp_path / 'out.json').exists()


def test_missing_and_truncated_weights_are_named(place, tmp_path, capsys):
    words = ['predict', str(place / 'a.png'), '--json', str(tmp_path / 'o'), '--device', 'cpu',
             '--weights']
    assert main([*words, str(tmp_path / 'none.safetensors')]) == 1
    assert 'none.safetensors does not exist' in capsys.readouterr().err
    cut = tmp_path / 'cut.safetensors'
    cut.write_bytes((place / 'hiu.safetensors').read_bytes()[:5000])
    assert main([*words, str(cut)]) == 1
    assert 'cut.safetensors' in capsys.readouterr().err


@pytest.mark.parametrize('table', [
    '[]', '{"a.png": 3}', '{"a.png": [[1, 2, 3]]}', '{"a.png": [[1, 2, 3, "4"]]}',
    '{"a.png": [[1, 2, 0, 4]]}', '{"a.png": [[1, 2, NaN, 4]]}', '{"a.png": [[1, 2, true, 4]]}',
    f'{{"a.png": [[1, 2, 1{400 * "0"}, 4]]}}',
])
def test_malformed_boxes_are_told(tmp_path, table):
    path = tmp_path / 'boxes.json'
    path.write_text(table)
    with pytest.raises(ValueError, match='boxes.json'):
        read_boxes(str(path), ['a.png'])


@pytest.mark.parametrize('table, told', [
    ('[[1, 2, 3, 4]]', 'holds a list, expected {"photo.jpg": [[x, y, width, height]'),
    ('null', 'holds null, expected {"photo.jpg"'),
    ('{"images": [{"file": "a.png", "hands": []}]}',
     'holds results of `hiu predict`, expected {"photo.jpg"'),
    (f'{{"a.png": [[{", ".join(100 * ["1"])}]]}}', '[...] of')])
def test_boxes_of_another_form_are_told_in_a_short_line_with_the_form_expected(
        tmp_path, table, told):
    path = tmp_path / 'boxes.json'
    path.write_text(table)
    with pytest.raises(ValueError) as caught:
        read_boxes(str(path), ['a.png'])
    assert told in str(caught.value) and len(str(caught.value)) < 200 + len(str(path))


def test_boxes_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / 'boxes.json'
    path.write_text('{"a.png": [[1, 2, 3, 4]]}', encoding='utf-8-sig')
    assert read_boxes(str(path), ['a.png']) == {'a.png': [[1, 2, 3, 4]]}


@pytest.mark.parametrize('out', ['folder', 'file/out.json'])
def test_results_that_cannot_be_written_are_told_before_an_image_is_read(
        place, tmp_path, capsys, monkeypatch, out):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').touch()
    read = []
    monkeypatch.setattr('hiu_ros.perception.image_file.read_image', read.append)
    assert predict(place, place / 'a.png', '--json', tmp_path / out) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert not read and sorted(path.name for path in tmp_path.iterdir()) == ['file', 'folder']


def test_a_folder_that_cannot_be_written_to_is_told_before_an_image_is_read(
        place, tmp_path, capsys, monkeypatch):
    read = []
    monkeypatch.setattr('hiu_ros.perception.image_file.read_image', read.append)
    monkeypatch.setattr('os.access', lambda path, mode: Path(path) != tmp_path)
    for option, out in (('--json', tmp_path / 'out.json'), ('--draw', tmp_path)):
        assert predict(place, place / 'a.png', option, out) == 1
        assert f'no permission to write into {tmp_path}' in capsys.readouterr().err
    assert not read


@pytest.mark.parametrize('option', ['--json', '--masks', '--meshes', '--draw'])
def test_a_full_disk_is_told_with_the_name_of_the_file(place, tmp_path, capsys, option):
    """A mask is less than what is buffered of a file, and could be lost in silence."""
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(json.dumps({str(place / 'a.png'): [[20, 10, 60, 50]]}))
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        status = predict(place, place / 'a.png', option, tmp_path / 'out', '--boxes', boxes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    error = capsys.readouterr().err
    assert status == 1 and f'{tmp_path}/out' in error and 'cannot be written: File too' in error
    assert not list(tmp_path.glob('*.part'))


@pytest.mark.parametrize('option', ['{place}/c.jpg', '{place}/a.png', '{place}/boxes.json'])
def test_results_do_not_replace_an_image_or_the_boxes(place, capsys, option):
    """As in `hiu predict --json *.jpg`, where the first image becomes the file to write."""
    out = option.format(place=place)
    boxes = (place / 'boxes.json').read_text()
    assert predict(place, place / 'a.png', '--json', out, '--boxes', place / 'boxes.json') == 1
    assert f'--json {out} names an image or the boxes' in capsys.readouterr().err
    assert read_image(str(place / 'a.png')) is not None
    assert (place / 'boxes.json').read_text() == boxes and not (place / 'c.jpg').exists()


def test_results_go_into_a_pipe_and_through_a_link(place, tmp_path):
    pipe, link, target = tmp_path / 'pipe', tmp_path / 'link', tmp_path / 'target'
    os.mkfifo(pipe)
    link.symlink_to(target)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        words = [place / 'a.png', '--boxes', place / 'boxes.json', '--json']
        assert predict(place, *words, pipe) == predict(place, *words, link) == 0
        assert pipe.is_fifo() and link.is_symlink()
        assert json.loads(os.read(reader, 1 << 16)) == json.loads(target.read_text())
    finally:
        os.close(reader)


def test_images_without_boxes_are_told_and_get_none(tmp_path, capsys):
    path = tmp_path / 'boxes.json'
    path.write_text('{"a.png": [[1, 2, 3, 4]]}')
    assert read_boxes(str(path), ['a.png', 'b.png']) == {'a.png': [[1, 2, 3, 4]], 'b.png': []}
    assert 'b.png' in capsys.readouterr().err


@pytest.mark.parametrize('box, told', [
    ([120, 10, 40, 40], True), ([10, -40, 40, 40], True), ([0.2, 0.1, 0.5, 0.4], True),
    ([119, 89, 40, 40], False), ([-39, -39, 40, 40], False)])
def test_boxes_beside_the_image_and_in_shares_of_it_are_told(place, tmp_path, capsys, box, told):
    image, path, out = place / 'a.png', tmp_path / 'boxes.json', tmp_path / 'out.json'
    path.write_text(json.dumps({str(image): [box, [20, 10, 60, 50]]}))
    assert predict(place, image, '--json', out, '--boxes', path) == 0
    line = (f'hiu predict: box {box} of {image} holds no pixel of the 120 x 90 image; boxes are '
            '[x, y, w, h] in pixels\n')
    assert capsys.readouterr().err == (line if told else '')
    # Entries and boxes stay in step.
    assert len(json.loads(out.read_text())['images'][0]['hands']) == 2


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(ValueError, match='holds no image'):
        image_files([str(tmp_path)])


def test_a_file_of_a_camera_of_12_bits_is_not_dark(tmp_path):
    shades = np.arange(256, dtype=np.uint16).reshape(16, 16)
    cv2.imwrite(str(tmp_path / 'a.png'), shades * 16)
    assert np.array_equal(read_image(str(tmp_path / 'a.png')), np.dstack([shades] * 3))
