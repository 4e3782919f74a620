"""Whether a sample of an entity can show that a mapper forgets or swaps a field.

A forgotten field is read back as its default, and a swapped one as the value of another field. A sample notices both
when no field holds its default and no two fields of the same type hold the same value.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from itertools import combinations
from typing import Any

from vidintel.domain.analysis import AnalysisSpec
from vidintel.domain.results import JobResults

DOCUMENTS = (AnalysisSpec, JobResults)
"""Stored whole, under the names of their fields: two of these cannot be swapped."""


def assert_complete(*samples: object) -> None:
    """Each field is filled in at least one of ``samples``, and no sample holds a value twice.

    ``samples`` have the same type. Several are needed where no state of an entity fills all of its fields.
    """
    missing, twice = unfilled(*samples), [pair for sample in samples for pair in alike(sample)]
    assert not missing, f"Fields that hold their default or nothing: {missing}"
    assert not twice, f"Fields that hold the same value: {twice}"


def unfilled(*samples: object) -> list[str]:
    """The paths of the fields, those of nested values too, that hold their default or nothing in all ``samples``."""
    return list(_unfilled(samples, ""))


def alike(sample: object) -> list[tuple[str, str]]:
    """The paths of the fields of the same type that hold the same value; truth values and empty ones are left out."""
    leaves = [(path, leaf) for path, leaf in _leaves(sample, "") if leaf and not isinstance(leaf, bool)]
    return [
        (path, other_path)
        for (path, leaf), (other_path, other) in combinations(leaves, 2)
        if type(leaf) is type(other) and leaf == other
    ]


def _unfilled(samples: Sequence[object], path: str) -> Iterator[str]:
    for field in fields(_a_dataclass(samples[0])):
        filled = [value for value in (getattr(sample, field.name) for sample in samples) if _is_filled(field, value)]
        here = f"{path}{field.name}"
        if not filled:
            yield here
        nested = [each for value in filled for each in _dataclasses_in(value)]
        if nested:
            yield from _unfilled(nested, f"{here}.")


def _is_filled(field: Field[Any], value: object) -> bool:
    if field.default is not MISSING:
        return value is not None and value != field.default
    if field.default_factory is not MISSING:
        return value is not None and value != field.default_factory()
    return bool(value)


def _dataclasses_in(value: object) -> Iterator[object]:
    if is_dataclass(value):
        yield value
    elif isinstance(value, (tuple, Mapping)):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _dataclasses_in(each)


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if is_dataclass(value) and not isinstance(value, DOCUMENTS):
        for field in fields(value):
            yield from _leaves(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from _leaves(each, f"{path}[{index}]")
    else:
        yield path, value


def _a_dataclass(value: object) -> Any:
    assert is_dataclass(value)
    return value
