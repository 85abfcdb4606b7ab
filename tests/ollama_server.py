"""A real HTTP server on loopback that speaks as much of Ollama's protocol as sapo-lite uses.

It has one model and follows a script: what it says to each chat call, or how it misbehaves.
"""

import json
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Fail:
    """An HTTP error with Ollama's JSON body."""

    status: int
    error: str


class Trouble(Enum):
    """Ways not to answer."""

    DROP = "the connection is closed without an answer"
    HANG = "nothing is ever sent"
    GARBAGE = "a success that is not JSON"


Reply = str | Fail | Trouble


@dataclass(frozen=True)
class Call:
    """One request, as in `Call("POST /api/chat", {...})`."""

    route: str
    body: dict[str, Any]


class FakeOllama:
    """Answers chat calls with `replies` in turn, then with a new good paraphrase each time.

    `troubles` makes other routes misbehave, as in {"/api/ps": Trouble.HANG}. After an unload the model
    stays in /api/ps for `polls_until_gone` looks.
    """

    def __init__(
        self,
        replies: Iterable[Reply] = (),
        *,
        model: str = "tiny:latest",
        refuses_think: bool = False,
        polls_until_gone: int = 0,
        troubles: dict[str, Fail | Trouble] | None = None,
    ) -> None:
        self.calls: list[Call] = []
        self.model = model
        self.loaded = False
        self._replies = iter(replies)
        self._refuses_think = refuses_think
        self._polls_until_gone = polls_until_gone
        self._unloading = False
        self._troubles = troubles or {}
        self._closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening: from here on connections are refused."""
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def routes(self) -> list[str]:
        return [call.route for call in self.calls]

    def bodies(self, route: str) -> list[dict[str, Any]]:
        return [call.body for call in self.calls if call.route == route]

    def _answer(self, route: str, body: dict[str, Any]) -> dict[str, Any] | Fail | Trouble:
        """What goes back for one request: a JSON body, or a failure."""
        path = route.split()[1]
        if path in self._troubles:
            return self._troubles[path]
        if "model" in body and body["model"] not in (self.model, self.model.removesuffix(":latest")):
            return Fail(404, f"model '{body['model']}' not found")
        match route:
            case "GET /api/version":
                return {"version": "0.12.3"}
            case "GET /api/tags":
                return {"models": [{"name": self.model, "model": self.model}]}
            case "POST /api/show":
                return {"details": {"family": "qwen3"}, "model_info": {"general.architecture": "qwen3"}}
            case "GET /api/ps":
                return {"models": self._in_memory()}
            case "POST /api/generate":
                self._unloading = body.get("keep_alive") == 0
                return {"model": body["model"], "response": "", "done": True, "done_reason": "unload"}
            case "POST /api/chat":
                return self._chat(body)
        return Fail(404, "404 page not found")

    def _chat(self, body: dict[str, Any]) -> dict[str, Any] | Fail | Trouble:
        if self._refuses_think and "think" in body:
            return Fail(400, f'"{self.model}" does not support thinking')
        self.loaded = True
        turn = sum(call.route == "POST /api/chat" for call in self.calls)
        reply = next(self._replies, f"<START>Wording {turn}: say yes or no.</START>")
        if not isinstance(reply, str):
            return reply
        message = {"role": "assistant", "content": reply}
        return {"model": body["model"], "message": message, "done": True, "done_reason": "stop"}

    def _in_memory(self) -> list[dict[str, Any]]:
        if self._unloading:
            self.loaded = self.loaded and self._polls_until_gone > 0
            self._polls_until_gone -= 1
        return [{"name": self.model, "model": self.model, "size_vram": 1}] if self.loaded else []

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._respond("GET", {})

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                self._respond("POST", json.loads(self.rfile.read(size)))

            def _respond(self, method: str, body: dict[str, Any]) -> None:
                route = f"{method} {self.path}"
                server.calls.append(Call(route, body))
                answer = server._answer(route, body)
                if answer is Trouble.HANG:
                    server._closing.wait()
                if answer in (Trouble.DROP, Trouble.HANG):
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                elif answer is Trouble.GARBAGE:
                    self._send(200, b"<html>hello</html>")
                elif isinstance(answer, Fail):
                    self._send(answer.status, json.dumps({"error": answer.error}).encode())
                else:
                    self._send(200, json.dumps(answer).encode())

            def _send(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Tests read `calls`, not a log."""

        return Handler
