"""What is published about the settings, made from their definition: a JSON schema and an annotated example."""

import json
import textwrap
from collections.abc import Iterator

from pydantic import BaseModel

from vidintel.settings.model import RELOADABLE, Settings

SCHEMA_FILE = "vidintel.schema.json"

_HEAD = f"""\
# yaml-language-server: $schema={SCHEMA_FILE}

# Everything that can be configured, with its default. Save it as config/vidintel.yaml, or name it by VIDINTEL_CONFIG
# or --config, and take the mark away from the lines that you want to change. Environment variables win over this file
# (VIDINTEL_LIMITS__MAX_SIDE_PX over max_side_px of limits), options of the command line over both: `vidintel config
# show` tells where each value comes from. Secrets are better off in the environment.
#
# (live) marks what takes effect as soon as this file is saved. The rest needs a restart.
"""
_MARK = "#"
_WIDTH = 120


def schema_json() -> str:
    """The JSON schema of the file."""
    schema = Settings.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


def example_yaml() -> str:
    """A file with every setting at its default, all of them commented out; comments for people begin with ``# ``."""
    return "\n".join([_HEAD, *_lines(Settings.model_construct())]) + "\n"


def _lines(group: BaseModel, name: str = "") -> Iterator[str]:
    indent = "  " * bool(name)
    for field, info in type(group).model_fields.items():
        value = getattr(group, field)
        path = f"{name}.{field}" if name else field
        if isinstance(value, BaseModel):
            yield ""
            live = " (live)" if path in RELOADABLE else ""
            text = " ".join((type(value).__doc__ or "").replace("``", "").split())
            yield from textwrap.wrap(text + live, _WIDTH, initial_indent="# ", subsequent_indent="# ")
            yield f"{_MARK}{field}:"
            yield from _lines(value, path)
        else:
            said = [info.description] if info.description else []
            said += ["(live)"] if path in RELOADABLE else []
            comment = f"   # {' '.join(said)}" if said else ""
            plain = group.model_dump(mode="json", include={field})[field]
            # JSON is YAML, and says in one line what a list is.
            yield f"{_MARK}{indent}{field}: {json.dumps(plain)}{comment}"
