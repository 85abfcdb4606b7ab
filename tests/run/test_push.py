"""Uploads: an export for the hub goes to a hub on loopback, by --push alone."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants

from random_backbone import random_backbone
from sapo_lite.errors import SapoLiteError
from sapo_lite.run.export.export import export
from sapo_lite.run.export.push import push
from sapo_lite.run.progress import Silent
from sapo_lite.run.snapshot import read_snapshot
from small import small_run

pytestmark = pytest.mark.slow

NAME = "tiny/model"  # of the base model on the hub


class Hub(ThreadingHTTPServer):
    """A hub that takes repositories and commits. `files`: contents by path, of what was uploaded."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.created: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.tokens.add(self.headers.get("authorization"))
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            return self._answer({"url": f"{self.server.url}/me/mine"})
        if self.path.startswith("/api/models/me/mine/preupload"):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self._answer({"files": files})
        if self.path == "/api/validate-yaml":  # the block at the start of the card
            return self._answer({"errors": [], "warnings": []})
        assert self.path.startswith("/api/models/me/mine/commit")
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return self._answer({"commitUrl": f"{self.server.url}/me/mine/commit/1", "commitOid": "1" * 40})

    def _answer(self, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # as it is once a model was loaded
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a model of the hub that is in the cache of this machine."""
    cache = tmp_path / "hub/models--tiny--model"
    commit = "0" * 40
    (cache / "refs").mkdir(parents=True)
    (cache / "refs/main").write_text(commit)
    (cache / "snapshots").mkdir()
    (cache / "snapshots" / commit).mkdir()
    for file in random_backbone().iterdir():
        (cache / "snapshots" / commit / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return NAME


def test_an_export_for_the_hub_is_uploaded_as_it_is(
    cached: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    small_run(run, f"model.name={cached}", "evaluation.prompts=chosen", "training.epochs=1")
    hub: Hub = request.getfixturevalue("hub")
    done = export(read_snapshot(run), "hub", out, Silent(pytest.fail))
    assert done.agreement is not None
    assert done.agreement.equal == done.agreement.asked == 24
    assert (hub.created, hub.files) == ([], {})  # nothing has left until here
    settings = json.loads((out / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == NAME
    card = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    assert (card["base_model"], card["base_model_relation"]) == (NAME, "adapter")
    assert json.loads((out / "results.json").read_text())["recipe"] == "lab"

    assert push(out, "me/mine") == f"{hub.url}/me/mine"
    assert hub.created[0]["visibility"] == "private"
    assert hub.files == {path.name: path.read_bytes() for path in out.iterdir()}
    assert hub.tokens == {"Bearer hf_secret"}
    assert constants.HF_HUB_OFFLINE is True


def test_a_hub_that_is_not_reached_is_one_sentence(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        SapoLiteError, match=r"--push me/mine: .*`hf upload me/mine .*` uploads it, too"
    ) as said:
        push(tmp_path, "me/mine")
    assert "hf_secret" not in str(said.value)
