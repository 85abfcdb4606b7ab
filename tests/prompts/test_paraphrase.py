"""Candidates: filling and saving of pools, requests to sources, files, built-in rewordings.

The gate is tested in test_gate.py, the cache of answers in test_answer_cache.py.
"""

import contextlib
import dataclasses
import io
import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import sapo_lite.prompts.make as package
from ollama_server import Fail, FakeOllama
from sapo_lite.data.files import read_prompts
from sapo_lite.errors import DataError, ParaphraseError, RecipeError
from sapo_lite.lab.source import LabWordings
from sapo_lite.lab.wordings import original, wordings
from sapo_lite.prompts.gate import normalise
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.pool import (
    Pool,
    Rejection,
    Source,
    candidates_file,
    finished,
    original_alone,
    pool_from_json,
    pool_to_json,
    pools_to_text,
    top_up,
)
from sapo_lite.prompts.sources import ollama_server as server_calls
from sapo_lite.prompts.sources.builtin import Builtin
from sapo_lite.prompts.sources.chat_prompt import cut_answer, paraphrase_request, read_answer
from sapo_lite.prompts.sources.file import FromFile
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.prompts.sources.rules import rewordings
from sapo_lite.recipe import ParaphraseConfig
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.types import Candidate, Language, Task


def task(
    instruction: str,
    labels: tuple[str, ...] = (),
    *,
    id: str = "task273_europarl_classification",
    language: Language = "en",
) -> Task:
    return Task(id, "SUPERNI", instruction, "Answer:", labels, language, train=(), test=())


YES_NO = task('Generate label "yes" if the translation is right, otherwise "no".', ("yes", "no"))
STANCE = task("判断对指定对象的态度：A.支持，B.反对，C.中立。输出A，B或者C。", ("A", "B", "C"), language="zh")
FREE = task("Write a summary of the review.")
OTHER = task("Find the odd word.", id="task141_odd")
SILENT = task(" \n", id="task9_silent")


class GivenTexts:
    """A source of these texts, or of ever new ones. Notes what it is asked for."""

    generated = False

    def __init__(self, *texts: str | Rejection) -> None:
        self._texts = texts
        self.asked: list[tuple[int, int]] = []
        self.taken: list[list[str]] = []

    def answers(self, about: Task, numbers: range, taken: Sequence[str]) -> Iterator[str | Rejection]:
        self.asked.append((numbers.start, numbers.stop))
        self.taken.append(list(taken))
        if self._texts:
            yield from self._texts[numbers.start : numbers.stop]
        else:
            yield from (f"Wording {number}: yes or no." for number in numbers)


def fill(source: Source, *, about: Task = FREE, count: int = 2, attempts: int = 3, **more: Any) -> Pool:
    return top_up(original_alone(about), about, source, "file", count=count, attempts=attempts, **more)


class RecordingDisplay(PlainDisplay):
    """A display that notes the notices."""

    def __init__(self) -> None:
        self.written = io.StringIO()
        super().__init__(Console(file=self.written, width=200))
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def make(
    *tasks: Task, seed: int = 0, progress: RecordingDisplay | None = None, **settings: Any
) -> list[Pool]:
    return make_pools(
        tasks, ParaphraseConfig(**settings), SourceContext(progress or RecordingDisplay(), seed=seed)
    )


def texts(pool: Pool) -> list[tuple[str, str]]:
    """(text, origin) of the paraphrases."""
    return [(candidate.text, candidate.origin) for candidate in pool.candidates[1:]]


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(server_calls, "UNLOAD_POLL", 0.01)


# --- filling a pool


def test_the_original_comes_first_and_unchanged() -> None:
    about = task(" Keep {this}, and its spaces. ")
    pool = fill(GivenTexts("  Another {0} wording\n"), about=about, count=1)
    assert pool == Pool(
        about.id,
        (
            Candidate(0, " Keep {this}, and its spaces. ", "original"),
            Candidate(1, "Another {0} wording", "file"),
        ),
    )


def test_no_more_is_asked_for_than_is_missing() -> None:
    source = GivenTexts()
    assert len(fill(source, count=5, attempts=9).texts) == 5
    assert source.asked == [(0, 5)]


def test_only_what_was_rejected_is_asked_for_again() -> None:
    source = GivenTexts("", "One.", "one", "Two.", "Three.", "Never looked at.")
    pool = fill(source, count=3)
    assert pool.texts == ["One.", "Two.", "Three."]
    assert source.asked == [(0, 3), (3, 5)]
    assert pool.rejected == (Rejection("", "empty"), Rejection("one", "equal to another candidate"))


def test_the_source_sees_what_was_accepted_before() -> None:
    source = GivenTexts("One.", "one", "Two.")
    fill(source)
    assert source.taken == [[], ["One."]]


def test_no_more_is_asked_for_at_once_than_allowed() -> None:
    source = GivenTexts("One.", "", "Two.", "Three.", "Four.")
    fill(source, count=4, at_once=2)
    assert source.asked == [(0, 2), (2, 4), (4, 5)]


@pytest.mark.parametrize(("count", "attempts", "at_once"), [(2, 3, None), (1, 6, None), (4, 2, 3), (3, 1, 5)])
def test_the_attempts_are_spent_to_the_last_and_no_further(
    count: int, attempts: int, at_once: int | None
) -> None:
    source = GivenTexts(*[""] * 50)
    pool = fill(source, count=count, attempts=attempts, at_once=at_once)
    assert len(pool.rejected) == count * attempts == source.asked[-1][1]
    assert pool.texts == []


def test_the_attempts_are_those_for_what_is_missing() -> None:
    pool = fill(GivenTexts("One."), count=1)
    source = GivenTexts(*["one"] * 50)
    top_up(pool, FREE, source, "file", count=3, attempts=2)
    assert source.asked == [(0, 2), (2, 4)]


def test_a_source_that_ends_is_not_asked_again() -> None:
    source = GivenTexts("One.", "")
    assert fill(source, count=3).texts == ["One."]
    assert source.asked == [(0, 3)]


def test_a_full_pool_asks_for_nothing() -> None:
    pool = fill(GivenTexts(), count=2)
    source = GivenTexts()
    for count in (0, 1, 2):
        assert top_up(pool, FREE, source, "file", count=count, attempts=3) is pool
    assert source.asked == []


def test_a_source_may_reject_by_itself_and_is_asked_again() -> None:
    pool = fill(GivenTexts(Rejection("", "no answer within 2 s"), "One."), count=1)
    assert pool.rejected == (Rejection("", "no answer within 2 s"),)
    assert pool.texts == ["One."]


def test_the_pool_is_seen_after_every_answer() -> None:
    seen: list[tuple[int, int]] = []
    fill(
        GivenTexts("One.", "", "Two."),
        on_answer=lambda pool: seen.append((len(pool.texts), len(pool.rejected))),
    )
    assert seen == [(1, 0), (1, 1), (2, 1)]


@pytest.mark.parametrize(
    "answer", ["Half \ud83d a pair.", Rejection("Half \ud83d a pair.", "broken characters")]
)
def test_half_a_surrogate_pair_is_a_broken_character_that_files_can_hold(answer: str | Rejection) -> None:
    pool = fill(GivenTexts(answer), count=1, attempts=1)
    assert pool.rejected == (Rejection("Half \ufffd a pair.", "broken characters"),)


def test_characters_beyond_sixteen_bits_stay_as_they_are() -> None:
    assert fill(GivenTexts("Say it 👍 \ufeff 𠀀."), count=1).texts == ["Say it 👍 \ufeff 𠀀."]


SCRAPS = ["yes", "no", "Yes", "maybe", ".", " ", "YES ", "<START>", "支持", "\ud800", "1-5", "\x00"]
TEXTS = st.text(max_size=20) | st.lists(st.sampled_from(SCRAPS), max_size=8).map(" ".join)
ANSWERS = st.lists(TEXTS | st.builds(Rejection, TEXTS, st.just("said so")), max_size=12)


@given(answers=ANSWERS, generated=st.booleans(), at_once=st.none() | st.integers(1, 4))
def test_whatever_comes_back_candidates_differ_hold_every_label_and_can_be_written(
    answers: list[str | Rejection], generated: bool, at_once: int | None
) -> None:
    source = GivenTexts("Answer yes or no.", *answers)
    source.generated = generated
    pool = fill(source, about=YES_NO, count=5, at_once=at_once)
    wordings = [candidate.text for candidate in pool.candidates]
    assert len({normalise(text) for text in wordings}) == len(wordings) <= 6
    assert all({"yes", "no"} <= set(re.findall(r"[A-Za-z0-9]+", text)) for text in wordings)
    assert [candidate.index for candidate in pool.candidates] == list(range(len(wordings)))
    written = json.dumps(pool_to_json(pool), ensure_ascii=False).encode()
    assert pool_from_json(json.loads(written), YES_NO) == pool


# --- too few


def test_a_smaller_pool_says_how_often_what_was_not_accepted() -> None:
    pool = finished(fill(GivenTexts("One.", *["one"] * 4, "")), FREE, count=2, minimum=1)
    assert pool.texts == ["One."]
    assert pool.notice == (
        "task273: 1 of the 2 paraphrases asked for; not accepted: 4 x equal to another candidate, 1 x empty."
    )


def test_a_smaller_pool_says_that_the_source_has_ended() -> None:
    pool = finished(fill(GivenTexts("One.")), FREE, count=2, minimum=1)
    assert pool.notice == "task273: 1 of the 2 paraphrases asked for; the source had no more."


def test_a_full_pool_says_nothing_of_what_was_rejected_on_the_way() -> None:
    pool = fill(GivenTexts("", "One."), count=1)
    assert pool.rejected
    assert finished(pool, FREE, count=1, minimum=1).notice is None


def test_fewer_than_the_minimum_is_an_error_that_counts_the_reasons() -> None:
    with pytest.raises(ParaphraseError) as caught:
        finished(fill(GivenTexts("Decide.", "", "Judge."), about=YES_NO), YES_NO, count=2, minimum=1)
    assert str(caught.value) == (
        'task273: 0 of the 2 paraphrases asked for; not accepted: 2 x label "yes" missing, 1 x empty. '
        "That is fewer than paraphrase.minimum = 1. Choose another model or source, or train on the original "
        "wording alone with paraphrase.count = 0."
    )


@pytest.mark.parametrize(("minimum", "enough"), [(0, True), (2, True), (3, False), (5, False)])
def test_the_minimum_counts_paraphrases_without_the_original(minimum: int, enough: bool) -> None:
    pool = fill(GivenTexts("One.", "Two."), count=5)
    if enough:
        assert finished(pool, FREE, 5, minimum).notice
    else:
        with pytest.raises(ParaphraseError, match=rf"2 of the 5 .*; .* paraphrase.minimum = {minimum}"):
            finished(pool, FREE, 5, minimum)


# --- all tasks, all sources


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What happens to sources, which are replaced: "short" has one text for each task, "broken" fails,
    "mute" has none, and others have as many as anyone wants."""
    events: list[tuple[str, ...]] = []

    class Recording:
        generated = False

        def __init__(self, name: str) -> None:
            self._name = name

        def answers(self, about: Task, numbers: range, taken: Sequence[str]) -> Iterator[str]:
            events.append((self._name, about.name, str(len(numbers))))
            if self._name == "broken":
                raise ParaphraseError("broken")
            limit = {"short": 1, "mute": 0}.get(self._name, 1000)
            yield from (f"{self._name} wording {number}" for number in numbers if number < limit)

    @contextlib.contextmanager
    def open_source(name: str, config: ParaphraseConfig, around: SourceContext) -> Iterator[Recording]:
        events.append(("open", name))
        try:
            yield Recording(name)
        finally:
            events.append(("close", name))

    monkeypatch.setattr(package, "open_source", open_source)
    return events


def mix(*names: str, tasks: Sequence[Task] = (FREE, OTHER), **settings: Any) -> list[Pool]:
    config = ParaphraseConfig(**({"count": 4} | settings)).model_copy(update={"backend": names})
    return make_pools(tasks, config, SourceContext(RecordingDisplay()))


def test_every_source_is_released_before_the_next_is_opened(opened: list[tuple[str, ...]]) -> None:
    mix("one", "two")
    assert opened == [
        ("open", "one"),
        ("one", "task273", "2"),
        ("one", "task141", "2"),
        ("close", "one"),
        ("open", "two"),
        ("two", "task273", "2"),
        ("two", "task141", "2"),
        ("close", "two"),
    ]


def origins(pool: Pool) -> dict[str, int]:
    names = [candidate.origin for candidate in pool.candidates[1:]]
    return {name: names.count(name) for name in names}


@pytest.mark.parametrize(
    ("names", "count", "shares"),
    [
        (("one",), 3, {"one": 3}),
        (("one", "two"), 5, {"one": 2, "two": 3}),
        (("one", "two", "three"), 20, {"one": 6, "two": 7, "three": 7}),
        (("one", "two"), 1, {"two": 1}),
        (("short", "two", "three"), 9, {"short": 1, "two": 5, "three": 3}),
        (("one", "mute", "three"), 9, {"one": 3, "three": 6}),
        (("one", "short"), 6, {"one": 3, "short": 1}),
    ],
)
def test_each_source_gives_its_share_and_leaves_the_rest_to_the_next(
    opened: list[tuple[str, ...]], names: tuple[str, ...], count: int, shares: dict[str, int]
) -> None:
    for pool in mix(*names, count=count):
        assert origins(pool) == shares
        assert [candidate.index for candidate in pool.candidates] == list(range(sum(shares.values()) + 1))


def test_only_the_last_source_decides_whether_there_are_too_few(opened: list[tuple[str, ...]]) -> None:
    assert [pool.notice for pool in mix("mute", "one", minimum=4)] == [None, None]
    with pytest.raises(ParaphraseError, match="task273: 1 of the 4 paraphrases asked for; the source had no"):
        mix("short", "mute", minimum=2)


def test_a_source_that_fails_is_released_and_no_other_is_opened(opened: list[tuple[str, ...]]) -> None:
    with pytest.raises(ParaphraseError, match=r"^broken$"):
        mix("broken", "one")
    assert opened == [("open", "broken"), ("broken", "task273", "2"), ("close", "broken")]


def test_a_task_without_an_instruction_keeps_it_alone_and_its_place(opened: list[tuple[str, ...]]) -> None:
    pools = mix("one", tasks=[FREE, SILENT, OTHER])
    assert [pool.task for pool in pools] == [FREE.id, SILENT.id, OTHER.id]
    assert pools[1] == Pool(SILENT.id, (Candidate(0, " \n", "original"),))
    assert {event[1] for event in opened if event[0] == "one"} == {"task273", "task141"}


@pytest.mark.parametrize(
    ("tasks", "count"), [([SILENT], 4), ([task("", id="task8")], 4), ([FREE, OTHER], 0), ([], 4)]
)
def test_no_source_is_opened_where_there_is_nothing_to_paraphrase(
    opened: list[tuple[str, ...]], tasks: list[Task], count: int
) -> None:
    assert mix("broken", tasks=tasks, count=count) == [original_alone(about) for about in tasks]
    assert opened == []


def test_with_a_minimum_of_none_the_original_may_stand_alone(opened: list[tuple[str, ...]]) -> None:
    [pool] = mix("mute", tasks=[FREE], minimum=0)
    assert pool.candidates == original_alone(FREE).candidates
    assert pool.notice == "task273: 0 of the 4 paraphrases asked for; the source had no more."


def test_notices_of_the_pools_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "few.json"
    path.write_text(json.dumps({"task273": ["One."], "task141": ["Two.", "Three."]}), encoding="utf-8")
    progress = RecordingDisplay()
    make(FREE, OTHER, backend="file", path=str(path), count=2, progress=progress)
    assert progress.notices == ["task273: 1 of the 2 paraphrases asked for; the source had no more."]
    assert "paraphrasing with file" in progress.written.getvalue()


def test_a_file_and_a_chat_model_share_and_the_model_is_unloaded(tmp_path: Path) -> None:
    path = tmp_path / "few.json"
    path.write_text(json.dumps({"task273": ["Say yes or no."], "task141": ["A.", "B.", "C."]}))
    with FakeOllama(polls_until_gone=1) as server:
        pools = make(
            YES_NO,
            OTHER,
            backend=["file", "ollama"],
            path=str(path),
            model="tiny",
            host=server.url,
            count=4,
            parallel=1,
        )
        assert not server.loaded
    assert [origins(pool) for pool in pools] == [{"file": 1, "ollama": 3}, {"file": 2, "ollama": 2}]
    assert len(server.bodies("POST /api/chat")) == 5


def test_a_chat_model_is_unloaded_before_the_next_source_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "few.json"
    path.write_text(json.dumps({"task273": ["Say yes or no.", "Choose yes or no."]}))
    loaded: list[bool] = []

    def from_file(path: Path, notify: Any, *, only: bool) -> FromFile:
        loaded.append(server.loaded)
        return FromFile(path, notify, only=only)

    monkeypatch.setattr("sapo_lite.prompts.sources.openers.FromFile", from_file)
    with FakeOllama(polls_until_gone=2) as server:
        sources = ["ollama/tiny", "file"]
        [pool] = make(YES_NO, backend=sources, host=server.url, path=str(path), count=2)
    assert [origin for _, origin in texts(pool)] == ["ollama/tiny", "file"]
    assert loaded == [False]


def test_two_chat_models_are_never_in_memory_at_once() -> None:
    together: list[list[str]] = []

    def reply(body: dict[str, Any]) -> str:
        together.append(list(server.in_memory))
        return f"Wording {len(together)} by {body['model']}: say what the text is about."

    with FakeOllama(reply, models=["a:latest", "b:latest"], polls_until_gone=2) as server:
        pools = make(FREE, OTHER, backend=["ollama/a", "ollama/b"], host=server.url, count=4, parallel=1)
    assert together == [["a:latest"]] * 4 + [["b:latest"]] * 4
    assert [origins(pool) for pool in pools] == [{"ollama/a": 2, "ollama/b": 2}] * 2


def test_a_chat_model_that_refuses_ends_the_run_in_its_own_words() -> None:
    refusal = Fail(413, "out of memory")
    with FakeOllama([refusal]) as server, pytest.raises(ParaphraseError, match="out of memory"):
        make(FREE, backend="ollama", model="tiny", host=server.url, count=1, attempts=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "self"}, 'paraphrase.backend "self" is the model of a recipe: name one.'),
        ({"backend": "ollama"}, 'paraphrase.backend "ollama" needs the name of a model in paraphrase.model.'),
        (
            {"backend": "openai", "model": "m"},
            'paraphrase.backend "openai" needs the address of its endpoint in paraphrase.base_url, such as '
            "http://127.0.0.1:8000/v1",
        ),
    ],
)
def test_a_source_that_lacks_something_says_what(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ParaphraseError) as caught:
        make(FREE, **settings)
    assert str(caught.value) == message


def test_a_candidates_file_that_is_nowhere_is_named() -> None:
    with pytest.raises(RecipeError, match=r'paraphrase\.path: no file "none\.json"; looked in '):
        make(FREE, backend="file", path="none.json")


# --- pools as JSON


def test_a_pool_survives_json() -> None:
    pool = finished(fill(GivenTexts("Say yes or no, 是或否.", ""), about=YES_NO), YES_NO, count=2, minimum=1)
    assert pool.notice
    assert pool.rejected
    assert pool_from_json(json.loads(json.dumps(pool_to_json(pool))), YES_NO) == pool


SAVED = {
    "task": FREE.id,
    "candidates": [
        {"index": 0, "text": FREE.instruction, "origin": "original"},
        {"index": 1, "text": "One.", "origin": "ollama"},
        {"index": 2, "text": "Two.", "origin": "ollama"},
    ],
    "rejected": [],
    "notice": None,
}
FIRST, ONE, TWO = SAVED["candidates"]


@pytest.mark.parametrize(
    ("edited", "left"),
    [
        ({"candidates": [FIRST, TWO]}, [("Two.", "ollama")]),
        ({"candidates": [FIRST, TWO, ONE]}, [("Two.", "ollama"), ("One.", "ollama")]),
        ({"candidates": [FIRST, {"text": "Mine."}]}, [("Mine.", "file")]),
        ({"candidates": [{"text": FREE.instruction}, ONE]}, [("One.", "ollama")]),
        ({"candidates": [FIRST, {**ONE, "text": "Changed."}]}, [("Changed.", "ollama")]),
        ({"candidates": [FIRST, {**ONE, "index": 7, "mark": "good"}]}, [("One.", "ollama")]),
        ({"candidates": [FIRST]}, []),
    ],
)
def test_a_pool_may_be_edited_by_hand(edited: dict[str, Any], left: list[tuple[str, str]]) -> None:
    pool = pool_from_json({**SAVED, **edited}, FREE)
    assert texts(pool) == left
    assert pool.candidates[0] == Candidate(0, FREE.instruction, "original")
    assert [candidate.index for candidate in pool.candidates] == list(range(len(left) + 1))


@pytest.mark.parametrize("left_out", ["task", "rejected", "notice"])
def test_a_pool_may_be_edited_down_to_its_candidates(left_out: str) -> None:
    pool = pool_from_json({key: value for key, value in SAVED.items() if key != left_out}, FREE)
    assert pool.texts == ["One.", "Two."]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"task": "task273"}, 'nothing as "candidates"'),
        ({"candidates": None}, 'nothing as "candidates"'),
        ({"candidates": {"0": "x"}}, '{...} as "candidates"'),
        ({"candidates": "x"}, '"x" as "candidates"'),
        ({"candidates": ["x"]}, '"x"'),
        ({"candidates": [FIRST, 3]}, "3"),
        ({"candidates": [FIRST, {"origin": "ollama"}]}, 'nothing as "text"'),
        ({"candidates": [FIRST, {**ONE, "text": 3}]}, '3 as "text"'),
        ({"candidates": [FIRST, {**ONE, "text": ["One."]}]}, '["One."] as "text"'),
        ({"candidates": [FIRST, {**ONE, "origin": 1}]}, '1 as "origin"'),
        ({"candidates": [FIRST, {**ONE, "origin": None}]}, 'nothing as "origin"'),
        ({**SAVED, "rejected": 1}, '1 as "rejected"'),
        ({**SAVED, "rejected": None}, 'nothing as "rejected"'),
        ({**SAVED, "rejected": ["x"]}, '"x"'),
        ({**SAVED, "rejected": [{"text": "x"}]}, 'nothing as "reason"'),
        ({**SAVED, "rejected": [{"text": "x", "reason": 4}]}, '4 as "reason"'),
        ({**SAVED, "notice": ["x"]}, '["x"] as "notice"'),
        ([], "[]"),
        (["x"], '["x"]'),
        ("x", '"x"'),
        (None, "nothing"),
    ],
)
def test_a_broken_pool_is_refused_in_one_sentence(data: Any, found: str) -> None:
    with pytest.raises(ParaphraseError) as caught:
        pool_from_json(data, FREE)
    assert str(caught.value) == (
        'task273: expected {"task": ..., "candidates": [{"text", "origin"}, ...], '
        f'"rejected": [{{"text", "reason"}}, ...]}} as candidates; found {found}.'
    )


@pytest.mark.parametrize(
    ("candidates", "found"),
    [
        ([], "nothing"),
        ([ONE, TWO], '"One."'),
        ([ONE, FIRST], '"One."'),
        ([{**FIRST, "text": "Write a summary of the review!"}, ONE], '"Write a summary of the review!"'),
    ],
)
def test_the_first_candidate_is_the_tasks_own_instruction(candidates: list[Any], found: str) -> None:
    with pytest.raises(ParaphraseError) as caught:
        pool_from_json({**SAVED, "candidates": candidates}, FREE)
    assert str(caught.value) == (
        f"task273: expected the task's own instruction as first candidate; found {found}."
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "origin", "reason", "candidates", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(data=JSON, rest=JSON)
def test_whatever_a_file_holds_it_is_a_pool_of_texts_or_one_clear_error(data: Any, rest: Any) -> None:
    for value in (
        data,
        {"candidates": data},
        {"candidates": [FIRST, data], "rejected": rest, "notice": rest},
    ):
        with contextlib.suppress(ParaphraseError):
            pool = pool_from_json(value, FREE)
            assert all(isinstance(part, str) for pair in texts(pool) for part in pair)


# --- candidates files


def made(about: Task, *wordings: str) -> Pool:
    return fill(GivenTexts(*wordings), about=about, count=len(wordings))


def test_the_candidates_file_of_one_task_serves_the_file_source_and_the_leaderboard(tmp_path: Path) -> None:
    pool = made(YES_NO, "One: yes, no.", "Two:\nyes, no. 是")
    path = tmp_path / "one.json"
    path.write_text(candidates_file([pool]), encoding="utf-8")
    assert make(YES_NO, backend="file", path=str(path), count=2)[0].candidates == pool.candidates
    assert read_prompts(path) == [candidate.text for candidate in pool.candidates]
    assert pool_from_json(json.loads(path.read_text(encoding="utf-8")), YES_NO) == pool


def test_the_candidates_file_of_several_tasks_serves_the_file_source(tmp_path: Path) -> None:
    pools = [made(YES_NO, "One: yes, no."), made(OTHER, "Pick the stranger."), original_alone(SILENT)]
    path = tmp_path / "all.json"
    path.write_text(candidates_file(pools), encoding="utf-8")
    again = make(YES_NO, OTHER, SILENT, backend="file", path=str(path), count=1)
    assert [pool.candidates for pool in again] == [pool.candidates for pool in pools]


def test_the_leaderboard_takes_the_prompts_of_the_task_that_is_named_or_instructed(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text(candidates_file([made(YES_NO, "One: yes, no."), made(OTHER, "Pick.")]), encoding="utf-8")
    names = f'"{YES_NO.id}" or "{OTHER.id}"'
    with pytest.raises(DataError, match=re.escape(f"{path}: expected prompts of one task, found {names}. ")):
        read_prompts(path)
    with pytest.raises(DataError, match=re.escape(f"--task 9: expected a task of {path}, which has {names}")):
        read_prompts(path, "9")
    wanted = [YES_NO.instruction, "One: yes, no."]
    for name in (YES_NO.id, YES_NO.key):
        assert read_prompts(path, name) == wanted
    assert read_prompts(path, instruction=YES_NO.instruction) == wanted
    with pytest.raises(DataError, match="expected prompts of one task"):
        read_prompts(path, instruction="Another one.")


def test_a_task_is_named_where_there_are_several_only(tmp_path: Path) -> None:
    for name, content in (("a.txt", "One."), ("a.json", '["One."]')):
        (path := tmp_path / name).write_text(content)
        with pytest.raises(DataError, match="--task x: expected a candidates file of several tasks"):
            read_prompts(path, "x")


def test_the_text_of_one_task_is_a_file_of_prompts(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text(pools_to_text([made(YES_NO, "One:\n yes,\tno.", "Two: yes, no.")]), encoding="utf-8")
    assert read_prompts(path) == [YES_NO.instruction, "One: yes, no.", "Two: yes, no."]


@pytest.mark.parametrize("name", ["task273", "task273_europarl_classification"])
def test_a_toml_file_is_read_by_short_or_full_id(tmp_path: Path, name: str) -> None:
    path = tmp_path / "wordings.toml"
    path.write_text(
        f'other = []\n{name} = ["One: yes, no.", "Two: yes, no.", "Three: yes, no."]\n', encoding="utf-8"
    )
    [pool] = make(YES_NO, backend="file", path=str(path), count=2)
    assert texts(pool) == [("One: yes, no.", "file"), ("Two: yes, no.", "file")]


def test_a_json_file_is_read_and_the_gate_applies_to_it(tmp_path: Path) -> None:
    path = tmp_path / "wordings.json"
    path.write_text(
        json.dumps({"task273": ["One: yes.", "Two: yes, no.", "Three: yes, no."]}), encoding="utf-8-sig"
    )
    [pool] = make(YES_NO, backend="file", path=str(path), count=2)
    assert pool.texts == ["Two: yes, no.", "Three: yes, no."]
    assert pool.rejected == (Rejection("One: yes.", 'label "no" missing'),)


def test_a_candidates_file_may_be_edited_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "edited.json"
    path.write_text(json.dumps({"task": "task273", "candidates": [FIRST, "Mine.", {"text": "Yours."}]}))
    [pool] = make(FREE, backend="file", path=str(path), count=2)
    assert texts(pool) == [("Mine.", "file"), ("Yours.", "file")]


def test_an_original_without_its_origin_is_no_paraphrase(tmp_path: Path) -> None:
    path = tmp_path / "edited.json"
    path.write_text(json.dumps({"task": "task273", "candidates": [{"text": FREE.instruction}, ONE]}))
    [pool] = make(FREE, backend="file", path=str(path), count=2)
    assert texts(pool) == [("One.", "file")]
    assert pool.rejected == (Rejection(FREE.instruction, "equal to the original"),)


def test_a_file_may_have_no_text_for_a_task(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    path.write_text("task273 = []\n")
    [pool] = make(FREE, backend="file", path=str(path), count=2, minimum=0)
    assert pool.notice == "task273: 0 of the 2 paraphrases asked for; the source had no more."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.toml",
            "one = []\ntwo = []",
            'expected paraphrases for "task273" or "task273_europarl_classification"; found one, two.',
        ),
        (
            "a.json",
            "{}",
            'expected paraphrases for "task273" or "task273_europarl_classification"; found no task.',
        ),
        (
            "a.json",
            '{"pools": []}',
            'expected paraphrases for "task273" or "task273_europarl_classification"; found no task.',
        ),
        (
            "a.json",
            '{"pools": [3, {"task": "task1", "candidates": []}]}',
            'expected paraphrases for "task273" or "task273_europarl_classification"; found task1.',
        ),
        (
            "a.json",
            '{"task273": "Say yes or no."}',
            'expected a list of texts for "task273", as in ["...", "..."]; found "Say yes or no.".',
        ),
        (
            "a.json",
            '{"task273": ["yes or no", 3]}',
            'expected a list of texts for "task273", as in ["...", "..."]; found ["yes or no", 3].',
        ),
        (
            "a.json",
            '{"task": "task273", "candidates": [{"index": 1}]}',
            'expected a list of texts for "task273", as in ["...", "..."]; found [nothing].',
        ),
        (
            "a.json",
            '{"task": "task273", "candidates": [{"text": 5}]}',
            'expected a list of texts for "task273", as in ["...", "..."]; found [5].',
        ),
        (
            "a.json",
            '["Say yes or no.", 3]',
            'expected a list of texts for "task273_europarl_classification", as in ["...", "..."]; found',
        ),
        ("a.json", "3", "expected lists of texts by task, found int."),
        ("a.json", "", "expected a file of paraphrases: Expecting value"),
        (
            "a.json",
            '{"task273": ["One."], "task273": ["Two."]}',
            "expected a file of paraphrases: "
            'the key "task273" is there twice in one object; leave one of them.',
        ),
        ("a.json", "{", "expected a file of paraphrases: Expecting property name"),
        (
            "a.toml",
            "task273 =",
            "expected a file of paraphrases: Invalid value (at end of document).",
        ),
        (
            "a.csv",
            "text",
            'expected paraphrases in a .toml or .json file, or in a text file, one a line; found ".csv".',
        ),
    ],
)
def test_a_file_that_does_not_serve_is_named_with_what_was_expected(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ParaphraseError) as caught:
        make(YES_NO, backend="file", path=str(path))
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("prompts.txt", f"\ufeff{YES_NO.instruction}\n\n One: yes, no. \nTwo: yes, no.\n"),
        ("prompts", "One: yes, no.\nTwo: yes, no."),
        ("prompts.json", json.dumps([YES_NO.instruction, "One: yes, no.", "Two: yes, no."])),
    ],
)
def test_a_file_of_prompts_for_score_serves_a_single_task(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    [pool] = make(YES_NO, backend="file", path=str(path), count=2)
    assert texts(pool) == [("One: yes, no.", "file"), ("Two: yes, no.", "file")]
    assert pool.rejected == ()


def test_a_file_of_prompts_does_not_serve_several_tasks(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("One: yes, no.\nTwo: yes, no.")
    with pytest.raises(ParaphraseError) as caught:
        make(YES_NO, OTHER, backend="file", path=str(path), count=2)
    assert str(caught.value) == (
        f"{path}: expected lists of texts by task, since there are several tasks; found one list. "
        'Write {"task273": ["...", "..."], ...} into a .json file.'
    )


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"task273": ["\xff"]}')
    with pytest.raises(ParaphraseError, match=r"a\.json: expected a file of paraphrases: 'utf"):
        make(YES_NO, backend="file", path=str(path))


def test_a_file_that_is_nested_without_end_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ParaphraseError, match=r"a\.json: .* expected at most 50 brackets in one another"):
        make(YES_NO, backend="file", path=str(path))


def test_a_file_without_the_task_leaves_its_share_to_the_next_source(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"task1": ["Say yes or no."]}')
    with FakeOllama() as server:
        [pool] = make(
            YES_NO, backend=["file", "ollama/tiny"], host=server.url, path=str(path), count=2, parallel=1
        )
    assert [origin for _, origin in texts(pool)] == ["ollama/tiny"] * 2


def test_candidates_of_the_same_instruction_are_the_tasks_whatever_it_was_called(tmp_path: Path) -> None:
    about = dataclasses.replace(YES_NO, id="instruction")
    saved = make(about, backend="builtin", count=2)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(pool_to_json(saved[0])))
    [pool] = make(YES_NO, backend="file", path=str(path), count=2)
    assert pool.texts == saved[0].texts


def test_of_two_tasks_with_one_instruction_each_has_the_entry_of_its_name(tmp_path: Path) -> None:
    twins = [dataclasses.replace(FREE, id=name, own_key=name) for name in ("task7_yes", "task7_no")]
    pools = [made(about, f"{about.id} 1.", f"{about.id} 2.") for about in twins]
    path = tmp_path / "c.json"
    path.write_text(candidates_file(pools), encoding="utf-8")
    again = make(*twins, backend="file", path=str(path), count=2)
    assert [pool.texts for pool in again] == [
        ["task7_yes 1.", "task7_yes 2."],
        ["task7_no 1.", "task7_no 2."],
    ]
    with pytest.raises(ParaphraseError) as caught:
        make(FREE, backend="file", path=str(path), count=2)
    assert str(caught.value) == (
        f'{path}: task7_yes, task7_no have the instruction of {FREE.id}; call one of them "{FREE.id}".'
    )


def test_an_abbreviation_that_two_tasks_share_is_the_name_of_neither(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('task7 = ["One.", "Two."]')
    about = dataclasses.replace(FREE, id="task7_yes", own_key="task7_yes")
    with pytest.raises(ParaphraseError, match=r'expected paraphrases for "task7_yes"; found task7\.'):
        make(about, backend="file", path=str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"task273": ["One."], "task273": ["Two."]}',
            "expected a file of paraphrases: "
            'the key "task273" is there twice in one object; leave one of them.',
        ),
        (
            '{"task273": ["One."], "task273_europarl_classification": ["Two."]}',
            'expected one entry for task273_europarl_classification; found "task273" and '
            '"task273_europarl_classification". Leave one of them.',
        ),
        (
            '{"pools": [{"task": "task273", "candidates": ["One."]}, {"task": "task273", "candidates": []}]}',
            '"task273" is there twice; leave one of them.',
        ),
    ],
)
def test_a_file_with_two_entries_for_one_task_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "twice.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ParaphraseError) as caught:
        make(YES_NO, backend="file", path=str(path))
    assert str(caught.value) == f"{path}: {message}"


def test_a_task_may_be_called_as_a_key_of_the_layouts(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({name: [f"The {name}."] for name in ("task", "candidates", "pools")}))
    about = [dataclasses.replace(FREE, id=name, own_key=name) for name in ("task", "candidates", "pools")]
    made_of_it = make(*about, backend="file", path=str(path), count=1)
    assert [pool.texts for pool in made_of_it] == [["The task."], ["The candidates."], ["The pools."]]


def test_a_file_that_has_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(ParaphraseError) as caught:
        fill(FromFile(path))
    assert str(caught.value) == f"{path}: the file of paraphrases cannot be read: No such file or directory."


# --- the request


@pytest.mark.parametrize(
    ("about", "parts"),
    [
        (
            YES_NO,
            [YES_NO.instruction, 'letter for letter, in the same case: "yes", "no".', "Write in English"],
        ),
        (STANCE, [STANCE.instruction, '"A", "B", "C"。', "用中文书写"]),
        (task("Use {} and {0} as they are, {style} too."), ["Use {} and {0} as they are, {style} too."]),
        (task("Say {yes} or no.", ("{yes}", "no")), ["Say {yes} or no.", '"{yes}", "no".']),
    ],
)
def test_the_request_speaks_the_tasks_language_and_names_its_labels(about: Task, parts: list[str]) -> None:
    request = paraphrase_request(about, 0)
    assert all(part in request for part in parts)


def test_a_request_is_in_one_language() -> None:
    assert not re.search("[一-鿿]", paraphrase_request(YES_NO, 0, ["Taken."]))
    assert "Write in English" not in paraphrase_request(STANCE, 0, ["说法"])


def test_labels_are_not_spoken_of_where_none_must_be_kept() -> None:
    assert "labels" not in paraphrase_request(FREE, 0)


@pytest.mark.parametrize("about", [FREE, STANCE])
def test_every_style_meets_every_length_before_they_come_round(about: Task) -> None:
    requests = [paraphrase_request(about, number) for number in range(66)]
    assert len(set(requests)) == 33
    assert requests[33:] == requests[:33]


def test_the_latest_wordings_taken_are_shown_on_one_line_each() -> None:
    taken = [f"Taken {{{n}}}:\n\n  number {n}." for n in range(10)]
    request = paraphrase_request(FREE, 0, taken)
    shown = re.findall(r"  \* (.*)", request)
    assert shown == [f"Taken {{{n}}}: number {n}." for n in range(2, 10)]
    assert "\n- Write something unlike these wordings, which are taken:\n  * Taken {2}" in request


@pytest.mark.parametrize("about", [FREE, STANCE])
def test_nothing_is_said_of_wordings_taken_where_there_are_none(about: Task) -> None:
    request = paraphrase_request(about, 0)
    assert "taken" not in request
    assert "用过" not in request
    assert "\n\n\n" not in request
    assert "{" not in request


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Say it.", "Say it."),
        ("\n Say\nit.\n", "Say\nit."),
        ("<think>It must be short.</think>Say it.", "Say it."),
        ("It must be short.</think>\n\nSay it.", "Say it."),  # opened in the template
        ("<thinking>\nNo.\n</thinking>\nSay it.", "Say it."),
        ("<think>I must write", ""),  # cut off while thinking
        ('<think>Hm.</think>{"instruction": "Say it."}', '{"instruction": "Say it."}'),
        ("", ""),
    ],
)
def test_an_answer_is_read_without_its_thinking(answer: str, text: str) -> None:
    assert read_answer(answer) == text


@pytest.mark.parametrize(
    ("answer", "cut"),
    [
        ("Choose between positive and negative for the tweet that you ar", True),
        ('{"instruction": "Choose between positive and neg"}', True),
        ('{"instruction": "Choose between positive and negative."}', False),
        ("Is the tweet positive or negative?", False),
        ("Say “positive” or “negative.”", False),
        ("判断它是积极还是消极。", False),
        ("<think>Choose between", False),  # no text: rejected for that
    ],
)
def test_an_answer_cut_by_length_is_taken_if_its_text_has_an_end(answer: str, cut: bool) -> None:
    rejection = Rejection(read_answer(answer), "cut off at the limit of length")
    assert cut_answer(answer) == (rejection if cut else answer)


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "- Write in English.\n"),
        ("de", "- Write in German (de), the language of the instruction.\n"),
        ("ja", "- Write in Japanese (ja), the language of the instruction.\n"),
        ("zh", "- 用中文书写。\n"),
        ("qqq", "- Write in qqq (qqq), the language of the instruction.\n"),
    ],
)
def test_a_request_names_the_language_of_the_instruction(language: str, line: str) -> None:
    assert line in paraphrase_request(task("Sag es.", language=language), 0)


# --- the sources lab and builtin


def test_the_wording_grammar_supplies_the_lab_by_its_seed() -> None:
    lab = task(original("mood"), ("bright", "dark"), id="mood")
    [pool] = make(lab, seed=3, backend="lab")
    assert pool.texts == wordings("mood", 20, seed=3)
    assert {candidate.origin for candidate in pool.candidates[1:]} == {"lab"}
    assert make(lab, seed=3, backend="lab") == [pool]
    assert make(lab, seed=4, backend="lab") != [pool]


def test_the_wording_grammar_ends_where_it_is_exhausted() -> None:
    lab = task(original("destination"), id="destination")
    [pool] = make(lab, backend="lab", count=500)
    assert pool.notice == (
        f"destination: {len(pool.texts)} of the 500 paraphrases asked for; the source had no more."
    )
    assert len(set(pool.texts)) == len(pool.texts) > 100


def test_later_numbers_go_on_where_earlier_ones_ended() -> None:
    lab = task(original("mood"), ("bright", "dark"), id="mood")
    for about, source in ((lab, LabWordings(seed=1)), (lab, Builtin(seed=1)), (YES_NO, Builtin(seed=1))):
        whole = list(source.answers(about, range(6), []))
        parts = [*source.answers(about, range(2), []), *source.answers(about, range(2, 6), [])]
        assert parts == whole
        assert len(set(whole)) == 6


def test_builtin_rewords_every_instruction_by_rules_those_of_the_lab_too() -> None:
    lab = task(original("mood"), ("bright", "dark"), id="mood")
    for about in (YES_NO, lab):
        [pool] = make(about, backend="builtin", count=5)
        assert pool.texts == list(islice(rewordings(about, 0), 5))
        assert all(label in text for text in pool.texts for label in about.labels)


def test_the_lab_has_no_wordings_of_another_instruction_and_names_who_has() -> None:
    foreign = task("Classify the tweet by its mood.", id="mood")
    with pytest.raises(ParaphraseError, match=r'"lab" words the tasks of the lab alone: .* Use "builtin"'):
        make(foreign, backend="lab", count=3)


def test_a_rejected_builtin_wording_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["One.", "one!", "Two."]
    monkeypatch.setattr("sapo_lite.prompts.sources.builtin.rewordings", lambda about, seed: iter(given))
    [pool] = make(FREE, backend="builtin", count=2)
    assert pool.texts == ["One.", "Two."]
    given[2] = "ONE"
    [pool] = make(FREE, backend="builtin", count=2)
    assert pool.texts == ["One."]
    assert pool.notice
