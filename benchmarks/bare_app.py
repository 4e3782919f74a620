"""The bare peers over HTTP: what FastAPI and Starlette do with nothing of ours around."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

FOLDER = Path(os.environ.get("BENCH_FOLDER", "."))
ITEM: dict[str, Any] = json.loads(os.environ.get("BENCH_ITEM", "{}"))


async def raw_upload(request: Request) -> Response:
    """Hash and write what comes to a file of its own, as ours is, then wait for the disk."""
    digest, target = hashlib.sha256(), FOLDER / f"raw-{uuid4().hex}"
    with target.open("wb") as file:
        async for chunk in request.stream():
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return JSONResponse({"sha256": digest.hexdigest()})


async def small_upload(request: Request) -> Response:
    """Write what came to a file of its own, and wait for the disk; many at once, hence in threads."""
    body, target = await request.body(), FOLDER / f"small-{uuid4().hex}"

    def write() -> None:
        with target.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())

    await run_in_threadpool(write)
    return JSONResponse({"bytes": len(body)})


app = FastAPI(openapi_url=None)
app.router.routes.append(Route("/raw", raw_upload, methods=["POST"]))
app.router.routes.append(Route("/small", small_upload, methods=["POST"]))


@app.post("/uploadfile")
def upload_file(file: UploadFile) -> dict[str, str]:
    """FastAPI's own way, then a copy to a file of its own; the same promises: hashed, and on the disk."""
    target = FOLDER / f"copied-{uuid4().hex}"
    with target.open("wb") as copy:
        shutil.copyfileobj(file.file, copy, 1024**2)
        copy.flush()
        os.fsync(copy.fileno())
    with target.open("rb") as copy:
        return {"sha256": hashlib.file_digest(copy, "sha256").hexdigest()}


@app.get("/items/{item_id}")
async def item(item_id: str) -> dict[str, Any]:
    return ITEM


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["BENCH_PORT"]), log_level="warning", access_log=False)
