"""Cache of chat models' answers: a request is sent once and then read from the cache."""

import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from ollama_server import Fail, FakeOllama
from openai_server import FakeOpenAI
from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.pool import Pool, Rejection, original_alone, pool_to_json, top_up
from sapo_lite.prompts.sources import concurrent as in_flight
from sapo_lite.prompts.sources import ollama_server
from sapo_lite.prompts.sources.answer_cache import Answers, Call, Keep, RememberedModel
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.recipe import ParaphraseConfig
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.support.shipped import cache_folder
from sapo_lite.types import Task

CHAT = "POST /api/chat"


def task(instruction: str = "Say yes or no.", id: str = "task273_europarl", *labels: str) -> Task:
    return Task(id, "SUPERNI", instruction, "", labels, "en", (), ())


TASK = task('Is it right? Say "yes" or "no".', "task273_europarl", "yes", "no")
OTHER = task("Find the odd word.", "task141_odd")


class Model:
    """A chat model whose answers follow from the call alone, or are those of `replies`. Notes its calls."""

    def __init__(self, digest: str | None = "d1", **options: Any) -> None:
        self.name = "m"
        self.options = options
        self.said: list[Call] = []
        self.batches: list[int] = []
        self.replies: dict[int, str | Rejection] = {}  # by number of the call, from 0
        self.raises: dict[int, BaseException] = {}
        self.ends_after: int | None = None
        self._digest = digest

    def identity(self) -> dict[str, Any]:
        return {"source": "test", "model": self.name, "options": self.options}

    def digest(self) -> str | None:
        return self._digest

    def complete(self, calls: Sequence[Call], keep: Keep) -> Answers:
        self.batches.append(len(calls))
        for call in calls:
            number = len(self.said)
            if number == self.ends_after:
                return
            if number in self.raises:
                raise self.raises[number]
            self.said.append(call)
            usual = f"Wording {call.seed}: say yes or no to the odd word."
            answer = self.replies.get(number, usual)
            if isinstance(answer, str):
                keep(call, answer)
            yield answer


def ask(model: Model, about: Task = TASK, numbers: int | range = 3, **more: Any) -> list[str | Rejection]:
    """The answers of a source made for the occasion, as a new process would make it."""
    source = RememberedModel(model, "test", seed=more.pop("seed", 0), **more)
    numbers = range(numbers) if isinstance(numbers, int) else numbers
    return list(source.answers(about, numbers, []))


def pool(model: Model, count: int, **more: Any) -> Pool:
    source = RememberedModel(model, "test", seed=0, **more)
    return top_up(original_alone(TASK), TASK, source, "test", count=count, attempts=3)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of saved paraphrases; it is not there yet."""
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(in_flight, "BACKOFF", (0.01, 0.01))
    monkeypatch.setattr(ollama_server, "UNLOAD_POLL", 0.01)
    monkeypatch.setattr(ollama_server, "HEALTH_TIMEOUT", 1.0)
    return tmp_path / "cache" / "paraphrases"


def saved(cache: Path) -> dict[str, Any]:
    """The one file there is."""
    [path] = cache.iterdir()
    return json.loads(path.read_text(encoding="utf-8"))


# --- asked once


def test_what_was_said_is_not_asked_again() -> None:
    first, again = Model(), Model()
    assert ask(first) == ask(again)
    assert len(first.said) == 3
    assert again.said == []


@pytest.mark.parametrize(
    "changed",
    [
        {"model": {"temperature": 0.7}},
        {"model": {"num_ctx": 4096}},
        {"seed": 1},
        {"about": replace(TASK, instruction='Is this right? Say "yes" or "no".')},
        {"about": replace(TASK, labels=("yes", "no", "right"))},
        {"about": replace(TASK, labels=())},
        {"about": replace(TASK, id="task273_other")},
        {"about": replace(TASK, language="zh")},
        {"numbers": range(3, 6)},
    ],
    ids=str,
)
def test_another_request_is_asked_anew(changed: dict[str, Any]) -> None:
    before = ask(Model(temperature=0.6))
    model = Model(**changed.pop("model", {"temperature": 0.6}))
    answers = ask(model, **changed)
    assert len(model.said) == 3
    assert len(answers) == len(before) == 3
    kept = Model(temperature=0.6)
    assert ask(kept) == before  # and the old answers are still there
    assert kept.said == []


def test_a_longer_list_asks_for_the_new_ones_alone() -> None:
    first, longer, shorter = Model(), Model(), Model()
    three, five = ask(first, numbers=3), ask(longer, numbers=5)
    assert five[:3] == three
    assert [call.seed for call in first.said + longer.said] == [
        int(re.search(r"\d+", str(answer))[0]) for answer in five
    ]
    assert len(longer.said) == 2
    assert ask(shorter, numbers=2) == three[:2]
    assert shorter.said == []


def test_saved_and_new_answers_come_in_order() -> None:
    whole = ask(Model(), numbers=6)
    for path in cache_folder().rglob("*.json"):
        path.unlink()
    ask(Model(), numbers=range(1, 2))
    ask(Model(), numbers=range(4, 5))
    model = Model()
    assert ask(model, numbers=6) == whole
    assert model.batches == [4]


def test_every_call_has_a_seed_of_its_own_that_servers_can_take() -> None:
    model = Model()
    ask(model, numbers=40)
    ask(model, about=OTHER, numbers=40)
    ask(model, numbers=40, seed=1)
    seeds = {call.seed for call in model.said}
    assert len(seeds) == 120
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_fresh_asks_anew_and_replaces(cache: Path) -> None:
    old = Model()
    old.replies = {0: "Old one."}
    ask(old)
    new = Model()
    new.replies = {0: "New one."}
    answers = ask(new, fresh=True)
    assert answers[0] == "New one."
    assert len(new.said) == 3
    assert ask(Model()) == answers
    assert not [answer for answer in saved(cache)["answers"].values() if "Old" in answer]


def test_fresh_asks_once_in_one_run() -> None:
    model = Model()
    source = RememberedModel(model, "test", seed=0, fresh=True)
    assert list(source.answers(TASK, range(3), [])) == list(source.answers(TASK, range(3), []))
    assert len(model.said) == 3


# --- what is not said is not kept


def test_failed_calls_are_not_saved(cache: Path) -> None:
    model = Model()
    model.replies = {1: Rejection("", "no answer within 2 s")}
    assert ask(model)[1] == Rejection("", "no answer within 2 s")
    assert len(saved(cache)["answers"]) == 2
    again = Model()
    assert all(isinstance(answer, str) for answer in ask(again))
    assert len(again.said) == 1


def test_an_answer_that_is_no_paraphrase_is_saved_as_it_came_and_an_empty_one_is_asked_for_again(
    cache: Path,
) -> None:
    model = Model()
    model.replies = {0: "", 1: " \n", 2: "Sure, here it is!"}
    assert ask(model) == ["", "", "Sure, here it is!"]
    assert list(saved(cache)["answers"].values()) == ["Sure, here it is!"]
    again = Model()
    assert ask(again)[2] == "Sure, here it is!"
    assert len(again.said) == 2


def test_a_model_whose_time_is_up_ends_the_list() -> None:
    model = Model()
    model.ends_after = 1
    assert len(ask(model)) == 1
    again = Model()
    assert len(ask(again)) == 3
    assert len(again.said) == 2


def test_half_a_surrogate_pair_can_be_saved_and_shown(cache: Path) -> None:
    model = Model()
    model.replies = {0: "Half \ud83d a pair, yes or no.", 1: "\ud83d"}
    made = pool(model, 1)
    assert [rejection.reason for rejection in made.rejected] == ["broken characters"] * 2
    json.dumps(pool_to_json(made), ensure_ascii=False).encode()
    assert "Half \ufffd a pair, yes or no." in saved(cache)["answers"].values()


# --- an interrupted run


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), ParaphraseError("the server is lost")])
@pytest.mark.parametrize("after", range(6))
def test_an_interrupted_run_makes_only_the_missing_calls_and_ends_in_the_same_pool(
    interruption: BaseException, after: int, cache: Path
) -> None:
    bad = {1: "Say it.", 3: "No label."}  # so that some are asked for again
    whole = Model()
    whole.replies = bad
    expected = json.dumps(pool_to_json(pool(whole, 4)))
    assert len(whole.said) == 6
    for path in cache.iterdir():
        path.unlink()
    model = Model()
    model.replies, model.raises = bad, {after: interruption}
    with pytest.raises(type(interruption)):
        pool(model, 4)
    assert len(list(cache.glob("*.json"))) == (after > 0)
    again = Model()
    again.replies = {number - after: text for number, text in bad.items()}
    assert json.dumps(pool_to_json(pool(again, 4))) == expected
    assert model.said + again.said == whole.said


# --- the model has changed


def test_another_model_of_the_same_name_is_asked_anew_and_that_is_said(cache: Path) -> None:
    ask(Model("d1"))
    model, notices = Model("d2"), []
    model.replies = {0: "New."}
    assert ask(model, notify=notices.append)[0] == "New."
    assert len(model.said) == 3
    assert notices == ["task273: test has changed since its paraphrases were saved: asking again"]
    assert saved(cache)["source"]["digest"] == "d2"
    assert len(saved(cache)["answers"]) == 3
    assert len(ask(again := Model("d2"))) == 3
    assert again.said == []


@pytest.mark.parametrize(("before", "now"), [("d1", None), (None, "d1"), (None, None), ("d1", "d1")])
def test_a_model_that_is_not_known_to_have_changed_is_not_asked_again(
    before: str | None, now: str | None, cache: Path
) -> None:
    answers, model, notices = ask(Model(before)), Model(now), []
    assert ask(model, notify=notices.append) == answers
    assert model.said == []
    [path] = cache.iterdir()
    assert notices == [f"task273: paraphrases of an earlier run are used again ({path})"]


def test_nothing_is_said_of_a_first_run() -> None:
    notices: list[str] = []
    ask(Model(), notify=notices.append)
    assert notices == []


# --- the file


def test_what_is_saved_says_what_made_it_and_for_what(cache: Path) -> None:
    ask(Model("d1", temperature=0.6), numbers=1)
    [path] = cache.iterdir()
    assert re.fullmatch(r"task273-test-m-[0-9a-f]{12}\.json", path.name)
    content = saved(cache)
    assert list(content) == ["source", "task", "answers"]
    assert content["source"] == {
        "source": "test",
        "model": "m",
        "options": {"temperature": 0.6},
        "digest": "d1",
    }
    assert content["task"] == {"id": TASK.id, "instruction": TASK.instruction}
    assert [len(key) for key in content["answers"]] == [16]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (task(id="task273_a"), task(id="task273_b")),
        (task(id="a/b"), task(id="a b")),
        (task(id="任务"), task(id="作业")),
        (task(id="../../../etc/x"), task(id="..")),
        (task(id="con\n\x00"), task(id="con\n")),
        (task(id="X"), task(id="x")),
        (task(id="x" * 300), task(id="x" * 301)),
        (task("One."), task("Two.")),
    ],
    ids=["short ids", "slash", "Chinese", "dots", "control", "case", "long", "instruction"],
)
def test_tasks_do_not_share_a_file_whatever_their_ids(one: Task, other: Task, cache: Path) -> None:
    for about in (one, other):
        model = Model()
        ask(model, about=about, numbers=2)
        assert len(model.said) == 2
    assert len(list(cache.iterdir())) == 2
    assert len({path.name.lower() for path in cache.iterdir()}) == 2
    assert [path.name for path in cache.parent.iterdir()] == ["paraphrases"]


def test_a_long_model_name_is_no_matter() -> None:
    model = Model()
    model.name = "hf.co/" + "模型" * 200 + "/x" * 200 + ":Q4_K_M"
    for _ in range(2):
        ask(model)
    assert len(model.said) == 3


DAMAGES = [
    "",
    "{",
    "null",
    "[]",
    "3",
    '"text"',
    "{}",
    '{"source": {}}',
    '{"answers": {}}',
    '{"source": [], "answers": {}}',
    '{"source": {}, "answers": []}',
    '{"source": null, "answers": null}',
    '{"source": {"digest": 3}, "answers": {"0123": "Foreign."}}',
    "[" * 100_000,
    "NaN",
]


@pytest.mark.parametrize("content", DAMAGES, ids=lambda text: text[:30])
def test_a_damaged_file_counts_as_empty_and_is_replaced(content: str, cache: Path) -> None:
    expected = ask(Model())
    [path] = cache.iterdir()
    path.write_text(content)
    model = Model()
    assert ask(model) == expected
    assert len(model.said) == 3
    ask(again := Model())
    assert again.said == []
    assert saved(cache)["source"] == {"source": "test", "model": "m", "options": {}, "digest": "d1"}


def test_a_file_that_is_not_utf8_counts_as_empty(cache: Path) -> None:
    expected = ask(Model())
    [path] = cache.iterdir()
    path.write_bytes(b"\xff\xfe\x00" + path.read_bytes())
    assert ask(Model()) == expected


def test_a_truncated_file_counts_as_empty(cache: Path) -> None:
    expected = ask(Model())
    [path] = cache.iterdir()
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 37):
        path.write_bytes(whole[:length])
        model = Model()
        assert ask(model) == expected
        assert len(model.said) == 3


@pytest.mark.parametrize("other", [3, None, True, ["x"], {"x": 1}], ids=str)
def test_a_saved_answer_that_is_no_text_is_asked_anew(other: Any, cache: Path) -> None:
    expected = ask(Model())
    [path] = cache.iterdir()
    content = saved(cache)
    content["answers"][next(iter(content["answers"]))] = other
    path.write_text(json.dumps(content))
    model = Model()
    assert ask(model) == expected
    assert len(model.said) == 1


def test_saved_answers_may_be_edited_even_badly(cache: Path) -> None:
    ask(Model())
    [path] = cache.iterdir()
    content = saved(cache)
    first, second, _ = content["answers"]
    content["answers"] |= {first: "Mine: yes, no.", second: "\ud800"}
    path.write_text(json.dumps(content))
    answers = ask(Model(), numbers=4)
    assert answers[0] == "Mine: yes, no."
    assert answers[1] == "\ufffd"
    assert len(saved(cache)["answers"]) == 4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(source=JSON, answers=JSON)
def test_whatever_the_file_holds_there_is_an_answer(source: Any, answers: Any, cache: Path) -> None:
    expected = ask(Model(), numbers=1, fresh=True)
    [path] = cache.iterdir()
    path.write_text(json.dumps({"source": source, "answers": answers}))
    assert ask(Model(), numbers=1) == expected


def test_a_folder_that_cannot_be_written_to_is_named(cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(ParaphraseError) as caught:
        ask(Model())
    path = str(caught.value).partition(": ")[0]
    assert Path(path).parent == cache
    assert str(caught.value) == (
        f"{path}: paraphrases are kept here, and the file cannot be written (Not a directory). "
        "Name a folder that can be written to in SAPO_LITE_CACHE."
    )


def test_a_folder_in_the_place_of_the_file_is_named(cache: Path) -> None:
    ask(Model())
    [path] = cache.iterdir()
    path.unlink()
    path.mkdir()
    with pytest.raises(ParaphraseError, match=re.escape(f"{path}: paraphrases are kept here, and the file")):
        ask(Model())


def test_saved_paraphrases_are_read_where_nothing_can_be_written(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ask(Model())

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sapo_lite.prompts.sources.answer_cache.write_json", refuse)
    assert ask(Model()) == expected
    with pytest.raises(ParaphraseError, match=r"cannot be written \(Permission denied\)\. Name a folder"):
        ask(Model(), numbers=4)


@pytest.mark.parametrize(
    ("own", "xdg", "expected"),
    [
        ("/a/b", "/x", "/a/b"),
        ("~/mine", "/x", "/home/me/mine"),
        (None, "/x", "/x/sapo-lite"),
        ("", "/x", "/x/sapo-lite"),
        (None, None, "/home/me/.cache/sapo-lite"),
        (None, "", "/home/me/.cache/sapo-lite"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, own: str | None, xdg: str | None, expected: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in (("SAPO_LITE_CACHE", own), ("XDG_CACHE_HOME", xdg)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_what_killed_processes_left_half_written_is_removed_after_an_hour(cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    old, new, other = (cache / name for name in (".a.json.123", ".b.json.123", ".c.json.old"))
    for path in (old, new, other):
        path.write_text("{")
    for path in (old, other):
        os.utime(path, (1, 1))
    ask(Model())
    assert {path.name for path in cache.glob(".*")} == {new.name, other.name}


def test_without_a_home_folder_the_user_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SAPO_LITE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(ParaphraseError) as caught:
        ask(Model())
    assert str(caught.value) == (
        "Paraphrases are kept in the home folder, and there is none. Name a folder that can be written to in "
        "SAPO_LITE_CACHE."
    )


# --- "unlike": shown what was accepted so far


def test_unlike_shows_what_was_accepted_and_is_another_request() -> None:
    source = RememberedModel(plain := Model(), "test", seed=0)
    list(source.answers(TASK, range(1), ["Taken one."]))
    assert "Taken one." not in plain.said[0].request
    source = RememberedModel(shown := Model(), "test", seed=0, unlike=True)
    list(source.answers(TASK, range(1), ["Taken one."]))
    list(source.answers(TASK, range(1), ["Taken two."]))
    assert ["Taken one." in call.request for call in shown.said] == [True, False]
    assert "* Taken two." in shown.said[1].request


# --- through servers


class RecordingDisplay(PlainDisplay):
    """A display that notes the notices."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO(), width=200))
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def make(
    *tasks: Task, progress: RecordingDisplay | None = None, fresh: bool = False, **settings: Any
) -> list[Pool]:
    config = ParaphraseConfig(**{"count": 3, "attempts": 2, "model": "tiny"} | settings)
    return make_pools(tasks, config, SourceContext(progress or RecordingDisplay(), fresh=fresh))


@pytest.mark.slow
def test_a_server_is_not_needed_for_what_it_has_said(cache: Path) -> None:
    with FakeOllama() as server:
        first = make(TASK, OTHER, backend="ollama", host=server.url)
    progress = RecordingDisplay()
    assert make(TASK, OTHER, backend="ollama", host=server.url, progress=progress) == first
    assert [notice.partition(" (")[0] for notice in progress.notices] == [
        "task273: paraphrases of an earlier run are used again",
        "task141: paraphrases of an earlier run are used again",
    ]
    with pytest.raises(ParaphraseError, match=f"No Ollama server answers at {server.url}"):
        make(TASK, backend="ollama", host=server.url, count=4)
    with pytest.raises(ParaphraseError, match=f"No Ollama server answers at {server.url}"):
        make(TASK, backend="ollama", host=server.url, fresh=True)
    assert make(TASK, OTHER, backend="ollama", host=server.url) == first


def test_a_model_that_was_not_called_is_not_unloaded() -> None:
    with FakeOllama() as server:
        make(TASK, backend="ollama", host=server.url)
        asked = len(server.calls)
        make(TASK, backend="ollama", host=server.url)
    assert set(server.routes[asked:]) == {"GET /api/tags"}


def test_another_address_of_the_same_model_is_not_another_model() -> None:
    with FakeOllama() as server:
        first = make(TASK, backend="ollama", host=server.url)
    with FakeOllama() as elsewhere:
        assert make(TASK, backend="ollama", host=elsewhere.url) == first
    assert CHAT not in elsewhere.routes


@pytest.mark.slow
def test_a_pulled_update_of_the_model_is_asked_anew(cache: Path) -> None:
    progress = RecordingDisplay()
    with FakeOllama() as server:
        make(TASK, backend="ollama", host=server.url)
        assert saved(cache)["source"] == {
            "source": "ollama",
            "model": "tiny",
            "options": {"temperature": 0.6, "num_ctx": 8192, "num_predict": 2048},
            "digest": server.digest,
        }
        server.digest = "0" * 64
        make(TASK, backend="ollama", host=server.url, progress=progress)
        assert len(server.bodies(CHAT)) == 6
    assert progress.notices == ["task273: ollama has changed since its paraphrases were saved: asking again"]
    assert saved(cache)["source"]["digest"] == "0" * 64


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed", [{"temperature": 0.7}, {"model": "other"}, {"unlike": True, "parallel": 1}], ids=str
)
def test_other_settings_of_the_section_are_asked_anew(changed: dict[str, Any]) -> None:
    with FakeOllama(models=["tiny", "other"]) as server:
        make(TASK, backend="ollama", host=server.url)
        before = len(server.bodies(CHAT))
        make(TASK, backend="ollama", host=server.url, **changed)
        # With `unlike`, the first request shows nothing yet and is the one already answered.
        assert len(server.bodies(CHAT)) - before == (2 if "unlike" in changed else 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed", [{"parallel": 1}, {"timeout": 9.0}, {"attempts": 5}, {"minimum": 2}], ids=str
)
def test_settings_that_change_no_answer_are_not_asked_anew(changed: dict[str, Any]) -> None:
    with FakeOllama() as server:
        first = make(TASK, backend="ollama", host=server.url)
        assert make(TASK, backend="ollama", host=server.url, **changed) == first
        assert len(server.bodies(CHAT)) == 3


@pytest.mark.slow
def test_a_server_lost_in_the_middle_leaves_what_was_said_and_the_rest_is_asked_for() -> None:
    seeds: list[int] = []

    def say(body: dict[str, Any]) -> str:
        seed = body["options"]["seed"]
        seeds.append(seed)
        return f"Wording {seed}: say yes or no."

    def lost(body: dict[str, Any]) -> Any:
        return Fail(500, "gone") if len(seeds) == 4 else say(body)

    settings = {"backend": "ollama", "parallel": 1}
    with FakeOllama(say) as server:
        whole = make(TASK, OTHER, host=server.url, fresh=True, **settings)
    for path in cache_folder().rglob("*.json"):
        path.unlink()
    expected = seeds.copy()
    seeds.clear()
    with FakeOllama(lost) as server, pytest.raises(ParaphraseError, match="gone"):
        make(TASK, OTHER, host=server.url, **settings)
    with FakeOllama(say) as server:
        again = make(TASK, OTHER, host=server.url, **settings)
    assert len(server.bodies(CHAT)) == 2
    assert seeds == expected
    assert json.dumps([*map(pool_to_json, again)]) == json.dumps([*map(pool_to_json, whole)])


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_unlike_shows_what_was_accepted_and_asks_for_no_more_than_parallel_at_once(parallel: int) -> None:
    with FakeOllama() as server:
        make(TASK, backend="ollama", host=server.url, unlike=True, parallel=parallel, count=5)
        bodies = server.bodies(CHAT)
    assert server.in_flight_most <= parallel
    shown = [len(re.findall(r"\n  \* ", body["messages"][0]["content"])) for body in bodies]
    assert sorted(shown) == [number // parallel * parallel for number in range(5)]


def test_no_key_is_saved(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-secret-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with FakeOpenAI(key=key) as server:
        [first] = make(TASK, backend="openai", base_url=server.url)
    assert len(first.texts) == 3
    assert saved(cache)["source"] == {
        "source": "openai",
        "url": server.url,
        "model": "tiny",
        "options": {"temperature": 0.6, "max_tokens": 2048},
        "digest": None,
    }
    [path] = cache.iterdir()
    assert "secret" not in path.read_text(encoding="utf-8") + path.name
    # Without key and server it is all there.
    monkeypatch.delenv("OPENAI_API_KEY")
    assert make(TASK, backend="openai", base_url=server.url) == [first]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"meta": {"n_params": 134515008, "n_ctx": 4096}}, {"meta": {"n_params": 596049920, "n_ctx": 4096}}),
        ({"root": "/models/qwen3-0.6b"}, {"root": "/models/qwen3-8b"}),
    ],
    ids=["llama.cpp", "vLLM"],
)
def test_another_model_behind_the_same_name_is_asked_anew(
    cache: Path, before: dict[str, Any], now: dict[str, Any]
) -> None:
    progress = RecordingDisplay()
    with FakeOpenAI(files=before) as server:
        make(TASK, backend="openai", base_url=server.url)
        server.files = now
        make(TASK, backend="openai", base_url=server.url, progress=progress)
        assert len(server.bodies("POST /v1/chat/completions")) == 6
    assert progress.notices == ["task273: openai has changed since its paraphrases were saved: asking again"]


@pytest.mark.parametrize(
    "now",
    [
        {"meta": {"n_params": 134515008, "n_ctx": 8192}},  # a setting of the server, not of the file
        {"meta": None},
        {"meta": [1], "root": 7},
        {},
    ],
)
def test_a_server_that_says_the_same_or_nothing_is_not_asked_again(cache: Path, now: dict[str, Any]) -> None:
    with FakeOpenAI(files={"meta": {"n_params": 134515008, "n_ctx": 4096}}) as server:
        made = make(TASK, backend="openai", base_url=server.url)
        server.files = now
        assert make(TASK, backend="openai", base_url=server.url) == made
        assert len(server.bodies("POST /v1/chat/completions")) == 3


def test_the_answers_of_two_endpoints_are_kept_apart() -> None:
    for _ in range(2):
        with FakeOpenAI() as server:
            make(TASK, backend="openai", base_url=server.url)
            assert len(server.bodies("POST /v1/chat/completions")) == 3


def test_the_model_may_be_named_in_the_source_or_by_itself() -> None:
    with FakeOllama() as server:
        [named] = make(TASK, backend="ollama/tiny", host=server.url, model="another")
        [bare] = make(TASK, backend="ollama", host=server.url)
        assert {body["model"] for body in server.bodies(CHAT)} == {"tiny"}
    assert named.texts == bare.texts
    assert len(server.bodies(CHAT)) == 3


def test_two_runs_at_once_keep_each_others_answers(cache: Path) -> None:
    """The second one had read the file before the first one saved."""
    first, second = (RememberedModel(Model(), "test", seed=seed) for seed in (0, 1))
    second_answers = second.answers(TASK, range(3), ())
    next(second_answers)
    answers = list(first.answers(TASK, range(3), ()))
    answers += list(second_answers)
    kept = json.loads(next(cache.rglob("task273*.json")).read_text())["answers"]
    assert len(kept) == 6
    assert set(answers) <= set(kept.values())


def test_answers_that_another_run_saved_under_another_digest_are_replaced(cache: Path) -> None:
    old = RememberedModel(Model(digest="old"), "test", seed=0)
    new = RememberedModel(Model(digest="new"), "test", seed=1)
    new_answers = new.answers(TASK, range(2), ())
    next(new_answers)
    list(old.answers(TASK, range(2), ()))
    list(new_answers)
    saved = json.loads(next(cache.rglob("task273*.json")).read_text())
    assert saved["source"]["digest"] == "new"
    assert len(saved["answers"]) == 2
