"""One camera's input: subscriptions, the newest camera_info and depth, and frames made of them.

Callbacks only store. Unpacking, decoding and matching happen in `unpack`, which the worker calls.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from hiu_ros.geometry.camera import Camera, CameraError
from hiu_ros.perception.frame import Frame
from hiu_ros.perception.tracker import LATE
from hiu_ros.ros import images, topics
from hiu_ros.ros.compressed_depth import decode_compressed_depth
from hiu_ros.ros.depth_images import DepthImages, seconds
from hiu_ros.ros.diagnostics import FrameLog
from hiu_ros.ros.parameters import NodeOptions
from hiu_ros.ros.quiet_log import STANDING_PERIOD, QuietLog
from hiu_ros.ros.slot import Slots

NO_DEPTH = 'no depth image came'


@dataclass(frozen=True)
class Received:
    """An unpacked image: its header, the frame for perception, and why hands are forgotten at it,
    where it does not go on from the one before."""

    header: Header
    frame: Frame
    restart: str = ''


def camera_of(info: CameraInfo, rectified: bool, whole: bool = False) -> Camera:
    """The camera of a camera_info; CameraError where it is none.

    whole: of all of the sensor, whatever region and binning its images have.
    """
    roi = info.roi
    part = () if whole else (
        (info.binning_x, info.binning_y), (roi.x_offset, roi.y_offset, roi.width, roi.height))
    return Camera.from_info(
        info.width, info.height, info.k, info.d, info.distortion_model, info.p, rectified, *part)


def doubt_of(info: CameraInfo, rectified: bool, image_topic: str = '') -> str:
    """Why the camera of a camera_info is hardly the one of the images; empty where it may be."""
    try:
        camera = camera_of(info, rectified, whole=True)
    except CameraError as error:
        return str(error)
    roi = info.roi
    if roi.x_offset + roi.width > info.width or roi.y_offset + roi.height > info.height:
        return (f'its region, {roi.width} x {roi.height} at {roi.x_offset}, {roi.y_offset}, '
                f'reaches beyond its {info.width} x {info.height} pixels, which are to be '
                'those of the whole sensor')
    # As image_proc names them: image_rect, image_rect_color.
    if camera.distortion != 'none' and '/image_rect' in image_topic:
        return (f'its distortion is of raw images, and those of {image_topic} are rectified by '
                'their name: set the parameter rectified')
    return camera.doubt()


def _message(data: bytes, kind: type) -> Any:
    """A message unpacked; images.ImageError where it is cut short or garbled."""
    try:
        return deserialize_message(data, kind)
    except Exception as error:
        # rclpy's RMWError is none of the errors that it exports.
        raise images.ImageError(f'it is no {kind.__name__} message: {error}') from None


class Stream:
    """The inputs of one camera."""

    def __init__(self, node: Node, name: str, options: NodeOptions, slots: Slots,
                 quiet_log: QuietLog) -> None:
        self.name = name
        self.log = FrameLog()
        self._node = node
        self._options = options
        self._slots = slots
        self._quiet_log = quiet_log
        self._image_subscription = self._depth_subscription = None
        self._others: dict[str, Subscription] = {}
        self._camera: Camera | None = None
        # Of the info itself, and of its size against the newest image's.
        self._info_fault = self._size_fault = ''
        # Why a camera_info that is used may be wrong: of itself, and of its frame.
        self._info_doubt = self._frame_doubt = ''
        self._info_frame = self._image_topic = ''
        self._depths = DepthImages()
        self._depth_topic = topics.below(name, topics.DEPTH)
        # Of the last frame that had none, and whether that was the last of all.
        self._depth_fault, self._without_depth = NO_DEPTH, True
        self._region: RegionOfInterest | None = None
        self._last_seconds: float | None = None
        self._seen = ''

    def open(self) -> None:
        """Subscribe to camera_info and regions; image and depth wait for `listen`.

        Raises ParameterError for wrong `qos_overrides` of any of them.
        """
        self._image_topic = self._node.resolve_topic_name(topics.below(self.name, topics.IMAGE))
        # Whether image and depth can be opened is told now, not when the first reader comes.
        self.listen(True)
        self.listen(False)
        for topic, callback in (
            (topics.CAMERA_INFO, self._on_info), (topics.REGIONS, self._on_region),
        ):
            self._others[topic] = topics.subscription(self._node, self.name, topic, callback)

    @property
    def listening(self) -> bool:
        """Whether the image topic is subscribed."""
        return self._image_subscription is not None

    def listen(self, on: bool) -> None:
        """Subscribe to the image topic and to depth, or drop these subscriptions."""
        if on and not self.listening:
            self.log.start(time.monotonic())
            if self._options.use_depth:
                self._depth_subscription = topics.subscription(
                    self._node, self.name, topics.DEPTH, self._on_depth,
                    self._options.compressed_depth
                )
                self._depth_topic = self._depth_subscription.topic_name
            self._image_subscription = topics.subscription(
                self._node, self.name, topics.IMAGE, self._on_image, self._options.compressed
            )
        elif not on:
            for subscription in (self._image_subscription, self._depth_subscription):
                if subscription is not None:
                    self._node.destroy_subscription(subscription)
            self._image_subscription = self._depth_subscription = None
            self._depths.clear()
            self._depth_fault, self._without_depth = NO_DEPTH, True
            self._last_seconds = None

    def close(self) -> None:
        """Drop every subscription."""
        self.listen(False)
        for subscription in self._others.values():
            self._node.destroy_subscription(subscription)
        self._others = {}

    @property
    def camera_state(self) -> str:
        """For diagnostics: whether camera_info is used, and why not; 'none' first without one."""
        if self._info_fault or self._size_fault:
            return self._info_fault or self._size_fault
        if self._camera is None and self._others:
            return f'none, {topics.silence(self._node, self._others[topics.CAMERA_INFO])}'
        if self._camera is None:
            return 'none'
        doubt = self._info_doubt or self._frame_doubt
        return f'used, but {doubt}' if doubt else 'used'

    @property
    def depth_state(self) -> str:
        """For diagnostics: whether depth is used, and why not."""
        if not self._options.use_depth:
            return 'off'
        return self.depth_fault if self._without_depth else 'used'

    @property
    def depth_fault(self) -> str:
        """For diagnostics: why the last frame without depth had none."""
        if self._depth_fault == NO_DEPTH and self._depth_subscription is not None:
            return f'{NO_DEPTH}, {topics.silence(self._node, self._depth_subscription)}'
        return f'{self._depth_topic}: {self._depth_fault}'

    def region_fault(self, options: NodeOptions) -> str:
        """For diagnostics: why there is no region; empty where one came or none is asked for."""
        if options.regions != 'topic' or self._region is not None or not self.listening:
            return ''
        return f'no region came: {topics.silence(self._node, self._others[topics.REGIONS])}'

    @property
    def silence(self) -> str:
        """Why no image may come; empty where none is listened to."""
        return topics.silence(self._node, self._image_subscription) if self.listening else ''

    @property
    def rivals(self) -> str:
        """Who publishes the images, where more than one do; empty where none is listened to."""
        return topics.rivals(self._node, self._image_subscription) if self.listening else ''

    def _on_image(self, data: bytes) -> None:
        now = time.monotonic()
        self.log.image(now, self._slots.put(self.name, (data, now)))

    def _on_depth(self, depth: Image | CompressedImage) -> None:
        self._depths.put(depth)

    def _on_region(self, region: RegionOfInterest) -> None:
        self._region = region

    def _on_info(self, info: CameraInfo) -> None:
        rectified = self._options.rectified
        try:
            camera, self._info_fault = camera_of(info, rectified), ''
        except CameraError as error:
            self._camera, self._info_fault = None, str(error)
            self._ignored('camera_info', error)
            return
        self._info_frame = info.header.frame_id
        if camera != self._camera:
            self._camera = camera
            self._info_doubt = doubt_of(info, rectified, self._image_topic)
        if self._info_doubt:
            self._standing(f'camera_info is used, but {self._info_doubt}')

    def _ignored(self, what: str, error: Exception) -> None:
        self._standing(f'{what} is ignored: {error}')

    def _standing(self, text: str) -> None:
        self._quiet_log.warning(f'{self.name}: {text}' if self.name else text, STANDING_PERIOD)

    def unpack(self, item: tuple[bytes, float], options: NodeOptions) -> Received:
        """What `_on_image` stored, unpacked; images.ImageError where it cannot be used."""
        data, arrived = item
        kind, decode = (CompressedImage, images.decode_compressed) if options.compressed else (
            Image, images.decode)
        message = _message(data, kind)
        image = decode(message)
        seen = f'{image.shape[1]} x {image.shape[0]} in frame {message.header.frame_id!r}'
        changed = '' if self._seen in ('', seen) else f'images are {seen}, no more {self._seen}'
        self._seen = seen
        stamp = seconds(message.header.stamp)
        now = stamp if stamp > 0 else arrived
        last = self._last_seconds  # read once: `listen` may forget it meanwhile
        last = now if last is None else last
        went_back = now < last - LATE
        self._last_seconds = now if went_back else max(last, now)
        depth = self._depth_for(message.header, image, options) if options.use_depth else None
        self._without_depth = depth is None
        camera = self._camera_for(image, message.header.frame_id)
        frame = Frame(image, camera, now, depth, self._boxes(image, options), self.name,
                      message.header.frame_id)
        return Received(message.header, frame, 'time went back' if went_back else changed)

    def _camera_for(self, image: np.ndarray, frame_id: str) -> Camera | None:
        camera = self._camera
        if camera is None:
            return None
        try:
            camera.check_image(*image.shape[:2])
        except CameraError as error:
            self._size_fault = str(error)
            self._ignored('camera_info', error)
            return None
        self._size_fault = self._frame_doubt = ''
        own = self._info_frame
        if own and frame_id and own != frame_id:
            self._frame_doubt = (f'it is of frame {own!r} and the image of {frame_id!r}; it may '
                                 'be of another camera')
            self._standing(f'camera_info is used, but {self._frame_doubt}')
        return camera

    def _depth_for(
        self, header: Header, image: np.ndarray, options: NodeOptions
    ) -> np.ndarray | None:
        """The depth image nearest in time, within the tolerance and of the same pixels."""
        stamp = seconds(header.stamp)
        nearest = self._depths.nearest(stamp, options.depth_tolerance)
        if nearest is None:
            self._depth_fault = NO_DEPTH
            return None
        late = seconds(nearest.header.stamp) - stamp
        if abs(late) > options.depth_tolerance:
            self._depth_fault = (
                f'the nearest is {abs(late):.3f} s {"younger" if late > 0 else "older"} than the '
                f'image, depth_tolerance is {options.depth_tolerance:g} s')
            return None
        try:
            depth = (decode_compressed_depth if options.compressed_depth
                     else images.decode_depth)(nearest)
            if depth.shape != image.shape[:2]:
                raise images.ImageError(
                    f'it is {depth.shape[1]} x {depth.shape[0]}, the image '
                    f'{image.shape[1]} x {image.shape[0]}: use depth aligned to colour'
                )
            if nearest.header.frame_id != header.frame_id:
                raise images.ImageError(
                    f'it is in frame {nearest.header.frame_id!r}, the image in '
                    f'{header.frame_id!r}: use depth aligned to colour'
                )
        except images.ImageError as error:
            self._depth_fault = str(error)
            self._ignored('depth', error)
            return None
        return depth

    def _boxes(self, image: np.ndarray, options: NodeOptions) -> list[list[int]] | None:
        region = self._region
        if options.regions != 'topic':
            return None
        if region is None or not (region.width and region.height):
            return []
        height, width = image.shape[:2]
        if region.x_offset >= width or region.y_offset >= height:
            self._standing(
                f'the region is ignored: {region.width} x {region.height} at {region.x_offset}, '
                f'{region.y_offset} is outside of the {width} x {height} image')
            return []
        return [[region.x_offset, region.y_offset, region.width, region.height]]
