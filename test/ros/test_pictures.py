"""Pictures and latency table of the documentation: what they show is what the messages say."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from geometry_msgs.msg import Point, TransformStamped  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

from hiu_ros.perception.picture_source import Picture, SourceError, pinhole  # noqa: E402
from hiu_ros.perception.result import Hands  # noqa: E402
from hiu_ros.ros import controllers, demo, latency, pictures, soak  # noqa: E402
from hiu_ros.ros.joint_plot import plot  # noqa: E402
from hiu_ros.ros.marker_view import MarkerView  # noqa: E402
from hiu_ros.ros.markers import HandMarkers  # noqa: E402
from hiu_ros.ros.player import Answer  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
HEADER = Header(frame_id='camera')


def test_the_readmes_pictures_are_there_and_small():
    names = re.findall(r'!\[[^]]*\]\(([^)]+)\)', (ROOT / 'README.md').read_text())
    assert names and all((ROOT / name).is_file() for name in names)
    folder = ROOT / 'docs' / 'pictures'
    assert {ROOT / name for name in names} == set(folder.iterdir())
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_500_000


def test_the_eye_looks_at_its_centre_and_knows_left_from_right():
    ahead = MarkerView((0.1, 0.0, 0.6), 1.0, yaw=0.0, pitch=0.0)
    x, y, depth = ahead.see((0.1, 0.0, 0.6))
    assert (x, y, depth) == pytest.approx((319.5, 239.5, 1.0))
    assert ahead.see((0.2, 0.0, 0.6))[0] > x and ahead.see((0.1, 0.1, 0.6))[1] > y
    assert ahead.see((0.1, 0.0, 0.7))[2] > depth
    turned = MarkerView((0, 0, 0.6), 1.0, yaw=0.5, pitch=0.0)
    assert turned.see((0, 0, 0.8))[0] < turned.see((0, 0, 0.6))[0]
    # From above what is farther away stands higher in the picture.
    above = MarkerView((0, 0, 0.6), 1.0, yaw=0.0, pitch=0.5)
    assert above.see((0, 0, 0.8))[1] < above.see((0, 0, 0.6))[1] < above.see((0, 0, 0.4))[1]


def test_markers_are_drawn_where_they_are(fake):
    hands = fake.make_hands(1)
    markers = HandMarkers(fake.TRIANGLES, alpha=0.6)
    view = MarkerView((0, 0, 0.6), 0.6, yaw=0.3, width=320, height=240)
    nothing = view.draw(markers.build(fake.make_hands(0), HEADER), [])
    message = markers.build(hands, HEADER)
    shown = view.draw(message, controllers.transforms(hands, HEADER, 'hand_'))
    changed = np.argwhere((shown != nothing).any(-1))
    hand = hands.hands[0]
    seen = view.see(hand.keypoints_m + hand.translation_m)[:, 1::-1]
    # Frames and their names reach a little beyond the hand.
    low, high = seen.min(0) - 80, seen.max(0) + (80, 160)
    assert len(changed) > 500 and (changed >= low).all() and (changed <= high).all()
    for y, x in np.rint(seen).astype(int):
        assert (shown[y, x] != nothing[y, x]).any()


def test_what_is_behind_the_eye_is_not_drawn(fake):
    view = MarkerView((0, 0, 0.6), 0.4, yaw=0.0, pitch=0.0, width=320, height=240)
    markers = HandMarkers(fake.TRIANGLES)
    nothing = view.draw(markers.clear(HEADER), [])
    behind = Hands(640, 480, (fake.make_hand(at=(0.0, 0.0, 0.1)),))
    frames = controllers.transforms(behind, HEADER, 'hand_')
    assert np.array_equal(view.draw(markers.build(behind, HEADER), frames), nothing)


def test_axes_lines_and_the_picture_stand_where_the_messages_say():
    view = MarkerView((0, 0, 0.6), 0.6, yaw=0.0, pitch=0.0, width=320, height=240)

    def at(canvas, *place):
        x, y = np.rint(view.see(place)[:2]).astype(int)
        return canvas[y, x].tolist()

    frame = TransformStamped(header=HEADER)
    frame.transform.translation.z = 0.4
    frame.transform.rotation.z = frame.transform.rotation.w = 0.5 ** 0.5
    # A quarter turn about z: x points down in the picture.
    assert at(view.draw(MarkerArray(), [frame]), 0, 0.03, 0.4) == [60, 60, 235]
    lines = Marker(type=Marker.LINE_LIST, points=[
        Point(x=x, y=y, z=0.4) for x, y in ((-0.1, -0.1), (0.1, -0.1), (-0.1, 0.1), (0.1, 0.1))])
    lines.scale.x, lines.color.r, lines.color.a = 0.005, 1.0, 1.0
    shown = view.draw(MarkerArray(markers=[lines]), [])
    assert at(shown, 0, 0.1, 0.4) == at(shown, 0, -0.1, 0.4) == [0, 0, 255]
    assert at(shown, 0, 0, 0.4) != [0, 0, 255]
    picture, k = np.zeros((100, 200, 3), np.uint8), np.diag([300.0, 200.0, 1.0])
    picture[68:73, 148:153], k[:2, 2] = 255, (90, 55)
    hung = view.draw(MarkerArray(), [], picture, k)
    assert min(at(hung, 0.22 * 60 / 300, 0.22 * 15 / 200, 0.22)) > 200


def test_each_part_of_a_clip_gives_its_best_picture(fake):
    results = [fake.make_hands(count) for count in (0, 1, 2, 0, 2, 1, 0, 1, 0)]
    assert pictures.choose(results, 3) == [2, 4, 7]
    assert pictures.worth(Hands(640, 480)) == 0.0


def test_a_plot_has_gaps_where_there_was_no_hand():
    times = np.linspace(0, 2, 61)
    flat = np.full(61, 1.0)
    gap = flat.copy()
    gap[20:41] = np.nan
    empty, whole, torn = (plot('x', times, curves) for curves in (
        {'index': np.full(61, np.nan)}, {'index': flat}, {'index': gap}))
    drawn, kept = ((panel != empty).any(-1).any(0) for panel in (whole, torn))
    middle = drawn.size // 2
    assert drawn[middle] and not kept[middle] and kept[middle // 2] and kept[-middle // 2]


@pytest.mark.parametrize('size', [(1280, 720), (320, 320)])
def test_a_fitted_picture_keeps_its_camera(size):
    image = np.zeros((480, 640, 3), np.uint8)
    image[235:246, 395:406] = 255
    k = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
    fitted = latency.fitted(Picture(image, 0.0, pinhole(640, 480, k)), *size)
    assert fitted.image.shape == (size[1], size[0], 3)
    assert (fitted.info['width'], fitted.info['height']) == size
    ray = np.linalg.solve(k, (400.0, 240.0, 1.0))
    x, y, _ = np.array(fitted.info['k']).reshape(3, 3) @ ray
    found = np.argwhere(fitted.image[..., 0] > 127).mean(0)
    assert found == pytest.approx((y, x), abs=0.6)


def test_the_table_counts_answers_by_hands_in_view_behind_the_warm_up():
    asked = []

    class Answering:
        def ask(self, picture):
            asked.append(picture.time)
            k = len(asked) - 1
            return Answer(None if k == 5 else ['left_1', 'right_2'][:k % 3], None, float(k))

    film = [Picture(np.zeros((4, 4, 3), np.uint8), k / 10) for k in range(9)]
    assert latency.measure(Answering(), film, 200.0) == {0: [3.0, 6.0], 1: [4.0, 7.0], 2: [8.0]}
    assert latency.WARM == 3 and asked == pytest.approx([200 + k / 10 for k in range(9)])


def test_the_table_replaces_the_one_before(tmp_path):
    file = tmp_path / 'text.md'
    file.write_text('a\n<!-- latency -->\nold\n<!-- /latency -->\nb\n')
    latency.write_into(file, 'new')
    assert file.read_text() == 'a\n<!-- latency -->\nnew\n<!-- /latency -->\nb\n'
    file.write_text('nothing to replace')
    with pytest.raises(ValueError, match='text.md'):
        latency.write_into(file, 'new')
    readme = (ROOT / 'README.md').read_text()
    assert all(readme.count(mark) == 1 for mark in latency.MARKS)


@pytest.mark.parametrize('text, words', [('no marks', 'has no lines'), (None, 'does not exist')])
def test_where_a_table_cannot_be_written_is_told_before_anything_is_measured(
        monkeypatch, capsys, tmp_path, text, words):
    monkeypatch.setattr(latency, 'start', None)
    file = tmp_path / 'text.md'
    if text is not None:
        file.write_text(text)
    assert latency.main(['--into', str(file)]) == 1
    told = capsys.readouterr().err
    assert words in told and 'text.md' in told and len(told.splitlines()) == 1


@pytest.mark.parametrize('command', [demo, soak, pictures])
def test_a_file_in_place_of_a_folder_is_told_at_once(capsys, tmp_path, command):
    file = tmp_path / 'photo.jpg'
    file.touch()
    assert command.main(['--out', str(file)]) == 1
    told = capsys.readouterr()
    assert f'--out {file} names a file; name the folder' in told.out + told.err


@pytest.mark.parametrize('frames', [0, 7])
def test_a_table_needs_as_many_pictures_as_a_row(monkeypatch, capsys, frames):
    monkeypatch.setattr(latency, 'run_with_children', lambda *arguments: 0)
    with pytest.raises(SystemExit):
        latency.main(['--frames', str(frames)])
    assert f'--frames must be at least 8, got {frames}' in capsys.readouterr().err
    assert latency.main(['--frames', '8']) == 0


def test_another_clip_is_rendered_only_where_none_is_named(monkeypatch, capsys, tmp_path):
    def rendered(out):
        raise SourceError(f'rendered into {out}')

    monkeypatch.setattr(pictures, 'Pipeline', lambda options: None)
    monkeypatch.setattr(latency, 'run_with_children', lambda name, run, errors: run([]))
    missing = str(tmp_path / 'mine.mp4')
    for module in (latency, pictures):
        monkeypatch.setattr(module, 'rendered_clip', rendered)
    with pytest.raises(SourceError, match='mine.mp4 does not exist'):
        latency.main(['--clip', missing])
    with pytest.raises(SourceError, match='rendered into out'):
        latency.main([])
    assert pictures.main(['--clip', missing]) == pictures.main([]) == 1
    told = capsys.readouterr().err.splitlines()
    assert 'mine.mp4 does not exist' in told[0] and told[1] == 'pictures: rendered into out'


def test_what_is_no_weights_file_is_told_in_one_line(tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('text')
    assert pictures.main(['--clip', 'x.mp4', '--weights', str(tmp_path / 'mine.txt')]) == 1
    told = capsys.readouterr().err
    assert told.startswith('pictures: weights file') and told.count('\n') == 1
