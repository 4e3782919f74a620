"""Matches the detections of a frame to tracklets. `vidintel.infrastructure.tracking.tracker` bridges gaps.

Association follows ByteTrack (Zhang et al. 2022): detections above the high threshold are matched first, those between
the low and the high threshold to the remaining tracklets. Similarity is the buffered IoU of C-BIoU (Yang et al. 2023).
Where a detection fits several tracklets, their appearance embeddings decide as well.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from vidintel.infrastructure.tracking.tracklets import (
    USUAL_DIFFERENCE,
    Floats,
    Sighting,
    TrackingSettings,
    Tracklet,
    difference,
)

_SETTLED = 3
"""From this many sightings on, the speed and the label of a tracklet are reliable."""
_MAX_DIFFERENCE = 30.0
_MATCH_BONUS = 5.0
"""More than similarity and difference can outweigh, so as many pairs as possible are matched."""


class Association:
    """Extends tracklets by the detections of one frame after another."""

    def __init__(self, settings: TrackingSettings, frame_interval_s: float, track_confidence: float) -> None:
        self._settings = settings
        self._track_confidence = track_confidence
        self._interval_s = frame_interval_s
        self._window_s = max(settings.motion_window_s, 3 * frame_interval_s)
        self._coast_s = settings.coasting_s(frame_interval_s)
        self.live: list[Tracklet] = []

    def advance(self, time_s: float) -> None:
        """Drop the tracklets that ended or left the picture before ``time_s``."""
        self.live = [
            tracklet
            for tracklet in self.live
            if time_s - tracklet.last_s <= self._coast_s
            and _visible(tracklet.predict(time_s, self._window_s)) >= self._settings.min_visible
        ]

    def add(self, time_s: float, sightings: Sequence[Sighting]) -> list[tuple[Sighting, Tracklet]]:
        """Match the detections of one frame; returns those that belong to a tracklet, new ones included."""
        settings = self._settings
        distinct = _without_duplicates(sightings, settings.duplicate_cover)
        high = [sighting for sighting in distinct if sighting.confidence >= settings.high_threshold]
        low = [sighting for sighting in distinct if sighting.confidence < settings.high_threshold]
        matched = self._match(time_s, self.live, high, settings.high_match_similarity)
        taken = {id(tracklet) for _, tracklet in matched}
        unseen = [tracklet for tracklet in self.live if id(tracklet) not in taken]
        again = self._match(time_s, unseen, low, settings.low_match_similarity)
        known = {sighting.place for sighting, _ in (*matched, *again)}
        kept = []
        for sighting, tracklet in (*matched, *again):
            is_confident = sighting.confidence >= self._track_confidence
            ends_dip = is_confident and tracklet.lowest_confidence < settings.dip_confidence
            turns_back = tracklet.turns_back(sighting.box)
            if turns_back and sighting.confidence < settings.new_track_threshold:
                continue
            if ends_dip or turns_back:
                self.live.remove(tracklet)
                known.discard(sighting.place)
                continue
            tracklet.add(time_s, sighting)
            lowest = min(tracklet.lowest_confidence, sighting.confidence)
            tracklet.lowest_confidence = 1.0 if is_confident else lowest
            kept.append((sighting, tracklet))
        started = [
            (sighting, Tracklet(time_s, sighting, self._window_s))
            for sighting in distinct
            if sighting.place not in known and sighting.confidence >= settings.new_track_threshold
        ]
        self.live += [tracklet for _, tracklet in started]
        return [*kept, *started]

    def between(
        self, time_s: float, sightings: Sequence[Sighting], tracklets: Sequence[Tracklet]
    ) -> list[tuple[Sighting, Tracklet]]:
        """Match the detections of a skipped frame, without adding them to the tracklets."""
        distinct = _without_duplicates(sightings, self._settings.duplicate_cover)
        return self._match(time_s, tracklets, distinct, self._settings.high_match_similarity)

    def _match(
        self, time_s: float, tracklets: Sequence[Tracklet], sightings: Sequence[Sighting], least: float
    ) -> list[tuple[Sighting, Tracklet]]:
        if not tracklets or not sightings:
            return []
        expected = np.array([self._expected(tracklet, time_s) for tracklet in tracklets])
        buffers = np.array([self._buffer(tracklet, time_s) for tracklet in tracklets])
        similarity = buffered_iou(expected, np.array([sighting.box for sighting in sightings]), buffers)
        scores = _MATCH_BONUS + similarity - self._settings.appearance_weight * _differences(tracklets, sightings)
        required = least + self._settings.disagreement_similarity * _disagreements(tracklets, sightings)
        rows, columns = linear_sum_assignment(np.where(similarity >= required, scores, 0.0), maximize=True)
        return [
            (sightings[column], tracklets[row])
            for row, column in zip(rows, columns, strict=True)
            if similarity[row, column] >= required[row, column]
        ]

    def _expected(self, tracklet: Tracklet, time_s: float) -> Floats:
        return np.clip(tracklet.around(time_s, self._window_s), 0.0, 1.0)

    def _buffer(self, tracklet: Tracklet, time_s: float) -> float:
        base = self._settings.young_buffer if tracklet.count < _SETTLED else self._settings.settled_buffer
        return base + 0.2 * max(0.0, time_s - tracklet.last_s - self._interval_s)


def buffered_iou(boxes: Floats, others: Floats, buffers: Floats) -> Floats:
    """IoU of each of ``boxes`` (n, 4) with each of ``others`` (m, 4), enlarged by ``buffers`` (n,) sizes a side."""
    share = buffers[:, None, None]
    size, other_size = (boxes[:, 2:] - boxes[:, :2])[:, None], (others[:, 2:] - others[:, :2])[None]
    low = np.maximum(boxes[:, None, :2] - size * share, others[None, :, :2] - other_size * share)
    high = np.minimum(boxes[:, None, 2:] + size * share, others[None, :, 2:] + other_size * share)
    common = np.clip(high - low, 0.0, None).prod(axis=2)
    areas = (size.prod(axis=2) + other_size.prod(axis=2)) * (1 + 2 * buffers[:, None]) ** 2
    return np.asarray(common / np.maximum(areas - common, 1e-12), np.float64)


def _differences(tracklets: Sequence[Tracklet], sightings: Sequence[Sighting]) -> Floats:
    """How much the appearance of each tracklet differs from that of each sighting: (tracklets, sightings).

    No value exceeds `_MAX_DIFFERENCE`.
    """
    found = np.full((len(tracklets), len(sightings)), USUAL_DIFFERENCE)
    embeddings = [tracklet.last_appearance.embedding for tracklet in tracklets]
    known = {row: embedding for row, embedding in enumerate(embeddings) if embedding is not None}
    seen = {column: one.appearance for column, one in enumerate(sightings) if one.appearance is not None}
    if known and seen:
        apart = difference(np.array(list(known.values()))[:, None], np.array(list(seen.values()))[None])
        found[np.ix_(list(known), list(seen))] = np.minimum(apart, _MAX_DIFFERENCE)
    return found


def _disagreements(tracklets: Sequence[Tracklet], sightings: Sequence[Sighting]) -> Floats:
    """How much the label of each sighting contradicts those of each tracklet: (tracklets, sightings), 0..1.

    A tracklet labelled one way half of the time and another way the other half agrees with both labels. A tracklet
    with fewer than `_SETTLED` sightings agrees with every label.
    """
    nothing: Mapping[str, float] = {}
    labels = [tracklet.labels() if tracklet.count >= _SETTLED else nothing for tracklet in tracklets]
    return np.array(
        [
            [one.confidence * max(0.0, 1.0 - 2.0 * own.get(one.label, 0.0)) if own else 0.0 for one in sightings]
            for own in labels
        ]
    )


def _without_duplicates(sightings: Sequence[Sighting], cover: float) -> list[Sighting]:
    kept: list[Sighting] = []
    for sighting in sorted(sightings, key=lambda one: (-one.confidence, one.place)):
        if not any(_cover(sighting.box, other.box) > cover for other in kept):
            kept.append(sighting)
    return kept


def _cover(box: Floats, other: Floats) -> float:
    """The common area as a share of the smaller box."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((box[2] - box[0]) * (box[3] - box[1]), (other[2] - other[0]) * (other[3] - other[1]))
    return float(width * height / smaller)


def _visible(box: Floats) -> float:
    """The share of a box that lies in the picture; 0 for one that shrank to nothing."""
    size = box[2:] - box[:2]
    if (size <= 0).any():
        return 0.0
    inside = np.clip(np.minimum(box[2:], 1.0) - np.maximum(box[:2], 0.0), 0.0, None)
    return float(inside.prod() / size.prod())
