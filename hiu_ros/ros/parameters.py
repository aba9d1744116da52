"""Every parameter of the node in one table: default, limits, description, live or not.

The table makes the descriptors that `ros2 param describe` shows, the checks, the frozen
`NodeOptions` that the node reads, config/hiu.yaml and the README's table.
"""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields, make_dataclass
from difflib import get_close_matches
from typing import Any, Final

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from hiu_ros.hand.size import LENGTH_RANGE


@dataclass(frozen=True)
class Row:
    """One parameter. The type is that of the default; () stands for a list of strings."""

    name: str
    default: Any
    description: str
    live: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def type(self) -> Parameter.Type:
        """The ROS type."""
        return {
            bool: Parameter.Type.BOOL, int: Parameter.Type.INTEGER, float: Parameter.Type.DOUBLE,
            str: Parameter.Type.STRING, tuple: Parameter.Type.STRING_ARRAY,
        }[type(self.default)]

    @property
    def limits(self) -> str:
        """The legal values in words; empty where every value of the type is legal."""
        if self.choices:
            return 'one of ' + ', '.join(repr(choice) for choice in self.choices)
        if self.minimum is not None and self.maximum is not None:
            return f'{self.minimum:g} to {self.maximum:g}'
        return ''

    def fault(self, value: Any) -> str:
        """Why a value of the right type is illegal; empty where it is legal."""
        wrong = self.choices and value not in self.choices
        if isinstance(self.default, float) and not math.isfinite(value):
            wrong = True
        elif self.minimum is not None and not self.minimum <= value <= self.maximum:
            wrong = True
        expected = self.limits or 'a finite number'
        return f'{self.name}: got {value!r}, expected {expected}' if wrong else ''

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows, and what rclpy checks by itself."""
        result = ParameterDescriptor(
            name=self.name, type=self.type.value, description=self.description,
            read_only=not self.live, additional_constraints=self.limits if self.choices else '',
        )
        if self.type == Parameter.Type.INTEGER and self.minimum is not None:
            result.integer_range = [
                IntegerRange(from_value=int(self.minimum), to_value=int(self.maximum), step=1)
            ]
        elif self.type == Parameter.Type.DOUBLE and self.minimum is not None:
            result.floating_point_range = [
                FloatingPointRange(from_value=float(self.minimum), to_value=float(self.maximum))
            ]
        return result


PARAMETERS: Final = (
    # Start and model
    Row('autostart', True, 'Configure and activate at start; false: wait for lifecycle events.'),
    Row('weights', '', 'Weights of the hand network: a .safetensors file, or hiu_lite, the '
        'smaller network that ships; empty: the larger one.'),
    Row('finder_weights', '', 'Weights file of the hand finder; empty: the shipped one.'),
    Row('mano', '', 'Your MANO_RIGHT.pkl or MANO_LEFT.pkl; empty: the shipped hand model.'),
    Row('detail', 'fast', 'Mesh of the shipped hand: 777 or 1609 vertices.',
        choices=('fast', 'render')),
    Row('device', 'auto', 'Where the networks run: auto (a GPU if there is one), cpu, cuda, '
        'cuda:1, ...'),
    Row('cpu_fallback', True, 'Go on on the CPU where the GPU cannot be used or is lost; false: '
        'an error.'),
    Row('precision', 'auto', 'Of the hand network. half: float16 on a GPU, bfloat16 on a CPU; '
        'full: float32; auto: half on a CPU with instructions for it (AVX-512 BF16, AMX, Arm '
        'BF16), where it is faster, else full.', choices=('auto', 'full', 'half')),
    Row('threads', 0, 'CPU threads of the networks; 0: as many as PyTorch takes.',
        minimum=0, maximum=256),
    # Inputs
    Row('cameras', (), 'Names of cameras: topics become <name>/image, <name>/hands, ...; empty: '
        'one camera without a name.'),
    Row('compressed', False, 'Subscribe to <image>/compressed (JPEG or PNG) in place of the raw '
        'image.'),
    Row('rectified', False, 'The images are rectified: use P of camera_info and no distortion.'),
    Row('use_depth', False, 'Subscribe to `depth`, a depth image aligned with the colour image.'),
    Row('compressed_depth', False, 'With use_depth, subscribe to <depth>/compressedDepth (PNG or '
        'RVL) in place of the raw depth image.'),
    Row('depth_tolerance', 0.05, 'Largest difference of stamps of a depth and a colour image, s.',
        live=True, minimum=0.0, maximum=1.0),
    Row('lazy', True, 'Drop the image subscription while nobody listens to any output.',
        live=True),
    # Finding and following
    Row('regions', 'finder', 'Where hands are looked for: by the finder, in the newest region of '
        'topic `regions`, or the whole image as one region.',
        live=True, choices=('finder', 'topic', 'whole')),
    Row('max_hands', 4, 'Hands to follow at most.', live=True, minimum=1, maximum=8),
    Row('min_score', 0.5, 'Score from which a region counts as a hand.',
        live=True, minimum=0.0, maximum=1.0),
    Row('keep_score', 0.3, 'Score below which a followed hand counts as missed.',
        live=True, minimum=0.0, maximum=1.0),
    Row('announce_score', 0.3, 'Score that the finder must once have given a hand before it is '
        'announced; up to 0.2 more, the hand must look much like one by itself, too. It looks '
        'from 0.2 on; lower it where hands in view are never announced.',
        live=True, minimum=0.0, maximum=1.0),
    Row('finder_interval', 1, 'Look for new hands every so many frames while some are followed; '
        'while one of them is missed, every frame is searched.',
        live=True, minimum=1, maximum=1000),
    Row('min_hits', 1, 'Frames that a hand must be seen in before it is announced.',
        live=True, minimum=1, maximum=100),
    Row('max_misses', 60, 'Frames that a hand may be missed in before it is dropped. If it is '
        'found again by then, near where it was lost or a little further off with its side and '
        'colour, it has its old id; it is not published while it is missed.',
        live=True, minimum=0, maximum=1000),
    Row('small_hands', False, 'The finder also searches four overlapping parts of every image; '
        'finds hands 40 % smaller at five times its cost.', live=True),
    Row('views', 1, 'Crops of each hand, turned and sized a little differently, whose readings '
        'are averaged; each costs as much as the first.',
        live=True, minimum=1, maximum=6),
    Row('correct_light', True,
        'Dark, flat, tinted and noisy images are improved before the networks see them.',
        live=True),
    Row('mirrored_input', False, 'The images are mirrored (selfie cameras): swaps left and right.',
        live=True),
    Row('smoothing', False, 'One-euro smoothing of keypoints, pose and place.', live=True),
    Row('hand_length_m', 0.0, 'Wrist to middle fingertip along the bones of the hands to be seen, '
        '0.08 to 0.3 m; 0: unknown, as the network sees it.', live=True, minimum=0.0, maximum=0.3),
    # Outputs
    Row('tf', True, 'Broadcast the wrist frames of hands whose distance is known.', live=True),
    Row('tf_joints', False, 'Broadcast a frame for every joint, too.', live=True),
    Row('frame_prefix', 'hand_', 'TF frames are named <frame_prefix><id>, with named cameras '
        '<frame_prefix><camera>_<id>.'),
    Row('marker_rate', 15.0, 'Markers are published at most so often, Hz; 0: with every frame.',
        live=True, minimum=0.0, maximum=1000.0),
    Row('marker_lifetime', 0.5, 'A viewer forgets a marker after so long, s; 0: never.',
        live=True, minimum=0.0, maximum=60.0),
    Row('mesh_alpha', 0.6, 'Opacity of the mesh in `markers`; 0: no mesh.',
        live=True, minimum=0.0, maximum=1.0),
    Row('annotated_rate', 15.0, 'The annotated image is published at most so often, Hz; 0: with '
        'every frame.', live=True, minimum=0.0, maximum=1000.0),
    # Diagnostics
    Row('warn_age', 0.3, 'Diagnostics WARN: one result of twenty is older than this, s.',
        live=True, minimum=0.0, maximum=60.0),
    Row('error_age', 2.0, 'Diagnostics ERROR: one result of twenty is older than this, s.',
        live=True, minimum=0.0, maximum=60.0),
    Row('warn_drops', 0.9,
        'Diagnostics WARN: a larger share of the images than this was dropped.',
        live=True, minimum=0.0, maximum=1.0),
    Row('warn_silence', 2.0, 'Diagnostics WARN: no image for so long, s.',
        live=True, minimum=0.1, maximum=3600.0),
    Row('error_silence', 10.0, 'Diagnostics ERROR: no image for so long, s.',
        live=True, minimum=0.1, maximum=3600.0),
)
TABLE: Final = {row.name: row for row in PARAMETERS}

#: Likeness of two names, as `difflib` tells it, from which on one may be meant by the other (two
#: letters of nine are exchanged), and by how many letters their lengths then differ.
_NEAR, _LONGER = 0.77, 2

#: How values are written that are easily written as of another type.
_WRITTEN = {Parameter.Type.DOUBLE: '; write it with a decimal point, as 5.0',
            Parameter.Type.STRING_ARRAY: '; write a list, as "[\'left\',\'right\']"'}

NodeOptions = make_dataclass(
    'NodeOptions', [(row.name, type(row.default), row.default) for row in PARAMETERS], frozen=True
)
NodeOptions.__doc__ = 'The parameters of the node at one moment; fields as in PARAMETERS.'
NodeOptions.__module__ = __name__


class ParameterError(ValueError):
    """A parameter value given at start that is not legal; the text names it and what is."""


def contradiction(options: NodeOptions) -> str:
    """Why legal values do not go together; empty where they do."""
    if options.warn_age > options.error_age:
        return f'warn_age {options.warn_age} is larger than error_age {options.error_age}'
    if options.warn_silence > options.error_silence:
        return (f'warn_silence {options.warn_silence} is larger than error_silence '
                f'{options.error_silence}')
    low, high = LENGTH_RANGE
    if options.hand_length_m and not low <= options.hand_length_m <= high:
        return f'hand_length_m {options.hand_length_m}: expected 0 or {low} to {high}'
    names = options.cameras
    if len(set(names)) != len(names) or not all(
            name.isascii() and name.isidentifier() for name in names):
        return f'cameras {list(names)}: expected different names of letters, digits and _'
    if not options.frame_prefix or options.frame_prefix[0] == '/':
        return f'frame_prefix {options.frame_prefix!r}: expected a name without a leading /'
    return ''


def declare(node: Node) -> NodeOptions:
    """Declare the whole table on a node and read it; ParameterError for an illegal override."""
    values = {}
    for row in PARAMETERS:
        # An empty list has no type of its own, and one parameter without a value would keep
        # `ros2 param dump` from all: an empty name counts as none.
        default = row.default if row.default != () else ['']
        try:
            value = node.declare_parameter(row.name, default, row.descriptor()).value
            if row.type == Parameter.Type.STRING_ARRAY:
                value = tuple(name for name in value or () if name)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            cure = _WRITTEN.get(row.type, '') if isinstance(
                error, InvalidParameterTypeException) else ''
            raise ParameterError(f'parameter {row.name}: {error}{cure}') from None
        if row.fault(value):
            raise ParameterError(f'parameter {row.fault(value)}')
        values[row.name] = value
    options = NodeOptions(**values)
    if contradiction(options):
        raise ParameterError(f'parameter {contradiction(options)}')
    return options


def misspelt(given: Iterable[str]) -> list[str]:
    """Of names given at start: those that are no parameter but are near one that was not given.

    In words. Others may be of another node, as in a file of parameters for all of them.
    """
    given = set(given)
    missing = {*TABLE, 'use_sim_time'} - given
    told = []
    for name in sorted(given - {*TABLE}):
        alike = [known for known in missing if abs(len(known) - len(name)) <= _LONGER]
        for meant in get_close_matches(name, alike, 1, _NEAR):
            told.append(f'{name} is no parameter of this node and does nothing; is {meant} meant?')
    return told


def changed(
    options: NodeOptions, parameters: list[Parameter]
) -> tuple[NodeOptions, SetParametersResult]:
    """Options after a change of live parameters, all or none, and the answer to who asked.

    Parameters that are not in the table (use_sim_time, qos_overrides) pass. On a fault the
    options come back as they were and the answer names parameter, value and what is legal.
    """
    values = {}
    for parameter in parameters:
        row = TABLE.get(parameter.name)
        if row is None:
            continue
        fault = row.fault(parameter.value)
        if parameter.type_ != row.type:
            fault = f'{row.name}: got a {parameter.type_.name}, expected a {row.type.name}'
        elif not row.live:
            fault = f'{row.name} is read at start: restart the node to change it'
        if fault:
            return options, SetParametersResult(successful=False, reason=fault)
        values[row.name] = parameter.value
    current = {field.name: getattr(options, field.name) for field in fields(options)}
    after = NodeOptions(**{**current, **values})
    if contradiction(after):
        return options, SetParametersResult(successful=False, reason=contradiction(after))
    return after, SetParametersResult(successful=True)


def yaml_text() -> str:
    """config/hiu.yaml: every parameter with its default, limits and description."""
    lines = ['# Parameters of hiu_node and their defaults. Made from the table in',
             '# hiu_ros/ros/parameters.py: python -m hiu_ros.ros.parameters > config/hiu.yaml',
             '# (live): may be changed while the node runs, by `ros2 param set`.',
             '/**:', '  ros__parameters:']
    for row in PARAMETERS:
        notes = [row.limits] if row.limits else []
        notes += ['live'] if row.live else []
        lines.append(f'    # {row.description}' + (f' ({"; ".join(notes)})' if notes else ''))
        lines.append(f'    {row.name}: {_yaml(row.default)}')
    return '\n'.join(lines) + '\n'


def readme_table() -> str:
    """The table of the README, in Markdown."""
    lines = ['| parameter | default | | |', '| --- | --- | --- | --- |']
    for row in PARAMETERS:
        default = f'`{_yaml(row.default) if row.default != () else "[]"}`'
        text = row.description + (f' Legal: {row.limits}.' if row.limits else '')
        text = text.replace('<', '&lt;')
        lines.append(f'| `{row.name}` | {default} | {"live" if row.live else ""} | {text} |')
    return '\n'.join(lines) + '\n'


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        # rcl cannot read an empty list; an empty name counts as none.
        return "['']" if not value else str(list(value))
    return repr(value)


if __name__ == '__main__':
    print(readme_table() if sys.argv[1:] == ['readme'] else yaml_text(), end='')
