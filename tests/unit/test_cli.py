"""The command line before its commands."""

from importlib.metadata import version

from typer.testing import CliRunner

from vidintel.entrypoints.cli import app


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])

    assert (result.exit_code, result.output) == (0, f"{version('vidintel')}\n")


def test_without_a_command_there_is_help() -> None:
    result = CliRunner().invoke(app, [])

    assert "serve" in result.output
    assert result.exit_code != 0
