"""Trains, exports and measures `models/traffic-yolov8n`: a YOLOv8n from scratch on synthetic scenes, on CPU.

    python -m scripts.train_model --work DIR --out models/traffic-yolov8n

Seeds of training and held-out scenes never meet. The last weights are kept (no choice by held-out results), exported
to OpenVINO with FP16 weights and a dynamic input, and measured on the held-out scenes. What it needs is listed in
scripts/requirements-train.txt.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from scripts.synthetic_traffic import LABELS, write_dataset

TRAIN_SEEDS = range(100_000, 100_550)
HELD_OUT_SEEDS = range(900_000, 900_080)
IMAGES_PER_SCENE = 2
IMAGE_SIZE = 320
EPOCHS = 22
TRAINING: dict[str, Any] = {
    "optimizer": "AdamW",
    "lr0": 0.002,
    "lrf": 0.02,
    "cos_lr": True,
    "warmup_epochs": 1.0,
    "batch": 16,
    "seed": 0,
    "deterministic": True,
    "mosaic": 1.0,
    "close_mosaic": 5,
    "scale": 0.3,
    "translate": 0.1,
    "degrees": 0.0,
    "fliplr": 0.5,
    "flipud": 0.5,
    "hsv_h": 0.02,
    "hsv_s": 0.5,
    "hsv_v": 0.3,
    "workers": 1,
    "cache": "ram",
    "amp": False,
    "val": False,
    "plots": False,
}
MODEL_NAME = "traffic-yolov8n"
DESCRIPTION = "YOLOv8n for cars, trucks and people seen from above, trained from scratch on synthetic scenes"


def prepare_environment(work: Path) -> None:
    """Keep ultralytics off the network and its settings in the work folder; call it before ultralytics is imported."""
    os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_CONFIG_DIR=str(work))


def build_dataset(root: Path) -> Path:
    """Draw training and held-out images below `root` in parallel; returns the path of its `data.yaml`."""
    shutil.rmtree(root, ignore_errors=True)
    jobs = []
    with ProcessPoolExecutor() as pool:
        for split, seeds in (("train", TRAIN_SEEDS), ("val", HELD_OUT_SEEDS)):
            for start in range(seeds.start, seeds.stop, 10):
                part = range(start, min(start + 10, seeds.stop))
                jobs.append(pool.submit(write_dataset, root, split, part, IMAGES_PER_SCENE))
        for job in jobs:
            job.result()
    description = root / "data.yaml"
    content = {
        "path": str(root.resolve()),
        "train": "images/train",
        "val": "images/val",
        "names": dict(enumerate(LABELS)),
    }
    description.write_text(yaml.safe_dump(content, sort_keys=False))
    return description


def train(data: Path, work: Path, epochs: int) -> Path:
    """Train from `yolov8n.yaml`; returns the path of the last weights."""
    from ultralytics import YOLO

    model = YOLO("yolov8n.yaml")
    model.train(
        data=str(data), epochs=epochs, imgsz=IMAGE_SIZE, device="cpu", project=str(work), name="run", exist_ok=True,
        pretrained=False, **TRAINING,
    )  # fmt: skip
    return work / "run" / "weights" / "last.pt"


def export(weights: Path, out: Path, *, half: bool) -> Path:
    """Export to OpenVINO with a dynamic input; `model.xml`, `model.bin` and `metadata.yaml` are put into `out`."""
    from ultralytics import YOLO

    extra = {"quantize": 16} if half else {}
    exported = Path(YOLO(weights).export(format="openvino", imgsz=IMAGE_SIZE, dynamic=True, **extra))
    out.mkdir(parents=True, exist_ok=True)
    for suffix in (".xml", ".bin"):
        (found,) = exported.glob(f"*{suffix}")
        shutil.copy(found, out / f"model{suffix}")
    metadata = yaml.safe_load((exported / "metadata.yaml").read_text())
    metadata["description"] = DESCRIPTION
    (out / "metadata.yaml").write_text(yaml.safe_dump(metadata, sort_keys=False))
    shutil.rmtree(exported)
    return out


def write_descriptor(out: Path) -> None:
    """Write `model.json`, by which the project knows the model."""
    descriptor = {
        "name": MODEL_NAME,
        "version": "1.0.0",
        "runtime": "openvino",
        "task": "detect",
        "weights": "model.xml",
        "input_size": [IMAGE_SIZE, IMAGE_SIZE],
        "labels": list(LABELS),
        "licence": "AGPL-3.0",
        "description": DESCRIPTION,
        "sha256": hashlib.sha256((out / "model.bin").read_bytes()).hexdigest(),
    }
    (out / "model.json").write_text(json.dumps(descriptor, indent=2) + "\n")


def measure(model: Path, data: Path, work: Path) -> dict[str, dict[str, float]]:
    """Held-out mAP50 and mAP50-95 of all classes and of each; `model` is a .pt file or the folder of an export."""
    from ultralytics import YOLO

    box = YOLO(model, task="detect").val(
        data=str(data), imgsz=IMAGE_SIZE, batch=1, device="cpu", workers=0, plots=False, verbose=False,
        project=str(work), name="val", exist_ok=True,
    ).box  # fmt: skip
    results = {"all": {"mAP50": float(box.map50), "mAP50-95": float(box.map)}}
    for place, label in enumerate(box.ap_class_index):
        results[LABELS[label]] = {"mAP50": float(box.ap50[place]), "mAP50-95": float(box.ap[place])}
    return results


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, required=True, help="folder for the data set and the run")
    parser.add_argument("--out", type=Path, default=Path("models") / MODEL_NAME)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    prepare_environment(work)
    from scripts.torchvision_cpu import make_importable

    make_importable()
    started = time.monotonic()
    data = build_dataset(work / "data")
    drawn = time.monotonic()
    weights = train(data, work, given.epochs)
    trained = time.monotonic()
    export(weights, given.out, half=True)
    write_descriptor(given.out)
    # ultralytics takes a folder for an OpenVINO model by the end of its name
    whole = export(weights, work / "fp32_openvino_model", half=False)
    shutil.copytree(given.out, work / "fp16_openvino_model", dirs_exist_ok=True)
    report = {
        "seconds": {"drawing": round(drawn - started), "training": round(trained - drawn)},
        "images": {split: len(list((work / "data" / "images" / split).iterdir())) for split in ("train", "val")},
        "torch_fp32": measure(weights, data, work),
        "openvino_fp32": measure(whole, data, work),
        "openvino_fp16": measure(work / "fp16_openvino_model", data, work),
    }
    (work / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
