"""The fake OpenAI server (openai_server.py), through httpx; common to all: test_servers.py."""

import httpx
import pytest

from openai_server import NO_CHOICES, FakeOpenAI
from replies import Answer, Fail, Trouble

HTTP = httpx.Client(verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


def complete(server: FakeOpenAI, timeout: float = 5.0, model: str = "tiny", **headers: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    return HTTP.post(f"{server.url}/chat/completions", json=body, headers=headers, timeout=timeout)


def test_a_completion_has_the_body_of_openai() -> None:
    replies = [
        Answer("Yes.", thinking="Hm."),
        Trouble.GARBAGE,
        NO_CHOICES,
        Answer(None),
    ]
    with FakeOpenAI(replies) as server:
        first, garbage, empty, null, usual = (complete(server, authorization="Bearer x") for _ in range(5))
    [choice] = first.json()["choices"]
    message = {"role": "assistant", "content": "Yes.", "refusal": None, "reasoning_content": "Hm."}
    assert (choice["message"], choice["finish_reason"]) == (message, "stop")
    assert (first.json()["object"], first.json()["usage"]["completion_tokens"]) == ("chat.completion", 2)
    assert (garbage.status_code, garbage.text[:6], empty.json()["choices"]) == (200, "<html>", [])
    contents = [answer.json()["choices"][0]["message"]["content"] for answer in (null, usual)]
    assert contents == [None, "Wording 5: say yes or no."]
    assert server.routes == ["POST /v1/chat/completions"] * 5
    assert server.calls[0].headers["authorization"] == "Bearer x"


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (Fail(429, "Slow down.", retry_after="2"), "requests", "rate_limit_exceeded"),
        (Fail(429, "Pay.", type="insufficient_quota", code="no_money"), "insufficient_quota", "no_money"),
        (Fail(503, "The server is overloaded."), "server_error", None),
        (Fail(400, "No.", code="unsupported_value"), "invalid_request_error", "unsupported_value"),
        (Fail(404, "No model."), "invalid_request_error", "model_not_found"),
    ],
)
def test_refusals_have_the_body_of_openai(reply: Fail, kind: str, code: str | None) -> None:
    with FakeOpenAI([reply]) as server:
        answer = complete(server)
    assert (answer.status_code, answer.headers.get("retry-after")) == (reply.status, reply.retry_after)
    assert answer.json() == {"error": {"message": reply.error, "type": kind, "param": None, "code": code}}


def test_keys_and_models_are_checked() -> None:
    with FakeOpenAI(models=["tiny", "small"], key="sk-right") as server:
        bearers = ("", "sk-proj-secret-9876", "dummy", "sk-right")
        none, long, short, right = (
            complete(server, authorization=f"Bearer {key}".strip()) for key in bearers
        )
        missing = complete(server, model="big", authorization="Bearer sk-right")
        listed = HTTP.get(f"{server.url}/models", headers={"Authorization": "Bearer sk-right"}).json()
    assert [answer.status_code for answer in (none, long, short, right, missing)] == [401, 401, 401, 200, 404]
    assert "You didn't provide an API key." in none.json()["error"]["message"]
    assert "Incorrect API key provided: sk-proj-*******9876." in long.json()["error"]["message"]
    assert "Incorrect API key provided: dummy." in short.json()["error"]["message"]
    assert [model["id"] for model in listed["data"]] == ["tiny", "small"]
