"""The network labels hands only where it agrees with itself, and says what became of each."""

import json
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

from hiu_ros.data.photo_cache import CROP_PIXELS, CROP_SCALE, build_crops, update_labels
from hiu_ros.data.photo_fits import HandFits
from hiu_ros.data.photo_trust import FIT_BEND, FIT_RESIDUAL, FIT_STRAIN
from hiu_ros.data.photos import LabelledHand, Photo, PhotoFolder, label_line
from hiu_ros.geometry.crop import Crop
from hiu_ros.network import checkpoint
from hiu_ros.perception.estimator import HandEstimator
from hiu_ros.perception.finder import HandFinder
from hiu_ros.perception.options import HIU_WEIGHTS
from hiu_ros.training import agreement, relabel
from hiu_ros.training.agreement import Witness, _fault, mask_in, mesh_faults
from hiu_ros.training.relabel import Asked, look, unexplained, verdict
from test.perception.conftest import HEIGHT, WIDTH, Stage


def box_of(points: np.ndarray) -> np.ndarray:
    low, high = points.min(axis=0), points.max(axis=0)
    return np.array([*low, *(high - low)])


def opinion_of(stage: Stage, hand):
    witness = Witness(HandEstimator(stage))
    return witness.opinion(stage.image([hand]), box_of(hand.pixels))


@pytest.fixture
def photo_sets(tmp_path) -> PhotoFolder:
    """Four photographs of one hand each: of validation, of a set that no training sees, and two
    others."""
    points = np.random.default_rng(0).uniform(10, 90, (21, 2))
    folder = tmp_path / 'photos'
    folder.mkdir()
    (folder / 'labels.jsonl').write_text(''.join(label_line(Photo(
        name, f'{k}.png', 300, 300, split, 'CC0', (labelled(points),))) + '\n'
        for k, (name, split) in enumerate((('kitchen', 'train'), ('kitchen', 'val'),
                                           ('phone_above', 'train'), ('garden', 'train')))))
    return PhotoFolder(folder)


@pytest.mark.parametrize('side', ['left', 'right'])
@pytest.mark.parametrize('turn', [(0.3, 0.2, 1.5), (0.4, -0.5, -0.8)])
def test_a_perfect_network_agrees_with_itself(side, turn):
    stage = Stage(resolution=128)
    middle = stage.hand(side, turn=turn).keypoints_m.mean(axis=0)
    hand = stage.hand(side, place=(-middle[0], -middle[1], 0.5), turn=turn)
    one = opinion_of(stage, hand)
    assert (one.fault, one.side) == ('', side) and 0.9 < one.side_score <= 1
    assert np.linalg.norm(one.keypoints_px - hand.pixels, axis=1).mean() < 1.5
    assert one.spread < 0.03 and one.flipped < 0.05
    # Seen straight on, as the labels of photographs are taken to be.
    truth = hand.keypoints_m - hand.keypoints_m.mean(axis=0)
    assert np.linalg.norm(one.keypoints_m - truth, axis=1).mean() < 0.006
    assert mesh_faults([one]) == ['']


def test_views_that_differ_are_refused():
    stage = Stage(noise=12.0, resolution=128)
    assert opinion_of(stage, stage.hand(place=(0, 0, 0.5))).fault == 'views'


@pytest.mark.parametrize('change, fault', [({'presence': 0.5}, 'absent'), ({}, 'small')])
def test_what_is_no_hand_or_a_small_one_is_refused(change, fault):
    stage = Stage(resolution=128)
    hand = replace(stage.hand(place=(0, 0, 0.5 if change else 6.0)), **change)
    assert opinion_of(stage, hand).fault == fault


@pytest.mark.parametrize('fault', ['blurred', 'side', 'mirrored'])
def test_a_hand_that_the_network_is_not_sure_of_is_refused(fault):
    class Doubtful(Stage):
        def _answer(self, crop):
            points, scores, *middle, side, legible = super()._answer(crop)
            if fault == 'blurred':
                scores = np.full(21, 0.3)
            elif fault == 'side':
                side = 0.6 if side > 0.5 else 0.4
            elif side < 0.5:  # the crop is mirrored
                points = points + 15
            return (points, scores, *middle, side, legible)

    stage = Doubtful(resolution=128)
    assert opinion_of(stage, stage.hand(place=(0, 0, 0.5))).fault == fault


@pytest.mark.parametrize('odds, fault', [
    ([4.0, 4, 4, 4], ''), ([-4.0, -4, -4, -4], ''), ([4.0, 4, 4, -0.1], 'side'),
    ([-4.0, 0.1, -4, -4], 'side'), ([0.9, 0.9, 0.9, 0.9], 'side')])
def test_every_view_has_to_see_a_hand_of_the_same_side(odds, fault):
    whole = SimpleNamespace(size=100.0, presence=0.95, keypoint_scores=np.full(21, 0.8))
    assert _fault(whole, spread=0.01, flipped=0.01, odds=np.array(odds)) == fault


def test_of_hands_fitted_together_those_whose_mask_or_joints_no_mesh_fits_are_refused():
    stage = Stage(resolution=128)
    left, one = (opinion_of(stage, stage.hand(side, place=(0, 0, 0.5)))
                 for side in ('left', 'right'))
    bare, full = (replace(one, reading=replace(one.reading, mask=fill(one.reading.mask)))
                  for fill in (np.zeros_like, np.ones_like))
    order = np.random.default_rng(0).permutation(21)
    shuffled = replace(one, keypoints_px=one.keypoints_px[order])
    assert mesh_faults([bare, shuffled, left, full, one]) == ['mask', 'fit', '', 'mask', '']
    assert mesh_faults([]) == []


@pytest.mark.parametrize('measure, beyond', [
    ('residual_px', 1.1 * FIT_RESIDUAL), ('bend_error', 1.1 * FIT_BEND),
    ('strain', 1.1 * FIT_STRAIN), ('depth', 'backwards')])
def test_each_measure_of_a_fit_alone_refuses_the_hand_it_is_of(measure, beyond, monkeypatch):
    stage = Stage(resolution=128)
    one = opinion_of(stage, stage.hand(place=(0, 0, 0.5)))
    fits = HandFits(*(np.zeros((2, *size)) for size in ((16, 3), (10,), (3,), (), (), ())))
    depth = np.array(['', ''], dtype='<U12')
    {'depth': depth, **vars(fits)}[measure][1] = beyond
    monkeypatch.setattr(agreement, 'fit_hands', lambda *_, **__: fits)
    monkeypatch.setattr(agreement, 'depth_faults', lambda *_: depth)
    shown = mask_in(one.reading, Crop.around_keypoints(one.keypoints_px, CROP_SCALE, CROP_PIXELS))
    monkeypatch.setattr(agreement, 'outline', lambda *_: (shown > 0.5, None))
    assert mesh_faults([one, one]) == ['', 'fit']


def labelled(points: np.ndarray) -> LabelledHand:
    return LabelledHand('right', 1.0, points, np.zeros((21, 3)))


def photo(*hands: LabelledHand, name: str = '0.png', split: str = 'train') -> Photo:
    return Photo('kitchen', name, WIDTH, HEIGHT, split, 'CC0', hands)


def test_found_boxes_on_labelled_hands_are_explained():
    points = np.random.default_rng(0).uniform(100, 200, (21, 2))
    away, on = np.array([300., 100, 80, 80]), np.array([110., 110, 90, 90])
    assert unexplained(photo(labelled(points)), [on, away]) == [away]
    assert len(unexplained(photo(), [on, away])) == 2


@pytest.mark.parametrize('row, fault, word', [
    (-1, '', 'added'), (-1, 'views', 'refused views'), (-1, 'mask', 'refused mask'),
    (0, '', 'confirmed'), (0, 'views', 'confirmed'),
    (1, '', 'changed'), (1, 'views', 'kept views'), (1, 'mask', 'dropped'), (1, 'fit', 'dropped'),
    (2, '', 'changed'), (2, 'blurred', 'kept blurred'),
])
def test_every_verdict(row, fault, word):
    """Row 0 is a label that the network agrees with, 1 one far from it, 2 one not trusted."""
    points = np.random.default_rng(0).uniform(100, 200, (21, 2))
    shown = photo(labelled(points), labelled(points + 200), labelled(points))
    labels = {'hand': np.arange(3), 'trust': np.array([1.0, 1.0, 0.2])}
    one = Asked(0, row, 'right', 0.9, points, np.zeros((21, 3)), fault)
    assert verdict(shown, one, labels) == word


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    class Work:
        def __init__(self, last=9):
            self.last, self.seen = last, []

        def look_at(self, index):
            if index > self.last:
                raise KeyboardInterrupt
            self.seen.append(index)
            return [Asked(index, -1, 'left', 0.8, np.full((21, 2), index / 3), np.ones((21, 3)),
                          '')] * (index % 2)

    path = tmp_path / 'looked.jsonl'
    with pytest.raises(KeyboardInterrupt):
        look(Work(last=3), list(range(6)), path)
    # As if it had been killed within a line.
    path.write_text(path.read_text()[:-20])
    again = Work()
    asked = look(again, list(range(6)), path)
    assert again.seen == [3, 4, 5]
    assert [one.photo for one in asked] == [1, 3, 5]
    np.testing.assert_allclose(asked[0].keypoints_px, 1 / 3)
    noted, about = path.read_bytes(), path.stat()
    assert look(Work(last=-1), list(range(6)), path)[2].keypoints_px[0, 0] == 5 / 3
    assert path.read_bytes() == noted and path.stat().st_mtime_ns == about.st_mtime_ns


def test_the_command_tells_what_is_missing_in_one_line(tmp_path, capsys):
    (tmp_path / 'labels.jsonl').write_text('')
    for photos, cache, words in (('nowhere', tmp_path, 'photo folder nowhere does not exist'),
                                 (tmp_path, tmp_path, 'labels.npz is missing')):
        with pytest.raises(SystemExit) as stop:
            relabel.main([str(photos), str(cache), str(tmp_path / 'out')])
        error = capsys.readouterr().err
        assert stop.value.code == 2 and error.startswith('python -m hiu_ros.training.relabel: ')
        assert words in error and error.count('\n') == 1


def test_each_labelled_hand_is_looked_at_as_one_of_its_side_and_doubtful_ones_are_asked_about(
        monkeypatch):
    points = np.random.default_rng(0).uniform(100, 200, (21, 2))
    shown = photo(*[labelled(points)] * 4)
    estimator, seen = Mock(), []
    estimator.look = lambda regions: seen.extend(regions) or [
        SimpleNamespace(keypoints_px=points + away) for away in (0, 0, 0, 100)]
    opinion = SimpleNamespace(side='left', side_score=0.9, keypoints_px=points,
                              keypoints_m=points, fault='views')
    monkeypatch.setattr(relabel, 'Witness', lambda _: Mock(opinion=Mock(return_value=opinion)))
    folder = SimpleNamespace(photos=[shown], read_image=lambda _: np.zeros((9, 9, 3), np.uint8))
    labels = {'photo': np.zeros(4, int), 'hand': np.arange(4), 'side': np.array([1, 0, 0, 1]),
              'trust': np.array([1, 1, 0.2, 1])}
    finder = SimpleNamespace(find=lambda _: [])
    asked = relabel.Relabelling(folder, labels, estimator, finder).look_at(0)
    assert [(one.row, one.fault) for one in asked] == [(2, 'views'), (3, 'views')]
    assert [region.side for region in seen] == ['right', 'left', 'left', 'right']


def test_what_is_changed_or_dropped_is_trained_on_no_more(photo_sets, tmp_path, monkeypatch):
    """Of the training photographs of the sets that a training sees."""
    monkeypatch.setattr(relabel, 'check_cache', lambda *_: None)
    monkeypatch.setattr(relabel, 'Relabelling', Mock())
    monkeypatch.setattr(relabel, 'write_sheets', Mock())
    points = photo_sets.photos[0].hands[0].keypoints_px
    asked = [Asked(0, row, 'left', 0.9, points + away, np.zeros((21, 3)), fault) for
             row, away, fault in ((0, 0, ''), (1, 99, ''), (2, 99, 'fit'), (3, 99, 'views'))]
    looked = []
    monkeypatch.setattr(relabel, 'look', lambda _, photos, __: looked.extend(photos) or asked)
    cache = tmp_path / 'cache'
    cache.mkdir()
    np.savez(cache / 'labels.npz', files=['a'], photo=np.zeros(4, int), hand=np.zeros(4, int),
             trust=np.ones(4), split=np.zeros(4, int))
    out = tmp_path / 'out'
    relabel.main([str(photo_sets.path), str(cache), str(out), '--weights', str(HIU_WEIGHTS)])
    assert looked == [0, 3]
    assert np.load(out / 'dropped.npy').tolist() == [1, 2]
    (new,) = PhotoFolder(photo_sets.path, out / 'labels.jsonl')
    assert [hand.side for hand in new.hands] == ['left']
    assert new.hands[0].keypoints_px == pytest.approx(points + 99, abs=0.01)


def test_the_command_writes_labels_that_a_cache_is_made_of(tmp_path, monkeypatch, capsys):
    """A hand without a label is added, a wrong label changed, a right one left as it is."""
    stage = Stage(resolution=128)
    hands = [stage.hand(place=(0.02 * k, 0, 0.5)) for k in range(4)]
    given = [[], [labelled(hands[1].pixels + [260, 0])], [labelled(hands[2].pixels)], []]
    lines = []
    for k, hand in enumerate(hands):
        # Lossless: the pictures tell the stand-in for a network where they were cut out.
        cv2.imwrite(str(tmp_path / f'{k}.png'), stage.image([hand]))
        lines.append(json.dumps({
            'set': 'kitchen', 'file': f'{k}.png', 'width': WIDTH, 'height': HEIGHT,
            'split': 'val' if k == 3 else 'train', 'licence': 'CC0', 'hands': [
                {'side': h.side, 'side_score': 1.0, 'keypoints_px': h.keypoints_px.tolist(),
                 'keypoints_m': h.keypoints_m.tolist()} for h in given[k]]}))
    (tmp_path / 'labels.jsonl').write_text('\n'.join(lines))
    cache, files = tmp_path / 'cache', np.array([f'{k}.png' for k in range(4)])
    build_crops(PhotoFolder(tmp_path), cache)
    monkeypatch.setattr(stage, 'fuse', lambda: stage, raising=False)
    monkeypatch.setattr(checkpoint, 'load', lambda *_: stage)
    monkeypatch.setattr(HandFinder, 'from_file', lambda *_: stage)
    out = tmp_path / 'out'
    arguments = [str(path) for path in (tmp_path, cache, out)]
    update_labels(cache, files=files[[1, 0, 2, 3]])
    with pytest.raises(SystemExit):
        relabel.main(arguments)
    assert '1.png in the cache where the labels have 0.png' in capsys.readouterr().err
    assert not out.exists()
    update_labels(cache, files=files)
    relabel.main(arguments)
    counts = json.loads((out / 'statistics.json').read_text())
    # The wrong label's hand is found as one without a label, too, and its place is empty.
    assert counts['photographs'] == 3 and counts['added'] == 2
    new = PhotoFolder(tmp_path, out / 'labels.jsonl')
    assert [p.file for p in new] == ['0.png', '1.png']
    for p, hand in zip(new, hands):
        assert len(p.hands) == 1 and p.hands[0].side == 'right'
        assert np.abs(p.hands[0].keypoints_px - hand.pixels).mean() < 1.5
    assert cv2.imread(str(out / 'added.jpg')) is not None
    assert '"added": 2' in capsys.readouterr().out

    # Photographs go by their numbers, labels by their rows: nothing seen of others may be used.
    update_labels(cache, trust=np.array([1.0, 0.3]))
    before = (out / 'dropped.npy').read_bytes()
    with pytest.raises(SystemExit):
        relabel.main(arguments)
    assert 'holds what was seen with another cache; remove it' in capsys.readouterr().err
    assert (out / 'dropped.npy').read_bytes() == before


def test_what_other_weights_or_another_finder_saw_is_not_gone_on_with(tmp_path):
    files = [tmp_path / name for name in 'ab']
    for file in files:
        file.write_text(file.name)
    labels = {name: np.zeros(2) for name in ('files', 'photo', 'hand', 'trust')}
    one, two = files
    relabel.keep_apart(tmp_path / 'out', one, two, labels)
    relabel.keep_apart(tmp_path / 'out', one, two, labels)
    with pytest.raises(ValueError, match='another weights, another finder; remove it'):
        relabel.keep_apart(tmp_path / 'out', two, one, labels)
    with pytest.raises(ValueError, match='another finder; remove it'):
        relabel.keep_apart(tmp_path / 'out', one, one, labels)
