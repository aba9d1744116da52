"""Hand image understanding for ROS 2: keypoints, masks and meshes of hands."""

from pkgutil import extend_path

# A build puts the generated hiu_ros.msg beside a copy of these modules. With this line a work tree
# that comes first on the path finds that msg, too.
__path__ = extend_path(__path__, __name__)

__version__ = '0.1.0'
