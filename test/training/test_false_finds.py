"""What a finder takes for hands becomes an example of none, unless a hand may be there."""

import json

import cv2
import numpy as np
import pytest

from hiu_ros.data.photos import LabelledHand, Photo
from hiu_ros.perception.finder import Detection, HandFinder
from hiu_ros.training import false_finds
from hiu_ros.training.false_finds import false_squares, labels_are_whole

RED = (20, 20, 220)


def hand(x: float, y: float, side: float) -> LabelledHand:
    """A hand whose joints' box is a square from (x, y)."""
    points = np.full((21, 2), (x, y), float)
    points[1:] += side * np.linspace(0, 1, 20)[:, None]
    return LabelledHand('right', 1.0, points, np.zeros((21, 3)))


def photo(*hands: LabelledHand, name: str = 'home_gestures') -> Photo:
    return Photo(name, 'a.png', 640, 480, 'train', '', hands)


def found(x: float, y: float, side: float) -> Detection:
    return Detection(np.array([x, y, side, side], float))


@pytest.mark.parametrize('x, y, kept', [
    (110, 100, False),  # on the hand
    (310, 100, True),
    (238, 100, False),  # its patch reaches the hand
    (242, 100, True), (100, 242, True), (238, 238, False), (242, 238, True),
    (-42, 100, True), (-38, 100, False),
])
def test_squares_near_a_hand_are_no_false_finds(x, y, kept):
    squares = false_squares(photo(hand(100, 100, 100)), [found(x, y, 100)])
    assert [square.tolist() for square in squares] == ([[x, y, 100, 100]] if kept else [])


def test_no_square_touches_any_of_several_hands():
    rng = np.random.default_rng(0)
    kept = 0
    for _ in range(50):
        hands = [hand(*rng.uniform(0, 400, 2), rng.uniform(20, 120)) for _ in range(3)]
        squares = [found(*rng.uniform(0, 400, 2), rng.uniform(20, 120)) for _ in range(8)]
        for x, y, width, height in false_squares(photo(*hands), squares):
            for one in hands:
                inside = (one.keypoints_px > [x, y]) & (one.keypoints_px < [x + width, y + height])
                assert not inside.all(1).any()
            kept += 1
    assert 50 < kept < 350


def test_photographs_that_may_show_a_hand_without_a_label_are_left_out():
    one, two = (hand(0, 0, 50),), (hand(0, 0, 50), hand(100, 0, 50))
    assert labels_are_whole(photo(*one)) and labels_are_whole(photo(*two))
    assert not labels_are_whole(photo())
    assert not labels_are_whole(photo(*one, name='lab_gestures'))
    assert labels_are_whole(photo(*two, name='lab_gestures'))


@pytest.fixture
def folder(tmp_path):
    """Grey photographs of one hand, with a red square; the second is for validation."""
    lines = []
    for k, split in enumerate(('train', 'val', 'train')):
        image = np.full((240, 320, 3), 90, np.uint8)
        cv2.rectangle(image, (180, 100), (219, 139), RED, -1)
        cv2.imwrite(str(tmp_path / f'{k}.png'), image)
        points = hand(20, 20, 60).keypoints_px.tolist()
        lines.append(json.dumps({
            'set': 'kitchen', 'file': f'{k}.png', 'width': 320, 'height': 240, 'split': split,
            'licence': '', 'hands': [{'side': 'left', 'side_score': 1.0, 'keypoints_px': points,
                                      'keypoints_m': np.zeros((21, 3)).tolist()}]}))
    (tmp_path / 'labels.jsonl').write_text('\n'.join(lines))
    return tmp_path


def mine(monkeypatch, squares: list, *arguments) -> np.ndarray:
    """Patches of a finder that finds `squares` in every image."""
    class Finder:
        def find(self, image):
            return [found(*square) for square in squares]

    monkeypatch.setattr(HandFinder, 'from_file', lambda *_, **__: Finder())
    false_finds.main([*map(str, arguments)])
    return np.load(arguments[1])


def test_patches_show_what_was_found_and_something_around(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'false.npy'
    patches = mine(monkeypatch, [(180, 100, 40), (20, 20, 60)], folder, out)
    assert patches.shape == (2, 160, 160, 3) and patches.dtype == np.uint8
    assert '2 false finds, 2 patches' in capsys.readouterr().out
    red = (patches[..., 2] > 180) & (patches[..., 1] < 60)
    # 40 px of 1.8 x 40 px, in the middle.
    assert red.mean((1, 2)) == pytest.approx(1 / 1.8**2, abs=0.02)
    assert red[:, 80, 80].all() and not red[:, 20].any() and not red[:, :, 140].any()


def test_photographs_with_a_hand_that_may_have_no_label_are_not_searched(
        folder, tmp_path, monkeypatch):
    lines = [json.loads(line) for line in (folder / 'labels.jsonl').read_text().splitlines()]
    lines[2]['set'] = 'lab_gestures'
    (folder / 'labels.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    assert len(mine(monkeypatch, [(180, 100, 40)], folder, tmp_path / 'false.npy')) == 1


def test_patches_of_another_file_are_kept(folder, tmp_path, monkeypatch):
    out, near = tmp_path / 'false.npy', tmp_path / 'near.npy'
    np.save(near, np.full((3, 160, 160, 3), 7, np.uint8))
    patches = mine(monkeypatch, [(180, 100, 40)], folder, out, '--also', near)
    assert len(patches) == 5 and (patches[2:] == 7).all() and not (patches[:2] == 7).all()


def test_finder_without_false_finds_gives_an_empty_file(folder, tmp_path, monkeypatch):
    assert mine(monkeypatch, [], folder, tmp_path / 'none.npy').shape == (0, 160, 160, 3)


def test_patches_of_another_size_are_told_before_the_search(
        folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(false_finds, 'search', lambda *_: pytest.fail('it was searched'))
    near = tmp_path / 'near.npy'
    np.save(near, np.zeros((3, 96, 96, 3), np.uint8))
    with pytest.raises(SystemExit) as stop:
        false_finds.main([str(folder), str(tmp_path / 'out.npy'), '--also', str(near)])
    assert stop.value.code == 2
    assert f'--also {near} holds patches of 96 pixels, expected 160' in capsys.readouterr().err


def test_what_is_missing_is_one_line(folder, tmp_path, capsys):
    near = tmp_path / 'near.npy'
    near.write_bytes(b'')
    for arguments, words in ((['nowhere'], 'photo folder nowhere does not exist'),
                             ([folder, '--also', near], 'near.npy is damaged'),
                             ([folder, '--finder', 'lost'], 'lost does not exist')):
        with pytest.raises(SystemExit) as stop:
            false_finds.main([*map(str, arguments), str(tmp_path / 'out.npy')])
        error = capsys.readouterr().err
        assert stop.value.code == 2 and words in error and error.count('\n') == 1
