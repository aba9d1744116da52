"""Pictures of what a network makes of some crops: maps of every stage, mask and mesh."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from hiu_ros.geometry.rasteriser import rasterise
from hiu_ros.hand.model import HandModel
from hiu_ros.hand.skeleton import BONES
from hiu_ros.network.hiu import HIU, StageOutput
from hiu_ros.network.readout import joint_positions
from hiu_ros.training.batch import Batch
from hiu_ros.training.silhouettes import reproject

TILE = 128
_LIGHT = np.array([0.3, -0.5, -0.81], np.float32)
#: Colour of a finger's bones, thumb to pinky, BGR.
_FINGERS = ((60, 60, 230), (60, 180, 230), (70, 200, 70), (220, 160, 50), (210, 70, 180))


@torch.inference_mode()
def sheet(model: HIU, hand: HandModel, batch: Batch, count: int = 4) -> np.ndarray:
    """One row a crop, BGR uint8: the label, then of each stage joints, field, mask and mesh."""
    images = batch.images[:count]
    outputs = model(images)
    rows = []
    for i, image in enumerate(images):
        picture = to_picture(image)
        label = batch.keypoints[i].cpu().numpy()
        known = batch.keypoint_weights[i].cpu().numpy() > 0
        row = [skeleton(picture, label, known)]
        for output in outputs:
            one = StageOutput(*(value[i:i + 1].float() for value in output))
            row += [joints(picture, one, model.config.heatmap_readout), field(one),
                    mask(picture, one), mesh(picture, one, hand)]
        rows.append(np.concatenate([_tile(tile) for tile in row], 1))
    return np.concatenate(rows, 0)


def to_picture(image: Tensor) -> np.ndarray:
    """(3, n, n) in -1..1 to (n, n, 3) uint8."""
    values = (image.float().cpu().permute(1, 2, 0).numpy() + 1) * 127.5
    return np.ascontiguousarray(values.round().clip(0, 255).astype(np.uint8))


def skeleton(picture: np.ndarray, points: np.ndarray, known: np.ndarray | None = None,
             colours: Sequence[tuple[int, int, int]] = _FINGERS) -> np.ndarray:
    """The picture with the bones whose two ends are known (None: all); points (21, 2) pixels,
    colours BGR of the fingers."""
    drawn = picture.copy()
    for bone, (child, parent) in enumerate(BONES):
        if known is None or (known[child] and known[parent]):
            ends = (np.round(points[k]).astype(int).tolist() for k in (child, parent))
            cv2.line(drawn, *ends, colours[bone // 4], 1, cv2.LINE_AA)
    return drawn


def joints(picture: np.ndarray, output: StageOutput, readout: str) -> np.ndarray:
    """Heat of all joints over the darkened picture, and the joints read off it."""
    where, certainty, maps = joint_positions(output.heatmaps, readout)
    heat = (maps / maps.amax((2, 3), keepdim=True).clamp_min(1e-6)).amax(1)[0].cpu().numpy()
    n = picture.shape[0]
    heat = cv2.applyColorMap((cv2.resize(heat, (n, n)) * 255).astype(np.uint8),
                             cv2.COLORMAP_INFERNO)
    step = n / maps.shape[-1]
    points = ((where[0] + 0.5) * step - 0.5).cpu().numpy()
    return skeleton(cv2.addWeighted(picture, 0.4, heat, 0.6, 0), points,
                    certainty[0].cpu().numpy() > 0.3)


def field(output: StageOutput) -> np.ndarray:
    """The part orientation field: hue its direction in the image, brightness its length."""
    fields = output.pof[0].unflatten(0, (len(BONES), 3)).cpu().numpy()
    longest = np.linalg.norm(fields, axis=1).argmax(0)
    u, v, z = np.take_along_axis(fields, longest[None, None], 0)[0]
    hue = (np.arctan2(v, u) / (2 * np.pi) * 180) % 180
    length = np.sqrt(u * u + v * v + z * z).clip(0, 1)
    values = np.stack([hue, np.full_like(hue, 220), length * 255], 2).astype(np.uint8)
    return cv2.cvtColor(values, cv2.COLOR_HSV2BGR)


def mask(picture: np.ndarray, output: StageOutput) -> np.ndarray:
    """The picture tinted where the mask is."""
    n = picture.shape[0]
    chance = cv2.resize(output.mask[0, 0].sigmoid().cpu().numpy(), (n, n))[..., None]
    return (picture * (1 - 0.6 * chance) + np.array([80, 220, 80]) * 0.6 * chance).astype(
        np.uint8)


def mesh(picture: np.ndarray, output: StageOutput, hand: HandModel) -> np.ndarray:
    """The hand's mesh, lit, over the picture."""
    n = picture.shape[0]
    vertices = hand(output.rotations, output.shape).vertices
    flat = reproject(vertices, output.camera) * n - 0.5
    raster = rasterise(torch.cat([flat, vertices[..., 2:] + 1], 2).cpu(), hand.faces.cpu(), n, n)
    corners = vertices[0].cpu()[hand.faces.cpu()]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = torch.nn.functional.normalize(normals, dim=1).numpy()
    shade = (0.35 + 0.65 * (normals @ _LIGHT).clip(0, 1))[raster.face[0].numpy()]
    colour = shade[..., None] * np.array([170, 190, 225], np.float32)
    covered = raster.covered[0].numpy()[..., None]
    return np.where(covered, colour, picture).astype(np.uint8)


def _tile(picture: np.ndarray) -> np.ndarray:
    way = cv2.INTER_AREA if picture.shape[0] > TILE else cv2.INTER_LINEAR
    return cv2.resize(picture, (TILE, TILE), interpolation=way)
