"""What the arguments of the launch files mean for the nodes: their parameters and remappings.
Also the environment variable that commands and launch files set for them, and whether there is
an RViz.

An argument of launch/hiu.launch.py that is empty leaves its parameter as the parameters file says.
"""

import json
import os
from collections.abc import Mapping

#: Arguments that are parameters of the same name, by what their text means.
_SWITCHES = ('use_depth', 'compressed', 'compressed_depth', 'use_sim_time')
_TEXTS = ('device', 'weights')
#: Topics of a camera without a name, and what stands for none given.
_TOPICS = {'image': 'image', 'camera_info': '', 'depth': 'depth'}
#: What RViz shows of the node, by its name in config/hiu.rviz.
_SHOWN = ('annotated', 'markers', 'points')
#: Distributions with Fast DDS 2, which knows the variable by its old name alone.
_FAST_DDS_2 = ('humble', 'iron', 'jazzy')


def profiles_variable() -> str:
    """The environment variable that tells the sourced distribution's Fast DDS, or that of the
    wheels, of config/fastdds.xml."""
    old = os.environ.get('ROS_DISTRO') in _FAST_DDS_2
    return f'FAST{"RTPS" if old else "DDS"}_DEFAULT_PROFILES_FILE'


def cameras(values: Mapping[str, str]) -> list[str]:
    """The names in the argument `cameras`."""
    return [name.strip() for name in values['cameras'].split(',') if name.strip()]


def parameters(values: Mapping[str, str]) -> dict[str, bool | str | list[str]]:
    """Parameters that the arguments set, over those of the parameters file."""
    result: dict[str, bool | str | list[str]] = {
        name: values[name].lower() == 'true' for name in _SWITCHES if values[name]}
    result.update({name: values[name] for name in _TEXTS if values[name]})
    if values['lifecycle_events'] == 'true':
        result['autostart'] = False
    if cameras(values):
        result['cameras'] = cameras(values)
    return result


def viewer_parameters(values: Mapping[str, str]) -> dict[str, bool]:
    """Parameters of RViz: the clock of the node, where that is given."""
    return {name: value for name, value in parameters(values).items() if name == 'use_sim_time'}


def parameters_file(values: Mapping[str, str]) -> str:
    """The parameters file; ValueError where it is not there: the node would start without it."""
    if not os.path.isfile(values['params_file']):
        raise ValueError(f'params_file:={values["params_file"]} is no file')
    return values['params_file']


def remappings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """The node's input topics; camera_info is beside the image.

    Named cameras have their own: ValueError where one is given nevertheless.
    """
    if cameras(values):
        for name, default in _TOPICS.items():
            if values[name] != default:
                raise ValueError(f'{name}:={values[name]} is for a single camera, and cameras are '
                                 f'named: their topics are <name>/{name}')
        return []
    folder, slash, _ = _plain(values).rpartition('/')
    return [
        ('image', _image(values)),
        ('camera_info', values['camera_info'] or f'{folder}{slash}camera_info'),
        ('depth', values['depth']),
    ]


def _image(values: Mapping[str, str]) -> str:
    """The image topic, without what stands behind it for compressed ones."""
    image = values['image']
    return image.removesuffix('/compressed') if values['compressed'] == 'true' else image


def _plain(values: Mapping[str, str]) -> str:
    """The same where the parameters file may say that images are compressed."""
    image = values['image']
    return image if values['compressed'] == 'false' else image.removesuffix('/compressed')


def viewer_remappings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """The topics of config/hiu.rviz: those of the node, or of the first of its named cameras.

    Relative, and so below the namespace that RViz shares with the node, also where a launch file
    that includes ours pushes another one.
    """
    image = _plain(values)
    below = '/'.join([*cameras(values)[:1], ''])
    return [('/image', image if image.startswith('/') else below + image),
            *((f'/{topic}', below + topic) for topic in _SHOWN)]


def source_arguments(values: Mapping[str, str]) -> list[str]:
    """ROS arguments of the source that launch/demo.launch.py starts, whatever its path holds."""
    return ['-r', f'__ns:=/{values["namespace"].strip("/")}',
            # JSON is YAML, as which parameters are read.
            '-p', f'source:={json.dumps(values["source"], ensure_ascii=False)}',
            '-p', f'loop:={values["loop"]}']


def no_viewer() -> str:
    """Why RViz is not started, in words; empty where it is installed."""
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        distribution = os.environ.get('ROS_DISTRO', '<distribution>')
        return ('rviz:=true, but RViz is not installed (apt install '
                f'ros-{distribution}-rviz2); everything else is started without it')
    return ''
