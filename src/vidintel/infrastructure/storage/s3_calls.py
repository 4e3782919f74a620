"""Calls to an S3 server: made by boto3, guarded by a circuit breaker, with errors translated to domain errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NoReturn, TypeAlias

import structlog
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from vidintel.domain.errors import StorageError, StorageFull, StorageUnavailable
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreaker, CircuitOpen
from vidintel.settings.model import S3Settings

S3Client: TypeAlias = Any  # boto3 makes the methods of its clients at run time

BROKEN_OFF = (HTTPClientError, IncompleteReadError)
"""Errors that mean that the body of a response ended early."""

NO_BUCKET = "The bucket of the storage does not exist. Create it, or correct VIDINTEL_S3__BUCKET."
_NO_ACCESS = (
    "The storage rejects the credentials, or they lack permissions. Check VIDINTEL_S3__ACCESS_KEY_ID, "
    "VIDINTEL_S3__SECRET_ACCESS_KEY, and what they are allowed to do."
)
_ELSEWHERE = "The bucket of the storage lies elsewhere. Correct VIDINTEL_S3__REGION or VIDINTEL_S3__ENDPOINT_URL."
_REFUSED_FOR_S = 30.0

_UNREACHABLE = (NoConnection, HTTPClientError, IncompleteReadError, ResponseParserError)
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
_OVERLOADED = frozenset({"SlowDown", "RequestTimeout", "RequestLimitExceeded", "Throttling", "ThrottlingException"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"})
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull"})
_DOWN_STATUS = frozenset({429, 500, 502, 503, 504})
_FULL_STATUS = 507

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def connect(settings: S3Settings) -> S3Client:
    """A client for use by any number of threads. It retries what may pass, with growing and random pauses."""
    key, secret = settings.access_key_id, settings.secret_access_key
    return _session().client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        aws_access_key_id=None if key is None else key.get_secret_value(),
        aws_secret_access_key=None if secret is None else secret.get_secret_value(),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if settings.path_style else "auto"},
            max_pool_connections=settings.connections,
            connect_timeout=settings.connect_timeout_s,
            read_timeout=settings.read_timeout_s,
            retries={"mode": "standard", "total_max_attempts": settings.attempts},
            # Ours are asked for by name; older servers do not know all of what botocore would add by itself.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@lru_cache(maxsize=1)
def _session() -> Session:
    """One for all clients: it reads what S3 is from large files."""
    return Session()


def is_outage(error: BaseException) -> bool:
    """Whether ``error`` means that the server is down or overloaded, rather than that it refused a request."""
    if isinstance(error, ClientError):
        return _status(error) in _DOWN_STATUS or code_of(error) in _OVERLOADED
    return isinstance(error, _UNREACHABLE)


def code_of(error: ClientError) -> str:
    """S3's error code, such as ``NoSuchKey``. Responses to HEAD have none; then it is the HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    return code_of(error) in {"NoSuchKey", "404"}


@contextmanager
def guarded(breaker: CircuitBreaker) -> Iterator[None]:
    """Make one call in the block. Raises as `translated` does."""
    with translated(), breaker.calling():
        yield


@contextmanager
def translated() -> Iterator[None]:
    """Translate errors of boto3 in the block to domain errors.

    Raises `StorageUnavailable` when the server is down or rejects the configuration, `StorageFull`, and `StorageError`
    for other refusals.
    """
    try:
        yield
    except CircuitOpen as error:
        raise StorageUnavailable(retry_after_s=error.retry_after_s) from error
    except ClientError as error:
        _log.warning("storage.refused", code=code_of(error), status=_status(error), call=error.operation_name)
        _translate(error)
    except _NO_CREDENTIALS as error:
        raise StorageUnavailable(_NO_ACCESS, retry_after_s=_REFUSED_FOR_S) from error
    except _UNREACHABLE as error:
        _log.warning("storage.unreachable", error=type(error).__name__)
        raise StorageUnavailable from error


def _translate(error: ClientError) -> NoReturn:
    code, status = code_of(error), _status(error)
    if is_outage(error):
        raise StorageUnavailable from error
    if code in _FULL or status == _FULL_STATUS:
        raise StorageFull from error
    if code == "NoSuchBucket":
        raise StorageUnavailable(NO_BUCKET, retry_after_s=_REFUSED_FOR_S) from error
    if status in {401, 403} or code in _EXPIRED:
        raise StorageUnavailable(_NO_ACCESS, retry_after_s=_REFUSED_FOR_S) from error
    if status in {301, 307} or code == "AuthorizationHeaderMalformed":
        raise StorageUnavailable(_ELSEWHERE, retry_after_s=_REFUSED_FOR_S) from error
    if is_missing(error):
        raise StorageError("The stored object is missing.") from error
    raise StorageError(
        f"The storage refused the request ({code}). Check the log and the policies of the storage."
    ) from error


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
