"""Turns a client's request into a complete `AnalysisSpec` and the model that runs it."""

from dataclasses import dataclass
from typing import Literal

from vidintel.application.ports import Live, ModelRegistry
from vidintel.domain.analysis import AnalysisSpec, ModelRef
from vidintel.domain.errors import UnknownLabel, ValidationError
from vidintel.domain.geometry import Line, Zone


@dataclass(frozen=True, slots=True)
class SpecRequest:
    """What a client asked for. ``None`` means the default; ``native`` analyses every frame."""

    model: str | None = None
    sample_fps: float | Literal["native"] | None = None
    labels: tuple[str, ...] | None = None
    min_confidence: float | None = None
    iou_threshold: float | None = None
    track_confidence: float | None = None
    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()
    reuse_similar: bool = False


class SpecResolver:
    """Fills in the defaults, and checks model and labels against the registry."""

    def __init__(self, registry: ModelRegistry, *, sample_fps: Live[float]) -> None:
        self._registry = registry
        self._sample_fps = sample_fps

    def resolve(self, request: SpecRequest) -> tuple[AnalysisSpec, ModelRef]:
        """Blocking, as the registry is. Raises `ValidationError`, `UnknownModel`, `UnknownLabel`, `ModelUnusable`."""
        model = self._registry.get(request.model if request.model is not None else self._registry.default_name)
        labels = None if request.labels is None else tuple(dict.fromkeys(request.labels))
        for label in labels or ():
            if label not in model.labels:
                raise UnknownLabel(label, model.name, model.labels)
        defaults = AnalysisSpec(model=model.name)
        spec = AnalysisSpec(
            model=model.name,
            sample_fps=self._chosen_fps(request.sample_fps),
            labels=labels,
            min_confidence=_or(request.min_confidence, defaults.min_confidence),
            iou_threshold=_or(request.iou_threshold, model.iou_threshold),
            track_confidence=_or(request.track_confidence, model.track_confidence),
            lines=request.lines,
            zones=request.zones,
            reuse_similar=request.reuse_similar,
        )
        return spec, model.ref

    def _chosen_fps(self, asked: float | str | None) -> float | None:
        if asked is None:
            return self._sample_fps()
        if isinstance(asked, str):
            if asked != "native":
                raise ValidationError("sample_fps must be a number or 'native'.", field="spec.sample_fps")
            return None
        return asked


def _or(asked: float | None, default: float) -> float:
    return default if asked is None else asked
