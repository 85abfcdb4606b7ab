"""What a first contact does, the most valuable first.

Wave 1 finds out whether everything is right, on one card side by side: whole runs of the lab through both
loaders, and the smoke run of a real shape through both, in float32, and with Unsloth's compiled layers. Waves
2 to 4 measure speed, each job with the card to itself. Wave 5 trains a real pretrained model on real tasks:
with padded batches, with packs, and without Unsloth; choices and accuracies must agree up to noise.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.first_contact.runner import Job

# Off by default, and measured once: Unsloth's compilation of decoder layers.
COMPILED = {"UNSLOTH_BLOCK_COMPILE_LEGACY": "auto"}
REAL_TASKS = ["195", "1310"]


@dataclass(frozen=True)
class Place:
    """Where things are, and at which size.

    models: folder for models that are written; shared memory, if there is any
    real: GGUF file of a pretrained model, or None
    data: folder with SUPERNI/, or None: the real model then learns tasks of the lab
    tiny: the same with tiny models, for a CPU
    """

    results: Path
    models: Path
    generated: Path
    real: Path | None
    data: Path | None
    tiny: bool = False

    @property
    def shape(self) -> str:
        return "tiny" if self.tiny else "qwen3-8b"

    @property
    def dtype(self) -> str:
        return "float32" if self.tiny else "bfloat16"


def plan(place: Place) -> list[Job]:
    """All jobs, in the order of their worth."""
    return [*_right(place), *_fast(place), *_real(place)]


def _right(place: Place) -> list[Job]:
    facts = "import platform, sys; print(platform.platform(), sys.version); " + _FACTS
    small = ["sequence.train_examples=16", "sequence.test_examples=4", "paraphrase.count=2"]
    small += ["scoring.score_examples=8", "training.epochs=1"]
    lab = ['sequence.tasks=["stars","mood","oldest"]', *(small if place.tiny else [])]
    write = [*_module("benchmarks.gpu.shapes"), place.shape, str(place.models / place.shape)]
    smoke = [
        ("smoke-unsloth", place.shape, place.dtype, "unsloth", 280),
        ("smoke-plain", place.shape, place.dtype, "transformers", 280),
        ("smoke-float32", "tiny-llama", "float32", "unsloth", 200),
        ("smoke-compiled", "tiny", place.dtype, "unsloth", 250),
    ]
    jobs = [
        Job("machine", [sys.executable, "-c", facts], 60, 1),
        Job("write", write, 120, 1),
        _run(place, "lab-unsloth", 1, 200, ["model.loader=unsloth", *lab]),
        _run(place, "lab-plain", 1, 200, ["model.loader=transformers", *lab]),
    ]
    return jobs + [_smoke(place, *each, after=("write",)) for each in smoke]


def _smoke(
    place: Place, name: str, shape: str, dtype: str, loader: str, limit: float, *, after: tuple[str, ...]
) -> Job:
    # Each has a folder of its own but for the shape that `write` has written: two must not write one.
    folder = place.models / (shape if shape == place.shape and name != "smoke-compiled" else name)
    options = ["--shape", shape, "--dtype", dtype, "--loader", loader, "--folder", str(folder)]
    options += ["--steps", "6", "--micro-batch", "2" if place.tiny else "4"]
    options += ["--json", str(place.results / f"{name}.json"), "--log", str(place.results / f"{name}.log")]
    env = {**_own_cache(place, name), **(COMPILED if name == "smoke-compiled" else {})}
    return Job(name, [*_module("benchmarks.gpu.smoke"), *options], limit, 1, after, env=env)


def _fast(place: Place) -> list[Job]:
    folder = str(place.models / place.shape)
    jobs = []
    # A wave each: what is timed has the card to itself.
    for wave, loader, seconds in ((2, "unsloth", 75), (3, "transformers", 60)):
        name = f"probe-{'plain' if loader == 'transformers' else loader}"
        options = [folder, "--loader", loader, "--seconds", str(seconds), "--dtype", place.dtype]
        options += ["--json", str(place.results / f"{name}.json"), *(["--tiny"] if place.tiny else [])]
        command = [*_module("benchmarks.gpu.probe"), *options]
        jobs.append(Job(name, command, seconds + 60, wave, ("write",), env=_own_cache(place, name)))
    sizes = "--examples 48 --candidates 5 --rounds 1 --races 1 --steps 3".split()
    options = ["--shape", place.shape, "--dtype", place.dtype, "--folder", folder, *sizes]
    options += ["--json", str(place.results / "scoring.json")]
    command = [*_module("benchmarks.gpu.scoring"), *options]
    jobs.append(Job("scoring", command, 150, 4, ("write",), least=50, env=_own_cache(place, "scoring")))
    return jobs


def _real(place: Place) -> list[Job]:
    if place.real is None:
        return []
    settings = [f"model.name={place.real}", "model.max_source_tokens=1024", "paraphrase.backend=builtin"]
    settings += ["paraphrase.count=8", "scoring.score_examples=100", "sequence.train_examples=200"]
    settings += ["sequence.test_examples=60", "training.epochs=2", "training.batch_size=16"]
    settings += ["training.micro_batch_size=16", "training.learning_rate=5e-4", "training.checkpoint_every=0"]
    settings += ["evaluation.batch_size=60", "evaluation.max_new_tokens=16", "model.quantization=nf4"]
    settings += [f"model.dtype={place.dtype}"]
    env: dict[str, str] = {}
    if place.data is None:
        settings += ["sequence.suite=lab", 'sequence.tasks=["stars","mood"]']
    else:
        settings += ["sequence.tasks=[" + ",".join(f'"{task}"' for task in REAL_TASKS) + "]"]
        env = {"SAPO_LITE_DATA": str(place.data)}
    if place.tiny:
        settings += ["sequence.train_examples=8", "sequence.test_examples=2", "scoring.score_examples=4"]
        settings += ["paraphrase.count=2", "training.epochs=1", "training.batch_size=4"]
        settings += ["training.micro_batch_size=4", "evaluation.max_new_tokens=4"]
    ways = {
        "real-dropout": ["adapter.dropout=0.1", "model.loader=unsloth"],
        "real-packed": ["adapter.dropout=0", "model.loader=unsloth"],
        "real-plain": ["adapter.dropout=0", "model.loader=transformers"],
    }
    limit = 1500 if place.tiny else 180  # on a CPU, the model itself is not tiny
    return [
        _run(place, name, 5, limit, [*settings, *own], recipe="ni_seq_c1", env=env)
        for name, own in ways.items()
    ]


def _run(
    place: Place,
    name: str,
    wave: int,
    limit: float,
    settings: Sequence[str],
    *,
    recipe: str = "lab",
    env: Mapping[str, str] | None = None,
) -> Job:
    command = [*_module("sapo_lite"), "run", recipe, "--plain", "--out", str(place.results / name)]
    command += [part for setting in settings for part in ("--set", setting)]
    return Job(name, command, limit, wave, env={**_own_cache(place, name), **(env or {})})


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


def _own_cache(place: Place, name: str) -> dict[str, str]:
    """Unsloth writes generated code where it is told to: jobs side by side must not share that place."""
    return {"UNSLOTH_COMPILE_LOCATION": str(place.generated / name)}


# Every line by itself: a tool that is missing leaves out its own alone.
_FACTS = """
import subprocess
for command in ("nvidia-smi", "nvcc --version", "df -h /dev/shm /tmp", "free -g", "nproc",
                sys.executable + " -m pip list", sys.executable + " -m bitsandbytes"):
    print("$", command, flush=True)
    try:
        subprocess.run(command.split(), stderr=subprocess.STDOUT, timeout=25)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(error)
"""
