"""Rendered video of moving hands with exact truth; needs no file but the package's own.

`python -m hiu_ros.data.renders.sequences OUT.mp4` writes a clip and, beside it, its truth.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from hiu_ros.command_errors import in_one_line
from hiu_ros.data.renders.appearance import SkinLibrary, sample_light, sample_skin
from hiu_ros.data.renders.articulation import joint_rotations
from hiu_ros.data.renders.backdrop import Backdrop
from hiu_ros.data.renders.motion import HandMotion, Moment
from hiu_ros.data.renders.renderer import Renderer
from hiu_ros.data.renders.scenes import ScenePlan, SceneSampler
from hiu_ros.data.renders.stage import HELD, MAIN, Stage
from hiu_ros.data.renders.things import Thing, held_thing
from hiu_ros.geometry.rotations import matrix_to_axis_angle
from hiu_ros.hand.model import HandModel, load_template

#: Raised where the same arguments come to give other pictures: kept videos go by it, as the one
#: frame that is rendered anew does not show every change.
EDITION = 2
_FLIP = np.array([-1.0, 1.0, 1.0], dtype=np.float32)
_GRAIN_SPARE = 97
_POSE_FLIP = np.array([1.0, -1.0, -1.0], dtype=np.float32)


@dataclass(frozen=True)
class HandTruth:
    """What is true of one hand in one frame.

    keypoints_px: (21, 2) full image; keypoints_m: (21, 3) camera axes, absolute; translation:
    (3,) of the wrist; pose: (48,) and shape: (10,) of the side's own model; mask: (H, W) uint8,
    255 where this hand (no forearm) is seen; visible: share of the hand's outline that is seen,
    0..1, where it holds a thing of what that leaves; vertices: (V, 3) of the 'fast' mesh,
    absolute, or None.
    """

    id: int
    side: str
    keypoints_px: np.ndarray
    keypoints_m: np.ndarray
    translation: np.ndarray
    pose: np.ndarray
    shape: np.ndarray
    mask: np.ndarray
    visible: float
    vertices: np.ndarray | None = None


@dataclass(frozen=True)
class Frame:
    """One picture (H, W, 3) uint8 BGR with its truth; depth (H, W) float32 metres, inf far."""

    image: np.ndarray
    hands: list[HandTruth]
    time: float
    depth: np.ndarray | None = None


@dataclass
class _Actor:
    id: int
    side: str
    motion: HandMotion
    scene: ScenePlan


@dataclass
class _Layer:
    colour: np.ndarray
    alpha: np.ndarray
    mask: np.ndarray
    depth: np.ndarray
    whole: float
    rows: slice
    columns: slice


class HandSequence:
    """A video of moving hands: `for frame in HandSequence(seed=3, hands=2): ...`.

    The same arguments always give the same frames. `camera_matrix` is K of the ideal (pinhole)
    camera; pixel centres are at integers. Hands do not pass through each other: one that is
    nearer throughout hides the others, arm and all, though their paths would meet.
    """

    def __init__(self, seed: int = 0, hands: int = 2, width: int = 640, height: int = 480,
                 frames: int = 300, rate: float = 30.0, noise: float = 1.5,
                 with_depth: bool = False, with_vertices: bool = False,
                 supersample: int = 2, distance: float | None = None,
                 holding: bool = False) -> None:
        """hands: 1 to 4; noise: deviation of the pixel noise, 0..255. ValueError otherwise.

        distance: metres that the nearest hands are away on average, None for about 0.45. holding:
        each hand holds a thing, and its fingers keep their grasp.
        """
        if not 1 <= hands <= 4:
            raise ValueError(f'hands must be 1 to 4, got {hands}')
        if seed < 0:
            raise ValueError(f'seed is {seed}, expected at least 0')
        if min(width, height, frames) < 1 or not rate > 0:
            raise ValueError(
                f'need a positive size, frame count and rate, got {width}x{height}, '
                f'{frames} frames, {rate} Hz')
        self.seed, self.width, self.height = seed, width, height
        self.frames, self.rate, self.noise = frames, rate, noise
        self.with_depth, self.with_vertices = with_depth, with_vertices
        self.supersample, self.distance = supersample, distance
        focal = 0.95 * max(width, height)
        self.camera_matrix = np.array(
            [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        stage = Stage()
        self._renderer = Renderer(stage, SkinLibrary(None))
        self._fast = HandModel(load_template('fast')) if with_vertices else None
        rng = np.random.default_rng([seed, 77])
        self._backdrop = Backdrop(rng, width, height)
        # One piece of noise is shifted at random: drawing it anew costs more than a hand.
        self._grain = self.noise * np.random.default_rng([seed, 98]).standard_normal(
            (height + _GRAIN_SPARE, width + _GRAIN_SPARE, 3), dtype=np.float32)
        self._actors = self._cast(rng, SceneSampler(stage.model), hands, holding)

    def _cast(self, rng, sampler, count, holding):
        """Hands in pairs of one person: the same skin, sleeves and light."""
        duration = self.frames / self.rate
        actors, scene = [], None
        light = sample_light(rng)
        shapes = None
        for number in range(count):
            if number % 2 == 0:
                scene = replace(sampler.sample(rng), second=None, held=None, front=None)
                shapes = sampler.sample_shape(rng)
                skin = sample_skin(rng, 0)
                gain = np.clip(0.30 / skin.tone.mean(), 0.7, 3) ** 0.5
                scene = replace(scene, skin=skin, light=replace(
                    light, harmonics=light.harmonics * gain, colour=light.colour * gain))
            side = 'right' if number % 2 == (self.seed % 2) else 'left'
            far = 0.44 + 0.18 * (number // 2) + rng.uniform(-0.03, 0.08)
            if self.distance is not None:
                far = self.distance + 0.18 * (number // 2)
            half = far * 0.5 * self.width / self.camera_matrix[0, 0]
            lane = 0.0 if count == 1 else (0.45 if side == 'right' else -0.45)
            # A right hand seen by its owner's camera is on the right; sometimes they cross.
            centre = np.array([lane * half, 0.02, far])
            reach = np.array([half * (0.40 if count == 1 else 0.65), 0.05, 0.08])
            late = rng.uniform(0, 0.25) * duration if number else -2.0
            early = rng.uniform(0.75, 1.0) * duration if number else duration + 2
            if duration < 4:
                late, early = -2.0, duration + 2
            grasp = thing = None
            if holding:
                grasp, thing = _grasp(np.random.default_rng([self.seed, 78, number]), sampler,
                                      shapes)
            motion = HandMotion(rng, sampler.poses, shapes, duration, (late, early), centre,
                                reach, grasp)
            actors.append(_Actor(number, side, motion, replace(scene, held=thing)))
        return actors

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.frames):
            yield self.frame(index)

    def frame(self, index: int) -> Frame:
        """Render one frame; any order."""
        time = index / self.rate
        image = self._backdrop.at(time)
        depth = np.full(image.shape[:2], np.inf, dtype=np.float32)
        seen: list[tuple[_Actor, dict, _Layer]] = []
        for actor in sorted(self._actors, key=lambda actor: -actor.motion.centre[2]):
            moment = actor.motion.at(time)
            if moment is None:
                continue
            truth, layer = self._draw(actor, moment)
            if layer is None:
                continue
            box, alpha = (layer.rows, layer.columns), layer.alpha
            image[box] = image[box] * (1 - alpha[..., None]) + layer.colour
            depth[box] = np.where(alpha > 0.49, layer.depth, depth[box])
            for _, _, other in seen:
                other.mask[box] *= 1 - alpha
            mask = np.zeros(image.shape[:2], dtype=np.float32)
            mask[box] = layer.mask
            layer.mask = mask
            seen.append((actor, truth, layer))
        seen.sort(key=lambda one: one[0].id)
        hands = []
        for actor, truth, layer in seen:
            mask = (layer.mask * 255 + 0.5).astype(np.uint8)
            visible = float(np.clip(layer.mask.sum() / max(layer.whole, 1), 0, 1))
            hands.append(HandTruth(actor.id, actor.side, mask=np.where(mask > 127, 255, 0).astype(
                np.uint8), visible=visible, **truth))
        if self.noise > 0:
            y, x = np.random.default_rng([self.seed, 99, index]).integers(0, _GRAIN_SPARE, 2)
            image = image + self._grain[y:y + self.height, x:x + self.width]
        image = np.clip(image + 0.5, 0, 255).astype(np.uint8)
        return Frame(image, hands, time, depth if self.with_depth else None)

    def _draw(self, actor: _Actor, moment: Moment):
        """Render one hand into the part of the frame that it covers (left hands mirrored)."""
        left = actor.side == 'left'
        place, light = moment.place.copy(), actor.scene.light
        cx, cy = self.camera_matrix[:2, 2]
        focal = float(self.camera_matrix[0, 0])
        if left:
            place[0] = -place[0]
            cx = self.width - 1 - cx
            light = replace(light, direction=light.direction * _FLIP)
        plan = replace(actor.scene, hand=moment.plan, light=light)
        with torch.no_grad():
            posed = self._renderer.pose([plan])
            shift = torch.from_numpy(place).float() - posed.keypoints[0].mean(0)
            points = (posed.keypoints[0] + shift).numpy()
            ray = points[:, :2] / points[:, 2:]
            pixels = ray * focal + [cx, cy]
            x0, y0, x1, y1 = self._window(posed, shift, pixels, focal, cx, cy)
            truth = self._truth(moment.plan, points, left)
            inside = slice(max(y0, 0), min(y1, self.height)), slice(max(x0, 0),
                                                                    min(x1, self.width))
            if inside[0].stop <= inside[0].start or inside[1].stop <= inside[1].start:
                return truth, None
            n = self.supersample
            height, width = y1 - y0, x1 - x0
            camera = torch.tensor([[focal * n, focal * n, (cx - x0 + 0.5) * n - 0.5,
                                    (cy - y0 + 0.5) * n - 0.5]])
            drawn = self._renderer.draw(posed, [plan], shift[None], camera, height * n, width * n)
            depth = drawn.found.scatter(drawn.found.depth, torch.inf)[0]
            planes = torch.cat([drawn.colour, drawn.covered[..., None], drawn.hand[..., None]],
                               -1)
            planes = avg_pool2d(planes.permute(0, 3, 1, 2), n)[0].numpy()
            near = -torch.nn.functional.max_pool2d(-depth[None], n)[0].numpy()
        colour = np.ascontiguousarray(planes[2::-1].transpose(1, 2, 0)) * 255
        cut = slice(inside[0].start - y0, inside[0].stop - y0), slice(
            inside[1].start - x0, inside[1].stop - x0)
        rows, columns = inside
        layers = [colour[cut], planes[3][cut], planes[4][cut], near[cut]]
        if left:
            layers = [layer[:, ::-1] for layer in layers]
            columns = slice(self.width - columns.stop, self.width - columns.start)
        return truth, _Layer(*layers, float(planes[4].sum()), rows, columns)

    def _window(self, posed, shift, pixels, focal, cx, cy):
        """What to draw: all of the hand, in the frame or not; arm and thing inside the frame."""
        margin = 0.15 * (pixels.max(0) - pixels.min(0)).max() + 8
        own_low, own_high = pixels.min(0) - margin, pixels.max(0) + margin
        slots = self._renderer.stage.slots
        rows = [slots[MAIN].rows] + [slots[HELD].rows] * bool(posed.present[0, HELD])
        rest = torch.cat([posed.welded[0, part] for part in rows]) + shift
        rest = rest[rest[:, 2] > 0.02].numpy()
        rest = rest[:, :2] / rest[:, 2:] * focal + [cx, cy]
        size = np.array([self.width, self.height])
        low = np.minimum(own_low, np.clip(rest.min(0) - 12, 0, size))
        high = np.maximum(own_high, np.clip(rest.max(0) + 12, 0, size))
        return *np.floor(low).astype(int).tolist(), *np.ceil(high).astype(int).tolist()

    def _truth(self, plan, points, left):
        theta = matrix_to_axis_angle(torch.from_numpy(plan.rotations).float()).numpy()
        vertices = None
        if self._fast is not None:
            geometry = self._fast(torch.from_numpy(plan.rotations[None]).float(),
                                  torch.from_numpy(plan.shape[None]).float())
            vertices = geometry.vertices[0].numpy() + points[0]
        if left:
            points, theta = points * _FLIP, theta * _POSE_FLIP
            vertices = None if vertices is None else vertices * _FLIP
        k = self.camera_matrix
        pixels = points[:, :2] / points[:, 2:] * k[0, 0] + k[:2, 2]
        return {'keypoints_px': pixels.astype(np.float32),
                'keypoints_m': points.astype(np.float32),
                'translation': points[0].astype(np.float32),
                'pose': theta.reshape(-1).astype(np.float32),
                'shape': plan.shape.astype(np.float32), 'vertices': vertices}


def _grasp(rng: np.random.Generator, sampler: SceneSampler, shape: np.ndarray
           ) -> tuple[np.ndarray, Thing]:
    """Angles (21,) of a hand of a shape (10,), and the thing that it holds."""
    angles = sampler.poses.sample_grasp(rng)
    keypoints = sampler.model.keypoints(
        torch.from_numpy(joint_rotations(angles)).float(), torch.from_numpy(shape[None]).float())
    return angles, held_thing(keypoints[0].numpy().astype(float), rng)


def write_clip(path: str | Path, sequence: HandSequence) -> Path:
    """Write an mp4 and beside it NAME.json with K and the truth of each frame but the masks.

    OSError where OpenCV cannot write the video.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), sequence.rate,
                            (sequence.width, sequence.height))
    if not video.isOpened():
        raise OSError(f'OpenCV cannot write the video {path}')
    rows = []
    for frame in sequence:
        video.write(frame.image)
        rows.append({'time': frame.time, 'hands': [{
            'id': hand.id, 'side': hand.side, 'visible': round(hand.visible, 3),
            'keypoints_px': hand.keypoints_px.round(2).tolist(),
            'keypoints_m': hand.keypoints_m.round(5).tolist(),
            'pose': hand.pose.round(5).tolist(), 'shape': hand.shape.round(4).tolist(),
        } for hand in frame.hands]})
    video.release()
    truth = path.with_suffix('.json')
    truth.write_text(json.dumps({
        'width': sequence.width, 'height': sequence.height, 'rate': sequence.rate,
        'seed': sequence.seed, 'K': sequence.camera_matrix.tolist(), 'frames': rows}))
    return truth


def main(arguments: list[str] | None = None) -> None:
    """Command line of the rendered clip."""
    parser = argparse.ArgumentParser(
        prog='python -m hiu_ros.data.renders.sequences',
        description='Render a video of moving hands with its truth beside it.')
    parser.add_argument('out', help='video file, .mp4')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--hands', type=int, default=2)
    parser.add_argument('--frames', type=int, default=300)
    parser.add_argument('--rate', type=float, default=30.0)
    parser.add_argument('--holding', action='store_true', help='each hand holds a thing')
    parser.add_argument('--size', type=int, nargs=2, default=(640, 480), metavar=('W', 'H'))
    options = parser.parse_args(arguments)
    # The pieces of work are small: more threads would wait for each other most of the time.
    torch.set_num_threads(1)
    with in_one_line(parser):
        truth = write_clip(options.out, HandSequence(
            options.seed, options.hands, *options.size, options.frames, options.rate,
            holding=options.holding))
    print(f'{options.out} and {truth}')


if __name__ == '__main__':
    main()
