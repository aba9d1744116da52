"""The ROS 2 side: messages, parameters and the node; the only package that imports rclpy."""
