"""What the arguments of launch/hiu.launch.py mean for the node: its parameters and remappings.

An argument that is empty leaves its parameter as the parameters file says.
"""

from collections.abc import Mapping

#: Arguments that are parameters of the same name, by what their text means.
_SWITCHES, _TEXTS = ('use_depth', 'compressed'), ('device', 'weights')


def cameras(values: Mapping[str, str]) -> list[str]:
    """The names in the argument `cameras`."""
    return [name.strip() for name in values['cameras'].split(',') if name.strip()]


def parameters(values: Mapping[str, str]) -> dict[str, bool | str | list[str]]:
    """Parameters that the arguments set, over those of the parameters file."""
    result: dict[str, bool | str | list[str]] = {
        name: values[name] == 'true' for name in _SWITCHES if values[name]}
    result.update({name: values[name] for name in _TEXTS if values[name]})
    if values['lifecycle_events'] == 'true':
        result['autostart'] = False
    if cameras(values):
        result['cameras'] = cameras(values)
    return result


def remappings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """The node's input topics; camera_info is beside the image. Named cameras have their own."""
    if cameras(values):
        return []
    folder, slash, _ = values['image'].rpartition('/')
    return [
        ('image', values['image']),
        ('camera_info', values['camera_info'] or f'{folder}{slash}camera_info'),
        ('depth', values['depth']),
    ]
