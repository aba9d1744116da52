"""An engine without networks: what it sees is written into the first pixels of the image.

Pixel (0, 0): number of hands; where regions were given, their number counts. Pixel (0, 1): 255 a
bug in perception, 254 the device is lost, other values: so many milliseconds of work. Hands come
with a known distance where there is a camera_info, by depth where the frame has it. The device
'cuda' can never be used.
"""

import time
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from hiu_ros.perception.result import Hand, Hands, ScaleSource

COUNT = 777
TRIANGLES = np.random.default_rng(1).integers(0, COUNT, (1536, 3))


def rest_keypoints():
    """A flat right hand (21, 3) m: fingers along -x, thumb side +z, palm -y."""
    points = [(0.0, 0.0, 0.0)]
    for length in (0.03, 0.065, 0.095, 0.12):
        points.append((-0.7 * length, -0.1 * length, 0.7 * length))
    for z in (0.025, 0.005, -0.015, -0.035):
        points += [(-x, 0.0, z) for x in (0.09, 0.13, 0.155, 0.18)]
    return np.array(points)


def make_hand(number=1, side='right', at=(0.0, 0.0, 0.6), turn=(0.0, 0.0, 0.0), size=(640, 480)):
    """A stiff flat hand at a place in front of the camera, or at no known place."""
    rng = np.random.default_rng(number)
    rotation = Rotation.from_rotvec(turn).as_matrix()
    points = rest_keypoints()
    vertices = rng.uniform((-0.18, -0.015, -0.04), (0.0, 0.015, 0.04), (COUNT, 3))
    if side == 'left':
        points, vertices = points * (-1, 1, 1), vertices * (-1, 1, 1)
    points, vertices = points @ rotation.T, vertices @ rotation.T
    place = np.array(at if at is not None else (0.0, 0.0, 0.6))
    camera_points = points + place
    pixels = 500 * camera_points[:, :2] / camera_points[:, 2:] + np.array(size) / 2 - 0.5
    low, high = pixels.min(0), pixels.max(0)
    x, y = (int(value) for value in np.clip(low, 0, np.array(size) - 3))
    pose = np.zeros((16, 3))
    pose[0] = turn
    return Hand(
        id=f'{side}_{number}', side=side, side_score=0.9, score=0.8, box=(*low, *(high - low)),
        keypoints_px=pixels, keypoint_scores=np.linspace(0.2, 1.0, 21),
        keypoints_valid=np.arange(21) % 5 != 4, keypoints_m=points, vertices_m=vertices,
        pose=pose.ravel(), shape=np.linspace(-1, 1, 10), wrist_rotation=rotation,
        mask=np.full((20, 30), 255, np.uint8)[: size[1] - y, : size[0] - x], mask_origin=(x, y),
        translation_m=at, scale_source=(
            ScaleSource.ASSUMED_SIZE if at is None else ScaleSource.CAMERA_INFO),
        depth_sigma_m=0.02, residual_px=1.5,
    )


def make_hands(count=2, known=True, size=(640, 480)):
    """Up to some hands of one image, sides in turn."""
    return Hands(*size, tuple(
        make_hand(
            number, ('right', 'left')[number % 2], (0.1 * number, 0.0, 0.6) if known else None,
            (0.1 * number, 0.3, 0.0), size,
        )
        for number in range(count)
    ))


class FakeEngine:
    """Fulfils the engine protocol; see the head of this file."""

    model, vertex_count, triangles = 'fake', COUNT, TRIANGLES

    def __init__(self, options):
        self.options = options
        self.named = {}
        self.device = 'cpu' if options.device == 'cpu' else 'fake'
        if options.device == 'cuda':
            raise_device_error()

    def process(self, frames):
        results = []
        for frame in frames:
            height, width = frame.image.shape[:2]
            count, order = int(frame.image[0, 0, 0]), int(frame.image[0, min(1, width - 1), 0])
            if order == 255:
                raise IndexError('a bug in perception')
            if order == 254 and self.device != 'cpu':
                raise_device_error()
            if frame.boxes is not None:
                count = len(frame.boxes)
            time.sleep(order / 1000 if order < 250 else 0)
            hands = make_hands(min(count, 8), frame.camera is not None, (width, height))
            if frame.camera is not None and frame.depth is not None:
                hands = replace(hands, hands=tuple(
                    replace(hand, scale_source=ScaleSource.DEPTH) for hand in hands))
            results.append(hands)
        return results

    def reset(self):
        pass

    def name_on(self, named):
        self.named = named

    def update(self, options):
        if options.max_hands == 7:
            raise ValueError('seven hands are too many for this engine')

    def draw(self, frame, hands):
        result = frame.image.copy()
        result[-1, -1] = len(hands)
        return result

    def memory_bytes(self):
        return 0

    def close(self):
        pass


def raise_device_error():
    from hiu_ros.ros.engine import DeviceError

    raise DeviceError('CUDA error: out of memory')
