"""Plumbing of the fake model servers: HTTP/1.1 on loopback, a script of replies, ways to misbehave.

`FakeOllama` and `FakeOpenAI` add what differs: the routes and the shapes of their bodies.
"""

import contextlib
import json
import select
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, ClassVar, Self

from replies import Answer, Fail, Replies, Reply, Response, Trouble, carry_out


@dataclass(frozen=True)
class Call:
    """One request, as in `Call("POST /api/chat", {...})`. Names of headers are in lower case."""

    route: str
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


class LoopbackServer:
    """Listens inside `with`, on a free port of 127.0.0.1. All it promises holds for calls side by side.

    `calls` are the requests in the order of arrival, in which chat calls take their replies too. A
    callable gets each body instead, in the thread of its call: it may wait, and several may run at once.
    `troubles` (path to reply, may be changed at any time) spoil every call of a path. An exception of a
    callable is raised at the end of the `with`. `in_flight_most` is the largest number of chat calls
    that were in progress at once; one whose client has hung up is no longer in progress.
    """

    chat_route: ClassVar[str]

    def __init__(self, replies: Replies, troubles: Mapping[str, Reply] | None) -> None:
        self.calls: list[Call] = []
        self.troubles: dict[str, Reply] = dict(troubles or {})
        self.in_flight_most = 0
        self.fault: BaseException | None = None
        self._by_content = replies if callable(replies) else None
        self._script = iter(() if callable(replies) else replies)
        self._in_flight: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = _Listener(self)
        self._serving: threading.Thread | None = None
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"

    def __enter__(self) -> Self:
        self._serving = threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True)
        self._serving.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if self.fault is not None and error is None:
            raise self.fault
        if self.fault is not None and error is not None:
            error.add_note(f"The loopback server had failed: {self.fault!r}")

    def close(self) -> None:
        """Stop at once: open connections break, and new ones are refused."""
        if self._serving:
            self._listener.shutdown()
            self._serving.join()
        self._listener.server_close()
        for connection in self._listener.connections.copy():
            _break(connection)

    @property
    def routes(self) -> list[str]:
        return [call.route for call in self.calls]

    def bodies(self, route: str) -> list[dict[str, Any]]:
        return [call.body for call in self.calls if call.route == route]

    # --- for the servers

    def _respond(self, call: Call) -> Response | Callable[[Answer], Response]:
        """What a sound server answers; for a chat call with nothing wrong, how to tell what is said.

        Called under the lock, like the effects of responses.
        """
        raise NotImplementedError

    def _failure(self, fail: Fail) -> Response:
        raise NotImplementedError

    # --- for the handler

    def receive(self, call: Call, connection: socket.socket) -> Response:
        """Note the call and find its response."""
        reply = self.troubles.get(call.route.split()[1])
        with self._lock:
            self.calls.append(call)
            if call.route == self.chat_route:
                self._in_flight = {c for c in self._in_flight if not _is_gone(c)} | {connection}
                self.in_flight_most = max(self.in_flight_most, len(self._in_flight))
            turn = sum(earlier.route == self.chat_route for earlier in self.calls)
            sound = self._respond(call)
            chats = not isinstance(sound, Response) and reply is None
            if chats and not self._by_content:
                reply = next(self._script, None)
        if chats and self._by_content:
            reply = self._by_content(call.body)
        usual = Answer(f"Wording {turn}: say yes or no.")
        if isinstance(sound, Response):
            return sound if reply is None else carry_out(reply, lambda _: sound, usual, self._failure)
        return carry_out(usual if reply is None else reply, sound, usual, self._failure)

    def finish(self, connection: socket.socket, response: Response | None = None) -> None:
        """The call on this connection is over; with a response, as it should be."""
        with self._lock:
            self._in_flight.discard(connection)
            if response:
                response.effect()


class _Listener(ThreadingTCPServer):
    """Takes connections for a LoopbackServer and knows which are open."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, owner: LoopbackServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner
        self.connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error; anything else is one of the test or of the server."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.owner.fault = error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(length)
        if len(content) < length:
            raise ConnectionAbortedError("the client has left in the middle of its request")
        self._answer(json.loads(content))

    def _answer(self, body: dict[str, Any]) -> None:
        """Raises ConnectionError, which ends the connection, where it is to break or has broken."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            call = Call(f"{self.command} {self.path}", body, headers)
            self._send(self.server.owner.receive(call, self.connection))
        finally:
            self.server.owner.finish(self.connection)

    def _send(self, response: Response) -> None:
        if response.pause:
            self._wait(response.pause)
        if response.trouble is Trouble.HANG:
            self._wait()
        if response.trouble is Trouble.DROP:
            raise ConnectionAbortedError
        pieces = response.pieces()
        self._send_head(response, sum(map(len, pieces)))
        if response.trouble:
            for piece in pieces[: len(pieces) // 2]:
                self.wfile.write(piece)
            if response.trouble is Trouble.STALL:
                self._wait()
            raise ConnectionAbortedError
        for piece in pieces[:-1]:
            self.wfile.write(piece)
            if response.drip:
                self._wait(response.drip)
        # Before the client can know of the end: its next call finds everything done.
        self.server.owner.finish(self.connection, response)
        self.wfile.write(pieces[-1])

    def _send_head(self, response: Response, size: int) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        for name, value in response.headers:
            self.send_header(name, value)
        if response.streamed:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(size))
        self.end_headers()

    def _wait(self, seconds: float | None = None) -> None:
        """Raise ConnectionAbortedError as soon as the client hangs up or the server closes."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if poll.poll(None if seconds is None else seconds * 1000):
            raise ConnectionAbortedError

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `calls`, not a log."""


def _is_gone(connection: socket.socket) -> bool:
    """Whether the client has hung up."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _break(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may just have ended by itself
        connection.shutdown(socket.SHUT_RDWR)
