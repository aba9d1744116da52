"""Start the hand node: `ros2 launch hiu_ros hiu.launch.py image:=/camera/image_raw rviz:=true`.

Every argument has a default; `ros2 launch hiu_ros hiu.launch.py --show-args` lists them.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from hiu_ros.ros import launch_values
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

SHARE = Path(get_package_share_directory('hiu_ros'))

ARGUMENTS = (
    ('name', 'hiu_node', 'Name of the node.', None),
    ('namespace', '', 'Namespace of the node and of its relative topics.', None),
    ('image', 'image', 'Topic of the image; with compressed:=true its name without /compressed.',
     None),
    ('camera_info', '', 'Topic of camera_info; empty: beside the image.', None),
    ('depth', 'depth', 'Topic of a depth image aligned with the image.', None),
    ('use_depth', '', 'Subscribe to the depth image; empty: as the parameters file says.',
     ('', 'true', 'false')),
    ('compressed', '', 'Subscribe to <image>/compressed; empty: as the parameters file says.',
     ('', 'true', 'false')),
    ('compressed_depth', '', 'With use_depth, subscribe to <depth>/compressedDepth; empty: as the '
     'parameters file says.', ('', 'true', 'false')),
    ('cameras', '', 'Names of cameras, with commas: their topics are <name>/image and so on; '
     'empty: as the parameters file says.', None),
    ('device', '', 'auto, cpu, cuda, cuda:1; empty: as the parameters file says.', None),
    ('weights', '', 'Weights file of the hand network, or hiu_lite, the smaller one that ships; '
     'empty: as the parameters file says.', None),
    # Also as other launch files that include this one write it.
    ('use_sim_time', '', 'Time is that of /clock, of a bag or a simulation, for RViz, too; empty: '
     'as the parameters file says.', ('', 'true', 'false', 'True', 'False')),
    ('params_file', str(SHARE / 'config' / 'hiu.yaml'), 'Parameters file.', None),
    ('lifecycle_events', 'false', 'Configure and activate by lifecycle events of the launch in '
     'place of the node itself; false: by itself, unless the parameters file says not to.',
     ('true', 'false')),
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
    given = launch_values.parameters(values)
    node = LifecycleNode(
        package='hiu_ros', executable='hiu_node', name=values['name'],
        namespace=values['namespace'], output='screen',
        parameters=[launch_values.parameters_file(values), *([given] if given else [])],
        remappings=launch_values.remappings(values),
        arguments=['--ros-args', '--log-level', values['log_level']],
    )
    actions = [*(_events(node) if values['lifecycle_events'] == 'true' else []), node]
    missing = launch_values.no_viewer() if values['rviz'] == 'true' else ''
    if missing:
        actions.append(LogInfo(msg=missing))
    elif values['rviz'] == 'true':
        clock = launch_values.viewer_parameters(values)
        actions.append(Node(
            package='rviz2', executable='rviz2', name='rviz', namespace=values['namespace'],
            output='log', remappings=launch_values.viewer_remappings(values),
            parameters=[clock] if clock else [],
            arguments=['-d', str(SHARE / 'config' / 'hiu.rviz'), '-f', values['frame']],
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
