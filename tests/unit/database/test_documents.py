"""The JSON documents in the database: their shape, and what is read of those that another version wrote."""

from tests.support.completeness import unfilled
from tests.support.factories import FULL_SPEC, RESULTS
from vidintel.domain.analysis import AnalysisSpec
from vidintel.domain.results import JobResults
from vidintel.infrastructure.database.repositories.documents import (
    results_of_documents,
    results_to_documents,
    spec_of_document,
    spec_to_document,
)

STORED = {
    "summary": {
        "frames_analysed": 100,
        "frames_reused": 40,
        "detections": 143,
        "unique_tracks": 3,
        "busiest": {"count": 2, "time_s": 4.25, "frame": 105},
        "labels": {
            "car": {
                "unique_tracks": 3,
                "detections": 142,
                "frames": 96,
                "peak_concurrent": {"count": 1, "time_s": 1 / 3, "frame": 8},
                "first_seen_s": 0.1,
                "last_seen_s": 19.8,
            }
        },
        "line_crossings": [{"line": "Süd", "label": "car", "forward": 2, "backward": 1}],
        "zones": [
            {
                "zone": "kerb",
                "label": "car",
                "tracks": 1,
                "peak": 4,
                "peak_at_s": 7.4,
                "occupied": [{"start_s": 7.4, "end_s": 9.0}],
                "dwell_total_s": 1.6,
                "dwell_mean_s": 0.8,
                "dwell_max_s": 1.2,
            }
        ],
        "minimum_track": {"seconds": 0.75, "points": 5},
        "warnings": [{"code": "truncated", "detail": "The file ends early.", "count": 1, "first_at_s": 19.8}],
        "metrics": ["detections"],
    },
    "timeline": {
        "join_gap_s": 1.5,
        "labels": {"car": [{"start_s": 0.1, "end_s": 19.8}]},
        "shot_changes": [9.6],
        "shot_change_method": "hsv_histogram",
    },
    "snapshots": {"poster_s": 4.25, "preview_s": [1.0, 3.0], "shots": [1, 7]},
}

STORED_SPEC = {
    "model": "m",
    "sample_fps": 1 / 3,
    "labels": ["car", "lkw"],
    "min_confidence": 0.1,
    "iou_threshold": 1.0,
    "track_confidence": 0.35,
    "lines": [
        {"name": "Süd", "start": {"x": 0.1, "y": 1 / 3}, "end": {"x": 0.9, "y": 0.7}},
        {"name": "north", "start": {"x": 0.0, "y": 0.0}, "end": {"x": 1.0, "y": 0.0}},
    ],
    "zones": [{"name": "kerb", "points": [{"x": 0.1, "y": 0.1}, {"x": 0.2, "y": 0.1}, {"x": 1 / 7, "y": 0.2}]}],
    "reuse_similar": True,
}


def test_a_spec_is_stored_as_one_document() -> None:
    # As with results: these documents lie in databases.
    assert spec_to_document(FULL_SPEC) == STORED_SPEC
    assert spec_of_document(STORED_SPEC) == FULL_SPEC


def test_the_samples_have_no_default() -> None:
    assert unfilled(FULL_SPEC) == []
    assert unfilled(RESULTS) == []


def test_a_spec_of_another_version_is_read() -> None:
    assert spec_of_document({"model": "m", "sample_fps": None, "detector_input": 640}) == AnalysisSpec("m", None)


def test_whole_numbers_in_a_spec_are_read_as_fractions() -> None:
    # PostgreSQL and other writers of JSON may leave out the ".0".
    assert isinstance(spec_of_document({"model": "m", "iou_threshold": 1}).iou_threshold, float)


def test_results_are_stored_as_a_document_for_each_kind() -> None:
    # These documents lie in databases: a change here needs a migration, or a mapper that reads both.
    assert results_to_documents(RESULTS) == STORED
    assert results_of_documents(STORED) == RESULTS


def test_kinds_and_fields_of_another_version_are_left_out() -> None:
    newer = STORED | {"heatmap": {"cells": [1]}, "timeline": STORED["timeline"] | {"scenes": []}}

    assert results_of_documents(newer) == RESULTS


def test_no_results_are_no_documents() -> None:
    assert results_to_documents(JobResults()) == {}
    assert results_of_documents({}) == JobResults()
