"""Settings that change while we run: what takes effect, what does not, and what happens to a broken file."""

import asyncio
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import structlog

from vidintel.application.ports import SilentTelemetry
from vidintel.settings.live import LiveSettings, SettingsReload
from vidintel.settings.model import Settings
from vidintel.settings.sources import load

PATIENCE_S = 20.0


class Reloads(SilentTelemetry):
    def __init__(self) -> None:
        self.accepted: list[bool] = []

    def settings_reloaded(self, *, accepted: bool) -> None:
        self.accepted.append(accepted)


class Running:
    """A process with a configuration file."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        file.write_text(text)
        configuration = load(file=file)
        self.live = LiveSettings(configuration.settings)
        self.telemetry = Reloads()
        self.adopted: list[Settings] = []
        self.something_adopted = asyncio.Event()
        self.reload = SettingsReload(self.live, configuration, self.telemetry, self._adopt, ask_every_s=3600)

    def _adopt(self, settings: Settings) -> None:
        self.adopted.append(settings)
        self.something_adopted.set()

    def becomes(self, text: str) -> list[Any]:
        """The file is saved with another text; returns what is logged about it."""
        self.file.write_text(text)
        with structlog.testing.capture_logs() as lines:
            self.reload.look()
        return lines


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path / "vidintel.yaml", "limits: {max_side_px: 100}\nwork: {concurrency: 3}")


def test_what_is_reloadable_takes_effect_and_is_said(running: Running) -> None:
    before = running.live.current

    lines = running.becomes(
        "limits: {max_side_px: 200}\nwork: {concurrency: 3}\nlog: {level: debug}\nanalysis: {sample_fps: 2}"
    )

    now = running.live.current
    assert (now.limits.max_side_px, now.log.level, now.analysis.sample_fps) == (200, "debug", 2.0)
    assert running.adopted == [now]
    assert running.telemetry.accepted == [True]
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("settings.reloaded", "info")
    assert set(line["changed"]) == {"limits.max_side_px", "log.level", "analysis.sample_fps"}
    assert before.limits.max_side_px == 100, "whoever holds the old settings holds them whole"


def test_what_wants_a_restart_stays_and_says_so_without_its_value(running: Running) -> None:
    lines = running.becomes("limits: {max_side_px: 200}\nwork: {concurrency: 7}\nmetrics: {token: hunter2}")

    assert running.live.current.work.concurrency == 3
    assert running.live.current.metrics.token is None
    assert running.live.current.limits.max_side_px == 200
    (line,) = [line for line in lines if line["event"] == "settings.restart_needed"]
    assert line["log_level"] == "warning"
    assert set(line["names"]) == {"work.concurrency", "metrics.token"}
    assert "hunter2" not in repr(lines)


def test_what_went_back_to_how_it_was_at_the_start_wants_no_restart(running: Running) -> None:
    running.becomes("work: {concurrency: 7}")

    lines = running.becomes("work: {concurrency: 3}")

    assert [line["event"] for line in lines] == ["settings.reloaded"]


@pytest.mark.parametrize("broken", ["limits: {max_side_px: hunter2}", "limits: [", "limits: {what: 1}"])
def test_a_broken_file_changes_nothing_and_is_logged_and_counted(running: Running, broken: str) -> None:
    before = running.live.current

    lines = running.becomes(broken)

    assert running.live.current is before
    assert running.adopted == []
    assert running.telemetry.accepted == [False]
    assert [(line["event"], line["log_level"]) for line in lines] == [("settings.rejected", "error")]
    assert "hunter2" not in repr(lines)


def test_a_file_that_is_gone_changes_nothing(running: Running) -> None:
    running.file.unlink()

    running.reload.look()

    assert running.live.current.limits.max_side_px == 100
    assert running.telemetry.accepted == [False]


def test_a_file_that_is_just_being_written_does_not_bring_back_the_defaults(running: Running) -> None:
    assert running.becomes("") == []

    assert running.live.current.limits.max_side_px == 100
    assert running.telemetry.accepted == []


def test_a_broken_file_that_is_mended_is_taken_over(running: Running) -> None:
    running.becomes("limits: [")

    running.becomes("limits: {max_side_px: 300}")

    assert running.live.current.limits.max_side_px == 300
    assert running.telemetry.accepted == [False, True]


def test_the_environment_wins_over_a_changed_file_too(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINTEL_LIMITS__MAX_SIDE_PX", "500")

    running.becomes("limits: {max_side_px: 300}")

    assert running.live.current.limits.max_side_px == 500


def test_what_was_set_after_loading_survives_a_reload(running: Running) -> None:
    issued = running.live.current.model_copy(update={"data_dir": Path("elsewhere")})
    live = LiveSettings(issued)

    live.adopt(running.live.current.model_copy(update={"data_dir": Path("data")}))

    assert live.current.data_dir == Path("elsewhere")


async def test_a_folder_that_cannot_be_watched_is_said_and_is_no_end(running: Running) -> None:
    running.file.unlink()
    running.file.parent.rmdir()

    with structlog.testing.capture_logs() as lines:
        await running.reload.watch()

    assert [line["event"] for line in lines] == ["settings.not_watched"]


@pytest.mark.parametrize("replaced", [True, False], ids=["by another file in its place", "in place"])
async def test_a_file_that_is_saved_while_it_is_watched_takes_effect(running: Running, replaced: bool) -> None:
    watching = asyncio.create_task(running.reload.watch())
    try:
        async with asyncio.timeout(PATIENCE_S):
            for side in count(400):  # again and again, because nobody tells when watching has begun
                text = f"limits: {{max_side_px: {side}}}"
                if replaced:
                    other = running.file.with_suffix(".new")
                    other.write_text(text)
                    other.replace(running.file)
                else:
                    running.file.write_text(text)
                with suppress(TimeoutError):
                    await asyncio.wait_for(running.something_adopted.wait(), 0.2)
                    break
        assert running.live.current.limits.max_side_px >= 400
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert watching.cancelled()
