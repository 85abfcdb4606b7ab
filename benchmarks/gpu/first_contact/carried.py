"""What `prepare` has made, on the other machine: wheels, a real model in parts, and tasks.

Each command may bring another folder; the parts are kept until all are there.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

MANIFEST, WHEELS, DATA, PART = "manifest.json", "wheels", "data.tgz", "model.part"


def keep(carried: Path, home: Path) -> None:
    """Copy what a command has brought to where it is kept."""
    (home / WHEELS).mkdir(parents=True, exist_ok=True)
    for path in carried.rglob("*"):
        if path.suffix == ".whl":
            shutil.copy(path, home / WHEELS)
        elif path.is_file():
            shutil.copy(path, home)


def install_wheels(home: Path) -> Path | None:
    """Install the wheels beside the machine's own packages, once: the folder for the path of imports."""
    wheels, site = sorted((home / WHEELS).glob("*.whl")), home / "site"
    if not wheels:
        return None
    if not site.is_dir():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            "--no-compile",
        ]
        fresh = site.with_name("site.new")  # whole, or not there
        shutil.rmtree(fresh, ignore_errors=True)
        subprocess.run([*command, "--no-compile", "--target", str(fresh), *map(str, wheels)], check=True)
        fresh.rename(site)
    return site


def real_model(home: Path) -> Path | None:
    """The GGUF file, put together once all its parts are there and it is as it was."""
    manifest = home / MANIFEST
    if not manifest.is_file():
        return None
    wanted = json.loads(manifest.read_text(encoding="utf-8"))
    if "model" not in wanted:
        return None
    whole = home / str(wanted["model"])
    if not whole.is_file():
        parts = [home / f"{PART}{number}" for number in range(wanted["parts"])]
        if not all(part.is_file() for part in parts):
            return None
        content = b"".join(part.read_bytes() for part in parts)
        if hashlib.sha256(content).hexdigest() != wanted["sha256"]:
            raise SystemExit(f"{whole.name} is not what was prepared: its parts in {home} are damaged")
        fresh = whole.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.rename(whole)
    return whole


def tasks(home: Path) -> Path | None:
    """Folder with the tasks' data, unpacked once."""
    packed, folder = home / DATA, home / "data"
    if not packed.is_file():
        return None
    if not folder.is_dir():
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
    return folder
