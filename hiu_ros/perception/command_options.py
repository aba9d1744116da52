"""Options that `hiu predict` and `hiu follow` share: pipeline, camera, and what is written."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiu_ros.picture_file import check_folder

if TYPE_CHECKING:
    from hiu_ros.geometry.camera import Camera
    from hiu_ros.hand.template import HandTemplate
    from hiu_ros.perception.options import PipelineOptions

#: Bytes of an image's name that go into the names of its masks and pictures.
_LONGEST_STEM = 200


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Where masks and meshes go, and how hands are drawn; a command has its own --json, --draw."""
    parser.add_argument('--masks', metavar='DIR', help='write a full-size PNG (0 / 255) a hand')
    parser.add_argument('--meshes', metavar='DIR', help='write a mesh a hand')
    parser.add_argument('--mesh-format', default='npz', choices=('npz', 'obj'),
                        help='of --meshes: npz (arrays vertices, faces) for programs, obj for '
                        'mesh viewers')
    parser.add_argument('--draw-mesh', action='store_true', help='draw the meshes, too')


def add_pipeline(parser: argparse.ArgumentParser, views: int, max_hands: int) -> None:
    """The camera and the pipeline, with a command's own defaults."""
    parser.add_argument('--intrinsics', nargs=4, type=float, metavar=('FX', 'FY', 'CX', 'CY'),
                        help='pinhole camera of all images, pixels: hands get a place in metres')
    parser.add_argument('--hand-length', type=float, metavar='M',
                        help='wrist to middle finger tip along the bones, if it is known')
    parser.add_argument('--weights', metavar='FILE', help='hand network, or hiu_lite, the smaller '
                        'and faster one that ships (default: the larger one)')
    parser.add_argument('--mano', metavar='FILE', help='your MANO_RIGHT.pkl or MANO_LEFT.pkl, for '
                        'meshes of that hand; weights that were trained with it need it')
    parser.add_argument('--finder-weights', metavar='FILE', help='finder (default: the shipped)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1, ...')
    parser.add_argument('--views', type=int, default=views, metavar='N',
                        help='looks at each hand that are averaged, 1 to 6 (default: '
                        '%(default)s); 1 is fastest')
    parser.add_argument('--detail', default='fast', choices=('fast', 'render'),
                        help='mesh of the shipped hand: about 777 or 1609 vertices')
    parser.add_argument('--max-hands', type=int, default=max_hands, metavar='N',
                        help='hands of an image at most (default: %(default)s)')
    parser.add_argument('--min-score', type=float, default=0.5, metavar='P',
                        help='score from which a region counts as a hand (default: %(default)s)')
    parser.add_argument('--small-hands', action='store_true',
                        help='search parts of the image, too; slower')
    parser.add_argument('--mirrored', action='store_true',
                        help='the images are mirrored (selfie cameras)')


def check_outputs(options: argparse.Namespace) -> None:
    """ValueError where nothing is to be written, or where options do not go together."""
    if not (options.json or options.masks or options.meshes or options.draw):
        raise ValueError('nothing to write: give --json OUT, --masks, --meshes or --draw')
    if options.draw_mesh and options.mirrored:
        raise ValueError('--draw-mesh cannot go with --mirrored: meshes are of the world, and the '
                         'picture is of the mirror')
    if options.draw_mesh and not options.draw:
        raise ValueError('--draw-mesh needs --draw, which says where pictures go')
    if options.mesh_format != 'npz' and not options.meshes:
        raise ValueError('--mesh-format needs --meshes DIR, which names the folder of the meshes')
    for option in ('masks', 'meshes'):
        check_folder(option, getattr(options, option))


def make_folders(folders: Sequence[str | None]) -> None:
    """Make folders to write into; PermissionError where that is not allowed."""
    for folder in folders:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(f'no permission to write into {folder}; name another folder')


def pipeline_options(options: argparse.Namespace, **others: Any) -> 'PipelineOptions':
    """The options of a pipeline; in a ValueError they are named as on the command line."""
    from hiu_ros.perception.options import PipelineOptions

    with _as_given():
        return PipelineOptions(
            weights=options.weights, finder_weights=options.finder_weights, device=options.device,
            max_hands=options.max_hands, min_score=options.min_score, detail=options.detail,
            hand_length_m=options.hand_length, small_hands=options.small_hands,
            mirrored_input=options.mirrored, views=options.views, **others)


def hand_template(options: argparse.Namespace) -> 'HandTemplate | None':
    """The hand that --mano names, None for the shipped one; raises as `load_mano`."""
    if not options.mano:
        return None
    from hiu_ros.hand.mano_file import load_right_mano

    return load_right_mano(options.mano)


@contextmanager
def _as_given() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        words = re.sub(r'PipelineOptions\.(\w+?)(_m)? is',
                       lambda name: f'--{name[1].replace("_", "-")} is', str(error))
        raise ValueError(words.removesuffix(' or None')) from error


class Cameras:
    """The cameras of images; where one is hardly theirs that is said on standard error, once."""

    def __init__(self, command: str, intrinsics: Sequence[float] | None) -> None:
        """intrinsics: of the command line, fx, fy, cx, cy."""
        self._command, self._intrinsics = command, intrinsics
        self._told: set[str] = set()

    def of(self, file: str, width: int, height: int,
           beside: Sequence[float] | None = None) -> 'Camera | None':
        """The camera of an image; None where nothing tells it, CameraError for what is none.

        beside: what the file brings along, for want of those of the command line.
        """
        given = beside if self._intrinsics is None else self._intrinsics
        if given is None:
            return None
        from hiu_ros.geometry.camera import Camera, CameraError

        source = '--intrinsics' if given is self._intrinsics else f'K beside {file}'
        try:
            camera = Camera(*given, width, height)
        except CameraError as error:
            raise CameraError(f'{source}: {error}') from error
        doubt = camera.doubt()
        if doubt and doubt not in self._told:
            self._told.add(doubt)
            of = f' hardly those of {file}' if given is self._intrinsics else ' doubtful'
            print(f'hiu {self._command}: {source} are{of}: {doubt}{_other_order(camera)}',
                  file=sys.stderr)
        return camera


def _other_order(camera: 'Camera') -> str:
    """What to say of doubtful intrinsics that would fit in another usual order, in which the focal
    lengths differ by no larger factor."""
    fx, fy, cx, cy = given = (camera.fx, camera.fy, camera.cx, camera.cy)
    for order, read in (('CX CY FX FY', (cx, cy, fx, fy)), ('FX CX FY CY', (fx, cx, fy, cy))):
        if min(read) <= 0 or abs(log(read[0] / read[1])) > abs(log(fx / fy)):
            continue
        if not type(camera)(*read, camera.width, camera.height).doubt():
            numbers = ' '.join(f'{value:g}' for value in given)
            return f'; they go FX FY CX CY, and {numbers} looks like {order}'
    return ''


def short_stem(file: str) -> str:
    """A file's stem, no longer than leaves room for what masks and meshes add to it."""
    return os.fsdecode(os.fsencode(Path(file).stem)[:_LONGEST_STEM])


def is_stream(path: str) -> bool:
    """Whether a path is '-', a pipe or a device: what is written to and cannot be replaced."""
    return path == '-' or os.path.exists(path) and not os.path.isfile(path)
