"""``vidintel config``: shows the configuration, and writes its schema and an example."""

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.table import Table
from rich.text import Text

from vidintel.settings.model import RELOADABLE
from vidintel.settings.published import SCHEMA_FILE, example_yaml, schema_json
from vidintel.settings.sources import Configuration, Origin, value_at, variable_of

EXAMPLE_FILE = "vidintel.example.yaml"

Directory = Annotated[Path, typer.Argument(file_okay=False, help="Where the two files are written.")]


def publish(directory: Directory = Path("config")) -> None:
    """Write the JSON schema of the configuration file, and an annotated example."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SCHEMA_FILE).write_text(schema_json())
    (directory / EXAMPLE_FILE).write_text(example_yaml())


def as_table(configuration: Configuration) -> Table:
    """Every setting with its value, secrets masked, and the source of the value."""
    table = Table(caption=f"file: {configuration.file or 'none'}; * takes effect without a restart")
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    shown = masked(configuration)
    for name, origin in configuration.origins.items():
        mark = "*" if any(name == live or name.startswith(f"{live}.") for live in RELOADABLE) else ""
        source = f"{origin} {variable_of(name)}" if origin is Origin.ENVIRONMENT else str(origin)
        style = "dim" if origin is Origin.DEFAULT else "bold"
        table.add_row(name + mark, Text(json.dumps(shown[name], ensure_ascii=False)), Text(source), style=style)
    return table


def as_json(configuration: Configuration) -> str:
    """The same, by dotted name."""
    shown = masked(configuration)
    return json.dumps(
        {name: {"value": shown[name], "from": origin} for name, origin in configuration.origins.items()}, indent=2
    )


def masked(configuration: Configuration) -> dict[str, object]:
    """Every value by its dotted name, as JSON has it; secrets are asterisks."""
    return {name: _plain(configuration.settings, name) for name in configuration.origins}


def _plain(settings: BaseModel, name: str) -> object:
    group, _, field = name.rpartition(".")
    owner = value_at(settings, group) if group else settings
    assert isinstance(owner, BaseModel)
    plain: object = owner.model_dump(mode="json", include={field})[field]
    return plain
