"""Start the hand node: `ros2 launch hiu_ros hiu.launch.py image:=/camera/image_raw rviz:=true`.

Every argument has a default; `ros2 launch hiu_ros hiu.launch.py --show-args` lists them.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

SHARE = Path(get_package_share_directory('hiu_ros'))
#: What RViz shows, by its name in config/hiu.rviz.
SHOWN = ('annotated', 'markers', 'points')

ARGUMENTS = (
    ('name', 'hiu_node', 'Name of the node.', None),
    ('namespace', '', 'Namespace of the node and of its relative topics.', None),
    ('image', 'image', 'Topic of the image; with compressed:=true its name without /compressed.',
     None),
    ('camera_info', '', 'Topic of camera_info; empty: beside the image.', None),
    ('depth', 'depth', 'Topic of a depth image aligned with the image.', None),
    ('use_depth', 'false', 'Subscribe to the depth image.', ('true', 'false')),
    ('compressed', 'false', 'Subscribe to <image>/compressed.', ('true', 'false')),
    ('cameras', '', 'Names of cameras, with commas: their topics are <name>/image and so on.',
     None),
    ('device', '', 'auto, cpu, cuda, cuda:1; empty: as the parameters file says.', None),
    ('weights', '', 'Weights file of the hand network; empty: as the parameters file says.', None),
    ('params_file', str(SHARE / 'config' / 'hiu.yaml'), 'Parameters file.', None),
    ('lifecycle_events', 'false', 'Configure and activate by lifecycle events of the launch in '
     'place of the node itself.', ('true', 'false')),
    ('rviz', 'false', 'Start RViz, too.', ('true', 'false')),
    ('frame', 'camera_optical_frame', "RViz' fixed frame: the frame_id of the images.", None),
    ('log_level', 'info', 'Log level of the node.', ('debug', 'info', 'warn', 'error', 'fatal')),
)


def generate_launch_description() -> LaunchDescription:
    """Arguments, then what they ask for."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description,
                              choices=list(choices) if choices else None)
        for name, default, description, choices in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_actions)])


def _actions(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    values = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    on = {name: value == 'true' for name, value in values.items()}
    parameters = {
        'use_depth': on['use_depth'], 'compressed': on['compressed'],
        'autostart': not on['lifecycle_events'],
    }
    parameters.update({name: values[name] for name in ('device', 'weights') if values[name]})
    cameras = [name.strip() for name in values['cameras'].split(',') if name.strip()]
    if cameras:
        parameters['cameras'] = cameras
    folder, _, _ = values['image'].rpartition('/')
    camera_info = values['camera_info'] or (f'{folder}/camera_info' if folder else 'camera_info')
    node = LifecycleNode(
        package='hiu_ros', executable='hiu_node', name=values['name'],
        namespace=values['namespace'], output='screen',
        parameters=[values['params_file'], parameters],
        remappings=[] if cameras else [
            ('image', values['image']), ('camera_info', camera_info), ('depth', values['depth']),
        ],
        arguments=['--ros-args', '--log-level', values['log_level']],
    )
    actions = [*(_events(node) if on['lifecycle_events'] else []), node]
    if on['rviz']:
        space = '/'.join(part for part in (values['namespace'], *cameras[:1]) if part).strip('/')
        prefix = f'/{space}/' if space else '/'
        image = values['image'] if values['image'].startswith('/') else prefix + values['image']
        actions.append(Node(
            package='rviz2', executable='rviz2', name='rviz', output='log',
            arguments=['-d', str(SHARE / 'config' / 'hiu.rviz'), '-f', values['frame']],
            remappings=[('/image', image), *((f'/{topic}', prefix + topic) for topic in SHOWN)],
        ))
    return actions


def _events(node: LifecycleNode) -> list[LaunchDescriptionEntity]:
    """Configure once the process runs, activate once that is done."""

    def change(transition: int) -> EmitEvent:
        return EmitEvent(event=ChangeState(
            lifecycle_node_matcher=matches_action(node), transition_id=transition,
        ))

    return [
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=node, start_state='configuring', goal_state='inactive',
            entities=[change(Transition.TRANSITION_ACTIVATE)],
        )),
        change(Transition.TRANSITION_CONFIGURE),
    ]
