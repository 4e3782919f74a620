"""What the logs say, and what they never say."""

import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import structlog
from pydantic import SecretStr

from vidintel.infrastructure.observability.logging import REDACTED, configure_logging, set_log_level
from vidintel.infrastructure.storage.s3_calls import connect
from vidintel.settings.model import LogSettings, S3Settings

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzEifQ.c2lnbmF0dXJl"


Err = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_json_lines_carry_the_event_its_values_and_what_is_bound(capsys: Err) -> None:
    configure_logging(LogSettings())

    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger("vidintel.test").info("segment.claimed", segment=3)

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["segment"], line["request_id"]) == ("segment.claimed", 3, "r-1")
    assert (line["level"], line["logger"]) == ("info", "vidintel.test")
    assert line["timestamp"].endswith("Z")


def test_console_lines_are_for_people(capsys: Err) -> None:
    configure_logging(LogSettings(format="console"))

    structlog.get_logger("vidintel.test").warning("segment.dead", attempts=3)

    written = capsys.readouterr().err
    assert "segment.dead" in written
    assert "attempts=3" in written


def test_loggers_of_the_standard_library_come_out_the_same_way(capsys: Err) -> None:
    configure_logging(LogSettings())

    logging.getLogger("uvicorn.error").warning("listening on %s", "port", extra={"color_message": "\x1b[1mlistening"})

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["logger"]) == ("listening on port", "warning", "uvicorn.error")
    assert "color_message" not in line


def test_use_cases_log_events_with_values_through_the_standard_library(capsys: Err) -> None:
    configure_logging(LogSettings())

    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        logging.getLogger("vidintel.application.x").warning("lease.lost", extra={"id": "1", "token": TOKEN})

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["id"], line["token"], line["request_id"]) == ("lease.lost", "1", REDACTED, "r-1")
    assert (line["level"], line["logger"]) == ("warning", "vidintel.application.x")
    assert line["timestamp"].endswith("Z")


def test_uvicorns_own_access_log_stays_silent(capsys: Err) -> None:
    configure_logging(LogSettings())

    logging.getLogger("uvicorn.access").info("GET /?token=abc")

    assert capsys.readouterr().err == ""


def test_what_lies_below_the_level_is_left_out(capsys: Err) -> None:
    configure_logging(LogSettings(level="warning"))

    structlog.get_logger().info("request.completed")
    logging.getLogger("x").info("hello")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "jwt_key", "secret", "password", "cookie"])
def test_values_with_a_secret_name_are_hidden(capsys: Err, name: str) -> None:
    configure_logging(LogSettings())

    structlog.get_logger().info("settings.read", **{name: "hunter2"}, nested={name: "hunter2"})

    written = capsys.readouterr().err
    assert "hunter2" not in written
    assert REDACTED in written


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer hunter2",
        {"headers": [(b"authorization", b"Bearer hunter2")]},
        {"Authorization": b"hunter2"},
        ValueError("Bearer hunter2"),
        frozenset({"Bearer hunter2"}),
        SecretStr("hunter2"),
        SimpleNamespace(url="redis://:hunter2@cache"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_secrets_inside_values_of_any_type_are_hidden(capsys: Err, value: object) -> None:
    configure_logging(LogSettings())

    structlog.get_logger().info("something.happened", value=value)

    assert "hunter2" not in capsys.readouterr().err


def test_a_fencing_token_is_a_number_and_is_shown(capsys: Err) -> None:
    configure_logging(LogSettings())

    structlog.get_logger().info("segment.claimed", token=7)

    assert json.loads(capsys.readouterr().err)["token"] == 7


def test_another_level_takes_effect_at_once(capsys: Err) -> None:
    configure_logging(LogSettings())
    log = structlog.get_logger("vidintel.test")

    log.debug("not.yet")
    set_log_level("debug")
    log.debug("now")
    logging.getLogger("x").debug("now too")
    set_log_level("error")
    log.warning("no.more")

    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["now", "now too"]


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"verifying {TOKEN} failed", TOKEN),
        ("sent Authorization: Bearer abc123", "abc123"),
        ("connecting to postgresql+asyncpg://vidintel:hunter2@db:5432/vidintel", "hunter2"),
        ("connecting to redis://:hunter2@cache:6379/0", "hunter2"),
        ("GET https://s3.example.com/b/k?X-Amz-Expires=300&X-Amz-Signature=0123abcd", "0123abcd"),
        ("AWS4-HMAC-SHA256 Credential=AKIA1/20261120/s3, SignedHeaders=host, Signature=0123abcd", "0123abcd"),
        ("fetching https://example.com/video.mp4?token=hunter2&x=1", "hunter2"),
        ("signing with whsec_c2lnbmluZ2tleTEyMw==", "c2lnbmluZ2tleTEyMw"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQhunter2\n-----END PRIVATE KEY-----", "hunter2"),
    ],
)
def test_secrets_inside_texts_and_tracebacks_are_hidden(capsys: Err, log_format: str, text: str, secret: str) -> None:
    configure_logging(LogSettings.model_validate({"format": log_format}))

    structlog.get_logger().info("something.happened", text=text)
    logging.getLogger("x").warning("%s", text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        structlog.get_logger().exception("request.failed")

    written = capsys.readouterr().err
    assert "RuntimeError" in written
    assert secret not in written


def test_signing_a_call_of_the_storage_writes_nothing_at_any_level(capsys: Err) -> None:
    configure_logging(LogSettings(level="debug"))
    client = connect(S3Settings(bucket="videos", access_key_id=SecretStr("id"), secret_access_key=SecretStr("key")))

    link = client.generate_presigned_url("get_object", Params={"Bucket": "videos", "Key": "a"})
    client.close()

    assert "Signature=" in link
    assert "botocore" not in capsys.readouterr().err
