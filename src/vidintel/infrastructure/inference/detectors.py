"""Loads each model once per process."""

from pathlib import Path
from threading import Lock

from vidintel.domain.analysis import ModelRef
from vidintel.infrastructure.inference.openvino import DEFAULT_PRECISION, OpenVinoDetector, Precision
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry


class LoadedDetectors:
    """Implements `Detectors` over the models of ``registry``. A model whose weights were replaced is loaded anew.

    ``cache_dir`` keeps compiled networks for the next start; it is created when needed.
    """

    def __init__(
        self,
        registry: DirectoryModelRegistry,
        cache_dir: Path | None = None,
        *,
        precision: Precision = DEFAULT_PRECISION,
    ) -> None:
        self._registry = registry
        self._cache_dir = cache_dir
        self._precision: Precision = precision
        self._loaded: dict[ModelRef, OpenVinoDetector] = {}
        self._lock = Lock()

    def get(self, name: str) -> OpenVinoDetector:
        """Raises `UnknownModel` and `ModelUnusable`."""
        model = self._registry.stored(name)
        with self._lock:
            detector = self._loaded.get(model.info.ref)
            if detector is None:
                detector = OpenVinoDetector(
                    model.info, model.network, cache_dir=self._cache_dir, precision=self._precision
                )
                self._loaded[model.info.ref] = detector
            return detector
