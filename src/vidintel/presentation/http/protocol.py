"""HTTP/1.1 on the wire: uvicorn's protocol, with a limit on what may come around a body."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024


class BoundedHeadProtocol(HttpToolsProtocol):
    """Answers 400 and hangs up when request line and headers, or trailers, grow beyond `MAX_HEAD_BYTES`.

    The parser by itself keeps them in memory however long they get, before anybody was asked for a token. What arrives
    is counted by the chunk, so a head may be larger by what one read of the socket gives.
    """

    _pending_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self._pending_bytes > MAX_HEAD_BYTES:
            self.send_400_response("The head of the request is too large.")
            return
        self._pending_bytes += len(data)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._pending_bytes = 0

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._pending_bytes = 0

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._pending_bytes = 0

    def answer_last(self) -> None:
        """The request under way, unless its answer has begun, is told to be the last one on this connection."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False
