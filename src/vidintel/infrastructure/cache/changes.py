"""Which videos changed since when: what tells a fresh copy from a stale one."""

from collections import OrderedDict

from vidintel.domain.video import VideoId

_REMEMBERED = 10_000


class Changes:
    """A clock that ticks with every change of a video, its jobs or their progress.

    Whoever reads something to keep it notes `now` *before* it reads. What was kept is good for as long as `has_changed`
    says no, and while changes `are_heard`: without news from the database, nothing that was kept can be trusted.
    """

    def __init__(self) -> None:
        self.are_heard = False
        self.now = 0
        self._last: OrderedDict[VideoId, int] = OrderedDict()
        self._everything = 0

    def note(self, video_id: VideoId) -> None:
        """The video has changed."""
        self.now += 1
        self._last[video_id] = self.now
        self._last.move_to_end(video_id)
        if len(self._last) > _REMEMBERED:
            _, forgotten = self._last.popitem(last=False)
            self._everything = max(self._everything, forgotten)

    def note_everything(self) -> None:
        """Anything may have changed: news were missed."""
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

    def hear(self) -> None:
        """News arrive from now on; what was kept before is not to be trusted."""
        self.note_everything()
        self.are_heard = True

    def go_deaf(self) -> None:
        """News may be missed from now on."""
        self.are_heard = False
