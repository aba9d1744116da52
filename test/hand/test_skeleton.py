from hiu_ros.hand import skeleton


def test_every_keypoint_but_the_wrist_is_the_child_of_one_bone():
    children = [child for child, _ in skeleton.BONES]
    assert children == list(range(1, skeleton.KEYPOINT_COUNT))
    for child, parent in skeleton.BONES:
        assert parent < child
        same_finger = (
            skeleton.KEYPOINT_NAMES[child].split('_')[0]
            == skeleton.KEYPOINT_NAMES[parent].split('_')[0])
        assert same_finger or parent == 0


def test_keypoints_are_joints_and_tips_of_the_same_finger():
    assert sorted(skeleton.KEYPOINTS_FROM_JOINTS) == list(range(skeleton.KEYPOINT_COUNT))
    sources = skeleton.JOINT_NAMES + tuple(f'{finger}_tip' for finger in skeleton.FINGERS)
    for name, source in zip(skeleton.KEYPOINT_NAMES, skeleton.KEYPOINTS_FROM_JOINTS):
        finger = name.split('_')[0]
        assert sources[source].startswith(finger)
        assert name.endswith('tip') == sources[source].endswith('tip')


def test_the_kinematic_tree_follows_the_bones():
    position = {joint: k for k, joint in enumerate(skeleton.KEYPOINTS_FROM_JOINTS)}
    for joint, parent in enumerate(skeleton.JOINT_PARENTS):
        if parent < 0:
            assert joint == 0
        else:
            assert (position[joint], position[parent]) in skeleton.BONES


def test_counts():
    assert len(skeleton.JOINT_NAMES) == len(skeleton.JOINT_PARENTS) == skeleton.JOINT_COUNT == 16
    assert skeleton.KEYPOINT_COUNT == 21
    assert len(skeleton.BONES) == len(skeleton.BONE_NAMES) == 20
    assert [skeleton.KEYPOINT_NAMES[k] for k in skeleton.TIP_KEYPOINTS] == [
        f'{finger}_tip' for finger in skeleton.FINGERS]
    assert skeleton.POSE_COUNT == 48
