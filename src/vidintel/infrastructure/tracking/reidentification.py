"""Whether a tracklet continues an earlier one, judged by the motion and the appearance of both."""

from collections.abc import Mapping

import numpy as np

from vidintel.infrastructure.tracking.tracklets import (
    LEAVING_SPEED,
    USUAL_DIFFERENCE,
    Floats,
    Motion,
    Tracklet,
    difference,
)

KNOWN_SPEED_S = 0.3
"""A tracklet's own speed is known once it was seen for this long."""
_MAX_SIZE_RATIO = 4.0
_MAX_DISTANCE = 4.0


def log_odds(earlier: Tracklet, later: Tracklet) -> float | None:
    """The log odds that both are the same object: above 0 for more likely than not, ``None`` for impossible.

    A logistic regression, fitted to pairs of tracklets from 120 synthetic scenes at 5 and at 25 frames a second; see
    ADR 0023. The weights of labels and of turns at an edge of the picture were chosen by the counts that they lead to
    (ADR 0024). A missing appearance embedding counts as neither similar nor different.
    """
    end, start = earlier.last_motion(), later.first_motion()
    gap_s = later.first_s - end.time_s
    if gap_s <= 0:
        return None
    if np.prod(np.maximum(end.size, start.size) / np.minimum(end.size, start.size)) > _MAX_SIZE_RATIO:
        return None
    size = (end.size + start.size) / 2
    before, after, span_s = _speeds(end, start)
    change = float(np.hypot(*((after - before) / size)))
    speed = max(float(np.hypot(*(before / size))), float(np.hypot(*(after / size))))
    # the mean of both velocities is exact under constant acceleration
    away = float(np.hypot(*((start.centre - end.centre - (before + after) / 2 * gap_s) / size)))
    reach = 0.25 + 0.15 * gap_s + (0.15 * gap_s / span_s if span_s else 1.2 * gap_s)
    if away > _MAX_DISTANCE * reach:
        return None
    old, new = earlier.last_appearance.embedding, later.first_appearance.embedding
    unlike = USUAL_DIFFERENCE if old is None or new is None else float(difference(old, new))
    turned = bool((earlier.leaves_by & (start.outward < -LEAVING_SPEED)).any())
    return float(
        5.4
        - 0.75 * min(away / reach, 3.0) ** 2
        - 0.12 * unlike
        - 2.3 * change / (0.4 + 0.35 * speed)
        - 2.0 * np.log(gap_s + 0.1)
        - 1.9 * (span_s == 0)
        - 4.0 * turned
        - 2.0 * _disagreement(earlier.labels(), later.labels())
    )


def _disagreement(labels: Mapping[str, float], others: Mapping[str, float]) -> float:
    """How much the labels of two tracklets differ, 0..1, by the share of each label."""
    return 1.0 - sum(min(share, others.get(label, 0.0)) for label, share in labels.items())


def _speeds(end: Motion, start: Motion) -> tuple[Floats, Floats, float]:
    """Velocity before and after a gap, and the shorter of the times (seconds) over which the two were measured.

    Where one side was seen too briefly, the velocity of the other side stands for both. Where both were, velocities
    and time are 0.
    """
    known = [motion for motion in (end, start) if motion.span_s >= KNOWN_SPEED_S]
    if not known:
        return np.zeros(2), np.zeros(2), 0.0
    return known[0].velocity, known[-1].velocity, min(motion.span_s for motion in known)
