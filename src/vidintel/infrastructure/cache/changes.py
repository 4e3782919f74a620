"""Records which videos changed and when, to tell fresh cached copies from stale ones."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from vidintel.domain.video import VideoId

RECENT_S = 15.0
"""How long writes are remembered, in seconds. Shared copies must expire sooner: see `RedisDocuments`."""

_REMEMBERED = 10_000


class Changes:
    """A clock that ticks with every change of a video, its jobs or their progress.

    A cache notes `now` *before* it loads a value. The value is fresh for as long as `has_changed` says no and
    `is_connected` is true: without notifications from the database, no cached value can be trusted.
    """

    def __init__(self, writes: "RecentWrites | None" = None) -> None:
        self.writes = writes or RecentWrites()
        self.is_connected = False
        self.now = 0
        self._last: OrderedDict[VideoId, int] = OrderedDict()
        self._everything = 0

    def note(self, video_id: VideoId, transaction: int | None = None) -> None:
        """Record that the video changed, by a transaction that may not be known."""
        self.writes.note(video_id, transaction)
        self.now += 1
        self._last[video_id] = self.now
        self._last.move_to_end(video_id)
        if len(self._last) > _REMEMBERED:
            _, forgotten = self._last.popitem(last=False)
            self._everything = max(self._everything, forgotten)

    def note_everything(self) -> None:
        """Record that any video may have changed, because notifications were missed."""
        self.now += 1
        self._everything = self.now
        self._last.clear()

    def has_changed(self, video_id: VideoId | None, since: int) -> bool:
        """Whether the video, or for ``None`` any video, may have changed after the moment ``since``."""
        if since == self.now:
            return False
        if video_id is None or self._everything > since:
            return True
        return self._last.get(video_id, 0) > since

    def connected(self) -> None:
        """Notifications arrive from now on. What was cached before may be stale."""
        self.note_everything()
        self.writes.begin()
        self.is_connected = True

    def disconnected(self) -> None:
        """Notifications may be missed from now on."""
        self.is_connected = False


class RecentWrites:
    """The transactions that changed videos lately. They tell whether a copy made by another process is up to date.

    PostgreSQL's snapshots decide, not clocks and not the order in which messages arrive.
    """

    def __init__(self, time_s: Callable[[], float] = time.monotonic) -> None:
        self._time_s = time_s
        self._complete_since = math.inf
        self._of_video: OrderedDict[VideoId, list[tuple[float, int | None]]] = OrderedDict()

    def begin(self) -> None:
        """Every write is noted from now on. Earlier ones may have been missed."""
        self._complete_since = self._time_s()
        self._of_video.clear()

    def note(self, video_id: VideoId, transaction: int | None) -> None:
        now = self._time_s()
        known = self._of_video.setdefault(video_id, [])
        known[:] = [each for each in known if each[0] > now - RECENT_S]
        known.append((now, transaction))
        self._of_video.move_to_end(video_id)
        while self._of_video and next(iter(self._of_video.values()))[-1][0] <= now - RECENT_S:
            self._of_video.popitem(last=False)
        if len(self._of_video) > _REMEMBERED:
            self.begin()

    def are_known(self) -> bool:
        """Whether nothing was missed for `RECENT_S`."""
        return self._time_s() - self._complete_since >= RECENT_S

    def are_all_in(self, video_id: VideoId, snapshot: str) -> bool:
        """Whether a copy, read in ``snapshot`` (``xmin:xmax:xip,…``) not longer than `RECENT_S` ago, is up to date.

        After a write by an unknown transaction no copy is, for `RECENT_S`.
        """
        since = self._time_s() - RECENT_S
        writes = [transaction for at, transaction in self._of_video.get(video_id, ()) if at > since]
        if not writes:
            return True
        _, xmax, running = snapshot.split(":")
        under_way = {int(each) for each in running.split(",") if each}
        return all(each is not None and each < int(xmax) and each not in under_way for each in writes)
