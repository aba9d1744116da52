"""Hand image understanding for ROS 2: keypoints, masks and meshes of hands."""

__version__ = '0.1.0'
