"""Whether traces are exported: to the endpoint that the settings name, else nowhere."""

from importlib.metadata import version

from vidintel.application.ports import NoTracing, Tracing
from vidintel.settings.errors import CannotRun
from vidintel.settings.model import TracingSettings


def create_tracing(settings: TracingSettings) -> Tracing:
    """Raises `CannotRun` when traces are wanted and OpenTelemetry is not installed."""
    if settings.endpoint is None:
        return NoTracing()
    try:
        from vidintel.infrastructure.observability.tracing import OpenTelemetryTracing, exporting
    except ImportError as error:
        raise CannotRun(f"Traces need OpenTelemetry ({error}): pip install 'vidintel[otel]'.") from error
    return OpenTelemetryTracing(
        exporting(settings.endpoint),
        service="vidintel",
        version=version("vidintel"),
        sample_ratio=settings.sample_ratio,
    )
