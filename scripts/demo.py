"""`make demo`: start everything, send a clip through the HTTP API, show what was seen, stop what was started.

Leaves ``busiest.jpg``, ``timeline.png`` and ``summary.json`` in the output folder. The exit code is 0 only when all of
it worked.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Never

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from scripts.demo_report import plot_timeline, summary_table, timeline_of
from scripts.demo_server import DemoFailed, DemoServer, Refused

_POLL_S = 0.15
_FINAL = frozenset({"succeeded", "failed", "cancelled"})
_INTERRUPTED = 130


def main() -> int:
    arguments = _arguments()
    console = Console()
    signal.signal(signal.SIGTERM, _leave)
    if not arguments.video.is_file():
        console.print(f"[bold red]There is no file {arguments.video}.[/] Name one: make demo VIDEO=path/to/clip.mp4")
        return 2
    with tempfile.TemporaryDirectory(prefix="vidintel-demo-") as folder:
        home = Path(folder)
        home.chmod(0o711)  # the embedded database, which never runs as root, has to get to its own folder in here
        server = DemoServer(home, arguments.model or None)
        try:
            _run(server, arguments.video, arguments.out, console)
        except KeyboardInterrupt:
            console.print("\nStopped.")
            return _INTERRUPTED
        except (DemoFailed, httpx.HTTPError) as error:
            console.print(f"\n[bold red]The demo failed:[/] {error}", highlight=False, soft_wrap=True)
            if not isinstance(error, Refused):
                console.print("\nThe end of the server's log:", style="bold")
                console.print(server.log_tail(), markup=False, highlight=False, soft_wrap=True)
                console.print("\nRun [bold]make doctor[/] to check this machine.")
            return 1
    return 0


def _run(server: DemoServer, video_path: Path, out: Path, console: Console) -> None:
    started = time.monotonic()
    with console.status("starting database, worker and API …"):
        server.start()
    try:
        ready = time.monotonic()
        console.print(f"serving on {server.url}, ready after {ready - started:.1f} s")
        headers = {"Authorization": f"Bearer {server.token()}"}
        with httpx.Client(base_url=f"{server.url}/api/v1", headers=headers, timeout=120, trust_env=False) as client:
            sending = time.monotonic()
            registered = _upload(client, video_path, console)
            sent = time.monotonic()
            job = _follow(client, registered["job"]["id"], console)
            timings = {
                "start_s": round(ready - started, 2),
                "upload_s": round(sent - sending, 2),
                "analysis_s": round(time.monotonic() - sent, 2),
            }
            _report(client, registered["video"]["id"], job, timings, out, console)
    finally:
        with console.status("stopping …"):
            server.stop()


def _upload(client: httpx.Client, path: Path, console: Console) -> dict[str, Any]:
    columns = (TextColumn("uploading"), BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    with path.open("rb") as file, Progress(*columns, console=console) as progress:
        content = progress.wrap_file(file, total=path.stat().st_size, description=path.name)
        return _json(client.post("/videos", files={"file": (path.name, content, "application/octet-stream")}))


def _follow(client: httpx.Client, job_id: str, console: Console) -> dict[str, Any]:
    """Show the job's progress until it ends; returns the job. Raises `DemoFailed` unless it succeeds."""
    columns = (TextColumn("analysing"), BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("waiting for the worker", total=1.0)
        while True:
            job = _json(client.get(f"/jobs/{job_id}"))
            progress.update(task, completed=job["progress"]["ratio"], description=progress_line(job["progress"]))
            if job["status"] in _FINAL:
                break
            time.sleep(_POLL_S)
    if job["status"] != "succeeded":
        reason = job["error"] or {"code": job["status"], "detail": "The job did not succeed."}
        raise DemoFailed(f"{reason['detail']} ({reason['code']})")
    return job


def progress_line(progress: Mapping[str, Any]) -> str:
    """Segments, frames, speed and time to go, as far as they are known."""
    if not progress["segments_total"]:
        return "looking at the file"
    parts = [
        f"segments {progress['segments_done']}/{progress['segments_total']}",
        f"frames {progress['frames_done']}/{progress['frames_total']}",
    ]
    if progress["frames_per_second"] is not None:
        parts.append(f"{progress['frames_per_second']:.0f} frames/s")
    if progress["eta_s"] is not None:
        parts.append(f"{progress['eta_s']:.0f} s to go")
    return " · ".join(parts)


def _report(
    client: httpx.Client, video_id: str, job: Mapping[str, Any], timings: dict[str, float], out: Path, console: Console
) -> None:
    video = _json(client.get(f"/videos/{video_id}"))
    answer = _json(client.get(f"/videos/{video_id}/results"))
    summary, model, name = answer["results"]["summary"], answer["model"], video["source"]["name"]
    out.mkdir(parents=True, exist_ok=True)

    busiest_s = summary["busiest"]["time_s"] if summary["busiest"] else 0.0
    picture = client.get(f"/videos/{video_id}/frames/{busiest_s:.6f}.jpg", params={"boxes": "true"})
    (out / "busiest.jpg").write_bytes(_checked(picture).content)

    sample_fps = job["spec"]["sample_fps"]
    timeline = timeline_of(
        _detections(client, video_id),
        duration_s=video["media"]["duration_s"],
        sample_fps=video["media"]["frame_rate"] if sample_fps == "native" else sample_fps,
    )
    plot_timeline(timeline, f"{name}, seen by {model['name']} {model['version']}", out / "timeline.png")

    report = {"video": name, "model": model, "spec": job["spec"], "timings": timings, "summary": summary}
    (out / "summary.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")

    console.print()
    console.print(
        summary_table(summary, f"{name}: {summary['unique_tracks']} objects in {summary['detections']} detections")
    )
    speed = summary["frames_analysed"] / timings["analysis_s"] if timings["analysis_s"] else 0.0
    console.print(
        f"model {model['name']} {model['version']} (sha256 {model['sha256'][:12]}…); {summary['frames_analysed']} "
        f"frames in {timings['analysis_s']:.1f} s, {speed:.0f} frames/s, loading the model included",
        highlight=False,
    )
    for file, what in (
        ("busiest.jpg", f"the busiest moment, at {busiest_s:.1f} s"),
        ("timeline.png", "how many there were, over time"),
        ("summary.json", "what the API answered"),
    ):
        console.print(f"  {out / file}  {what}", highlight=False)


def _detections(client: httpx.Client, video_id: str) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        parameters = {"limit": "1000", **({"cursor": cursor} if cursor else {})}
        page = _json(client.get(f"/videos/{video_id}/detections", params=parameters))
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _json(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = _checked(response).json()
    return body


def _checked(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        problem = response.json() if "json" in response.headers.get("content-type", "") else {}
        detail = problem.get("detail") or response.reason_phrase
        kind = Refused if response.is_client_error else DemoFailed
        raise kind(f"{detail} ({response.request.method} {response.request.url.path}: {response.status_code})")
    return response


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=Path("samples/traffic.mp4"))
    parser.add_argument("--model", default="", help="name of a model of the registry, or path of one")
    parser.add_argument("--out", type=Path, default=Path("demo-out"))
    return parser.parse_args()


def _leave(_number: int, _frame: FrameType | None) -> Never:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
