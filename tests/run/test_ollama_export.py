"""Exports for Ollama: its program and its server are played here, the files are real.

The server answers what the run has answered to the very text that a Modelfile makes of an input.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopback import Call, LoopbackServer
from modelfiles import read, rendered
from replies import Answer, Fail, Response
from sapo_lite.errors import SapoLiteError
from sapo_lite.run.export import forms
from sapo_lite.run.export.export import export
from sapo_lite.run.export.prompts import around_prompt
from sapo_lite.run.export.verify import stored_answers
from sapo_lite.run.progress import Silent
from sapo_lite.run.snapshot import Snapshot, read_snapshot
from small import small_run

pytestmark = pytest.mark.slow

# `ollama create NAME -f FILE`, run in the folder of the Modelfile.
PROGRAM = """\
#!{python}
import pathlib, shutil, sys
_, verb, name, flag, file = sys.argv
assert (verb, flag) == ("create", "-f")
source = pathlib.Path(file).read_text().splitlines()[0].removeprefix("FROM ")
if not pathlib.Path(source).exists():
    sys.exit("Error: no such file: " + source)
shutil.copy(file, pathlib.Path({models!r}) / name)
"""


class Ollama(LoopbackServer):
    """Generates with the models in a folder: what the run answered to the rendered text."""

    chat_route = "POST /api/generate"

    def __init__(self, models: Path, known: dict[str, str]) -> None:
        super().__init__((), None)
        self.models, self.known = models, known

    def _respond(self, call: Call) -> Response | Callable[[Answer], Response]:
        template = dict(read((self.models / call.body["model"]).read_text()))["TEMPLATE"]
        return Response(({"response": self.known[rendered(template, call.body["prompt"])]},))

    def _failure(self, fail: Fail) -> Response:
        raise NotImplementedError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "lab"
    small_run(out, "evaluation.prompts=chosen")
    return out


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the models of an Ollama that is on the PATH. There is no llama.cpp."""
    models = tmp_path / "models"
    models.mkdir()
    program = tmp_path / "bin/ollama"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable, models=str(models)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.delenv("SAPO_LITE_LLAMA_CPP", raising=False)
    return models


def known(snapshot: Snapshot) -> dict[str, str]:
    """By the whole text that the model reads, what it answered in the run."""
    chat = forms.chat_of(snapshot)
    return {
        around_prompt(chat, snapshot.tasks[row.task], row.instruction).put(row.text): row.answer
        for row in stored_answers(snapshot, 1000)
    }


def written(snapshot: Snapshot, out: Path, **options: Any) -> tuple[Any, list[str]]:
    notices: list[str] = []
    return export(snapshot, "ollama", out, Silent(notices.append), **options), notices


def test_each_task_gets_a_modelfile_and_the_line_that_creates_its_model(
    run: Path, installed: Path, tmp_path: Path
) -> None:
    done, notices = written(read_snapshot(run), tmp_path / "out")
    assert done.agreement.equal == done.agreement.asked == 24
    assert any("the Modelfiles name merged weights, which Ollama converts" in notice for notice in notices)
    assert [path.name for path in sorted(done.folder.iterdir())] == [
        "Modelfile.odd_one_out", "Modelfile.oldest", "README.md", "merged", "prompts.json",
    ]  # fmt: skip
    assert done.commands == (
        f"ollama create lab-oldest -f {done.folder}/Modelfile.oldest",
        f"ollama create lab-odd_one_out -f {done.folder}/Modelfile.odd_one_out",
    )
    commands = dict(read((done.folder / "Modelfile.oldest").read_text()))
    assert commands["FROM"] == "./merged"
    assert (commands["num_predict"], commands["temperature"]) == ("4", "0")
    assert (commands["num_ctx"], commands["stop"]) == ("260", "<|im_end|>")
    assert list(installed.iterdir()) == []


def test_models_are_created_and_asked_with_plain_inputs(
    run: Path, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = read_snapshot(run)
    with Ollama(installed, known(snapshot)) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        done, _ = written(snapshot, tmp_path / "out", create=True)
    assert str(done.agreement) == "24 of 24 stored answers are given again, by Ollama"
    assert done.created == {"oldest": "lab-oldest", "odd_one_out": "lab-odd_one_out"}
    assert sorted(path.name for path in installed.iterdir()) == ["lab-odd_one_out", "lab-oldest"]
    asked = [body["prompt"] for body in server.bodies("POST /api/generate")]
    assert asked == [row.text for row in stored_answers(snapshot, 50)]
    assert done.commands == ("ollama run lab-oldest", "ollama run lab-odd_one_out")


def test_what_ollama_says_is_said(
    run: Path, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Path(os.environ["PATH"]) / "ollama"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('Error: unsupported architecture')\n")
    with pytest.raises(SapoLiteError, match=r"lab-oldest .* failed in .*: Error: unsupported architecture"):
        written(read_snapshot(run), tmp_path / "out", create=True)


def test_a_server_on_another_machine_is_not_called_offline(
    run: Path, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://elsewhere:11434")
    monkeypatch.setenv("SAPO_LITE_OFFLINE", "1")
    with pytest.raises(SapoLiteError, match="Ollama at http://elsewhere:11434 is on another machine"):
        written(read_snapshot(run), tmp_path / "out", create=True)
    assert not (tmp_path / "out").exists()
