"""What the messages of two hands cost the node's worker: `python -m hiu_ros.ros.message_cost`.

Thread time, so that other processes do not count; the median of many frames whose hands move. The
package's own limit: keypoints, masks, meshes and markers of two hands in 3 ms together.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from hiu_ros.hand.skeleton import KEYPOINTS_FROM_JOINTS
from hiu_ros.hand.template import HandTemplate, load_template
from hiu_ros.perception.result import Hand, Hands, ScaleSource
from hiu_ros.perception.wrist_frame import wrist_rotation
from hiu_ros.ros import controllers, messages
from hiu_ros.ros.machine import machine
from hiu_ros.ros.markers import HandMarkers
from hiu_ros.ros.parameters import NodeOptions

#: Topics whose messages together have to be built within LIMIT seconds.
LIMITED = ('hands', 'masks', 'meshes', 'markers')
LIMIT = 0.003
_WIDTH, _HEIGHT, _FOCAL = 640, 480, 580.0


def flat_hand(template: HandTemplate, turn: np.ndarray, place: np.ndarray) -> Hand:
    """The template's hand, flat, turned by an axis-angle (3,), with its wrist at place (3,) m."""
    rotation = Rotation.from_rotvec(turn).as_matrix()
    joints = np.concatenate([template.joints, template.tips])[list(KEYPOINTS_FROM_JOINTS)]
    keypoints = joints @ rotation.T
    vertices = template.vertices @ rotation.T
    seen = keypoints + place
    pixels = _FOCAL * seen[:, :2] / seen[:, 2:] + ((_WIDTH - 1) / 2, (_HEIGHT - 1) / 2)
    low = np.clip(np.floor(pixels.min(0)), 0, (_WIDTH - 2, _HEIGHT - 2)).astype(int)
    high = np.clip(np.ceil(pixels.max(0)), low + 1, (_WIDTH, _HEIGHT)).astype(int)
    pose = np.zeros((16, 3))
    pose[0] = turn
    return Hand(
        id=f'{template.side}_1', side=template.side, side_score=1.0, score=1.0,
        box=(*low, *(high - low)), keypoints_px=pixels, keypoint_scores=np.ones(21),
        keypoints_valid=np.ones(21, bool), keypoints_m=keypoints, vertices_m=vertices,
        pose=pose.ravel(), shape=np.zeros(10),
        wrist_rotation=wrist_rotation(keypoints, template.side),
        mask=np.full((high - low)[::-1], 255, np.uint8), mask_origin=(int(low[0]), int(low[1])),
        translation_m=place, scale_source=ScaleSource.CAMERA_INFO, depth_sigma_m=0.02,
        residual_px=1.0,
    )


def two_hands(frames: int, seed: int = 0) -> list[Hands]:
    """A left and a right hand of the shipped model in so many frames, each a little elsewhere."""
    right = load_template('fast')
    rng = np.random.default_rng(seed)
    return [
        Hands(_WIDTH, _HEIGHT, tuple(
            flat_hand(template, rng.normal(0, 0.3, 3), (x, 0.0, 0.55) + rng.normal(0, 0.01, 3))
            for template, x in ((right, 0.14), (right.mirrored(), -0.14))))
        for _ in range(frames)
    ]


def builders(triangles: np.ndarray) -> dict[str, Callable[[Hands, Header], object]]:
    """Topic -> what builds its message."""
    markers = HandMarkers(triangles)
    chosen, patience = controllers.Chosen(), NodeOptions().max_misses
    return {
        'hands': messages.keypoints,
        'masks': messages.masks,
        'meshes': lambda hands, header: messages.meshes(hands, header, 'fast'),
        'markers': markers.build,
        'labels': messages.labels,
        'points': messages.points,
        'hand_joint_states': lambda hands, header: controllers.joint_states(
            chosen(hands, patience), header),
        'tf': lambda hands, header: controllers.transforms(hands, header, 'hand_'),
        'tf with joints': lambda hands, header: controllers.transforms(
            hands, header, 'hand_', joints=True),
    }


def measure(frames: int = 200) -> dict[str, np.ndarray]:
    """Topic -> seconds of thread time of each frame; LIMITED ones also together, as 'limited'."""
    hands = two_hands(frames)
    header = Header(frame_id='camera')
    build = builders(load_template('fast').faces)
    costs: dict[str, list[float]] = {name: [] for name in build}
    for one in hands:
        for name, function in build.items():
            begin = time.thread_time()
            function(one, header)
            costs[name].append(time.thread_time() - begin)
    # The first frame makes the objects that the others share.
    result = {name: np.array(values[1:]) for name, values in costs.items()}
    result['limited'] = sum(result[name] for name in LIMITED)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table; 1 where the limit is broken."""
    parser = argparse.ArgumentParser(
        prog='python -m hiu_ros.ros.message_cost', description=__doc__.split(':')[0])
    parser.add_argument('--frames', type=int, default=200)
    costs = measure(max(2, parser.parse_args(arguments).frames))
    limited = float(np.median(costs.pop('limited')))
    print(f'Messages of two hands, {machine()}\n\n| message | median, ms | 95 %, ms |\n'
          '| --- | --- | --- |')
    for name, values in costs.items():
        print(f'| {name} | {1000 * np.median(values):.2f} | '
              f'{1000 * np.percentile(values, 95):.2f} |')
    print(f'\n{", ".join(LIMITED)} together: {1000 * limited:.2f} ms of {1000 * LIMIT:.0f} ms')
    return 0 if limited <= LIMIT else 1


if __name__ == '__main__':
    raise SystemExit(main())
