"""HTTP/1.1 on the wire: uvicorn's protocol, with limits on headers and on request bodies that nobody reads."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
MAX_UNREAD_BYTES = 16 * 1024**2


class BoundedHeadProtocol(HttpToolsProtocol):
    """Answers 400 and closes the connection when request line and headers, or trailers, exceed `MAX_HEAD_BYTES`.

    The parser by itself keeps them in memory however long they get, before a token is checked. The size is counted by
    the chunk, so a head may be larger by one read of the socket.

    The rest of a body that arrives after the answer is discarded, so that clients that send everything before they read
    get the answer. After `MAX_UNREAD_BYTES` of it, the connection is closed.
    """

    _pending_bytes = 0
    _unread_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self._pending_bytes > MAX_HEAD_BYTES:
            self.send_400_response("The head of the request is too large.")
            return
        self._pending_bytes += len(data)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._pending_bytes = 0
        self._unread_bytes = 0

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._pending_bytes = 0
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
            if self._unread_bytes > MAX_UNREAD_BYTES:
                self.transport.close()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._pending_bytes = 0

    def answer_last(self) -> None:
        """Close the connection after the answer under way, and tell the client so, unless the answer has begun."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False
