"""The first contact with a GPU: a job costs only itself, results stay, and all of it runs tiny on a CPU."""

import hashlib
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from benchmarks.gpu.first_contact import runner as first_contact_runner
from benchmarks.gpu.first_contact.__main__ import main as first_contact
from benchmarks.gpu.first_contact.carried import DATA, MANIFEST, keep, real_model, tasks
from benchmarks.gpu.first_contact.plan import Place, plan
from benchmarks.gpu.first_contact.prepare import divide_model, pack_tasks
from benchmarks.gpu.first_contact.runner import ARCHIVE, RECORD, Job, Outcome, Runner
from benchmarks.gpu.first_contact.summary import summary
from benchmarks.gpu.first_contact.wheels import needed, slim
from forked import Program

ROOT = Path(__file__).resolve().parents[2]
SAYS = "import sys; print('begun', flush=True); "


def job(name: str, code: str = "", *, limit: float = 60, wave: int = 1, **more: Any) -> Job:
    return Job(name, [sys.executable, "-c", SAYS + code], limit, wave, **{"least": 0.0, **more})


def runner(folder: Path, seconds: float = 120) -> Runner:
    return Runner(folder / "results", seconds, {}, say=lambda _: None)


def states(found: Runner) -> dict[str, str]:
    return {name: outcome.state for name, outcome in found.outcomes.items()}


# --- jobs


@pytest.mark.slow
def test_a_job_that_fails_or_hangs_costs_only_itself_and_those_that_need_it(tmp_path: Path) -> None:
    found = runner(tmp_path)
    jobs = [
        job("bad", "sys.exit(3)"),
        job("hangs", "import time; time.sleep(600)", limit=1),
        job("needs bad", after=("bad",)),
        job("needs good", after=("good",)),
        job("good"),
        job("later", wave=2, after=("good",)),
    ]
    assert not found.run(jobs)
    assert states(found) == {
        "bad": "failed",
        "hangs": "killed",
        "needs bad": "left out",
        "needs good": "done",
        "good": "done",
        "later": "done",
    }
    assert (found.outcomes["bad"].status, found.outcomes["hangs"].status) == (3, None)
    assert (tmp_path / "results" / "hangs.out").read_text() == "begun\n"
    assert json.loads((tmp_path / "results" / RECORD).read_text())["bad"]["state"] == "failed"


@pytest.mark.slow
def test_a_killed_job_leaves_no_process(tmp_path: Path) -> None:
    child = "import subprocess, time; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); "
    found = runner(tmp_path)
    found.run([job("parent", child + "time.sleep(600)", limit=2)])
    pid = int((tmp_path / "results" / "parent.out").read_text().split()[-1])
    status = Path(f"/proc/{pid}/status")
    assert not status.exists() or "\nState:\tZ" in status.read_text()


@pytest.mark.slow
def test_what_was_interrupted_or_left_out_is_tried_again_and_nothing_else(tmp_path: Path) -> None:
    once = f"p = open({str(tmp_path / 'count')!r}, 'a'); p.write('x'); p.close()"
    slow = "import time; time.sleep(600)"
    first = runner(tmp_path, seconds=2)
    jobs = [
        job("counts", once),
        job("slow", slow),
        job("too long", wave=2, least=30),
        job("bad", "sys.exit(1)"),
    ]
    assert not first.run(jobs)
    assert states(first) == {"counts": "done", "slow": "interrupted", "too long": "no time", "bad": "failed"}
    again = runner(tmp_path)
    jobs[1] = job("slow")
    assert not again.run(jobs)
    assert states(again) == {"counts": "done", "slow": "done", "too long": "done", "bad": "failed"}
    assert (tmp_path / "count").read_text() == "x"


def test_everything_but_weights_is_in_one_archive_after_every_job(tmp_path: Path) -> None:
    results = tmp_path / "results"
    writes = f"open({str(results / 'run' / 'model.safetensors')!r}, 'w').write('w'); "
    found = runner(tmp_path)
    (results / "run").mkdir()
    found.run([job("one", writes), job("two", wave=2)])
    with tarfile.open(results / ARCHIVE) as archive:
        assert sorted(archive.getnames()) == ["jobs.json", "one.out", "two.out"]


def test_the_summary_has_what_failed_and_what_was_measured(tmp_path: Path) -> None:
    checks = [
        {"step": "score", "name": "alone", "passed": False, "found": 0.2, "expected": "within 1e-5"},
        {"step": "score", "name": "finite", "passed": True, "found": 1, "expected": "finite"},
    ]
    steps = [{"name": "load", "state": "done", "seconds": 12.3}]
    (tmp_path / "smoke-x.json").write_text(json.dumps({"steps": steps, "checks": checks}))
    measured = [{"name": "pack", "tokens/s": 1234.56}, {"name": "decode", "error": "no", "trace": "long"}]
    (tmp_path / "probe-x.json").write_text(json.dumps(measured))
    (tmp_path / "smoke-x.out").write_text("one\ntwo\nthree\n")
    text = summary(tmp_path, {"smoke-x": Outcome("done", 20.0, 0), "probe-x": Outcome("killed", 75.0)})
    assert text.splitlines() == [
        "--- smoke-x: done, 20 s, status 0",
        "two",
        "three",
        "load done 12 s",
        "FAILED: score, alone: found 0.2, expected within 1e-5",
        "--- probe-x: killed, 75 s, status None",
        "pack: tokens/s 1235",
        "decode: error no",
    ]


# --- the plan


def place(folder: Path, **more: Any) -> Place:
    given = {"real": Path("model.gguf"), "data": Path("data"), **more}
    return Place(folder / "results", folder / "models", folder / "generated", **given)


def test_the_plan_is_in_order_of_worth_and_its_jobs_share_no_place(tmp_path: Path) -> None:
    jobs = plan(place(tmp_path))
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)
    assert [job.wave for job in jobs] == sorted(job.wave for job in jobs)
    assert all(need in names[: names.index(job.name)] for job in jobs for need in job.after)
    caches = [job.env["UNSLOTH_COMPILE_LOCATION"] for job in jobs if job.name not in ("machine", "write")]
    assert len(set(caches)) == len(caches)
    alone = {job.wave: job.name for job in jobs if job.name.startswith(("probe", "scoring"))}
    assert all(sum(job.wave == wave for job in jobs) == 1 for wave in alone)
    # Folders that two jobs write to: only the model that `write` has made is read by several.
    folders = [job.command[job.command.index("--folder") + 1] for job in jobs if "--folder" in job.command]
    shared = {folder for folder in folders if folders.count(folder) > 1}
    assert shared <= {str(tmp_path / "models" / "qwen3-8b")}


def test_without_a_real_model_it_is_left_out_and_without_tasks_it_learns_those_of_the_lab(
    tmp_path: Path,
) -> None:
    assert not [job for job in plan(place(tmp_path, real=None)) if job.wave == 5]
    real = [job for job in plan(place(tmp_path, data=None)) if job.wave == 5]
    assert len(real) == 3
    assert all("sequence.suite=lab" in job.command for job in real)


def test_a_job_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu.first_contact", "--out", str(tmp_path / "out")]
    command += ["--home", str(tmp_path / "home"), "--models", str(tmp_path / "m"), "--only", "write", "smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("--only smoke: expected some of lab-plain, lab-unsloth, machine, ")
    assert not (tmp_path / "out").exists()


# --- what is carried


def test_a_model_and_tasks_are_carried_in_parts_and_come_back_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000  # 4.9 MiB
    (tmp_path / "m.gguf").write_bytes(content)
    suite = tmp_path / "SUPERNI"
    for name in ("task195_a", "task1310_b", "task1_c"):
        (suite / name).mkdir(parents=True)
        (suite / name / "train.json").write_text("[]")
    (suite / "instructions.json").write_text("{}")
    packed = tmp_path / "carry"
    (packed / "1").mkdir(parents=True)
    pack_tasks(suite, packed / "1" / DATA)
    divide_model(tmp_path / "m.gguf", packed, most=2)
    assert sorted(path.name for path in packed.iterdir()) == ["1", "2", "3"]
    for part in packed.iterdir():
        assert sum(path.stat().st_size for path in part.iterdir()) <= 2 * 2**20 + 200  # and the manifest
    home = tmp_path / "home"
    home.mkdir()
    assert real_model(home) is None
    assert tasks(home) is None
    for number in (1, 2, 3):
        assert real_model(home) is None  # parts are missing
        keep(packed / str(number), home)
    whole = real_model(home)
    assert whole is not None
    assert whole.name == "m.gguf"
    assert hashlib.sha256(whole.read_bytes()).digest() == hashlib.sha256(content).digest()
    data = tasks(home)
    assert data is not None
    assert sorted(path.name for path in (data / "SUPERNI").iterdir()) == [
        "instructions.json",
        "task1310_b",
        "task195_a",
    ]


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"weights")
    (tmp_path / "carry" / "1").mkdir(parents=True)
    divide_model(tmp_path / "m.gguf", tmp_path / "carry", None)
    (tmp_path / "carry" / "1" / "model.part0").write_bytes(b"weight?")
    (tmp_path / "home").mkdir()
    keep(tmp_path / "carry" / "1", tmp_path / "home")
    assert (tmp_path / "home" / MANIFEST).is_file()
    with pytest.raises(SystemExit, match=r"m.gguf is not what was prepared"):
        real_model(tmp_path / "home")


def test_the_packages_that_are_needed_are_those_the_machine_does_not_have() -> None:
    everything = needed([], "3.12")
    names = {line.split("==")[0] for line in everything}
    assert {
        "unsloth",
        "unsloth_zoo",
        "transformers",
        "peft",
        "trl",
        "bitsandbytes",
        "gguf",
        "tomlkit",
    } <= names
    assert not names & {"torch", "sympy", "pytest", "mkdocs-material", "tomli"}
    fewer = needed(["transformers==5.17.0", "gguf @ file:///x", "# comment", ""], "3.12")
    assert {line.split("==")[0] for line in fewer} == names - {"transformers", "gguf"}


def test_kernels_for_other_cards_are_taken_out_of_a_wheel_and_its_record(tmp_path: Path) -> None:
    wheel = tmp_path / "bitsandbytes-1-py3-none-any.whl"
    files = {
        f"bitsandbytes/libbitsandbytes_{kind}.so": kind for kind in ("cpu", "cuda118", "cuda130", "rocm62")
    }
    files["bitsandbytes/__init__.py"] = ""
    record = "bitsandbytes-1.dist-info/RECORD"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(record, "".join(f"{name},sha256=x,1\n" for name in [*files, record]))
    slim(wheel, "130")
    kept = [name for name in files if "cuda118" not in name and "rocm" not in name]
    with zipfile.ZipFile(wheel) as archive:
        assert sorted(archive.namelist()) == sorted([*kept, record])
        listed = [line.split(",")[0] for line in archive.read(record).decode().splitlines()]
    assert sorted(listed) == sorted([*kept, record])


# --- all of it, tiny


class Forking:
    """In place of the module subprocess: modules run in processes that need not import the libraries."""

    DEVNULL, STDOUT = subprocess.DEVNULL, subprocess.STDOUT

    @staticmethod
    def Popen(command: Sequence[str], *, env: Mapping[str, str], stdout: IO[bytes], **more: Any) -> Any:  # noqa: N802
        if command[1] == "-c":
            return subprocess.Popen(command, env=env, stdout=stdout, **more)
        log = stdout.fileno()
        return Program(command, cwd=ROOT, env=env, out=log, err=log, start_new_session=True)


@pytest.mark.slow
def test_a_tiny_first_contact_on_the_cpu_is_right_and_says_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["machine", "write", "lab-plain", "smoke-plain", "probe-plain"]
    places = [
        "--out",
        str(tmp_path / "out"),
        "--home",
        str(tmp_path / "home"),
        "--models",
        str(tmp_path / "m"),
    ]
    monkeypatch.setattr("sys.argv", ["first_contact", "--tiny", *places, "--only", *wanted])
    monkeypatch.setattr(first_contact_runner, "subprocess", Forking)
    status = first_contact()
    said = capsys.readouterr().out
    assert status == 0, said
    outcomes = json.loads((tmp_path / "out" / RECORD).read_text())
    assert {name: one["state"] for name, one in outcomes.items()} == dict.fromkeys(wanted, "done")
    smoke = json.loads((tmp_path / "out" / "smoke-plain.json").read_text())
    assert smoke["settings"]["loader"] == "transformers"
    assert [check for check in smoke["checks"] if not check["passed"]] == []
    probe = json.loads((tmp_path / "out" / "probe-plain.json").read_text())
    assert {one["name"]: one for one in probe}.keys() >= {"peak", "pack of 512 in 5 groups", "decoding 4"}
    assert [one for one in probe if "error" in one] == []
    assert any(one["name"].startswith("training, pack") and one["tokens/s"] > 0 for one in probe)
    assert json.loads((tmp_path / "out" / "lab-plain" / "results.json").read_text())
    with tarfile.open(tmp_path / "out" / ARCHIVE) as archive:
        assert {"jobs.json", "probe-plain.json", "lab-plain/results.json"} <= set(archive.getnames())
    assert "probe-plain: done" in said
