"""Where the settings come from: the command line over the environment over a YAML file over the defaults."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, SettingsError

from vidintel.settings.model import Settings

FILE_VARIABLE = "VIDINTEL_CONFIG"
DEFAULT_FILE = Path("config") / "vidintel.yaml"

Values = Mapping[str, object]
"""Groups within groups, by name."""

NOTHING: Values = MappingProxyType({})


class Origin(StrEnum):
    """The source of a value; each one overrides those before it."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"


class ConfigurationInvalid(Exception):
    """The configuration is invalid. The message names the settings, never their values, which may be secrets."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings, with the source of each (``origins``, by dotted name). ``file`` is the file that was read, if any."""

    settings: Settings
    origins: Mapping[str, Origin]
    file: Path | None
    command_line: Values = field(default_factory=dict)

    def read_again(self) -> "Configuration":
        """The same file and command line as they are now. Raises `ConfigurationInvalid`."""
        return load(file=self.file, command_line=self.command_line)


def load(*, file: Path | None = None, command_line: Values = NOTHING) -> Configuration:
    """Read what is configured.

    ``file`` left out is the one at ``VIDINTEL_CONFIG``, else ``config/vidintel.yaml`` where there is one. Raises
    `ConfigurationInvalid`, also when a file that was named is not there.
    """
    file = file or _file_to_read()
    sources = {
        Origin.COMMAND_LINE: command_line,
        Origin.ENVIRONMENT: _environment(),
        Origin.FILE: {} if file is None else _read(file),
    }
    merged: dict[str, object] = {}
    for values in reversed(sources.values()):
        merged = _merged(merged, values)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigurationInvalid(_explained(error, sources, file)) from None
    origins = {name: _origin(name, sources) for name, _ in leaves(Settings)}
    return Configuration(settings, origins, file, command_line)


def leaves(group: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every single setting, by its dotted name: ``limits.max_side_px``."""
    for name, info in group.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", info


def value_at(settings: BaseModel, name: str) -> object:
    """The value under a dotted name."""
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def variable_of(name: str) -> str:
    """The environment variable of a dotted name."""
    return f"VIDINTEL_{name.replace('.', '__').upper()}"


def _file_to_read() -> Path | None:
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _environment() -> Values:
    try:
        return EnvSettingsSource(Settings)()
    except SettingsError:
        # Its text may quote the value.
        raise ConfigurationInvalid("A VIDINTEL_… variable for a list or a group does not hold JSON.") from None


def _read(file: Path) -> Values:
    try:
        found = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise ConfigurationInvalid(f"{file} cannot be read: {error.strerror}.") from None
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise ConfigurationInvalid(f"{file}{line}: not YAML ({error.problem}).") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigurationInvalid(f"{file}: not YAML.") from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ConfigurationInvalid(f"{file}: should hold groups of settings by name.")
    return found


def _merged(below: Values, above: Values) -> dict[str, object]:
    both = dict(below)
    for name, value in above.items():
        under = both.get(name)
        both[name] = _merged(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return both


def _origin(name: str, sources: Mapping[Origin, Values]) -> Origin:
    parts = name.split(".")
    return next((origin for origin, values in sources.items() if _holds(values, parts)), Origin.DEFAULT)


def _holds(values: object, parts: Sequence[str]) -> bool:
    for part in parts:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _explained(error: ValidationError, sources: Mapping[Origin, Values], file: Path | None) -> str:
    lines = []
    for each in error.errors(include_input=False, include_context=False, include_url=False):
        name = ".".join(map(str, each["loc"]))
        match _origin(name, sources):
            case Origin.FILE:
                where = f" ({file})"
            case Origin.ENVIRONMENT:
                where = f" ({variable_of(name)})"
            case _:
                where = ""
        lines.append(f"{name}{where}: {each['msg']}")
    return "\n".join(lines)
