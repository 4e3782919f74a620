"""The peer's side, run by a Python that has Ultralytics: takes orders as JSON lines and answers each with one.

``{"make": folder}`` leaves ``peer.pt`` there: YOLOv8n as Ultralytics makes it, of random weights, which cost as much
time as trained ones. ``{"predict": weights, "source": video, "imgsz": 640}`` runs Ultralytics' own `predict` over every
frame and answers with frames, boxes, seconds and processor seconds. Nothing is drawn or saved, in the peer's favour.
"""

import json
import os
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any


@lru_cache
def _model(weights: str) -> Any:
    from ultralytics import YOLO

    return YOLO(weights, task="detect")


def _make(folder: Path) -> dict[str, object]:
    from ultralytics import YOLO

    model = YOLO("yolov8n.yaml", verbose=False)
    model.ckpt = {"train_args": {"imgsz": 640, "task": "detect"}}
    model.save(folder / "peer.pt")
    return {"made": str(folder / "peer.pt")}


def _predict(weights: str, source: str, imgsz: int) -> dict[str, object]:
    model, frames, boxes = _model(weights), 0, 0
    start, cpu = time.perf_counter(), time.process_time()
    for result in model.predict(source, stream=True, imgsz=imgsz, device="cpu", conf=0.25, iou=0.7, verbose=False):
        frames += 1
        boxes += len(result.boxes)
    return {
        "frames": frames,
        "boxes": boxes,
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
    }


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Ultralytics talks
    from scripts.torchvision_cpu import make_importable

    make_importable()
    import torch
    import ultralytics

    print(json.dumps({"ultralytics": ultralytics.__version__, "torch": torch.__version__}), file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "make" in order:
            answer = _make(Path(order["make"]))
        else:
            answer = _predict(order["predict"], order["source"], order["imgsz"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
