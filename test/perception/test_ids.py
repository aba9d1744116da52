"""A followed hand keeps its id, and gets it back, whatever other hands do."""

from dataclasses import replace

import numpy as np
import pytest

from hiu_ros.perception.frame import Frame
from hiu_ros.perception.options import TrackingOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.smoothing import Smoothing
from test.perception.conftest import OPTIONS, follow, ids


def test_two_hands_that_cross_keep_their_names(make_stage):
    stage = make_stage()
    scenes = [[stage.hand('right', (0.2 - 0.01 * k, 0.0, 0.6)),
               stage.hand('left', (-0.2 + 0.01 * k, 0.05, 0.75))] for k in range(40)]
    seen = follow(stage, scenes)
    for side in ('left', 'right'):
        assert len(set(ids(seen, side))) == 1
        assert len(ids(seen, side)) >= 34
    assert not ids(seen, '?')


def test_two_hands_of_one_side_that_cross_keep_their_names(make_stage):
    stage = make_stage()
    scenes = [[stage.hand('right', (0.22 - 0.011 * k, 0.03, 0.6), label='a'),
               stage.hand('right', (-0.22 + 0.011 * k, -0.06, 0.7), label='b')]
              for k in range(40)]
    seen = follow(stage, scenes)
    assert len(set(ids(seen, 'a'))) == 1 and len(set(ids(seen, 'b'))) == 1


def test_a_hand_hidden_for_a_moment_gets_its_name_back(make_stage):
    stage = make_stage()
    scenes = [[stage.hand(place=(0.006 * k - 0.1, 0, 0.6))] if not 8 <= k < 14 else []
              for k in range(24)]
    seen = follow(stage, scenes)
    assert set(ids(seen, 'right')) == {'right_1'}
    assert all(not frame for frame in seen[8:14])
    assert len(seen[14]) == 1


def test_a_hand_that_leaves_the_image_for_a_second_keeps_its_name(make_stage):
    stage = make_stage()
    options = replace(OPTIONS, tracking=TrackingOptions(max_misses=5))
    # In half a second out over the left edge, out of it for a second, and back.
    at = [*np.linspace(-0.1, -0.45, 15), *[-0.7] * 28, *np.linspace(-0.45, -0.1, 15)]
    scenes = [[stage.hand(place=(x, 0, 0.6))] for x in at]
    seen = follow(stage, scenes, options)
    assert not seen[30] and seen[-1]
    assert set(ids(seen, 'right')) == {'right_1'}


def test_a_hand_missed_for_long_is_left_to_the_finder_and_keeps_its_name(make_stage):
    stage = make_stage()
    run = Pipeline(OPTIONS, network=stage, finder=stage)
    looks, names = [], []
    for k in range(56):
        stage.calls.clear()
        image = stage.image([stage.hand()] if not 5 <= k < 50 else [])
        names.append([hand.id for hand in run.process(image, stage.camera, k / 30)])
        looks.append(sum(stage.calls))
    assert all(looks[5:25]) and not any(looks[26:50])
    assert names[4] == names[-1] == ['right_1']


def test_a_hand_gone_for_long_comes_back_under_a_new_name(make_stage):
    stage = make_stage()
    options = replace(OPTIONS, tracking=TrackingOptions(max_misses=3))
    scenes = [[stage.hand()] if k < 5 or k > 12 else [] for k in range(20)]
    assert list(dict.fromkeys(ids(follow(stage, scenes, options), 'right'))) == [
        'right_1', 'right_2']


def test_a_hand_that_comes_in_fast_gets_one_name(make_stage):
    stage = make_stage()
    # Its own size, 75 pixels, a frame: where it was is no longer in sight of it.
    scenes = [[stage.hand(place=(0.19 * k - 0.7, 0, 1.5))] for k in range(8)]
    assert set(ids(follow(stage, scenes), 'right')) == {'right_1'}


def test_a_fast_hand_is_followed_by_its_motion(make_stage):
    stage = make_stage()
    # 1.2 m/s at 0.6 m: 40 pixels a frame with a hand of about 190.
    scenes = [[stage.hand(place=(0.04 * k - 0.28, 0, 0.6))] for k in range(15)]
    options = replace(OPTIONS, tracking=TrackingOptions(finder_interval=1000))
    seen = follow(stage, scenes, options)
    assert ids(seen, 'right') == ['right_1'] * 15


def test_a_waving_hand_keeps_its_name_at_five_images_a_second(make_stage):
    stage = make_stage()
    # It turns back where its motion says that it goes on, and is a size off its prediction.
    scenes = [[stage.hand(place=(x, 0, 1.5))] for x in [-0.1, 0.0, 0.1, 0.0] * 5]
    seen = follow(stage, scenes, stamps=[k / 5 for k in range(len(scenes))])
    assert set(ids(seen, 'right')) == {'right_1'}


def test_a_young_hand_seen_apart_keeps_its_name_behind_an_older_one(make_stage):
    stage = make_stage()
    older = stage.hand('right', (-0.1, 0, 0.6), label='older')
    path = [0.25] * 4 + [0.25 - 0.06 * k for k in range(1, 12)]
    scenes = [[older]] * 20 + [
        [older, stage.hand('right', (x, 0, 0.65), label='young')] for x in path]
    seen = follow(stage, scenes)
    assert seen[23] == {'older': 'right_1', 'young': 'right_2'}
    assert seen[-1] == {'older': 'right_1', 'young': 'right_2'}


def test_where_one_hand_is_too_many_the_youngest_ends(make_stage):
    stage = make_stage()
    old = replace(stage.hand('left', (-0.2, 0, 0.6)), presence=0.7)
    back = stage.hand('right', (0.2, 0, 0.6), label='back')
    young = stage.hand('right', (-0.25, -0.28, 0.9), label='young')
    scenes = [[old, back]] * 20 + [[old, young]] * 5 + [[old, back, young]] * 6
    seen = follow(stage, scenes, replace(OPTIONS, max_hands=2))
    assert len(set(ids(seen, 'left'))) == 1 and len(ids(seen, 'left')) >= 30
    assert 'young' in seen[22]
    assert [set(frame) for frame in seen[26:]] == [{'left', 'back'}] * 5


def test_time_that_runs_back_forgets_the_hands_but_not_their_names(make_stage):
    stage = make_stage()
    stamps = [10.0, 10.03, 10.07, 2.0, 2.03, 2.07]
    seen = follow(stage, [[stage.hand()]] * 6, stamps=stamps)
    assert ids(seen[:3], 'right') == ['right_1'] * 3
    assert ids(seen[3:], 'right') == ['right_2'] * 3


@pytest.mark.parametrize('late', [0.05, 0.15])
def test_a_clock_set_back_a_little_and_images_out_of_order_keep_the_hands(make_stage, late):
    stage = make_stage()
    options = replace(OPTIONS, smoothing=Smoothing.usual())
    stamps = [10 + k / 30 - late * (k % 4 == 3) for k in range(12)]
    stamps += [stamp - late + 0.4 for stamp in stamps]
    scenes = [[stage.hand('right', (0.01 * k, 0, 0.6))] for k in range(24)]
    seen = follow(stage, scenes, options, stamps)
    assert ids(seen, 'right') == ['right_1'] * 24


def test_images_of_another_size_or_view_show_other_hands_whose_names_are_new(make_stage):
    stage = make_stage()
    run = Pipeline(OPTIONS, network=stage, finder=stage)

    def names(index, view='front', height=480):
        image = stage.image([stage.hand(), stage.hand('left', (-0.15, 0.0, 0.6))])
        return {hand.id for hand in run.process_many(
            [Frame(image[:height], None, index / 30, view=view)])[0]}

    assert names(0) == names(1) == {'right_1', 'left_2'}
    assert names(2, 'rear') == names(3, 'rear') == {'right_3', 'left_4'}
    assert names(4, 'rear', 460) == names(5, 'rear', 460) == {'right_5', 'left_6'}


def test_a_recording_gives_the_same_names_every_time(make_stage):
    def once():
        stage = make_stage(noise=0.5)
        scenes = [[stage.hand('right', (0.2 - 0.01 * k, 0.0, 0.6)),
                   stage.hand('left', (-0.2 + 0.01 * k, 0.05, 0.75))][:1 + (k > 5)]
                  for k in range(25)]
        return follow(stage, scenes)
    assert once() == once()
