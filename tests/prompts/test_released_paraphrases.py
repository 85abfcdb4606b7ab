"""The fixed request and the open gate: what the released code does, each switch alone."""

from collections.abc import Iterator, Sequence

import pytest

from chat_sources import OLLAMA, PROTOCOLS, TASK, ChatProtocol, elsewhere
from sapo_lite.prompts.pool import (
    Pool,
    Rejection,
    finished,
    original_alone,
    pool_from_json,
    pool_to_json,
    top_up,
)
from sapo_lite.prompts.sources.chat_prompt import between_markers, fixed_request, paraphrase_request
from sapo_lite.types import Task

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: protocol.backend)
def chat(request: pytest.FixtureRequest) -> ChatProtocol:
    return request.param


# --- the request


def test_the_fixed_request_is_sent_every_time_and_the_text_between_its_markers_is_taken(
    chat: ChatProtocol,
) -> None:
    answers = [
        "Sure. <START>\nIf right, say yes, else no.\n</START> Done.",
        "<START>Reply with yes or with no.",
    ]
    with chat.server(answers) as server:
        [pool], _ = chat.make(server, request="fixed", parallel=1)
    assert pool.texts == ["If right, say yes, else no.", "Reply with yes or with no."]
    first, second = server.bodies(chat.chat)
    assert first["messages"] == second["messages"]
    assert first["messages"][0]["content"] == fixed_request(TASK)
    assert (first.get("options") or first)["temperature"] == 0.6


def test_the_fixed_request_has_the_instruction_and_the_markers_and_is_in_its_language() -> None:
    english, chinese = elsewhere("Is it {0}?"), Task("t", "", "态度是肯定还是否定？", "", (), "zh", (), ())
    for task, word in ((english, "Write in English."), (chinese, "用中文书写")):
        request = fixed_request(task)
        assert all(part in request for part in (task.instruction, "<START>", "</START>", word))
    assert len({paraphrase_request(TASK, number) for number in range(20)}) == 20


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("x <START> a </START> y </START>", "a"),
        ("<START> a <END> b", "a"),
        ("<START>a</END>", "a"),
        ("a </START>", "a"),
        ("<START> a", "a"),
        (" a ", "a"),
        ("</START> <START> a </START>", "a"),
        ("<START></START>", ""),
    ],
)
def test_where_a_marker_is_missing_the_text_goes_to_that_end(answer: str, text: str) -> None:
    assert between_markers(answer) == text


# --- the gate


class Answers:
    """A source whose requests have these answers in turn; then none is left."""

    generated = True

    def __init__(self, *answers: str | Rejection) -> None:
        self._answers = answers

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str | Rejection]:
        yield from self._answers[numbers.start : numbers.stop]


def ungated(*answers: str | Rejection, count: int, attempts: int = 2) -> Pool:
    pool = top_up(
        original_alone(TASK), TASK, Answers(*answers), "ollama", count=count, attempts=attempts, gate=False
    )
    return finished(pool, TASK, count, minimum=1)


def test_without_a_gate_answers_are_taken_as_they_are() -> None:
    texts = ["Say YES or NO.", "Say YES or NO.", "Here is a paraphrase: **x**", "", TASK.instruction]
    pool = ungated(*texts[:3], f"  {texts[3]}\n", texts[4], count=5)
    assert pool.texts == texts
    assert [candidate.index for candidate in pool.candidates] == [0, 1, 2, 3, 4, 5]
    assert pool.rejected == ()
    assert pool_from_json(pool_to_json(pool), TASK) == pool


def test_without_a_gate_a_call_that_fails_to_the_end_is_an_empty_candidate_and_a_notice() -> None:
    failed = Rejection("", "timed out")
    pool = ungated("a", failed, failed, "b", failed, failed, count=3)
    assert pool.texts == ["a", "b", ""]
    assert pool.rejected == (failed,) * 4
    assert pool.notice == "task273: 1 of 3 paraphrases are empty (paraphrase.gate is false)."
    # A source that ends has no failed calls.
    short = ungated("a", "b", count=3)
    assert short.texts == ["a", "b"]


def test_with_a_gate_no_empty_text_is_a_candidate() -> None:
    pool = top_up(
        original_alone(TASK), TASK, Answers("", Rejection("", "timed out")), "x", count=1, attempts=2
    )
    assert pool.texts == []


def test_the_gate_is_opened_by_its_switch_alone() -> None:
    with OLLAMA.server(["no label", "no label"]) as server:
        [pool], _ = OLLAMA.make(server, gate=False, parallel=1)
    assert pool.texts == ["no label", "no label"]
