"""Structured logs on standard error: one event (``noun.verb``) with key-values per line, secrets removed."""

import json
import logging
import logging.config
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Never, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from vidintel.settings.model import LogSettings

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"(?i)(token|secret|password|passwd|authorization|cookie|(api|access|secret|jwt|private)_?key)$"
)
_SECRET_TEXT = (
    (re.compile(r"eyJ[\w-]{4,}\.[\w-]+\.[\w-]*"), REDACTED),
    (re.compile(r"(?i)\bbearer\s+\S+"), f"Bearer {REDACTED}"),
    (re.compile(r"(://[^\s/:@]*):[^\s/@]+@"), rf"\1:{REDACTED}@"),
    # What signs calls of an object storage and links to it, and what other people's links may carry.
    (re.compile(r"(?i)((?:signature|credential|token|secret))=[^\s&,;\"']+"), rf"\1={REDACTED}"),
    (re.compile(r"\b(?:whsec|sk_live|sk_test)_[\w+/=-]+"), REDACTED),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REDACTED),
)

# Nothing that `_SECRET_TEXT` finds is without one of these (in small letters), and few texts have any.
_SUSPECT = ("eyj", "://", "=", "bearer", "whsec_", "sk_", "-----begin")


@lru_cache(1024)
def is_secret_name(name: str) -> bool:
    """Whether what bears this name is never shown."""
    return _SECRET_NAME.search(name) is not None


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Structlog processor: hide values whose name says secret, and tokens and URL passwords inside any text."""
    for name, value in event.items():
        if not isinstance(value, int | float):
            event[name] = _redacted(name, value)
    return event


def _redacted(name: str, value: object) -> object:
    if isinstance(value, str):
        return REDACTED if is_secret_name(name) else _without_secrets(value)
    if value is None or isinstance(value, int | float):  # a fencing token is a number
        return value
    if isinstance(value, Mapping):
        return {str(key): _redacted(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(name, inner) for inner in value]
    return REDACTED if is_secret_name(name) else _without_secrets(repr(value))  # as the renderer would write it


def _without_secrets(text: str) -> str:
    small = text.lower()
    for sign in _SUSPECT:
        if sign in small:
            break
    else:
        return text
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _drop_uvicorns_colours(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # the same message once more, with escape codes
    return event


class _Written:
    """Structlog processor, the last: writes the line. A record of the standard library would be made for nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, _logger: WrappedLogger, _method: str, line: Any) -> Never:
        self._stream.write(f"{line}\n")
        self._stream.flush()
        raise structlog.DropEvent


def configure_logging(settings: LogSettings) -> None:
    """Set up structlog, and send the standard library's loggers (uvicorn's, SQLAlchemy's) the same way.

    ``json`` writes one object per line, ``console`` lines for people. Every line carries what is bound in
    `structlog.contextvars`, the request id among it.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer = _renderer(settings)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            redact,
            renderer,
            _Written(sys.stderr),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    logging.config.dictConfig(_standard_library(settings, [*shared, structlog.stdlib.ExtraAdder()], renderer))


def set_log_level(level: str) -> None:
    """From now on leave out what lies below ``level``."""
    logging.getLogger().setLevel(level.upper())


def _renderer(settings: LogSettings) -> Processor:
    if settings.format == "json":
        encoder = json.JSONEncoder(default=repr)
        return structlog.processors.JSONRenderer(serializer=lambda event, **_: encoder.encode(event))
    # Not the traceback renderers with local variables: those would print what the variables hold.
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _standard_library(settings: LogSettings, shared: list[Processor], renderer: Processor) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    _drop_uvicorns_colours,
                    redact,
                    renderer,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": settings.level.upper()},
        "loggers": {
            # Uvicorn brings handlers of its own; ours says it once, and the access log is the middleware's.
            "uvicorn": {"handlers": [], "propagate": True},
            "uvicorn.error": {"handlers": [], "propagate": True},
            "uvicorn.access": {"handlers": [], "propagate": False},
            "watchfiles": {"level": "WARNING"},  # the code that watches logs the changes
            # It would tell signatures and whole answers of identity services, with the keys that they hand out.
            "botocore": {"level": "WARNING"},
        },
    }
