"""Wheels for another machine: the packages that sapo-lite needs there, in the versions that are here."""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
# Added without what they ask for, as docs/install.md says: most of that is for other uses.
UNSLOTH = ("unsloth==2026.10.9", "unsloth_zoo==2026.10.9")
# Parts of wheels that no run loads: Unsloth's web studio.
UNUSED = ("studio/", "unsloth_cli/")
PLATFORMS = (
    "manylinux_2_34",
    "manylinux_2_28",
    "manylinux_2_27",
    "manylinux_2_17",
    "manylinux2014",
    "manylinux1",
)


def needed(there: Iterable[str], python: str) -> list[str]:
    """Packages with their versions here that sapo-lite needs and the machine does not have.

    there: lines of `pip freeze`, or names; torch and what it needs is always taken to be there
    python: of that machine, such as "3.12"
    """
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    have: set[str] = {canonicalize_name(name) for line in there if (name := _name(line))}
    have |= {"triton"} | _closure(["torch"], environment, set())  # a CPU's build does not ask for triton
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = _closure(project["dependencies"], environment, have)
    return [*UNSLOTH, *(f"{name}=={metadata.version(name)}" for name in sorted(wanted))]


def _name(line: str) -> str:
    return line.split("==")[0].split(" @ ")[0].split("[")[0].strip().lstrip("#").strip()


def _closure(requirements: Iterable[str], environment: dict[str, str], without: set[str]) -> set[str]:
    """Names of the packages that these requirements ask for, directly or not."""
    found: set[str] = set()
    todo = list(requirements)
    while todo:
        requirement = Requirement(todo.pop())
        name = canonicalize_name(requirement.name)
        if name in found or name in without:
            continue
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        try:
            todo += metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # of another machine's build of torch
            continue
        found.add(name)
    return found


def download(folder: Path, requirements: Iterable[str], python: str, cuda: str) -> None:
    """Download the wheels, and take out of them what no run loads there."""
    platforms = [part for platform in PLATFORMS for part in ("--platform", f"{platform}_x86_64")]
    for requirement in requirements:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        binary = ["--only-binary=:all:", "--python-version", python, "--implementation", "cp", *platforms]
        if subprocess.run([*command, *binary, requirement], capture_output=True).returncode:
            # Published as source alone: a wheel of pure Python is the same everywhere.
            build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
            subprocess.run([*build, requirement], check=True)
    for wheel in folder.glob("*.whl"):
        slim(wheel, cuda)


def slim(wheel: Path, cuda: str) -> None:
    """Rewrite a wheel without what no run loads: bitsandbytes' kernels for other cards, Unsloth's studio."""

    def unused(name: str) -> bool:
        if wheel.name.startswith("bitsandbytes"):
            library = name.rsplit("/", 1)[-1]
            kept = (f"libbitsandbytes_cuda{cuda}.", "libbitsandbytes_cpu.")
            return library.startswith("libbitsandbytes_") and not library.startswith(kept)
        return wheel.name.startswith("unsloth") and any(part in name for part in UNUSED)

    fresh = wheel.with_suffix(".new")
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as target:
        names = [name for name in source.namelist() if ".dist-info/" in name or not unused(name)]
        for name in names:
            content = source.read(name)
            if name.endswith(".dist-info/RECORD"):  # pip refuses files that are listed and not there
                rows = content.decode().splitlines()
                content = "".join(f"{row}\n" for row in rows if row.split(",")[0] in names).encode()
            target.writestr(source.getinfo(name), content)
    fresh.replace(wheel)
