"""Spans below each other, across processes."""

import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.unit.http.edge import Edge
from tests.unit.http.samples import VIDEO_ID
from vidintel.domain.errors import VideoNotFound
from vidintel.infrastructure.observability.tracing import OpenTelemetryTracing

CLIENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOT_SAMPLED = CLIENT.removesuffix("01") + "00"


class Traced:
    def __init__(self, sample_ratio: float = 1.0) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracing = OpenTelemetryTracing(
            SimpleSpanProcessor(self.exporter), service="vidintel", version="1", sample_ratio=sample_ratio
        )

    def spans(self) -> dict[str, tuple[str, str | None]]:
        """Of each finished span, by name: the trace, and the span above, in hexadecimal."""
        return {
            span.name: (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}" if span.parent else None)
            for span in self.exporter.get_finished_spans()
            if span.context is not None
        }


def test_what_was_handed_on_is_continued_elsewhere() -> None:
    api, worker = Traced(), Traced()

    with api.tracing.span("POST", parent=CLIENT) as span:
        span.describe("POST /videos", {"http.route": "/videos"})
        handed_on = api.tracing.traceparent()
    with worker.tracing.span("run_segment", parent=handed_on):
        pass

    _, trace, client_span, _ = CLIENT.split("-")
    assert handed_on is not None
    assert api.spans() == {"POST /videos": (trace, client_span)}
    assert worker.spans() == {"run_segment": (trace, handed_on.split("-")[2])}


def test_outside_a_span_there_is_nothing_to_hand_on() -> None:
    assert Traced().tracing.traceparent() is None


def test_log_lines_name_the_trace_while_it_lasts() -> None:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        with Traced().tracing.span("x", parent=CLIENT):
            structlog.get_logger().info("inside")
        structlog.get_logger().info("outside")

    assert [line.get("trace") for line in lines] == [CLIENT.split("-")[1], None]


@pytest.mark.parametrize(("parent", "ratio"), [(NOT_SAMPLED, 1.0), (None, 0.0)])
def test_what_is_not_sampled_is_not_sent_and_stays_so_elsewhere(parent: str | None, ratio: float) -> None:
    traced = Traced(ratio)

    with traced.tracing.span("x", parent=parent):
        handed_on = traced.tracing.traceparent()

    assert traced.spans() == {}
    assert handed_on is not None
    assert not int(handed_on[-2:], 16) & 1, "the bit that says: sampled"


def test_an_exception_is_noted_and_passes() -> None:
    traced = Traced()

    with pytest.raises(RuntimeError), traced.tracing.span("x"):
        raise RuntimeError("boom")

    (span,) = traced.exporter.get_finished_spans()
    assert not span.status.is_ok


@pytest.mark.parametrize("sent", ["nonsense", "00-0-0-0", ""])
async def test_a_request_is_traced_by_its_route_whatever_the_client_sends(edge: Edge, sent: str) -> None:
    traced = Traced()
    edge.tracing = traced.tracing
    edge.answers["list_jobs"] = VideoNotFound("x")

    async with edge.client() as client:
        await client.get(f"/api/v1/videos/{VIDEO_ID}/jobs", headers={"traceparent": sent})

    ((name, (_, above)),) = traced.spans().items()
    assert name == "GET /api/v1/videos/{video_id}/jobs"
    assert above is None


@pytest.fixture
def edge() -> Edge:
    return Edge()
