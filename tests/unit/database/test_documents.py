"""The JSON documents in the database: their shape, and what is read of those that another version wrote."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from tests.support.factories import RESULTS
from vidintel.domain.results import JobResults
from vidintel.infrastructure.database.repositories.documents import results_of_documents, results_to_documents

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


def values_in(value: object) -> Iterator[object]:
    """``value`` and all that is in it."""
    yield value
    if is_dataclass(value):
        for field in fields(value):
            yield from values_in(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from values_in(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from values_in(each)


def test_the_sample_fills_every_field() -> None:
    assert not [value for value in values_in(RESULTS) if value is None or value == () or value == {} or value == 0]


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
