"""Bad input: kinds of it, made by Hypothesis, what reads them, and how one such reading ends.

`scripts/fuzz` reads thousands of each kind and counts; tests/test_fuzzing.py reads some.
"""

import io
import json
import math
import os
import re
import shutil
import signal
import struct
import tempfile
import tomllib
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from rich.console import Console

from sapo_lite.data.files import read_examples, read_prompts
from sapo_lite.errors import RunFolderError, SapoLiteError
from sapo_lite.prompts.pool import original_alone, pool_from_json, top_up
from sapo_lite.prompts.sources.file import FromFile
from sapo_lite.recipe import load_recipe, recipe_text
from sapo_lite.report.plan_view import plan
from sapo_lite.run.checks import findings_of_examples
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.support.strict_json import loads
from sapo_lite.types import Example, Task

SECONDS = 20

# A name and its content for each file of an input.
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of input: its files, and what a command does with them in their folder."""

    files: st.SearchStrategy[Files]
    read: Callable[[Path], object]


@dataclass(frozen=True)
class Outcome:
    """How the reading of an input ended: "accepted", "refused", "traceback", "hang" or "wrote"."""

    name: str
    text: str = ""

    @property
    def good(self) -> bool:
        return self.name in ("accepted", "refused")


class _Late(BaseException):
    """No Exception, which what is tested might catch."""


def outcome(kind: Kind, files: Files) -> Outcome:
    """Read an input in a new folder: no exception but ours, in time, with no file written or changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        before = os.getcwd()
        os.chdir(folder)
        try:
            with _limit(SECONDS):
                kind.read(folder)
            found = Outcome("accepted")
        except SapoLiteError as error:
            found = _judged(str(error))
        except _Late:
            found = Outcome("hang")
        except BaseException as error:  # a panic of Rust is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            found = Outcome("traceback", "".join(traceback.format_exception(error)[-4:]))
        finally:
            os.chdir(before)
        held = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        if found.good and held != {Path(file).as_posix(): content for file, content in files.items()}:
            return Outcome("wrote", ", ".join(held))
        return found


def _judged(message: str) -> Outcome:
    """Whether an error is what a terminal can show: not empty, not endless, in whole characters."""
    try:
        fits = 0 < len(message.encode()) < 20_000
    except UnicodeEncodeError:
        fits = False
    return Outcome("refused" if fits else "traceback", message[:2000])


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# --- values and texts

_TEXTS = st.sampled_from(
    [
        *["", " ", "\n", "x" * 300, "x" * 5000, "a\0b", "..", "../x", "/etc/passwd", "~nosuchuser/x", "~"],
        *["\ud83d", "\U0001f600", "\x1b[31m", "<|im_end|>", "</s>", "[/red]", "{x}", "{", "%s", "文本"],
        *["auto", "none", "all-linear", "lm_head", "nan", "-1", "hf:x/y", "harness:x", "a" * 70000],
    ]
)
_NUMBERS = st.sampled_from(
    [-1, 0, 1, 2, 3, 2**31, 2**63, 10**9, 10**18, 10**400, 0.5, -0.5, 1e-300, 1e18, 1e308, math.nan, math.inf]
)
_SCALARS = st.one_of(_TEXTS, _NUMBERS, st.none(), st.booleans(), st.text(max_size=20), st.integers())
# Written as so many brackets in one another, or as a number of so many digits: deeper and longer than `json`
# writes.
_ENDLESS = st.sampled_from(["@deep 20@", "@deep 60@", "@deep 3000@", "@digits 5000@"])
VALUES = st.one_of(
    _SCALARS,
    st.lists(_SCALARS, max_size=4),
    st.dictionaries(st.one_of(st.text(max_size=8), _TEXTS), _SCALARS, max_size=3),
    st.sampled_from([[[]], [{}], {}, [], [["a"], "b"]]),
    _ENDLESS,
)


def _spelled(text: str) -> str:
    """The text of JSON or TOML with what _ENDLESS stands for."""
    text = re.sub(r'"@deep ([0-9]+)@"', lambda found: "[" * int(found[1]) + "]" * int(found[1]), text)
    return re.sub(r'"@digits ([0-9]+)@"', lambda found: "9" * int(found[1]), text)


_FEW = st.sampled_from([1, 1, 1, 1, 2, 3])


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """The JSON value with one to three of its parts replaced, left out, added or repeated."""
    for _ in range(draw(_FEW)):
        value = _changed(draw, value, draw(st.sampled_from([0, 1, 2, 2, 3, 3, 4, 4, 4])))
    return value


def _changed(draw: st.DrawFn, value: Any, depth: int) -> Any:
    """The value with a change at a random place, at most `depth` levels down."""
    inside = isinstance(value, dict | list) and value and depth
    if not inside:
        text = isinstance(value, str) and draw(st.booleans())
        return value + draw(_TEXTS) if text else draw(VALUES)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw(st.sampled_from(keys))
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    match draw(st.sampled_from(["change", "change", "change", "drop", "add"])):
        case "change":
            copy[key] = _changed(draw, copy[key], depth - 1)
        case "drop":
            del copy[key]
        case _:
            if isinstance(copy, dict):
                copy[draw(st.one_of(_TEXTS, st.text(max_size=8)))] = draw(VALUES)
            else:
                copy.insert(key, draw(st.one_of(VALUES, st.just(copy[key]))))
    return copy


_JUNK = [
    *(bytes([sign]) for sign in b"\0\xff\r\n\"'[]{},\\=#"),
    *(b"\xef\xbb\xbf", b"null", b"1e999", b"9" * 5000, b"[" * 3000, b'"""', b"\\ud83d", b"\xed\xa0\xbd"),
    *(b"\n" * 500, b" " * 500),
]


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes cut off, or with parts left out, repeated or inserted."""
    for _ in range(draw(_FEW)):
        at = draw(st.integers(0, len(content)))
        end = min(len(content), at + draw(st.integers(0, 40)))
        match draw(st.sampled_from(["cut", "drop", "repeat", "insert", "insert"])):
            case "cut":
                content = content[:at]
            case "drop":
                content = content[:at] + content[end:]
            case "repeat":
                content = content[:end] + content[at:]
            case _:
                content = content[:at] + draw(st.sampled_from(_JUNK)) + content[at:]
    return content


def _json(value: Any) -> bytes:
    """JSON as other programs write it: with half surrogate pairs, NaN, long numbers and deep lists."""
    return _spelled(json.dumps(value)).encode()


def _json_files(base: Any) -> st.SearchStrategy[bytes]:
    return st.one_of(
        mutated(base).map(_json), damaged(json.dumps(base, ensure_ascii=False, indent=1).encode())
    )


# --- recipes

_OWN = """
[model]
name = "lab"
[[sequence.task]]
name = "mood"
file = "mood.csv"
test = 0.5
instruction = "Is the mood good or bad?"
labels = ["good", "bad"]
[paraphrase]
backend = "builtin"
"""
_CSV = b"input,answer\n" + b"".join(b"text %d,%s\n" % (n, (b"good", b"bad")[n % 2]) for n in range(20))


def _toml(value: Any) -> str:
    """A value in TOML; half surrogate pairs are left to the damaged texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(str(k))} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str) or value is None:
        return json.dumps(value or "", ensure_ascii=False)
    return str(value)


def _toml_text(tables: Any) -> bytes:
    """A recipe's text: top-level values first, then tables, then arrays of tables."""
    if not isinstance(tables, dict):
        return _spelled(_toml(tables)).encode("utf-8", "surrogatepass")
    first = [f"{_toml(str(k))} = {_toml(v)}" for k, v in tables.items() if not isinstance(v, dict)]
    for name, table in ((k, v) for k, v in tables.items() if isinstance(v, dict)):
        first += [f"[{_toml(str(name))}]", *(f"{_toml(str(k))} = {_toml(v)}" for k, v in table.items())]
    return _spelled("\n".join(first)).encode("utf-8", "surrogatepass")


def _recipe_files() -> st.SearchStrategy[Files]:
    texts = [_OWN, *(recipe_text(name) for name in ("lab", "lab_paft", "lab_olora") if _shipped(name))]
    kinds = []
    for text in texts:
        kinds += [mutated(tomllib.loads(text)).map(_toml_text), damaged(text.encode())]
    return st.one_of(kinds).map(lambda content: {"r.toml": content, "mood.csv": _CSV})


def _shipped(name: str) -> bool:
    try:
        return bool(recipe_text(name))
    except SapoLiteError:
        return False


def _dry_run(folder: Path) -> None:
    """What `run --dry-run` does."""
    recipe = load_recipe(folder / "r.toml")
    notices: list[str] = []
    tasks = load_run_tasks(recipe.sequence, None, notices.append)
    Console(file=io.StringIO(), width=200).print(plan(recipe, tasks))
    findings_of_examples(tasks, metrics=False)


# --- data

_ROWS = [
    *({"input": f"sentence {n}", "answer": ("good", "bad")[n % 2]} for n in range(30)),
    {"input": '文本\nb, "c"', "answer": "good; or bad"},
]
_CHATS = [
    {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": str(n)}]}
    for n in range(6)
]
_ALPACA = [{"instruction": "Add.", "input": f"{n} 1", "output": str(n + 1)} for n in range(6)]


def _table(rows: list[Any], separator: str, end: str) -> bytes:
    lines = [separator.join(("input", "answer"))]
    for row in rows:
        cells = list(row.values()) if isinstance(row, dict) else [row]
        cells = [*cells, "good", "good"][: 3 if "three" in cells else 2]
        lines.append(separator.join('"' + str(cell).replace('"', '""') + '"' for cell in cells))
    return end.join(lines).encode("utf-8", "surrogatepass")


def _data_files() -> st.SearchStrategy[Files]:
    rows = st.sampled_from([_ROWS, _CHATS, _ALPACA]).flatmap(mutated)
    listed = rows.map(lambda value: value if isinstance(value, list) else [value])
    lines = listed.map(lambda value: b"\n".join(map(_json, value)))
    tables = st.builds(
        lambda value, sep, end: _table(value, sep, end),
        listed,
        st.sampled_from([",", ";", "\t", "|"]),
        st.sampled_from(["\n", "\r\n", "\r"]),
    )
    whole = st.sampled_from(
        [_json(_ROWS), b"\n".join(map(_json, _CHATS)), _table(_ROWS, ",", "\r"), _table(_ROWS, "\t", "\n")]
    ).flatmap(damaged)
    names = ["x.json", "x.jsonl", "x.csv", "x.tsv"]
    return st.one_of(
        st.tuples(st.just("x.json"), rows.map(_json)),
        st.tuples(st.just("x.jsonl"), lines),
        st.tuples(st.sampled_from(["x.csv", "x.tsv"]), tables),
        st.tuples(st.sampled_from(names), st.one_of(whole, st.binary(max_size=60))),
    ).map(lambda pair: {pair[0]: pair[1]})


def _data(folder: Path) -> None:
    """What `score` and a run of a task of one's own do with a file of examples."""
    (file,) = folder.iterdir()
    refused = None
    try:
        read_examples(file)
    except SapoLiteError as error:
        refused = error
    recipe = load_recipe(_recipe_beside(file.name))
    findings_of_examples(load_run_tasks(recipe.sequence, None, lambda notice: None), metrics=True)
    if refused is not None:
        raise refused


@cache
def _elsewhere() -> Path:
    return Path(tempfile.mkdtemp(prefix="sapo-lite-fuzz-"))


def _recipe_beside(name: str) -> Path:
    """A recipe outside the folder, whose task reads the file of this name in the working directory."""
    path = _elsewhere() / "own.toml"
    file = json.dumps(str(Path.cwd() / name))
    path.write_text(
        f'[model]\nname = "lab"\n[[sequence.task]]\nname = "t"\nfile = {file}\ninstruction = "Answer."\n'
        'labels = "auto"\n[paraphrase]\nbackend = "builtin"\n',
        encoding="utf-8",
    )
    return path


# --- suites

_INDEX = {
    "task001_mood": {"instruction": "Good or bad?", "suffix": "One word.", "labels": ["good", "bad"]},
    "task002_sum": {"instruction": "Add the numbers.", "suffix": "", "labels": []},
}


def _suite_files() -> st.SearchStrategy[Files]:
    split = _json([{"sentence": f"s {n}", "label": ("good", "bad")[n % 2]} for n in range(8)])
    rest = {f"own/{task}/{part}.json": split for task in _INDEX for part in ("train", "test", "dev")}
    return _json_files(_INDEX).map(lambda index: {**rest, "own/instructions.json": index})


def _suite(folder: Path) -> None:
    settings = ["sequence.suite=own", 'sequence.tasks=["1", "2"]']
    recipe = load_recipe("lab", settings)
    tasks = load_run_tasks(recipe.sequence, folder, lambda notice: None)
    Console(file=io.StringIO(), width=200).print(plan(recipe, tasks))
    findings_of_examples(tasks, metrics=True)


# --- candidates

TASK = Task(
    id="task195_sentiment",
    suite="SUPERNI",
    instruction="Is the text positive or negative?",
    suffix="",
    labels=("positive", "negative"),
    language="en",
    train=(Example("a", "positive"),),
    test=(Example("b", "negative"),),
)
_TEXTS_OF_TASK = ["Say whether the text is positive or negative.", "Positive or negative?", "正面还是负面？"]
_POOL = {
    "task": TASK.id,
    "candidates": [
        {"index": 0, "text": TASK.instruction, "origin": "original"},
        *({"index": n, "text": text, "origin": "builtin"} for n, text in enumerate(_TEXTS_OF_TASK, start=1)),
    ],
    "rejected": [{"text": "x", "reason": "too short"}],
    "notice": None,
}


def _candidate_files() -> st.SearchStrategy[Files]:
    bases = [
        _POOL,
        {"pools": [_POOL, {**_POOL, "task": "other"}]},
        {"task195": _TEXTS_OF_TASK},
        _TEXTS_OF_TASK,
    ]
    text = "\n".join(["# task195", *_TEXTS_OF_TASK, "", "# other", *_TEXTS_OF_TASK]).encode()
    toml = _toml_text({"task195": _TEXTS_OF_TASK, "other": _TEXTS_OF_TASK})
    return st.one_of(
        st.tuples(st.just("c.json"), st.sampled_from(bases).flatmap(_json_files)),
        st.tuples(st.just("c.json"), mutated(_POOL).map(_json)),
        st.tuples(
            st.just("c.toml"), st.one_of(damaged(toml), mutated({"task195": _TEXTS_OF_TASK}).map(_toml_text))
        ),
        st.tuples(st.sampled_from(["c.txt", "c.md", "c"]), st.one_of(damaged(text), st.binary(max_size=60))),
    ).map(lambda pair: {pair[0]: pair[1]})


def _candidates(folder: Path) -> None:
    """What `score`, the source "file" with its gate, and a run folder do with a file of candidates."""
    (file,) = folder.iterdir()
    refusals = []
    readers = (_as_prompts, _as_source, _as_pool)
    for read in readers:
        try:
            read(file)
        except SapoLiteError as error:
            refusals.append(error)
    if len(refusals) == len(readers):
        raise refusals[0]


def _as_prompts(file: Path) -> None:
    read_prompts(file, None, TASK.instruction)


def _as_source(file: Path) -> None:
    for gate in (True, False):
        top_up(original_alone(TASK), TASK, FromFile(file), "file", count=20, attempts=2, gate=gate)


def _as_pool(file: Path) -> None:
    try:
        data = loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(f"{file} is not valid JSON ({error})") from None
    pool_from_json(data, TASK)


# --- models and adapters

_TEMPLATES = [
    b"{% for m in messages %}{{ m.content }}",
    b"{{ raise_exception('no') }}",
    b"{{ messages[5].content }}",
    b"{{ 1 / 0 }}",
    b"{% for m in messages %}{{ m.content | upper }}{% endfor %}",
    b"{% include 'x' %}",
    b"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    b"{{ ''.__class__.__mro__ }}",
    b"\xff",
    b"",
]


@cache
def model_folder() -> Path:
    """A tiny model; made once in a process."""
    from transformers.utils import logging

    import tiny

    logging.disable_progress_bar()
    return tiny.save_model("qwen3", _elsewhere() / "model")


@cache
def adapter_folder() -> Path:
    """A LoRA of the tiny model."""
    import peft
    from transformers import AutoModelForCausalLM

    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"])
    folder = _elsewhere() / "adapter"
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(model_folder()), config).save_pretrained(folder)
    return folder


def _safetensors(content: bytes) -> st.SearchStrategy[bytes]:
    """Weights with another header, or damaged."""
    (length,) = struct.unpack("<Q", content[:8])
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    headers = mutated(header).map(_json)
    return st.one_of(
        headers.map(lambda new: struct.pack("<Q", len(new)) + new + rest),
        damaged(content),
        st.integers(0, 2**64 - 1).map(lambda number: struct.pack("<Q", number) + content[8:]),
        st.integers(0, len(content)).map(lambda end: content[:end]),
    )


def _one_of_a_folder(
    folder: Path, others: Mapping[str, st.SearchStrategy[bytes]]
) -> st.SearchStrategy[Files]:
    """The files of a folder, of which one is changed."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "README.md"}
    changes: dict[str, st.SearchStrategy[bytes]] = dict(others)
    for name, content in files.items():
        if name.endswith(".json"):
            changes[name] = _json_files(json.loads(content))
        elif name.endswith(".safetensors"):
            changes[name] = _safetensors(content)
    one = st.one_of([st.tuples(st.just(name), new) for name, new in changes.items()])
    return one.map(lambda pair: {**files, pair[0]: pair[1]})


def _model_files() -> st.SearchStrategy[Files]:
    template = (model_folder() / "chat_template.jinja").read_bytes()
    return _one_of_a_folder(
        model_folder(),
        {"chat_template.jinja": st.one_of(damaged(template), st.sampled_from(_TEMPLATES))},
    )


def _model(folder: Path) -> None:
    from sapo_lite.leaderboard.from_disk import load

    load(str(folder), dtype="float32")


def _adapter(folder: Path) -> None:
    from sapo_lite.leaderboard.from_disk import load

    load(str(model_folder()), folder, dtype="float32")


KINDS: dict[str, Callable[[], Kind]] = {
    "recipes": lambda: Kind(_recipe_files(), _dry_run),
    "data": lambda: Kind(_data_files(), _data),
    "suites": lambda: Kind(_suite_files(), _suite),
    "candidates": lambda: Kind(_candidate_files(), _candidates),
    "adapters": lambda: Kind(_one_of_a_folder(adapter_folder(), {}), _adapter),
    "models": lambda: Kind(_model_files(), _model),
}


def clean_up() -> None:
    """Delete what the kinds have made for all their inputs."""
    shutil.rmtree(_elsewhere(), ignore_errors=True)
