"""What following a video finds, kept on disk until the transaction that ends the job writes it down."""

import pickle
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from vidintel.application.pipeline.track_aggregation import AggregatedTracks


class FindingsSpool:
    """A file without a name, gone with the block or with the process: a long video's findings do not fit in memory.

    Blocking. Of the frames it keeps what `TrackRepository.stage` reads: their numbers and the tracks, no detections.
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
        """All that was added, in that order; begins anew with each call."""
        self._file.seek(0)
        while True:
            try:
                yield pickle.load(self._file)  # noqa: S301 - nobody else can name the file, let alone write to it
            except EOFError:
                return
