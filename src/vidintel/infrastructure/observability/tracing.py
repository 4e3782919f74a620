"""OpenTelemetry: spans sent to a collector over OTLP/HTTP. Imported only where it is configured; an extra."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_HEADER = "traceparent"


class OpenTelemetryTracing:
    """Implements `Tracing`. A provider of our own: nothing global is touched."""

    def __init__(self, processor: SpanProcessor, *, service: str, version: str, sample_ratio: float = 1.0) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service, "service.version": version}),
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(service, version)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, *, parent: str | None = None) -> Iterator["NamedSpan"]:
        above = None if parent is None else self._propagator.extract({_HEADER: parent}, context.Context())
        with self._tracer.start_as_current_span(name, above) as span:
            trace_id = trace.format_trace_id(span.get_span_context().trace_id)
            with structlog.contextvars.bound_contextvars(trace=trace_id):
                yield NamedSpan(span)

    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(_HEADER)

    def close(self) -> None:
        """Send what has not been sent, for some seconds at most."""
        self._provider.shutdown()


class NamedSpan:
    """Implements `Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def describe(self, name: str, attributes: Mapping[str, str]) -> None:
        self._span.update_name(name)
        self._span.set_attributes(attributes)


def exporting(endpoint: str) -> SpanProcessor:
    """Sends spans in batches, from a thread; what a collector that is down does not take is dropped."""
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5))
