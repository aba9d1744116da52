"""Running the FreiHAND and HO3D challenges: predictions, their file, and the scores."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hiu_ros.data.sample import Sample
from hiu_ros.data.sets.freihand import IMAGE_SIZE, FreiHAND
from hiu_ros.data.sets.ho3d import HO3D
from hiu_ros.evaluation import freihand_protocol, ho3d_protocol, published
from hiu_ros.evaluation.freihand_protocol import ProtocolError
from hiu_ros.evaluation.predictor import Predict, cameras_of
from hiu_ros.evaluation.tables import table
from hiu_ros.hand.mano_file import TIP_VERTICES, load_joint_regressor
from hiu_ros.hand.skeleton import KEYPOINTS_FROM_JOINTS
from hiu_ros.output_file import check_output
from hiu_ros.perception.result import Hand

#: Keypoints (21, 3) and vertices (V, 3) of a predicted hand, m.
ReadHand = Callable[[Hand], tuple[np.ndarray, np.ndarray]]


def keypoints_and_vertices(hand: Hand) -> tuple[np.ndarray, np.ndarray]:
    """What perception says, as it is."""
    return hand.keypoints_m, hand.vertices_m


def freihand_joints(mano_file: str | Path) -> ReadHand:
    """Joints as FreiHAND labels them: MANO's regressor on the posed vertices, vertices as tips.

    For hands of the user's own MANO file. The joints of the kinematic chain differ by some tenths
    of a millimetre, because posed skin moves the regressed ones.
    """
    regressor = load_joint_regressor(mano_file)
    order = list(KEYPOINTS_FROM_JOINTS)

    def read(hand: Hand) -> tuple[np.ndarray, np.ndarray]:
        if len(hand.vertices_m) != regressor.shape[1]:
            raise ValueError(f'a mesh of {len(hand.vertices_m)} vertices is not MANO')
        joints = regressor @ hand.vertices_m
        points = np.concatenate([joints, hand.vertices_m[list(TIP_VERTICES)]])
        return points[order], hand.vertices_m

    return read


def predict_all(
    data: FreiHAND | HO3D, predict: Predict, box_of: Callable[[Sample], np.ndarray],
    read: ReadHand = keypoints_and_vertices, batch: int = 32, count: int | None = None,
    quiet: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, 21, 3) and vertices (N, V, 3) of the first `count` samples, metres."""
    count = min(count or len(data), len(data))
    joints, vertices = [], []
    for start in tqdm(range(0, count, batch), 'samples', mininterval=2, disable=quiet):
        samples = [data[index] for index in range(start, min(start + batch, count))]
        images = [sample.read_image() for sample in samples]
        hands = predict(images, [box_of(sample) for sample in samples],
                        cameras_of(samples, images))
        for _, hand in zip(samples, hands, strict=True):
            points, mesh = read(hand)
            joints.append(points)
            vertices.append(mesh)
    return np.stack(joints), np.stack(vertices)


def freihand_box(sample: Sample) -> np.ndarray:
    """The true joints' box where there is one, else two thirds of the image about its middle."""
    if sample.keypoints_px is not None:
        return sample.joint_box()
    side = IMAGE_SIZE / 1.5
    return np.array([(IMAGE_SIZE - 1 - side) / 2] * 2 + [side] * 2)


def freihand(
    root: Path, predict: Predict | None, file: Path | None, batch: int, count: int | None,
    read: ReadHand = keypoints_and_vertices,
) -> dict[str, float]:
    """Predict the evaluation split, or read `file`, and score against the truth beside it.

    Without that truth predictions are only written, to `file`; ProtocolError if there is none.
    """
    if predict is None:
        truth = freihand_protocol.read_truth(root)
        joints, vertices = freihand_protocol.read_predictions(file, len(truth['joints']))
    else:
        data, truth = FreiHAND(root, 'evaluation'), _truth_if_needed(root, file)
        joints, vertices = predict_all(data, predict, freihand_box, read, batch, count)
        if file:
            freihand_protocol.write_predictions(file, joints, vertices)
            print(f'{len(joints)} predictions written to {file}')
    if truth is None:
        return {'hands': len(joints)}
    true_joints, true_vertices = (truth[name][:len(joints)] for name in ('joints', 'vertices'))
    return {'hands': len(joints),
            **freihand_protocol.evaluate(true_joints, joints, true_vertices, vertices)}


def ho3d(
    root: Path, predict: Predict | None, file: Path | None, batch: int, count: int | None,
    read: ReadHand = keypoints_and_vertices,
) -> dict[str, float]:
    """The same for HO3D, whose boxes and wrists come with the images; in its frame and order."""
    if predict is None:
        truth = freihand_protocol.read_truth(root)
        joints, vertices = freihand_protocol.read_predictions(file, len(truth['joints']))
    else:
        data, truth = HO3D(root, 'evaluation'), _truth_if_needed(root, file)
        points, meshes = predict_all(data, predict, lambda s: s.box, read, batch, count)
        wrists = np.stack([data.root_m(index) for index in range(len(points))])[:, None]
        meshes = meshes - points[:, :1] + wrists
        points = points - points[:, :1] + wrists
        if file:
            ho3d_protocol.write_predictions(file, points, meshes)
            print(f'{len(points)} predictions written to {file}')
        joints = ho3d_protocol.to_opengl(ho3d_protocol.to_joints(points))
        vertices = ho3d_protocol.to_opengl(meshes)
    if truth is None:
        return {'hands': len(joints)}
    true_joints, true_vertices = (truth[name][:len(joints)] for name in ('joints', 'vertices'))
    return {'hands': len(joints),
            **ho3d_protocol.evaluate(true_joints, joints, true_vertices, vertices)}


def _truth_if_needed(root: Path, file: Path | None) -> Mapping[str, np.ndarray] | None:
    """The truth; None, and a line that says so, where it is missing but a `file` is written."""
    try:
        return freihand_protocol.read_truth(root)
    except ProtocolError as error:
        if file is None:
            raise
        print(f'predictions are written but not scored: {error}')
        return None


def evaluate_challenge(arguments, predict: Predict | None) -> list[dict]:
    """What `hiu evaluate --dataset freihand|ho3d` does; prints, and returns the figures."""
    if predict is None and arguments.predictions is None:
        raise ValueError('--score needs --predictions FILE')
    if predict is not None and arguments.predictions:
        check_output(arguments.predictions)
    name = arguments.dataset
    read = freihand_joints(arguments.mano) if arguments.mano else keypoints_and_vertices
    figures = {'freihand': freihand, 'ho3d': ho3d}[name](
        arguments.root, predict, arguments.predictions, arguments.batch, arguments.count, read)
    version = name
    if name == 'ho3d':
        counts = {count: key for key, count in ho3d_protocol.EVALUATION_COUNTS.items()}
        whole = figures['hands'] if predict is None else len(HO3D(arguments.root, 'evaluation'))
        version = f'ho3d_{counts.get(whole, "v3")}'
    who = str(arguments.predictions if predict is None else arguments.weights)
    boxes = 'true boxes' if name == 'freihand' else 'boxes as given'
    by = 'this run, of a prediction file' if predict is None else f'this run, {boxes}'
    rows = [row.as_row() for row in published.TABLES[version]]
    rows.append({'set': who, 'by': by, **figures})
    print(table(rows, published.COLUMNS, f'{version}, {figures["hands"]} samples'))
    others = ', '.join(f'{key} {value:.3f}' for key, value in figures.items()
                       if key not in published.COLUMNS and key != 'hands')
    if others:
        print(f'further figures of this run: {others}')
    return rows
