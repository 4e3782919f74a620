"""The findings of track aggregation, kept on disk until the transaction that ends the job stores them."""

import pickle
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from vidintel.application.pipeline.track_aggregation import AggregatedTracks


class FindingsSpool:
    """Keeps findings in an unnamed temporary file, because those of a long video do not fit in memory.

    The file is deleted when the block or the process ends. Blocking. Of each frame it keeps what
    `TrackRepository.stage` reads: the frame number and the tracks, but no detections.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="vidintel-findings-")  # noqa: SIM115 - closed by our own block

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, followed: AggregatedTracks) -> None:
        frames = [
            replace(tracked, frame=replace(tracked.frame, detections=()))
            for tracked in followed.frames
            if any(track_id is not None for track_id in tracked.track_ids)
        ]
        if frames or followed.tracks:
            pickle.dump(AggregatedTracks(frames, followed.tracks), self._file, pickle.HIGHEST_PROTOCOL)

    def parts(self) -> Iterator[AggregatedTracks]:
        """All findings in the order in which they were added. Each call starts from the beginning."""
        self._file.seek(0)
        while True:
            try:
                yield pickle.load(self._file)  # noqa: S301 - the file has no name, so no other process can write to it
            except EOFError:
                return
