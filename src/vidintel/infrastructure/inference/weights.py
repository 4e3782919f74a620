"""Reads the metadata of a file of Ultralytics weights, without torch and without running code from the file.

``.pt`` is a zip archive around a pickle. Ordinary unpickling can run arbitrary code from the file. Here an empty
stand-in replaces every class that the pickle names, so that only plain values (names, sizes, version) are read.
``.torchscript`` and ``.engine`` carry their metadata as JSON. Formats: https://docs.ultralytics.com/modes/export/
"""

import json
import pickle
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, PositiveInt
from pydantic import ValidationError as InvalidFields

from vidintel.domain.errors import ModelUnusable

WEIGHT_SUFFIXES = (".pt", ".engine", ".torchscript")
HOW_TO_INSTALL = "pip install 'vidintel[ultralytics]'"
_DETECTORS = frozenset({"DetectionModel", "YOLOv10DetectionModel", "RTDETRDetectionModel"})
_DEFAULT_SIZE = 640
_LARGEST_HEADER = 1024**2


class WeightsFacts(BaseModel):
    """``labels`` by class number; ``input_size`` is (height, width) in pixels."""

    labels: tuple[str, ...] = Field(min_length=1)
    input_size: tuple[PositiveInt, PositiveInt]
    version: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    description: str = ""


def read_weights(file: Path) -> WeightsFacts:
    """Raises `ModelUnusable` when the file is missing, damaged, or not of a detector."""
    try:
        status = file.stat()
        return _read(file, status.st_size, status.st_mtime_ns)
    except FileNotFoundError as error:
        raise unusable(
            file, "is missing. Weights are never downloaded: put the file there, or name its path"
        ) from error
    except InvalidFields as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise unusable(file, f"does not describe a detection model ({problems})") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
        raise unusable(
            file, "cannot be read; it is damaged, or no file of Ultralytics weights. Copy it again"
        ) from error


def unusable(file: Path, problem: str) -> ModelUnusable:
    """``file`` is shown with its folder only: clients see the message."""
    shown = f"{file.parent.name}/{file.name}"
    return ModelUnusable(f"The model cannot be used: {shown} {problem}. 'vidintel models' lists what can be run.")


@lru_cache(maxsize=64)
def _read(file: Path, _size: int, _modified_ns: int) -> WeightsFacts:
    return _read_checkpoint(file) if file.suffix == ".pt" else _read_export(file)


def _read_export(file: Path) -> WeightsFacts:
    said = json.loads(_engine_header(file) if file.suffix == ".engine" else _torchscript_extra(file))
    if said["task"] != "detect":
        raise unusable(file, f"is of the task '{said['task']}', not of 'detect'")
    return WeightsFacts(
        labels=_in_order(said["names"]),
        input_size=said["imgsz"],
        version=said["version"],
        licence=said["license"],
        description=said.get("description", ""),
    )


def _engine_header(file: Path) -> bytes:
    """JSON after its length in 4 bytes, little endian, ahead of the engine."""
    with file.open("rb") as content:
        size = int.from_bytes(content.read(4), "little")
        if not 0 < size <= _LARGEST_HEADER:
            raise unusable(file, "lacks the header that Ultralytics' export writes; export it again")
        return content.read(size)


def _torchscript_extra(file: Path) -> bytes:
    with _opened(file) as archive:
        return archive.read(_member(archive, "extra/config.txt"))


def _read_checkpoint(file: Path) -> WeightsFacts:
    with _opened(file) as archive, archive.open(_member(archive, "data.pkl")) as content:
        checkpoint = _PlainUnpickler(content).load()
    if not isinstance(checkpoint, Mapping):
        raise unusable(file, "holds no Ultralytics checkpoint; save it again with a current version of Ultralytics")
    model = checkpoint.get("ema") or checkpoint["model"]
    if type(model).__name__ not in _DETECTORS:
        raise unusable(file, f"holds a {type(model).__name__}, which is of another task than 'detect'")
    trained = checkpoint.get("train_args") or {}
    side = trained.get("imgsz", _DEFAULT_SIZE)
    return WeightsFacts(
        labels=_in_order(model.names),
        input_size=(side, side) if isinstance(side, int) else side,
        version=checkpoint["version"],
        licence=checkpoint.get("license") or "unknown",
        description=f"{file.stem}, trained with Ultralytics {checkpoint['version']}",
    )


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{file} is no zip archive") from error


def _member(archive: zipfile.ZipFile, path: str) -> str:
    """The archive's one folder is named after the file at its birth. Raises `ValueError`."""
    for name in archive.namelist():
        if name.partition("/")[2] == path:
            return name
    raise ValueError(f"the archive lacks {path}")


def _in_order(names: Any) -> tuple[str, ...]:
    if isinstance(names, list | tuple):
        return tuple(map(str, names))
    by_number = {int(number): str(name) for number, name in names.items()}
    return tuple(by_number[number] for number in range(len(by_number)))


class _StandIn:
    """Takes the place of every object of a pickle: keeps its state, does nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)

    def __setitem__(self, _key: object, _value: object) -> None:
        pass

    def append(self, _item: object) -> None:
        pass

    def extend(self, _items: object) -> None:
        pass


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        return dict if (module, name) == ("collections", "OrderedDict") else type(name, (_StandIn,), {})

    def persistent_load(self, _reference: object) -> None:
        """Tensors stay in the file."""
