"""Every command in the README works as printed there."""

import re
import shlex
from pathlib import Path

import pytest

from small import ROOT, call, command

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.strip()
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.strip() and not line.startswith("#")
]


def make_target(name: str) -> str:
    """What make would run for a target, without running it."""
    return call(["make", "--dry-run", "--always-make", name], cwd=ROOT).stdout


def test_the_readme_starts_with_two_commands() -> None:
    assert [c for c in COMMANDS if c.startswith("make")][:2] == ["make lab", "make test"]


def test_make_lab_runs_the_lab_recipe_and_make_test_this_suite() -> None:
    assert "sapo-lite run recipes/lab.toml" in make_target("lab")
    assert "make test" in (ROOT / ".ci/run").read_text()
    for target, ending in (("test", "--dist loadfile\n"), ("check", '--dist loadfile -m "not slow"\n')):
        lines = make_target(target)
        assert all(f"bin/{tool}" in lines for tool in ("ruff check", "ruff format --check", "mypy"))
        assert lines.endswith(f"bin/python -m pytest -n logical {ending}")


@pytest.mark.slow
@pytest.mark.benchmarks_data
@pytest.mark.parametrize("line", [c for c in COMMANDS if c.startswith("sapo-lite")])
def test_a_readme_command_works(line: str, benchmarks: Path, tmp_path: Path) -> None:
    """Recipes for a GPU are dry-run; everything else is run for real."""
    words = [str(benchmarks) if word == "FOLDER" else word for word in shlex.split(line)[1:]]
    if words[0] == "run" and words[1].startswith(("ni_seq", "trace")) and not words[1].endswith("_cpu"):
        words += ["--dry-run", "--set", "sequence.missing_train=dev"]
    elif words[0] == "run":
        words += ["--out", str(tmp_path / "run")]
    done = call(command(*words), cwd=ROOT)
    assert done.returncode == 0, done.stderr
