"""The pictures of the documentation, made by the shipped weights from a clip of our own.

`python -m hiu_ros.ros.pictures [--out docs/pictures] [--clip FILE]` follows the hands through the
clip (out/clip.mp4 if not given, rendered first where it is missing) and writes overlay.jpg,
mesh.jpg, viewer.jpg and joints.png: what the node publishes on `annotated`, `meshes`, `markers`
with TF, and `hand_joint_states`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
from std_msgs.msg import Header

from hiu_ros.command_errors import USER_ERRORS, in_words, traceback_wanted
from hiu_ros.geometry.camera import Camera
from hiu_ros.hand.skeleton import FINGERS
from hiu_ros.perception.drawing import draw
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.picture_source import SourceError
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.result import Hands
from hiu_ros.picture_file import check_folder, write_picture
from hiu_ros.ros import controllers
from hiu_ros.ros.demo import rendered_clip
from hiu_ros.ros.joint_angles import ANGLE_NAMES, joint_angles
from hiu_ros.ros.joint_plot import plot
from hiu_ros.ros.marker_view import MarkerView
from hiu_ros.ros.markers import HandMarkers
from hiu_ros.ros.parameters import NodeOptions
from hiu_ros.ros.sources import open_source

HEADER = Header(frame_id='camera_optical_frame')
#: The angle of each finger that is plotted.
ANGLE = {finger: f'{finger}_mcp_flexion' if finger == 'thumb' else f'{finger}_pip_flexion'
         for finger in FINGERS}
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 85]


def follow(clip: Path, pipeline: Pipeline) -> tuple[list[np.ndarray], list[Hands], Camera, float]:
    """Every picture of the clip with its hands; the camera and the rate, Hz."""
    source = open_source(str(clip))
    images, results, camera = [], [], None
    for picture in source.pictures:
        if camera is None:
            if picture.info is None:
                raise SourceError(f'{clip} has no camera matrix beside it: expected K in '
                                  f'{clip.with_suffix(".json").name}')
            info = picture.info
            camera = Camera.from_info(info['width'], info['height'], info['k'])
        images.append(picture.image)
        results.append(pipeline.process(picture.image, camera, stamp=picture.time))
    return images, results, camera, source.rate


def choose(results: Sequence[Hands], count: int) -> list[int]:
    """The best picture of each of `count` parts of the clip, by its hands and their scores."""
    parts = np.array_split(np.arange(len(results)), count)
    return [max(part.tolist(), key=lambda k: worth(results[k])) for part in parts if len(part)]


def worth(hands: Hands) -> float:
    """How much a picture shows: the sum of its hands' mean joint scores."""
    return sum(float(hand.keypoint_scores.mean()) for hand in hands)


def viewer(hands: Hands, image: np.ndarray, camera: Camera, faces: np.ndarray) -> np.ndarray:
    """What a viewer shows of `markers` and TF, side by side from two places."""
    markers = HandMarkers(faces, alpha=0.6).build(hands, HEADER)
    frames = controllers.transforms(hands, HEADER, 'hand_')
    places = [hand.translation_m for hand in hands if hand.translation_m is not None]
    depth = float(np.mean([place[2] for place in places])) if places else 0.5
    views = [MarkerView((0, 0.04, 0.6 * depth), 0.3 + depth, yaw, 0.35, height=400).draw(
        markers, frames, image, camera.matrix) for yaw in (-0.7, 1.0)]
    return np.hstack([views[0], np.full((400, 4, 3), 255, np.uint8), views[1]])


def joints(results: Sequence[Hands], rate: float, truth: Path) -> np.ndarray:
    """Angles of both sides over time, below each other, with the truth of the rendered clip."""
    times = np.arange(len(results)) / rate
    chosen, patience = controllers.Chosen(), NodeOptions().max_misses
    found = {side: np.full((len(results), len(FINGERS)), np.nan) for side in ('left', 'right')}
    for index, hands in enumerate(results):
        message = controllers.joint_states(chosen(hands, patience), HEADER)
        angles = dict(zip(message.name, message.position))
        for side, table in found.items():
            table[index] = [angles.get(f'{side}_{ANGLE[finger]}', np.nan) for finger in FINGERS]
    true = _true_angles(truth, len(results))
    return np.vstack([
        plot(f'{side} hand, rad', times, dict(zip(FINGERS, table.T)),
             dict(zip(FINGERS, true[side].T)), size=(1280, 240))
        for side, table in found.items()])


def _true_angles(path: Path, count: int) -> dict[str, np.ndarray]:
    """Side -> (count, 5) true angles out of a rendered clip's truth, NaN out of view."""
    result = {side: np.full((count, len(FINGERS)), np.nan) for side in ('left', 'right')}
    frames = json.loads(path.read_text(encoding='utf-8')).get('frames', [])
    for index, frame in enumerate(frames[:count]):
        for hand in frame['hands']:
            if hand['visible'] < 0.3:
                continue
            angles = dict(zip(ANGLE_NAMES, joint_angles(SimpleNamespace(
                side=hand['side'], pose=np.array(hand['pose']),
                keypoints_m=np.array(hand['keypoints_m'])))))
            result[hand['side']][index] = [angles[ANGLE[finger]] for finger in FINGERS]
    return result


def make(clip: Path, out: Path, pipeline: Pipeline) -> list[Path]:
    """All pictures of a clip; their files."""
    images, results, camera, rate = follow(clip, pipeline)
    if not any(len(hands) for hands in results):
        raise SourceError(f'no hand was found in {clip}')
    shown = choose(results, 3)
    best = max(shown, key=lambda k: worth(results[k]))
    strip = [draw(images[k], results[k], camera) for k in shown]
    mesh = [images[best], draw(images[best], results[best], camera, pipeline.faces)]
    made = {
        'overlay.jpg': np.hstack([cv2.resize(p, None, fx=0.75, fy=0.75,
                                             interpolation=cv2.INTER_AREA) for p in strip]),
        'mesh.jpg': np.hstack(mesh),
        'viewer.jpg': viewer(results[best], images[best], camera, pipeline.faces['right']),
        'joints.png': joints(results, rate, clip.with_suffix('.json')),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in made.items():
        write_picture(out / name, picture, JPEG if name.endswith('.jpg') else ())
    return [out / name for name in made]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the pictures."""
    parser = argparse.ArgumentParser(
        prog='python -m hiu_ros.ros.pictures', description='The pictures of the documentation.')
    parser.add_argument('--out', default='docs/pictures', metavar='DIR')
    parser.add_argument('--clip', type=Path, metavar='FILE', help='rendered clip with its truth '
                        'beside it (default: out/clip.mp4, rendered once)')
    parser.add_argument('--weights', default=None, metavar='FILE')
    options = parser.parse_args(arguments)
    try:
        check_folder('out', options.out)
        clip = options.clip or rendered_clip(Path('out'))
        pipeline = Pipeline(PipelineOptions(weights=options.weights))
        for path in make(clip, Path(options.out), pipeline):
            print(f'{path}  {path.stat().st_size / 1024:.0f} kB')
    except USER_ERRORS as error:
        if traceback_wanted():
            raise
        print(f'pictures: {in_words(error)}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
