"""The check of the samples in the contract suites."""

from dataclasses import MISSING, fields, replace
from typing import Any

import pytest

from tests.contracts.full import full_item, full_job, full_segments, full_video
from tests.support.completeness import alike, unfilled

DONE, DEAD = full_segments(full_job(full_video()))
OPTIONAL = [
    (sample, field.name, field.default)
    for sample in (full_video(), full_job(full_video()), DONE, full_item())
    for field in fields(sample)
    if field.default is not MISSING and getattr(sample, field.name) != field.default
]


@pytest.mark.parametrize(
    ("sample", "name", "default"), OPTIONAL, ids=[f"{type(sample).__name__}.{name}" for sample, name, _ in OPTIONAL]
)
def test_a_field_that_holds_its_default_is_noticed(sample: Any, name: str, default: object) -> None:
    missing = set(unfilled(replace(sample, **{name: default}))) - set(unfilled(sample))

    assert missing == {name}


def test_a_default_in_a_nested_value_is_noticed() -> None:
    video = full_video()
    assert video.media is not None

    assert unfilled(replace(video, _media=replace(video.media, rotation=0))) == ["_media.rotation"]


def test_a_field_needs_to_be_filled_in_one_of_the_samples() -> None:
    assert unfilled(DONE) == ["_failure"]
    assert unfilled(DONE, DEAD) == []


def test_two_fields_with_the_same_value_are_noticed() -> None:
    video = full_video()

    assert alike(replace(video, _updated_at=video.created_at)) == [(".created_at", "._updated_at")]
