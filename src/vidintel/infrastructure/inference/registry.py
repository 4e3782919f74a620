"""The models that this service can run. A model is a folder with a ``model.json`` or an Ultralytics OpenVINO export,
or a single file of Ultralytics weights.

``model.json``::

    {"name": "…", "version": "…", "runtime": "openvino", "task": "detect", "weights": "model.xml",
     "input_size": [height, width], "labels": ["…"], "licence": "…", "description": "…", "sha256": "<of model.bin>"}

With ``"runtime": "ultralytics"`` the weights are a ``.pt``, ``.engine`` or ``.torchscript`` file, and the hash is that
of this file. An export holds ``metadata.yaml`` beside one ``*.xml`` and its ``*.bin``; it is named after its folder. A
bare file of weights is named after itself.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple, Self

import structlog
import yaml
from pydantic import BaseModel, Field, PositiveInt, model_validator
from pydantic import ValidationError as InvalidFields

from vidintel.application.ports import ModelInfo
from vidintel.domain.errors import ModelUnusable, UnknownModel
from vidintel.infrastructure.inference.weights import HOW_TO_INSTALL, WEIGHT_SUFFIXES, read_weights, unusable
from vidintel.resources import find_resource

_DESCRIPTOR = "model.json"
_EXPORT_METADATA = "metadata.yaml"
_EXPORT_SUFFIX = "_openvino_model"
# File systems have coarse timestamps: two changes within one tick look the same. So a file must be older to be cached.
_SETTLED_NS = 1_000_000_000
_log = structlog.get_logger(__name__)


class _Descriptor(BaseModel):
    """The description of a model. OpenVINO: ``weights`` names the ``.xml`` file, ``sha256`` is that of the ``.bin``."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    version: str = Field(min_length=1)
    runtime: Literal["openvino", "ultralytics"] = "openvino"
    task: Literal["detect"]
    weights: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    input_size: tuple[PositiveInt, PositiveInt]
    labels: tuple[str, ...] = Field(min_length=1)
    licence: str = Field(min_length=1)
    description: str = ""
    iou_threshold: float = Field(0.7, ge=0, le=1)
    track_confidence: float = Field(0.6, ge=0, le=1)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _weights_fit_runtime(self) -> Self:
        suffixes = (".xml",) if self.runtime == "openvino" else WEIGHT_SUFFIXES
        if not self.weights.endswith(suffixes):
            raise ValueError(f"weights of the runtime '{self.runtime}' end in {' or '.join(suffixes)}")
        return self


class _ExportMetadata(BaseModel):
    """What Ultralytics writes beside an exported model."""

    task: str
    version: str
    license: str
    description: str = ""
    imgsz: tuple[PositiveInt, PositiveInt]
    names: dict[int, str]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model, and its file: an ``.xml`` with its weights in a ``.bin`` beside it, or Ultralytics weights."""

    info: ModelInfo
    network: Path


class _State(NamedTuple):
    """A file that differs in none of these is the same. Times are the file system's, in nanoseconds."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, file: Path) -> "_State | None":
        """``None`` when there is no such file."""
        try:
            status = file.stat()
        except OSError:
            return None
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The model at a path, and the states of its files. It is valid while these do not change, if it ``is_settled``."""

    model: StoredModel
    weights: Path
    states: tuple[_State | None, ...]
    is_settled: bool


class DirectoryModelRegistry:
    """Implements `ModelRegistry` over what lies in ``directory`` and the folders and files named in ``extra``.

    A client's name has to be the name of one of them; it is never used as a path. What is in ``extra`` comes before one
    of the same name in ``directory``, and there a folder before a file. Files may be added or replaced while it is in
    use: each time their states are looked at, but only those are read that have changed. Nothing of a model is run
    here: labels and sizes are read from files. May be used by many threads.
    """

    def __init__(self, directory: Path, default_name: str, extra: tuple[Path, ...] = ()) -> None:
        self._directory = directory
        self._default_name = default_name
        self._extra = extra
        self._read: Mapping[Path, _Reading] = {}

    @classmethod
    def serving(cls, model: str, directory: Path | None = None) -> "DirectoryModelRegistry":
        """A registry whose default is ``model``: a name, or the path of a folder that holds a model or of weights.

        For settings of the operator, never for client input. ``directory`` falls back to the models that ship
        with us. Raises `ModelUnusable` for a path without a usable model.
        """
        directory = directory or find_resource("models")
        path = Path(model).expanduser()
        is_weights = path.suffix in WEIGHT_SUFFIXES
        is_listed = path.name == model and (directory / model).exists()
        if is_listed or not (path.is_dir() or len(path.parts) > 1 or is_weights):
            return cls(directory, path.stem if is_weights else model)
        info = _load(path.resolve(), None).model.info
        return cls(directory, info.name, (path.resolve(),))

    @property
    def default_name(self) -> str:
        return self._default_name

    def list(self) -> Sequence[ModelInfo]:
        """Every usable model by name; one that is not is logged."""
        found = []
        for name, outcome in sorted(self._all().items()):
            if isinstance(outcome, ModelUnusable):
                _log.warning("model.unusable", model=name, reason=outcome.detail)
            else:
                found.append(outcome.info)
        return found

    def get(self, name: str) -> ModelInfo:
        return self.stored(name).info

    def stored(self, name: str) -> StoredModel:
        """The model and its files. Raises `UnknownModel`, or `ModelUnusable` saying which file is at fault."""
        outcome = self._all().get(name)
        if outcome is None:
            raise UnknownModel(name, tuple(info.name for info in self.list()))
        if isinstance(outcome, ModelUnusable):
            raise outcome
        return outcome

    def _all(self) -> dict[str, StoredModel | ModelUnusable]:
        found: dict[str, StoredModel | ModelUnusable] = {}
        read: dict[Path, _Reading] = {}
        inside = sorted(self._directory.iterdir(), key=Path.is_dir) if self._directory.is_dir() else []
        for path in (*inside, *self._extra):
            if (path.is_dir() or path.suffix in WEIGHT_SUFFIXES) and not path.name.startswith("."):
                try:
                    reading = read[path] = _load(path, self._read.get(path))
                except ModelUnusable as error:
                    found.setdefault(_name_of(path), error)
                else:
                    found[reading.model.info.name] = reading.model
        self._read = (
            read  # replaced as a whole: removed models are dropped, and other threads see the old or the new state
        )
        return found


def _name_of(path: Path) -> str:
    return path.stem if path.suffix in WEIGHT_SUFFIXES else path.name.removesuffix(_EXPORT_SUFFIX)


def _load(path: Path, last: _Reading | None) -> _Reading:
    """The model in the folder, or of the file of weights, ``path``; ``last`` is what was found there, if anything.

    Raises `ModelUnusable`.
    """
    if last is not None and last.is_settled and last.states == _states(path, last.model.network, last.weights):
        return last
    is_bare = path.suffix in WEIGHT_SUFFIXES and not path.is_dir()
    read_at_ns = time.time_ns()
    descriptor = _describe_weights(path) if is_bare else _describe(path)
    network = path if is_bare else path / descriptor.weights
    weights = network.with_suffix(".bin") if descriptor.runtime == "openvino" else network
    for file in (network, weights):
        if not file.is_file():
            raise unusable(file, "is missing; export or copy the model again")
    if descriptor.runtime == "ultralytics" and find_spec("ultralytics") is None:
        raise unusable(network, f"needs Ultralytics, which is not installed: {HOW_TO_INSTALL}")
    states = _states(path, network, weights)
    is_settled = read_at_ns - max(state.changed_ns for state in states if state is not None) > _SETTLED_NS
    sha256 = _sha256(weights, states[-1], is_settled)
    if descriptor.sha256 not in {None, sha256}:
        raise unusable(weights, f"is not the file that {_DESCRIPTOR} describes (its SHA-256 differs); copy it again")
    info = ModelInfo(
        name=descriptor.name,
        version=descriptor.version,
        runtime=descriptor.runtime,
        labels=descriptor.labels,
        input_size=descriptor.input_size,
        licence=descriptor.licence,
        sha256=sha256,
        description=descriptor.description,
        iou_threshold=descriptor.iou_threshold,
        track_confidence=descriptor.track_confidence,
    )
    return _Reading(StoredModel(info, network), weights, states, is_settled)


@lru_cache(maxsize=64)
def _sha256(weights: Path, _state: _State | None, _is_settled: bool) -> str:
    """Kept also of weights that are unusable: else each request would read all of them. Once settled, made again."""
    with weights.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _states(path: Path, network: Path, weights: Path) -> tuple[_State | None, ...]:
    """Of all that is read; the folder's tells of files that came or went."""
    return tuple(_State.of(file) for file in (path, path / _DESCRIPTOR, path / _EXPORT_METADATA, network, weights))


def _describe_weights(file: Path) -> _Descriptor:
    """Raises `ModelUnusable`."""
    facts = read_weights(file)
    try:
        return _Descriptor(
            name=file.stem, runtime="ultralytics", task="detect", weights=file.name, **facts.model_dump()
        )
    except InvalidFields as error:
        raise unusable(file, "cannot be named after its file; use letters, digits, '_', '.' and '-' only") from error


def _describe(folder: Path) -> _Descriptor:
    """Read the folder's description of its model. Raises `ModelUnusable`."""
    file = next((folder / name for name in (_DESCRIPTOR, _EXPORT_METADATA) if (folder / name).is_file()), None)
    if file is None:
        raise unusable(folder, f"holds neither {_DESCRIPTOR} nor an Ultralytics OpenVINO export ({_EXPORT_METADATA})")
    try:
        if file.name == _DESCRIPTOR:
            return _Descriptor.model_validate(json.loads(file.read_text("utf-8")))
        return _from_export(folder, _ExportMetadata.model_validate(yaml.safe_load(file.read_text("utf-8"))))
    except InvalidFields as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise unusable(file, f"does not describe a detection model ({problems})") from error
    except (ValueError, yaml.YAMLError, OSError) as error:
        raise unusable(file, "cannot be read; export or copy the model again") from error


def _from_export(folder: Path, metadata: _ExportMetadata) -> _Descriptor:
    networks = sorted(folder.glob("*.xml"))
    if len(networks) != 1:
        raise unusable(folder, f"holds {len(networks)} .xml files; an export has exactly one")
    if sorted(metadata.names) != list(range(len(metadata.names))):
        raise unusable(folder / _EXPORT_METADATA, "does not number its names from 0 on")
    return _Descriptor.model_validate(
        {
            "name": _name_of(folder),
            "version": metadata.version,
            "task": metadata.task,
            "weights": networks[0].name,
            "input_size": metadata.imgsz,
            "labels": tuple(metadata.names[index] for index in range(len(metadata.names))),
            "licence": metadata.license,
            "description": metadata.description,
        }
    )
