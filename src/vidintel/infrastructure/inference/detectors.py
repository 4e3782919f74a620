"""Loads each model once per process."""

from pathlib import Path
from threading import Lock

from vidintel.application.ports import SILENT, Detector, Telemetry
from vidintel.domain.analysis import ModelRef
from vidintel.infrastructure.inference.openvino import DEFAULT_PRECISION, OpenVinoDetector, Precision
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry, StoredModel
from vidintel.infrastructure.inference.ultralytics import UltralyticsDetector


class LoadedDetectors:
    """Implements `Detectors` over the models of ``registry``. A model is loaded again when its weights were replaced.

    ``cache_dir`` keeps compiled networks and Ultralytics' settings for the next start; it is created when needed.
    """

    def __init__(
        self,
        registry: DirectoryModelRegistry,
        cache_dir: Path | None = None,
        *,
        precision: Precision = DEFAULT_PRECISION,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._registry = registry
        self._cache_dir = cache_dir
        self._precision: Precision = precision
        self._telemetry = telemetry
        self._loaded: dict[ModelRef, Detector] = {}
        self._lock = Lock()

    def get(self, name: str) -> Detector:
        """Raises `UnknownModel` and `ModelUnusable`."""
        model = self._registry.stored(name)
        with self._lock:
            detector = self._loaded.get(model.info.ref)
            if detector is None:
                detector = self._loaded[model.info.ref] = self._load(model)
            return detector

    def _load(self, model: StoredModel) -> Detector:
        if model.info.runtime == "ultralytics":
            settings_dir = self._cache_dir and self._cache_dir / "ultralytics"
            return UltralyticsDetector(model.info, model.network, settings_dir=settings_dir, telemetry=self._telemetry)
        return OpenVinoDetector(
            model.info,
            model.network,
            cache_dir=self._cache_dir,
            precision=self._precision,
            telemetry=self._telemetry,
        )
