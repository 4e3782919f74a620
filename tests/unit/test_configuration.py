"""Where settings come from, who wins, and what is said when they cannot be used."""

import json
import re
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import SecretStr

from vidintel.entrypoints.config import EXAMPLE_FILE, as_json, as_table, publish
from vidintel.infrastructure.observability.logging import is_secret_name
from vidintel.settings.model import RELOADABLE, Settings
from vidintel.settings.published import SCHEMA_FILE, example_yaml, schema_json
from vidintel.settings.sources import ConfigurationInvalid, Origin, leaves, load

CONFIG = Path(__file__).parents[2] / "config"
NOT_TOLD_BY_NAME = {"database.url", "redis.url"}


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, and no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name, _ in leaves(Settings):
        monkeypatch.delenv(f"VIDINTEL_{name.replace('.', '__').upper()}", raising=False)
    monkeypatch.delenv("VIDINTEL_CONFIG", raising=False)
    return tmp_path


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_anything_there_are_the_defaults() -> None:
    configuration = load()

    assert configuration.settings == Settings()
    assert set(configuration.origins.values()) == {Origin.DEFAULT}
    assert configuration.file is None


def test_command_line_wins_over_environment_over_file_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    written(Path("config/vidintel.yaml"), "limits: {max_side_px: 100, max_body_bytes: 1}\nhttp: {port: 1, host: file}")
    monkeypatch.setenv("VIDINTEL_LIMITS__MAX_SIDE_PX", "200")
    monkeypatch.setenv("VIDINTEL_HTTP__PORT", "2")

    configuration = load(command_line={"http": {"port": 3}})

    settings, origins = configuration.settings, configuration.origins
    assert (settings.limits.max_body_bytes, origins["limits.max_body_bytes"]) == (1, Origin.FILE)
    assert (settings.http.host, origins["http.host"]) == ("file", Origin.FILE)
    assert (settings.limits.max_side_px, origins["limits.max_side_px"]) == (200, Origin.ENVIRONMENT)
    assert (settings.http.port, origins["http.port"]) == (3, Origin.COMMAND_LINE)
    assert (settings.limits.max_upload_bytes, origins["limits.max_upload_bytes"]) == (4 * 1024**3, Origin.DEFAULT)


def test_a_group_of_the_environment_leaves_the_rest_of_the_group_to_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(Path("x.yaml"), "log: {level: debug, format: console}")
    monkeypatch.setenv("VIDINTEL_LOG", '{"level": "error"}')

    log = load(file=file).settings.log

    assert (log.level, log.format) == ("error", "console")


def test_the_variable_names_another_file_and_the_argument_a_third(monkeypatch: pytest.MonkeyPatch) -> None:
    written(Path("config/vidintel.yaml"), "http: {port: 1}")
    monkeypatch.setenv("VIDINTEL_CONFIG", str(written(Path("second.yaml"), "http: {port: 2}")))

    assert load().settings.http.port == 2
    assert load(file=written(Path("third.yaml"), "http: {port: 3}")).settings.http.port == 3


@pytest.mark.parametrize("content", ["", "# nothing yet\n"])
def test_an_empty_file_is_a_file(content: str) -> None:
    assert load(file=written(Path("x.yaml"), content)).settings == Settings()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("limits: {max_side_px: 3}", r"limits\.max_side_px \(x\.yaml\): Input should be greater"),
        ("limits: {max_side: 3}", r"limits\.max_side \(x\.yaml\): Extra inputs"),
        ("limits:\n  - 1", r"limits \(x\.yaml\): "),
        ("limits: [", r"x\.yaml, line 1: not YAML"),
        ("a: b: c", r"x\.yaml, line 1: not YAML"),
        ("- 1", r"x\.yaml: should hold groups"),
        ("1: 2", r"x\.yaml: should hold groups"),
        ("\x00", r"x\.yaml: not YAML"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_and_where(content: str, complaint: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=complaint):
        load(file=written(Path("x.yaml"), content))


def test_a_file_that_was_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINTEL_CONFIG", "nowhere.yaml")

    with pytest.raises(ConfigurationInvalid, match=r"nowhere\.yaml cannot be read"):
        load()


def test_a_bad_variable_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINTEL_HTTP__PORT", "hunter2")

    with pytest.raises(ConfigurationInvalid, match=r"http\.port \(VIDINTEL_HTTP__PORT\)") as caught:
        load()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["VIDINTEL_HTTP__CORS_ORIGINS", "VIDINTEL_AUTH"])
def test_a_variable_that_is_not_json_does_not_show_its_value(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "hunter2")

    with pytest.raises(ConfigurationInvalid) as caught:
        load()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("by_file", [True, False])
def test_secrets_are_masked_wherever_they_come_from(monkeypatch: pytest.MonkeyPatch, by_file: bool) -> None:
    if by_file:
        written(Path("config/vidintel.yaml"), "database: {url: 'postgresql+asyncpg://u:hunter2@db/v'}")
    else:
        monkeypatch.setenv("VIDINTEL_DATABASE__URL", "postgresql+asyncpg://u:hunter2@db/v")
    configuration = load()

    shown = json.loads(as_json(configuration))

    origin = "file" if by_file else "environment"
    assert shown["database.url"] == {"value": "**********", "from": origin}
    assert "hunter2" not in as_json(configuration)
    assert "hunter2" not in repr(list(as_table(configuration).columns[1].cells))
    assert shown["metrics.token"] == {"value": None, "from": "default"}


def test_every_setting_with_a_secret_name_is_kept_as_a_secret() -> None:
    plain = {
        name
        for name, info in leaves(Settings)
        if (is_secret_name(name.rpartition(".")[2]) or name in NOT_TOLD_BY_NAME)
        and SecretStr not in typing.get_args(info.annotation)
        and info.annotation is not SecretStr
    }

    assert plain == set()


def test_the_published_schema_and_example_are_up_to_date(tmp_path: Path) -> None:
    publish(tmp_path)

    for name in (SCHEMA_FILE, EXAMPLE_FILE):
        assert (CONFIG / name).read_text() == (tmp_path / name).read_text(), "run `make config`"


def test_the_example_holds_every_setting_at_its_default_and_fits_the_schema() -> None:
    said = yaml.safe_load(re.sub(r"(?m)^#(?! \S)", "", example_yaml()))

    Draft202012Validator(json.loads(schema_json())).validate(said)
    assert load(file=written(Path("x.yaml"), yaml.safe_dump(said))).settings == Settings()
    assert {".".join(path) for path in paths_of(said)} == {name for name, _ in leaves(Settings)}


@pytest.mark.parametrize("bad", ["limits: {max_side_px: 3}", "limits: {max_side: 3}", "log: {level: loud}", "what: 1"])
def test_the_schema_refuses_what_we_would_refuse(bad: str) -> None:
    assert not Draft202012Validator(json.loads(schema_json())).is_valid(yaml.safe_load(bad))


def test_what_is_reloadable_exists() -> None:
    names = [name for name, _ in leaves(Settings)]

    for live in RELOADABLE:
        assert any(name == live or name.startswith(f"{live}.") for name in names), live


def paths_of(said: Any) -> list[tuple[str, ...]]:
    if not isinstance(said, dict) or not said:
        return [()]
    return [(name, *rest) for name, inner in said.items() for rest in paths_of(inner)]
