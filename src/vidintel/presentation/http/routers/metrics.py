"""``/metrics``, for Prometheus. It names no tenant, but should not be public."""

import hmac
from ipaddress import ip_address

from fastapi import Request
from starlette.responses import Response

from vidintel.domain.errors import AuthenticationError
from vidintel.presentation.http.dependencies import Services
from vidintel.presentation.http.routing import Router

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")

router = Router(is_public=True, include_in_schema=False)


@router.get("/metrics")
async def metrics(request: Request, services: Services) -> Response:
    """The metrics of this process."""
    expected = services.metrics.token
    if expected is None:
        if not _comes_from_here(request):
            raise AuthenticationError(
                "Metrics are readable from this machine only. Set VIDINTEL_METRICS__TOKEN to read them from elsewhere."
            )
    else:
        sent = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(sent, f"Bearer {expected.get_secret_value()}".encode()):
            raise AuthenticationError("Send the value of VIDINTEL_METRICS__TOKEN: `Authorization: Bearer <token>`.")
    return Response(await services.expose_metrics(), media_type=CONTENT_TYPE)


def _comes_from_here(request: Request) -> bool:
    """Whether the client itself runs on this machine. Requests that a proxy forwards do not count."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
