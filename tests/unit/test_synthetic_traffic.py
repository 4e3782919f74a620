"""The synthetic scenes that other tests measure against: exact, plausible and the same every time."""

import itertools
import json
from pathlib import Path

import av
import numpy as np
import pytest

from scripts.synthetic_traffic import LABELS, Scene, generate_scene, write_clip, write_dataset, write_truth
from scripts.traffic_motion import STEP, drive_lane, road_centre

SEEDS = (1, 6, 14, 25)


@pytest.fixture(scope="module", params=SEEDS)
def scene(request: pytest.FixtureRequest) -> Scene:
    return generate_scene(request.param, seconds=3.0, fps=10)


def test_one_seed_gives_the_same_frames_and_truth(scene: Scene) -> None:
    again = generate_scene(scene.parameters.seed, seconds=3.0, fps=10)

    assert again.truth == scene.truth
    for index in (0, 17):
        np.testing.assert_array_equal(again.frame(index), scene.frame(index))


def test_frames_do_not_depend_on_the_order_they_are_asked_in(scene: Scene) -> None:
    late = scene.frame(20)

    assert np.array_equal(list(scene.frames())[20], late)


def test_seeds_give_different_scenes() -> None:
    pictures = [generate_scene(seed, seconds=0.5).frame(0) for seed in SEEDS]

    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(one.astype(int) - other.astype(int)).mean() > 5


def test_frames_have_the_asked_size() -> None:
    scene = generate_scene(3, seconds=0.4, fps=5, width=480, height=270)

    pictures = list(scene.frames())

    assert len(pictures) == len(scene.truth) == 2
    assert all(picture.shape == (270, 480, 3) and picture.dtype == np.uint8 for picture in pictures)


def test_truth_lies_in_the_picture(scene: Scene) -> None:
    objects = [one for frame in scene.truth for one in frame]

    assert objects
    for one in objects:
        x0, y0, x1, y1 = one.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        assert 0 <= one.visible <= one.inside <= 1
        assert one.label in LABELS


def test_tracks_keep_their_label_and_come_once(scene: Scene) -> None:
    labels: dict[int, set[str]] = {}
    frames: dict[int, list[int]] = {}
    for index, objects in enumerate(scene.truth):
        assert len({one.track_id for one in objects}) == len(objects)
        for one in objects:
            labels.setdefault(one.track_id, set()).add(one.label)
            frames.setdefault(one.track_id, []).append(index)

    assert all(len(seen) == 1 for seen in labels.values())
    assert all(indices == list(range(indices[0], indices[-1] + 1)) for indices in frames.values())
    assert sorted(frames) == list(range(1, len(frames) + 1))


def test_objects_move_smoothly(scene: Scene) -> None:
    for before, after in itertools.pairwise(scene.truth):
        earlier = {one.track_id: one for one in before}
        for one in after:
            was = earlier.get(one.track_id)
            if was and was.inside == one.inside == 1:
                moved = np.abs(_centre_px(one.box) - _centre_px(was.box)).max()
                assert moved < 300 / scene.parameters.fps


def test_the_box_holds_the_object_and_nothing_else() -> None:
    scene = generate_scene(14, seconds=1.0, fps=5)
    found = 0
    for placed, one in zip(scene._placed(0), scene.objects(0), strict=True):
        if one.inside < 1:
            continue
        rows, columns = np.nonzero(placed.stamp.image[..., 3] > 127)
        drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
        drawn += [placed.stamp.left, placed.stamp.top] * 2
        np.testing.assert_allclose(_pixels(one.box), drawn, atol=1.01)
        found += 1
    assert found


def test_vehicles_of_one_lane_never_touch() -> None:
    lane = road_centre(320, 180, 0.0, 0.0, 500)

    vehicles = drive_lane(np.random.default_rng(5), lane, seconds=20, speed=110, headway_s=0.8, trucks=0.3)

    assert len(vehicles) > 10
    for leader, follower in itertools.pairwise(vehicles):
        offset = follower.start_step - leader.start_step
        ahead = np.array(leader.distances[offset:])
        behind = np.array(follower.distances[: ahead.size])
        gaps = ahead[: behind.size] - behind - (leader.length + follower.length) / 2
        assert (gaps > 2).all()
        assert np.diff(follower.distances).max() < 250 * STEP


def test_the_clip_has_a_frame_for_each_entry_of_the_truth(tmp_path: Path) -> None:
    scene = generate_scene(14, seconds=2.0, fps=10)
    write_clip(tmp_path / "clip.mp4", scene, crf=30, preset="ultrafast", keyframe_s=1.0)
    write_truth(tmp_path / "truth.json", scene)

    truth = json.loads((tmp_path / "truth.json").read_text())
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frames = list(container.decode(video=0))

    assert len(frames) == len(truth["frames"]) == 20
    assert [frame.key_frame for frame in frames].count(True) >= 2
    assert [round(float(frame.time or 0), 4) for frame in frames] == [entry["time_s"] for entry in truth["frames"]]
    seen = {one["track_id"] for entry in truth["frames"] for one in entry["objects"]}
    assert seen == {track["track_id"] for track in truth["tracks"]}
    error = np.abs(frames[7].to_ndarray(format="bgr24").astype(int) - scene.frame(7)).mean()
    assert error < 12


def test_the_dataset_has_a_label_file_for_each_image(tmp_path: Path) -> None:
    written = write_dataset(tmp_path, "train", range(3, 5), per_scene=2)

    images = sorted(path.stem for path in (tmp_path / "images" / "train").glob("*.jpg"))
    labels = sorted((tmp_path / "labels" / "train").glob("*.txt"))
    assert written == len(images) == 4
    assert images == [path.stem for path in labels]
    rows = np.concatenate([np.loadtxt(path, ndmin=2) for path in labels])
    assert rows.shape[1] == 5
    assert set(rows[:, 0]) <= {0, 1, 2}
    assert (rows[:, 1:] >= 0).all()
    assert (rows[:, 1:] <= 1).all()


def _pixels(box: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(box) * [640, 360, 640, 360]


def _centre_px(box: tuple[float, float, float, float]) -> np.ndarray:
    x0, y0, x1, y1 = _pixels(box)
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2])
