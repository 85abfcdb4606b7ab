"""`sapo-lite plan`: what it prints, what it needs, its exit codes."""

import json
from pathlib import Path

import pytest

from forked import run_program
from small import SETTINGS, command, random_backbone

pytestmark = pytest.mark.slow

SMALL = [word for setting in SETTINGS for word in ("--set", setting)]


def test_a_plan_says_memory_by_part_whether_it_fits_tokens_and_disk() -> None:
    done = run_program(command("plan", "lab", "--plain", "--offline", *SMALL))
    assert done.returncode == 0, done.stderr
    for text in (
        "lab on the CPU of this machine",
        str(random_backbone()),
        "weights of the layers",
        "optimiser",
        "it fits into",
        "before training",
        "training rows in tokens: ",
        "disk: 0 bytes to download",
        "--probe measures them",
    ):
        assert text in " ".join(done.stdout.split())


def test_a_run_that_does_not_fit_is_exit_code_1_and_says_what_to_change() -> None:
    words = ["plan", "ni_seq_c1", "--vram", "12", "--offline", "--plain", "--set", "model.quantization=none"]
    done = run_program(command(*words))
    assert done.returncode == 1
    shown = " ".join(done.stdout.split())
    assert "it does not fit into 12.0 GB at the longest row" in shown
    assert 'it would fit with --set model.quantization="nf4"' in shown
    assert "planned by the published shape of Qwen3-8B" in shown
    assert "rows are as long as the recipe allows" in shown


def test_json_holds_what_the_tables_show_and_more() -> None:
    done = run_program(command("plan", "lab", "--json", "--card", "rtx 3060", "--offline", *SMALL))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["fits"]
    assert found["machine"] == "RTX 3060, 12 GB"
    assert found["memory"].keys() == {"50", "95", "100"}
    assert found["peak"] == max(sum(parts.values()) for parts in found["memory"]["100"]["phases"].values())
    assert [stage["stage"] for stage in found["stages"]] == [0, 1, 2]
    assert found["seconds"] == pytest.approx(sum(stage["seconds"] for stage in found["stages"]))
    assert not found["measured"]


def test_a_probe_measures_this_machine() -> None:
    done = run_program(command("plan", "lab", "--json", "--probe", "--offline", *SMALL))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["measured"]
    assert 0 < found["seconds"] < 600


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (["--card", "RTX 4061"], 2, 'found "RTX 4061"; did you mean RTX 4060'),
        (["--probe", "--card", "RTX 4060"], 2, "--probe measures this machine, and the plan is for RTX 4060"),
        (["--vram", "0"], 2, "be greater than or equal to 0.5"),
        (["--set", "model.name=somebody/unknown"], 1, "somebody/unknown is not on this disk"),
        (["--set", "model.name=somebody/unknown", "--probe"], 1, "a probe downloads nothing"),
        (["--data", "nowhere"], 2, "--data nowhere: no such folder"),
    ],
)
def test_what_cannot_be_planned_is_refused(words: list[str], code: int, fault: str, tmp_path: Path) -> None:
    done = run_program(command("plan", "lab", "--plain", "--offline", *words), cwd=tmp_path)
    assert done.returncode == code
    assert fault in " ".join(done.stderr.replace("│", "").split())
    assert not list(tmp_path.iterdir())  # nothing is written


def test_memory_is_capped_on_a_gpu_only(tmp_path: Path) -> None:
    done = run_program(command("run", "lab", "--vram", "6", "--plain", "--out", tmp_path / "run", *SMALL))
    assert done.returncode == 1
    assert (
        done.stderr == "error: --vram: expected a CUDA GPU, whose memory it caps, found none. Leave it out.\n"
    )
    assert not (tmp_path / "run").exists()
