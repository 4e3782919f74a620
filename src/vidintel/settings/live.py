"""Settings that are read again when their file changes. Values are swapped all at once, never one by one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import structlog
import watchfiles
from pydantic import BaseModel

from vidintel.application.ports import Telemetry
from vidintel.settings.model import RELOADABLE, Settings
from vidintel.settings.sources import Configuration, ConfigurationInvalid, leaves, value_at

Group = TypeVar("Group", bound=BaseModel)

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class LiveSettings:
    """The current settings. Each `current` is frozen; read it again for newer values. Safe from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._current = settings

    @property
    def current(self) -> Settings:
        return self._current

    def adopt(self, loaded: Settings) -> Sequence[str]:
        """Apply the `RELOADABLE` settings and ignore the rest; returns the names of the values that changed."""
        adopted = self._current
        for name in RELOADABLE:
            adopted = _replaced(adopted, name, value_at(loaded, name))
        before, self._current = self._current, adopted
        return changed_names(before, adopted)


class SettingsReload:
    """Follows the file of a configuration: `watch` until cancelled.

    A file that cannot be used changes nothing; it is logged and counted. ``adopted`` is called with the new settings
    whenever some have taken effect. Where the file system does not tell of changes, it is asked every ``ask_every_s``.
    """

    def __init__(
        self,
        live: LiveSettings,
        configuration: Configuration,
        telemetry: Telemetry,
        adopted: Callable[[Settings], None],
        *,
        ask_every_s: float = 5.0,
    ) -> None:
        self._live = live
        self._at_start = configuration
        self._telemetry = telemetry
        self._adopted = adopted
        self._ask_every_ms = round(ask_every_s * 1000)
        self._seen = _content(configuration.file)

    async def watch(self) -> None:
        file = self._at_start.file
        if file is None:
            return
        # The folder, because editors and mounted configuration put another file in the place of the old one. Whatever
        # moved in there, the content tells whether it concerns us.
        changes = watchfiles.awatch(
            file.parent, recursive=False, watch_filter=None, yield_on_timeout=True, rust_timeout=self._ask_every_ms
        )
        try:
            async for _ in changes:
                self.look()
        except (OSError, RuntimeError) as error:
            # Too many watches on this machine, or the folder was removed: no reason to stop working.
            _log.error("settings.not_watched", file=str(file), reason=str(error))

    def look(self) -> None:
        """Read the file again if its content is another."""
        content = _content(self._at_start.file)
        # A file that is saved in place is empty for a moment: that does not mean that everything goes back to defaults.
        if content in (self._seen, b""):
            return
        self._seen = content
        try:
            loaded = self._at_start.read_again().settings
        except ConfigurationInvalid as error:
            self._telemetry.settings_reloaded(accepted=False)
            _log.error("settings.rejected", file=str(self._at_start.file), reason=str(error))
            return
        changed = self._live.adopt(loaded)
        self._telemetry.settings_reloaded(accepted=True)
        if changed:
            self._adopted(self._live.current)
        _log.info("settings.reloaded", file=str(self._at_start.file), changed=changed)
        pending = [name for name in changed_names(self._at_start.settings, loaded) if not _is_reloadable(name)]
        if pending:
            _log.warning("settings.restart_needed", names=pending)


def changed_names(before: Settings, after: Settings) -> Sequence[str]:
    return [name for name, _ in leaves(Settings) if value_at(before, name) != value_at(after, name)]


def _is_reloadable(name: str) -> bool:
    return any(name == listed or name.startswith(f"{listed}.") for listed in RELOADABLE)


def _replaced(group: Group, name: str, value: object) -> Group:
    first, _, rest = name.partition(".")
    return group.model_copy(update={first: _replaced(getattr(group, first), rest, value) if rest else value})


def _content(file: Path | None) -> bytes | None:
    try:
        return None if file is None else file.read_bytes()
    except OSError:
        return None
