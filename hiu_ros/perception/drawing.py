"""Hands drawn over their image: mask tint, mesh, skeleton of one colour a finger, label."""

from collections.abc import Mapping, Sequence
from typing import Final

import cv2
import numpy as np
import torch

from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.rasteriser import interpolate, rasterise
from hiu_ros.hand.skeleton import BONES, FINGERS
from hiu_ros.perception.result import Hand, Hands

#: BGR, by finger; chosen to stay apart for colour-blind eyes and on skin.
FINGER_COLOURS: Final = {
    'thumb': (86, 180, 255), 'index': (115, 220, 100), 'middle': (235, 205, 60),
    'ring': (255, 140, 70), 'pinky': (235, 110, 215),
}
WRIST_COLOUR: Final = (245, 245, 245)
SIDE_COLOURS: Final = {'left': (255, 170, 60), 'right': (70, 130, 255)}
_DARK = (25, 25, 25)
_SHIFT = 4  # cv2 draws at 1 / 16 pixel
#: Shorter side, px, of images from which on lines and letters grow with them.
_LARGE: Final = 900


def draw(
    image: np.ndarray, hands: Hands, camera: Camera | None = None,
    faces: Mapping[str, np.ndarray] | None = None, labels: bool = True,
) -> np.ndarray:
    """A copy of an image (H, W, 3) uint8 BGR with the hands drawn in.

    faces: triangles by side (`Pipeline.faces`); where given the meshes are drawn too, by the
    camera for hands that have a place and else where they fit the joints best. Raises ValueError
    for an image of another kind, or of another size than the hands'.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f'image must be (H, W, 3) uint8 BGR, got {image.shape} {image.dtype}')
    if image.shape[:2] != (hands.height, hands.width):
        raise ValueError(f'image is {image.shape[1]} x {image.shape[0]} but the hands are of '
                         f'{hands.width} x {hands.height}')
    picture = image.copy()
    far_first = sorted(hands, key=lambda hand: -_distance(hand))
    for hand in far_first:
        _tint(picture, hand)
    if faces is not None:
        for hand in far_first:
            _mesh(picture, hand, camera, faces[hand.side])
    for hand in far_first:
        _skeleton(picture, hand)
    if labels:
        plates: list[tuple[int, int, int]] = []
        for hand in hands:
            plates.append(_label(picture, hand, plates))
    return picture


def _distance(hand: Hand) -> float:
    return 0.0 if hand.translation_m is None else float(hand.translation_m[2])


def _finest(picture: np.ndarray) -> int:
    """Width of the finest lines, px."""
    return max(1, round(min(picture.shape[:2]) / _LARGE))


def _tint(picture: np.ndarray, hand: Hand) -> None:
    """Colour the mask, and draw its outline."""
    if not hand.mask.any():
        return
    x, y = hand.mask_origin
    h, w = hand.mask.shape
    part = picture[y:y + h, x:x + w]
    inside = hand.mask > 0
    colour = np.array(SIDE_COLOURS[hand.side], np.float32)
    part[inside] = (0.72 * part[inside] + 0.28 * colour).astype(np.uint8)
    outlines, _ = cv2.findContours(
        np.ascontiguousarray(hand.mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y))
    cv2.drawContours(
        picture, outlines, -1, SIDE_COLOURS[hand.side], _finest(picture), cv2.LINE_AA)


def _skeleton(picture: np.ndarray, hand: Hand) -> None:
    """Bones and joints, dark rim first; joints that were not seen well are hollow."""
    points = hand.keypoints_px
    size = float(np.ptp(points, axis=0).max())
    fine = _finest(picture)
    thick = int(np.clip(round(size / 55), 1, 6 * fine))
    fixed = np.rint(np.clip(points, -1e4, 1e5) * 2 ** _SHIFT).astype(int)
    for rim in (True, False):
        for bone, (child, parent) in enumerate(BONES):
            colour = _DARK if rim else FINGER_COLOURS[FINGERS[bone // 4]]
            cv2.line(picture, tuple(map(int, fixed[parent])), tuple(map(int, fixed[child])),
                     colour, thick + 2 * fine * rim, cv2.LINE_AA, _SHIFT)
    radius = (0.9 * thick + 0.8) * 2 ** _SHIFT
    for k, point in enumerate(fixed):
        colour = WRIST_COLOUR if k == 0 else FINGER_COLOURS[FINGERS[(k - 1) // 4]]
        place = tuple(map(int, point))
        cv2.circle(
            picture, place, int(radius + fine * 2 ** _SHIFT), _DARK, -1, cv2.LINE_AA, _SHIFT)
        if hand.keypoints_valid[k]:
            cv2.circle(picture, place, int(radius), colour, -1, cv2.LINE_AA, _SHIFT)
        else:
            cv2.circle(picture, place, int(radius), colour, fine, cv2.LINE_AA, _SHIFT)


def _label(
    picture: np.ndarray, hand: Hand, plates: Sequence[tuple[int, int, int]]
) -> tuple[int, int, int]:
    """Name, score and distance on a dark plate above the hand, inside the image.

    Small images have no room for all of it: the distance is left out first, then the score.
    It moves up or down by whole plates where one of `plates` is: left, right and bottom, px, as
    this returns its own.
    """
    parts = [hand.id, f'{100 * hand.score:.0f}%']
    if hand.translation_m is not None:
        parts.append(f'{np.linalg.norm(hand.translation_m):.2f} m')
    height, width = picture.shape[:2]
    scale = max(min(height, width) / _LARGE, 0.34)
    pad, thick = max(2, int(5 * scale)), max(1, round(scale))
    while True:
        text = '  '.join(parts)
        (w, h), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        if len(parts) == 1 or w + 2 * pad <= width:
            break
        parts.pop()
    left = int(np.clip(hand.box[0], 0, max(0, width - w - 2 * pad)))
    tall, right = h + base + 2 * pad, left + w + 2 * pad
    wanted = int(np.clip(hand.box[1] - 3, tall, height))
    beside = [other for first, last, other in plates if left < last and first < right]
    places = [wanted + sign * k * tall for k in range(len(plates) + 1) for sign in (-1, 1)]
    bottom = next((place for place in places if tall <= place <= height and all(
        abs(place - other) >= tall for other in beside)), wanted)
    plate = picture[bottom - tall:bottom, left:right]
    plate[:] = (0.3 * plate).astype(np.uint8)
    cv2.line(picture, (left, bottom - 1), (left + plate.shape[1] - 1, bottom - 1),
             SIDE_COLOURS[hand.side], max(1, int(2 * scale)))
    cv2.putText(picture, text, (left + pad, bottom - base - pad), cv2.FONT_HERSHEY_SIMPLEX, scale,
                (255, 255, 255), thick, cv2.LINE_AA)
    return left, right, bottom


def _mesh(picture: np.ndarray, hand: Hand, camera: Camera | None, faces: np.ndarray) -> None:
    """The mesh, lit from the camera, half transparent."""
    vertices = _in_picture(hand, camera)
    if vertices is None:
        return
    height, width = picture.shape[:2]
    low = np.maximum(np.floor(vertices[:, :2].min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(vertices[:, :2].max(axis=0)).astype(int) + 1, [width, height])
    if (high <= low).any():
        return
    vertices = vertices - [*low, 0]
    raster = rasterise(
        torch.from_numpy(vertices[None]).float(), torch.from_numpy(np.array(faces, np.int64)),
        int(high[1] - low[1]), int(high[0] - low[0]))
    light = torch.from_numpy(_light(hand.vertices_m, faces))[:, None]
    shade = interpolate(raster, torch.from_numpy(np.array(faces, np.int64)), light)[0, ..., 0]
    inside = raster.covered[0].numpy()
    part = picture[low[1]:high[1], low[0]:high[0]]
    colour = shade.numpy()[inside][:, None] * np.array([225.0, 215.0, 205.0])
    part[inside] = (0.35 * part[inside] + 0.65 * colour).astype(np.uint8)


def _light(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) brightness 0..1 of vertices lit from the camera, float32."""
    corners = vertices[faces]
    # Longer than 1 by the face's area: large faces count for more.
    face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = np.zeros_like(vertices)
    np.add.at(normal, faces.reshape(-1), np.repeat(face_normal, 3, axis=0))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return (0.3 + 0.7 * np.clip(-normal[:, 2], 0, 1)).astype(np.float32)


def _in_picture(hand: Hand, camera: Camera | None) -> np.ndarray | None:
    """(V, 3) x px, y px and a depth of the mesh."""
    if camera is not None and hand.translation_m is not None:
        placed = hand.vertices_m + hand.translation_m
        pixels = camera.project(placed)
        depth = placed[:, 2:]
    else:
        # The shift and scale that bring the 3D joints nearest to the seen ones.
        flat, seen = hand.keypoints_m[:, :2], hand.keypoints_px
        centre, middle = flat.mean(axis=0), seen.mean(axis=0)
        scale = ((flat - centre) * (seen - middle)).sum() / max(((flat - centre) ** 2).sum(), 1e-9)
        pixels = (hand.vertices_m[:, :2] - centre) * scale + middle
        depth = hand.vertices_m[:, 2:] + 1.0
    return np.concatenate([pixels, depth], axis=1) if np.isfinite(pixels).all() else None
