"""`sapo-lite doctor`: every check, on what is there and on what is broken."""

import json
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from subprocess import PIPE
from types import SimpleNamespace

import pytest
import torch

from forked import run_program
from ollama_server import FakeOllama
from sapo_lite.errors import BackboneError
from sapo_lite.model import load, selfcheck
from sapo_lite.run.doctor import four_bit, gpu, kernels, software, surroundings
from sapo_lite.run.doctor.check import Check
from small import command

NAMES = ["Python", "packages", "CUDA", "Unsloth", "kernels", "bitsandbytes"]
NAMES += ["memory", "disk", "data", "keys", "Ollama"]
SECRET = "sk-0123456789abcdef"
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


# --- the command


@pytest.mark.slow
@no_gpu
def test_every_check_is_made_and_keys_are_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")  # nobody listens there
    done = run_program(command("doctor", "--json", "--plain"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert list(checks) == NAMES
    assert {name for name, check in checks.items() if check["state"] == "fail"} == set()
    assert checks["keys"]["found"] == "OPENAI_API_KEY (openai)"
    assert checks["Ollama"]["state"] == "warn"
    assert all(check["fix"] for check in checks.values() if check["state"] != "ok")
    assert SECRET not in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@no_gpu
def test_a_table_says_what_failed_and_how_to_mend_it() -> None:
    done = run_program(command("doctor", "--gpu", "--offline", "--plain"))
    assert done.returncode == 1
    shown = " ".join(done.stdout.split())
    assert "fail GPU run no CUDA GPU that torch can use Leave --gpu out" in shown
    assert "packs and answers on cpu equal those of single rows" in shown
    assert shown.endswith("1 fail")


# --- software


def test_versions_outside_the_tested_bounds_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict.fromkeys(software._STACK, "1.0")
    monkeypatch.setattr(software, "version", found.__getitem__)
    monkeypatch.setattr(software, "requires", lambda name: ["trl>=1.0,<2", "torch>=2.8,<2.14", "rich"])
    check = software.packages()
    assert (check.state, check.found) == ("warn", "not tried: torch 1.0 is not <2.14,>=2.8")
    assert "constraints.txt" in check.fix


def test_a_package_that_is_missing_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "peft":
            raise software.PackageNotFoundError(name)
        return "9.9"

    monkeypatch.setattr(software, "version", version)
    assert software.packages().found == "peft is not installed"


@no_gpu
@pytest.mark.parametrize(
    ("driver", "cuda", "state", "found"),
    [
        (None, None, "ok", "no NVIDIA driver: runs use the CPU"),
        (None, "13.0", "ok", "no NVIDIA driver: runs use the CPU"),
        ("580.65.06", None, "fail", "driver 580.65.06, but torch "),
        ("470.42", "13.0", "fail", "driver 470.42, torch built for CUDA 13.0, and no GPU that it can use"),
    ],
)
def test_a_driver_that_torch_does_not_fit_is_a_failure(
    driver: str | None,
    cuda: str | None,
    state: str,
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(software, "_DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.version, "cuda", cuda)
    if driver is not None:
        line = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {driver}  Tue Nov  4 2025\n"
        (tmp_path / "version").write_text(line)
    check = software.cuda()
    assert check.state == state
    assert check.found.startswith(found)
    assert bool(check.fix) == (state == "fail")


def test_a_torch_that_does_not_load_is_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    check = software.cuda()
    assert check.state == "fail"
    assert check.found.startswith("ModuleNotFoundError: ")
    assert software.unsloth().state == "ok"


def test_a_layer_in_four_bits_is_multiplied_with() -> None:
    check = four_bit.four_bit()
    assert check.state == "ok"
    assert check.found.startswith("a layer of 4 bits on ")


def test_wrong_products_in_four_bits_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from bitsandbytes.nn import Linear4bit

    monkeypatch.setattr(Linear4bit, "forward", lambda self, states: states.new_zeros(8, 128))
    check = four_bit.four_bit()
    assert (check.state, check.found) == ("fail", "a product in 4 bits is off by 100 %")


def test_a_library_that_does_not_load_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from bitsandbytes.nn import Linear4bit

    def broken(self: object, states: object) -> None:
        raise RuntimeError("libbitsandbytes_cuda130.so: cannot open shared object file")

    monkeypatch.setattr(Linear4bit, "forward", broken)
    check = four_bit.four_bit()
    assert check.state == "fail"
    assert check.found == "RuntimeError: libbitsandbytes_cuda130.so: cannot open shared object file"
    assert "python -m bitsandbytes" in check.fix


def test_a_library_that_ends_its_process_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import os; os.abort()"], stdout=PIPE, stderr=PIPE, text=True
    ) as process:
        check = four_bit.result(process)
    assert (check.state, check.found) == ("fail", "its process ended with -6")


@no_gpu
def test_unsloth_is_not_needed_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "find_spec", lambda name: None)
    assert software.unsloth() == Check("Unsloth", "ok", "not installed; a CPU does not need it")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert software.unsloth().state == "warn"


# --- kernels


def test_packs_that_differ_from_single_rows_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "_loss_difference", lambda *_: "losses differ by 1e-2")
    check = kernels.kernels()
    assert check.state == "warn"
    assert check.found.startswith("this model does not take packs (losses differ by 1e-2)")


def test_a_model_that_does_not_load_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: object) -> None:
        raise BackboneError("lab could not be loaded")

    monkeypatch.setattr(load, "load_backbone", fail)
    check = kernels.kernels()
    assert (check.state, check.found) == ("fail", "lab could not be loaded")


# --- surroundings


@pytest.mark.parametrize(("free", "state"), [(500 * 10**9, "ok"), (5 * 10**9, "warn"), (10**8, "fail")])
def test_a_disk_that_is_nearly_full_is_said(free: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 0, free))
    check = surroundings.disk()
    assert check.state == state
    assert bool(check.fix) == (state != "ok")


@pytest.mark.parametrize(("available", "state"), [(8 * 10**9, "ok"), (10**9, "warn")])
def test_little_memory_is_said(available: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(available=available, total=16 * 10**9)
    monkeypatch.setattr(surroundings.psutil, "virtual_memory", lambda: memory)
    assert surroundings.memory().state == state


def test_suites_that_are_missing_are_named_with_the_command_that_fetches_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SAPO_LITE_DATA", str(tmp_path))
    (tmp_path / "TRACE").mkdir()
    (tmp_path / "TRACE/instructions.json").write_text("{}")
    check = surroundings.data()
    assert check.found == f"the lab, TRACE in {tmp_path}; no SUPERNI"
    assert check.fix == "For their recipes: `sapo-lite data fetch superni`."


def test_no_key_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in surroundings._KEYS:
        monkeypatch.delenv(name, raising=False)
    assert surroundings.keys().state == "ok"


def test_a_server_of_ollama_is_asked_for_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeOllama(models=["qwen3:8b", "tiny"]) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        check = surroundings.ollama()
        assert check.state == "ok"
        assert check.found == f"version 0.12.3 at {server.url} with qwen3:8b, tiny:latest"
    with FakeOllama(models=[]) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert surroundings.ollama().fix == "Run `ollama pull qwen3:8b`."


@pytest.mark.parametrize("host", ["127.0.0.1:9", "not an address:x"])
def test_without_ollama_a_check_says_who_needs_it(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    check = surroundings.ollama()
    assert check.state == "warn"
    assert check.fix == 'Only recipes with paraphrase.backend = "ollama" need it.'


def test_a_server_elsewhere_is_not_asked_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAPO_LITE_OFFLINE", "1")
    monkeypatch.setenv("OLLAMA_HOST", "http://gpu.example:11434")
    assert surroundings.ollama() == Check(
        "Ollama", "ok", "http://gpu.example:11434 is not asked: work is offline"
    )


# --- smoke runs


@pytest.mark.slow
def test_a_smoke_run_learns_two_tasks_in_four_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU here; on a GPU the same command takes the GPU."""
    check = gpu.smoke_run("transformers")
    assert check.state == "ok", check
    assert check.found.startswith("two tasks were learned and tested in ")


@pytest.mark.slow
def test_a_smoke_run_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SETTINGS", ("model.name=nowhere",))
    check = gpu.smoke_run("transformers")
    assert check.state == "fail"
    assert check.found.startswith('error: No model at "nowhere".')
