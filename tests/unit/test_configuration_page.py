"""The page about settings names every setting that there is, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from vidintel.settings.model import Settings

PAGE = Path(__file__).parents[2] / "docs/configuration.md"


def variables(group: type[BaseModel], prefix: str = "VIDINTEL_") -> Iterator[str]:
    for name, info in group.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from variables(info.annotation, f"{prefix}{name.upper()}__")
        else:
            yield prefix + name.upper()


def test_every_setting_is_described_and_nothing_else() -> None:
    described = re.findall(r"^\| `(VIDINTEL_\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)

    assert sorted(described) == sorted(variables(Settings))
