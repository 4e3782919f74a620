"""The summary's counts mean what their names say."""

from vidintel.domain.analytics import Peak, SummaryFold
from vidintel.domain.detection import BoundingBox, Detection, FrameDetections

BOX = BoundingBox(0.1, 0.1, 0.2, 0.2)


def frame(index: int, time_s: float, *labels: str) -> FrameDetections:
    return FrameDetections(index, time_s, tuple(Detection(label, 0.9, BOX) for label in labels))


def test_counts_peaks_and_times_per_label() -> None:
    fold = SummaryFold()
    for seen in (frame(0, 0.0, "car"), frame(5, 0.2, "car", "car", "person"), frame(20, 0.8, "car", "car")):
        fold.add(seen)

    summary = fold.result(frames_analysed=7)

    assert (summary.frames_analysed, summary.detections) == (7, 6)
    assert summary.busiest == Peak(3, 0.2, 5)
    car = summary.labels["car"]
    assert (car.detections, car.frames, car.first_seen_s, car.last_seen_s) == (5, 3, 0.0, 0.8)
    assert car.peak_concurrent == Peak(2, 0.2, 5)
    assert summary.labels["person"].peak_concurrent == Peak(1, 0.2, 5)


def test_nothing_seen_is_an_answer_too() -> None:
    summary = SummaryFold().result(frames_analysed=3)

    assert (summary.frames_analysed, summary.detections, summary.busiest, summary.labels) == (3, 0, None, {})
