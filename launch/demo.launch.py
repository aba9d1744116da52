"""Play a video, a camera, a folder of images or a bag into the hand node, and show it in RViz.

`ros2 launch hiu_ros demo.launch.py source:=0` takes the first camera. The node's own arguments
(device, weights, params_file, ...) are those of hiu.launch.py.
"""

import sys
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EnvironmentVariable, LaunchConfiguration

from hiu_ros.ros import launch_values
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

SHARE = Path(get_package_share_directory('hiu_ros'))


def generate_launch_description() -> LaunchDescription:
    """The source, the node and RViz."""
    value, profiles = LaunchConfiguration, launch_values.profiles_variable()
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'hiu.launch.py')),
        launch_arguments={
            'namespace': value('namespace'), 'rviz': value('rviz'), 'image': 'image',
        }.items(),
    )
    return LaunchDescription([
        DeclareLaunchArgument('source', description='Video file, camera number, folder or bag.'),
        DeclareLaunchArgument('loop', default_value='true', choices=['true', 'false'],
                              description='Begin again at the end of the source.'),
        DeclareLaunchArgument('namespace', default_value='hiu_demo',
                              description='Namespace of source and node.'),
        DeclareLaunchArgument('rviz', default_value='true', choices=['true', 'false'],
                              description='Start RViz, too.'),
        # Room for whole images in shared memory, see the file; profiles of one's own stay.
        SetEnvironmentVariable(profiles, EnvironmentVariable(
            profiles, default_value=str(SHARE / 'config' / 'fastdds.xml'))),
        OpaqueFunction(function=_player),
        node,
    ])


def _player(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    values = {name: LaunchConfiguration(name).perform(context)
              for name in ('source', 'namespace', 'loop')}
    return [ExecuteProcess(
        cmd=[sys.executable, '-m', 'hiu_ros.ros.source_node', '--ros-args',
             *launch_values.source_arguments(values)],
        output='screen', on_exit=OpaqueFunction(function=_end),
    )]


def _end(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """End the launch with its source, unless that source ends because the launch does."""
    return [] if context.is_shutdown else [Shutdown(reason='the source has ended')]
