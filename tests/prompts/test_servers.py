"""Behaviour that the fake model servers (ollama_server.py, openai_server.py) share, through plain HTTP."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from chat_sources import PROTOCOLS, ChatProtocol
from loopback import LoopbackServer
from replies import Drip, Fail, Reply, Slow, Trouble

HTTP = httpx.Client(verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: protocol.backend)
def chat(request: pytest.FixtureRequest) -> ChatProtocol:
    return request.param


def ask(server: LoopbackServer, word: str = "hello", timeout: float = 5.0) -> httpx.Response:
    """One chat call, not streamed."""
    address = httpx.URL(server.url).copy_with(path=server.chat_route.split()[1])
    body = {"model": "tiny", "messages": [{"role": "user", "content": word}], "stream": False}
    return HTTP.post(address, json=body, timeout=timeout)


def said(answer: httpx.Response) -> str:
    body = answer.json()
    return (body["choices"][0] if "choices" in body else body)["message"]["content"]


def asked(body: dict[str, Any]) -> str:
    return body["messages"][0]["content"]


def side_by_side(server: LoopbackServer, words: list[str], workers: int) -> list[str]:
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda word: said(ask(server, word)), words))


def test_troubles_end_the_call_and_the_next_is_none_the_worse(chat: ChatProtocol) -> None:
    expected: list[tuple[Reply, type[Exception]]] = [
        (Trouble.DROP, httpx.RemoteProtocolError),
        (Trouble.CUT, httpx.RemoteProtocolError),
        (Trouble.HANG, httpx.ReadTimeout),
        (Trouble.STALL, httpx.ReadTimeout),
        (Slow("late", 9), httpx.ReadTimeout),
    ]
    with chat.server([reply for reply, _ in expected] + [Trouble.GARBAGE]) as server:
        for _, error in expected:
            with pytest.raises(error):
                ask(server, timeout=0.3 if error is httpx.ReadTimeout else 60.0)
        with pytest.raises(json.JSONDecodeError):
            ask(server).json()
        assert said(ask(server)) == "Wording 7: say yes or no."
        assert server.in_flight_most == 1  # a call that was given up is not in flight


def test_a_failure_has_its_status_its_text_and_its_pause(chat: ChatProtocol) -> None:
    with chat.server([Fail(503, "server busy", retry_after="2")]) as server:
        answer = ask(server)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "server busy" in answer.text


def test_calls_side_by_side_are_counted_and_answered_by_content(chat: ChatProtocol) -> None:
    with chat.server(lambda body: Slow(asked(body), 0.03)) as server:
        assert side_by_side(server, list("abcdefghijkl"), workers=4) == list("abcdefghijkl")
        assert (server.in_flight_most, len(server.bodies(chat.chat))) == (4, 12)


def test_replies_go_out_in_the_order_of_arrival(chat: ChatProtocol) -> None:
    numbers = [str(number) for number in range(20)]
    with chat.server(numbers) as server:
        answers = side_by_side(server, numbers, workers=20)
        arrived = [asked(body) for body in server.bodies(chat.chat)]
    assert [answers[int(word)] for word in arrived] == numbers


def test_an_error_in_a_callable_comes_out_at_the_end(chat: ChatProtocol) -> None:
    def converse() -> None:
        with chat.server(lambda body: body["nothing"]) as server, pytest.raises(httpx.RemoteProtocolError):
            ask(server)

    with pytest.raises(KeyError, match="nothing"):
        converse()


def test_a_server_closes_at_once_whatever_hangs(
    chat: ChatProtocol, capfd: pytest.CaptureFixture[str]
) -> None:
    def ask_in_vain() -> None:
        with pytest.raises(httpx.TransportError):
            ask(server)

    before = threading.active_count()
    with chat.server([Trouble.HANG, Trouble.STALL, Slow("late", 60), Drip("late", 60)]) as server:
        asks = [threading.Thread(target=ask_in_vain) for _ in range(4)]
        for thread in asks:
            thread.start()
        wait_until(lambda: server.in_flight_most == 4)
    for thread in asks:
        thread.join(5)
    assert not any(thread.is_alive() for thread in asks)
    server.close()  # again: no harm
    wait_until(lambda: threading.active_count() <= before)
    with pytest.raises(httpx.ConnectError):
        ask(server)
    chat.server().close()  # nor to one that was never started
    assert capfd.readouterr().err == ""


def wait_until(condition: Callable[[], bool]) -> None:
    """Fails after a minute."""
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)
