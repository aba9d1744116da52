from dataclasses import replace

import cv2
import numpy as np
import pytest

from hiu_ros.data.photos import LabelledHand, Photo, PhotoFolder
from hiu_ros.evaluation import finding
from hiu_ros.perception.result import Hand, Hands

SIZE = 200


def label(x, y, size=40, side='right'):
    rng = np.random.default_rng(int(x + 1000 * y))
    return LabelledHand(side, 1.0, rng.uniform(0, size, (21, 2)) + [x, y],
                        rng.normal(size=(21, 3)))


def photo(*hands, name='a.png', set='home'):
    return Photo(set, name, SIZE, SIZE, 'val', '', hands)


def hand(points, name='0', side='right'):
    low, high = points.min(0), points.max(0)
    return Hand(name, side, 0.9, 0.8, np.array([*low, *(high - low)]), points, np.ones(21),
                np.ones(21, bool), np.zeros((21, 3)), np.zeros((4, 3)), np.zeros(48),
                np.zeros(10), np.eye(3), np.zeros((SIZE, SIZE), np.uint8))


def test_hands_are_matched_once_by_overlap():
    shot = photo(label(10, 10), label(120, 20))
    second, first = (hand(h.keypoints_px + 2, str(i)) for i, h in enumerate(shot.hands[::-1]))
    copy = hand(shot.hands[0].keypoints_px + 8, 'copy')
    far = hand(shot.hands[0].keypoints_px + [100, 100], 'far')
    score = finding.score_image(shot, [copy, far, second, first])
    assert finding.match(shot, [copy, far, second, first]) == [(0, 3), (1, 2)]
    assert len(score.found) == 2 and score.surplus == 2


def boxed(x, width=40):
    """A label whose joints' box is 40 high and starts at x."""
    points = np.tile([x, 100.0], (21, 1))
    points[1] += [width, 40]
    return replace(label(0, 0), keypoints_px=points)


def test_two_overlaps_too_small_for_a_match_do_not_outweigh_one_that_is_enough():
    shot = photo(boxed(100), boxed(140))
    between, beside = hand(boxed(118).keypoints_px, '0'), hand(boxed(76).keypoints_px, '1')
    # 22 / 58 of the first label, 18 / 62 of the second; 16 / 64 of the first.
    assert finding.match(shot, [between, beside]) == [(0, 0)]
    half = [hand(boxed(100, width).keypoints_px) for width in (12, 11.9)]
    assert [len(finding.match(shot, [found])) for found in half] == [1, 0]


def test_a_photo_without_hands_matches_none():
    assert finding.match(photo(), [hand(boxed(0).keypoints_px)]) == []
    score = finding.score_image(photo(boxed(0)), [])
    assert (score.labelled, score.found, score.surplus) == (1, (), 0)


def test_a_hand_elsewhere_is_not_found():
    shot = photo(label(10, 10))
    score = finding.score_image(shot, [hand(shot.hands[0].keypoints_px + [35, 35])])
    assert score.found == () and score.surplus == 1
    assert finding.score_image(shot, []).found == ()


@pytest.mark.parametrize('x', [0, 80, 150])
def test_hand_free_regions_are_away_from_the_hand_and_the_same_each_time(x):
    shot = photo(label(x, 20), name=f'{x}.png')
    left, top, width, height = finding.hand_free_region(shot)
    assert (left, top, width, height) == finding.hand_free_region(shot)
    assert 0 <= left <= SIZE - width and 0 <= top <= SIZE - height and width >= 64
    points = shot.hands[0].keypoints_px
    reach = np.ptp(points, axis=0).max() * 0.5
    low, high = points.min(0) - reach, points.max(0) + reach
    assert (high <= [left, top]).any() or (low >= [left + width, top + height]).any()


@pytest.mark.parametrize('axes', [[0, 1], [1, 0]], ids=['landscape', 'portrait'])
def test_hand_free_regions_are_large_squares_away_from_every_hand(axes):
    low = np.array([[190, 0], [380, 20]])[:, axes]
    high = np.array([[210, 119], [400, 50]])[:, axes]
    hands = [replace(label(0, 0), keypoints_px=np.linspace(*ends, 21)) for ends in zip(low, high)]
    reach = (high - low).max(1, keepdims=True) / 2
    size, sizes = np.array([420, 120])[axes], []
    for number in range(30):
        shot = replace(photo(*hands, name=f'{number}.png'), width=size[0], height=size[1])
        region = np.array(finding.hand_free_region(shot))
        start, end = region[:2], region[:2] + region[2:]
        assert (start >= 0).all() and (end <= size).all()
        assert ((high + reach <= start) | (low - reach >= end)).any(1).all()
        sizes.append(region[2:])
    assert (np.ptp(sizes, axis=1) == 0).all() and 90 < np.median(sizes) <= 120


def test_there_is_no_region_without_room_or_without_a_label():
    assert finding.hand_free_region(photo(label(60, 60, size=100))) is None
    assert finding.hand_free_region(replace(photo(label(0, 0, size=5)), height=63)) is None
    assert finding.hand_free_region(photo()) is None


def test_shares_over_sets(tmp_path):
    shots = [photo(label(10, 10), label(140, 10), name='0.png'), photo(name='1.png'),
             photo(label(10, 10), name='2.png', set='phone_above')]
    for shot in shots:
        cv2.imwrite(str(tmp_path / shot.file), np.zeros((SIZE, SIZE, 3), np.uint8))
    (tmp_path / 'labels.jsonl').write_text('')
    seen = []

    def find(image):
        seen.append(image.shape)
        if image.shape[0] < SIZE:
            return Hands(image.shape[1], image.shape[0], (hand(np.eye(21, 2)),))
        found = () if len(seen) > 2 else (hand(shots[0].hands[0].keypoints_px),)
        return Hands(SIZE, SIZE, found)

    rows = {row['set']: row for row in finding.summary_rows(*finding.evaluate(
        PhotoFolder(tmp_path), shots, find, True, finding.draw_mistakes(tmp_path / 'out')))}
    drawn = sorted(str(path.relative_to(tmp_path / 'out')) for path in tmp_path.rglob('*.jpg'))
    assert drawn == ['false/home_0.jpg', 'false/phone_above_2.jpg', 'missed/home_0.jpg',
                     'missed/phone_above_2.jpg']
    assert rows['home']['images'] == 1 and rows['home']['image_found'] == 1
    assert rows['home']['hand_found'] == 0.5 and rows['home']['palm_mean'] < 1e-6
    assert rows['UNSEEN (all images)']['image_found'] == 0
    assert rows['all images']['hand_found'] == 1 / 3
    assert rows['all images']['false'] == 1 and rows['all images']['regions'] == 2


def test_summary_rows_are_shares_of_images_hands_and_regions():
    shot = photo(boxed(0), boxed(100))
    both = finding.score_image(shot, [hand(label.keypoints_px) for label in shot.hands])
    images = [replace(both, surplus=3), replace(both, found=both.found[:1]),
              replace(both, found=(), surplus=2), replace(both, set='b', labelled=3)]
    regions = [finding.RegionScore('home', 'a.png', count) for count in (0, 2, 0, 0)]
    rows = {row['set']: row for row in finding.summary_rows(images, regions, ['b'])}
    assert list(rows) == ['home', 'b', 'UNSEEN (all images)', 'seen (all images)', 'all images']
    home = rows['home']
    assert (home['images'], home['labelled'], home['regions']) == (3, 6, 4)
    assert home['image_found'] == pytest.approx(2 / 3) and home['hand_found'] == 1 / 2
    assert home['surplus'] == pytest.approx(5 / 3) and home['false'] == 1 / 4
    assert rows['all images']['hand_found'] == 5 / 9 and rows['all images']['false'] == 1 / 4
    assert rows['b']['regions'] == 0 and np.isnan(rows['b']['false'])
    assert 'seen (all images)' not in [
        row['set'] for row in finding.summary_rows(images, regions, ['b', 'home'])]


def test_mistakes_alone_are_drawn_with_the_labels_as_white_boxes(tmp_path):
    lone, pair, wide = (photo(boxed(20), name='lone.png'),
                        photo(boxed(20), boxed(100.6), name='pair.png'),
                        photo(boxed(20, width=179), name='wide.png'))
    for shot in (lone, pair, wide):
        cv2.imwrite(str(tmp_path / shot.file), np.zeros((SIZE, SIZE, 3), np.uint8))
    (tmp_path / 'labels.jsonl').write_text('')

    def find(image):
        found = (hand(lone.hands[0].keypoints_px),) if image.shape[0] == SIZE else ()
        return Hands(*image.shape[1::-1], found)

    assert finding.hand_free_region(wide) is None
    finding.evaluate(PhotoFolder(tmp_path), [lone, pair, wide], find, True,
                     finding.draw_mistakes(tmp_path / 'out'))
    drawn = sorted((tmp_path / 'out').rglob('*.jpg'))
    assert [path.name for path in drawn] == ['home_pair.jpg', 'home_wide.jpg']
    picture = cv2.imread(str(drawn[0])).min(axis=2)
    assert picture[100:140, 101].min() > 200 and picture[100:140, 141].min() > 200
    assert picture[140, 101:141].min() > 200 and picture[:, 150:].max() < 50


def test_a_hand_found_in_a_region_counts_unseen_and_is_drawn_without_the_photos_labels(tmp_path):
    shot = photo(boxed(20))
    cv2.imwrite(str(tmp_path / shot.file), np.zeros((SIZE, SIZE, 3), np.uint8))
    (tmp_path / 'labels.jsonl').write_text('')
    _, (region,) = finding.evaluate(
        PhotoFolder(tmp_path), [shot],
        lambda image: Hands(*image.shape[1::-1], (hand(boxed(20).keypoints_px),)), True)
    assert region.false_hands == 1
    finding.draw_mistakes(tmp_path)('false', shot, np.zeros((SIZE, SIZE, 3), np.uint8),
                                    Hands(SIZE, SIZE))
    assert not cv2.imread(str(tmp_path / 'false' / 'home_a.jpg')).any()


def test_turned_photos_keep_their_labels_on_the_hands():
    shot = replace(photo(label(10, 20)), width=SIZE + 40)
    rng = np.random.default_rng(0)
    shot = replace(shot, hands=(replace(
        shot.hands[0], keypoints_px=rng.integers(0, SIZE, (21, 2)).astype(float),
        keypoints_m=rng.normal(size=(21, 3))),))
    image = rng.integers(0, 255, (SIZE, SIZE + 40, 3), dtype=np.uint8)

    def at_joints(shot, image):
        x, y = shot.hands[0].keypoints_px.astype(int).T
        return image[y, x]

    for quarters in range(4):
        there, shown = finding.turned(shot, image, quarters)
        assert shown.shape[:2] == (there.height, there.width)
        assert np.array_equal(at_joints(there, shown), at_joints(shot, image))
        back, same = finding.turned(there, shown, 4 - quarters)
        assert np.array_equal(same, image) and back.width == shot.width
        # The hand turns as its picture does, and is no mirror image.
        turn = np.linalg.lstsq(shot.hands[0].keypoints_m, there.hands[0].keypoints_m)[0].T
        angle = np.radians(-90 * quarters)
        assert np.allclose(turn, [[np.cos(angle), -np.sin(angle), 0],
                                  [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], atol=1e-9)


def test_photos_are_searched_as_they_are_turned(tmp_path):
    shot = photo(label(10, 10), label(140, 10), name='0.png')
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[:5] = 255
    cv2.imwrite(str(tmp_path / '0.png'), picture)
    (tmp_path / 'labels.jsonl').write_text('')
    there, _ = finding.turned(shot, picture, 2)

    def find(image):
        if image.shape[0] < SIZE:
            return Hands(*image.shape[1::-1], ())
        assert image[-5:].all() and not image[:5].any()
        return Hands(SIZE, SIZE, tuple(
            replace(hand(label.keypoints_px), id=str(k)) for k, label in enumerate(there.hands)))

    images, _ = finding.evaluate(PhotoFolder(tmp_path), [shot], find, True, quarters=2)
    assert len(images[0].found) == 2 and images[0].found[0].palm_error < 1e-6


@pytest.mark.parametrize('quarters', [0, 1])
def test_the_hand_free_square_is_searched_as_it_is_turned(tmp_path, quarters):
    shot = photo(label(10, 10), name='0.png')
    picture = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    cv2.imwrite(str(tmp_path / '0.png'), picture)
    (tmp_path / 'labels.jsonl').write_text('')
    shown = []
    finding.evaluate(
        PhotoFolder(tmp_path), [shot],
        lambda image: shown.append(image) or Hands(*image.shape[1::-1]), True, quarters=quarters)
    x, y, width, height = finding.hand_free_region(shot)
    square = picture[y:y + height, x:x + width]
    assert np.array_equal(shown[0], np.rot90(picture, quarters))
    assert np.array_equal(shown[1], np.rot90(square, quarters)) and len(shown) == 2
