"""A camera frame in, hands out; no ROS."""
