"""A real file server on loopback, which can go wrong in the ways that downloads meet."""

import contextlib
import select
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Odd:
    """An answer with something wrong; without any argument it is sound.

    status: instead of 200 or 206; `body` is then empty unless given
    body: instead of the file's content
    announced: Content-Length, instead of the real one
    sent: bytes of the body that are sent before the connection closes
    stalls: whether it stays open instead
    ranges: whether the header Range is heeded
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    announced: int | None = None
    sent: int | None = None
    stalls: bool = False
    ranges: bool = True


class FileServer:
    """Serves `files` (path to content) inside `with`. The first answers are those of `script`.

    `asked` has the path and the header Range of every request.
    """

    def __init__(self, files: Mapping[str, bytes], script: Iterable[Odd] = ()) -> None:
        self.files = dict(files)
        self.script = list(script)
        self.asked: list[tuple[str, str | None]] = []
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.owner = self
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    @property
    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.asked]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    owner: FileServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up, and that is no fault."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        owner = self.server.owner
        asked = self.headers.get("Range")
        owner.asked.append((self.path, asked))
        odd = owner.script.pop(0) if owner.script else Odd()
        content = owner.files.get(self.path.lstrip("/"))
        if odd.status is not None or content is None:
            self._send(odd.status or 404, odd.headers, odd.body or b"", odd)
            return
        content = content if odd.body is None else odd.body
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and odd.ranges else 0
        if start and start >= len(content):
            self._send(416, {"Content-Range": f"bytes */{len(content)}"}, b"", odd)
        elif start:
            place = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self._send(206, place | dict(odd.headers), content[start:], odd)
        else:
            self._send(200, odd.headers, content, odd)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, odd: Odd) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if odd.announced != -1:
            self.send_header("Content-Length", str(len(body) if odd.announced is None else odd.announced))
        self.end_headers()
        self.wfile.write(body if odd.sent is None else body[: odd.sent])
        self.wfile.flush()
        if odd.stalls:
            with contextlib.suppress(OSError):
                select.select([self.connection], [], [])  # until the client hangs up

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `asked`, not a log."""
