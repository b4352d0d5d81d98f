"""uvicorn's protocol over httptools, with a bound on heads, and with offers to upgrade declined."""

from http import HTTPStatus

import httptools
import structlog
from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

log = structlog.get_logger(__name__)

LARGEST_HEAD = 64 * 1024
"""Bytes of a request before its body, or of what is no body between and behind a body's chunks.

What comes with its last piece is not counted.
"""
# Who waits for answers sends one with a piece of data.
_OFFERS_AT_ONCE = 8


class HttpProtocol(HttpToolsProtocol):
    """Reads requests and writes answers.

    httptools takes in a head of any length. What comes behind a head that offers to upgrade, as Java's client
    does with its first request, it takes for another protocol's, a request's body too.
    """

    _in_head = False
    _head = 0
    # Whether what comes is behind the head.
    _in_body = False

    def data_received(self, data: bytes) -> None:
        """Take what the client has sent."""
        self._unset_keepalive_if_required()
        began_before = self._in_head
        for _ in range(_OFFERS_AT_ONCE):
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if self.parser.get_method() == b"CONNECT":
                    break
                data = self._head_without_offer() + data[offer.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                # As uvicorn's own.
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            except httptools.HttpParserError:
                break
            else:
                # A piece that ends behind the size of a chunk may be a body's but for that.
                if began_before or not self._in_body:
                    self._bound_head(len(data))
                return
        self.send_400_response("This is no request that HTTP/1.1 allows, or its address is too long.")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and end the connection."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        log.info("http.no_request", status=status.value)
        # RFC 9457, as the app's own refusals; their types are the app's.
        body = to_json(
            {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
        )
        head = (
            b"content-type: application/problem+json\r\ncontent-length: %d\r\n"
            b"x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[status] + head % len(body) + body)
        self.transport.close()

    def _head_without_offer(self) -> bytes:
        """Write the head that was read last as a request that offers nothing."""
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self._version())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _version(self) -> bytes:
        return self.parser.get_http_version().encode()

    def _bound_head(self, length: int) -> None:
        if not self._in_head:
            return
        self._head += length
        if self._head > LARGEST_HEAD and not self.transport.is_closing():
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A head may have {LARGEST_HEAD:,} bytes."
            )

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head, self._head, self._in_body = True, 0, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what is sent as one behind a body is none."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End its head."""
        self._in_head, self._in_body = False, True
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Begin a chunk of the body, or what follows the last one."""
        self._in_head, self._head = True, 0

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._in_head = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End it."""
        self._in_head = False
        if not self.parser.should_upgrade():
            super().on_message_complete()
