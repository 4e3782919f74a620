"""`PrometheusTelemetry`: every metric that is counted as it happens. Labels take values from small fixed sets only."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from vidintel.application.ports import WorkOutcome
from vidintel.domain.analysis import JobStatus

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_TASK_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_INFERENCE_S = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)


class PrometheusTelemetry:
    """Implements `Telemetry`, and the meter of the HTTP edge, on ``registry``; ``kinds`` are those of its work."""

    def __init__(self, registry: CollectorRegistry, kinds: Iterable[str] = ()) -> None:
        self._requests = Counter(
            "vidintel_http_requests_total",
            "Requests answered, by the template of their route.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._request_s = Histogram(
            "vidintel_http_request_duration_seconds",
            "From the request's head to the end of the answer.",
            ("method", "route"),
            buckets=_REQUEST_S,
            registry=registry,
        )
        self._in_progress = Gauge(
            "vidintel_http_requests_in_progress", "Requests that are being answered.", registry=registry
        )
        self._work = Counter(
            "vidintel_work_attempts_total",
            "Attempts at work items, by kind and by how they ended.",
            ("kind", "outcome"),
            registry=registry,
        )
        self._jobs = Counter(
            "vidintel_jobs_ended_total", "Jobs that succeeded or failed.", ("status",), registry=registry
        )
        self._frames = Counter(
            "vidintel_frames_analysed_total",
            "Frames decoded and looked at, or found alike.",
            registry=registry,
        )
        self._inference_s = Histogram(
            "vidintel_detector_inference_seconds",
            "Time the model takes for one frame; several may be under way at once.",
            buckets=_INFERENCE_S,
            registry=registry,
        )
        self._decode_faults = Counter(
            "vidintel_decode_faults_total",
            "What was wrong with videos: warnings, and errors that ended an analysis.",
            ("code",),
            registry=registry,
        )
        self._lease_expiries = Counter(
            "vidintel_lease_expiries_total",
            "Work items taken from workers that had died or fallen silent.",
            ("kind",),
            registry=registry,
        )
        self._task_s = Histogram(
            "vidintel_task_duration_seconds",
            "Messages handled by a worker, by how it ended.",
            ("task", "outcome"),
            buckets=_TASK_S,
            registry=registry,
        )
        self._reloads = Counter(
            "vidintel_settings_reloads_total",
            "Changes of the configuration file, taken over or refused.",
            ("outcome",),
            registry=registry,
        )
        self._rejected = Gauge(
            "vidintel_settings_rejected", "1 while the configuration file cannot be used.", registry=registry
        )
        # Series that alerts are about exist from the start: a rate over one that appears with its first event is blind
        # to that event.
        for kind in kinds:
            self._lease_expiries.labels(kind)
            for outcome in WorkOutcome:
                self._work.labels(kind, outcome.value)
        for status in (JobStatus.SUCCEEDED, JobStatus.FAILED):
            self._jobs.labels(status.value)
        for result in ("accepted", "rejected"):
            self._reloads.labels(result)
        self._by_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request_began(self) -> None:
        self._in_progress.inc()

    def request_ended(self, method: str, route: str, status: int, duration_s: float) -> None:
        key = (method if method in _METHODS else "other", route, status)
        series = self._by_request.get(key)
        if series is None:
            counter = self._requests.labels(key[0], route, str(status))
            series = self._by_request[key] = counter, self._request_s.labels(key[0], route)
        series[0].inc()
        series[1].observe(duration_s)
        self._in_progress.dec()

    def work_ended(self, kind: str, outcome: WorkOutcome) -> None:
        self._work.labels(kind, outcome.value).inc()

    def job_ended(self, status: JobStatus) -> None:
        self._jobs.labels(status.value).inc()

    def frame_analysed(self) -> None:
        self._frames.inc()

    def frame_inferred(self, duration_s: float) -> None:
        self._inference_s.observe(duration_s)

    def decode_fault(self, code: str) -> None:
        self._decode_faults.labels(code).inc()

    def lease_expired(self, kind: str) -> None:
        self._lease_expiries.labels(kind).inc()

    def task_ended(self, task: str, outcome: str, duration_s: float) -> None:
        self._task_s.labels(task, outcome).observe(duration_s)

    def settings_reloaded(self, *, accepted: bool) -> None:
        self._reloads.labels("accepted" if accepted else "rejected").inc()
        self._rejected.set(not accepted)
