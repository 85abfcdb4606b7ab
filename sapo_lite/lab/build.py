"""Write the lab's tasks to disk in the published layout: `python -m sapo_lite.lab.build [DIR]`.

    DIR/instructions.json                  task -> instruction, suffix, labels, size
    DIR/<task>/{train,dev,test}.json       lists of {"sentence": input, "label": answer}

DIR is `data/lab` by default. The files depend only on this package's code: building twice writes the same
bytes, one row a line, so that a change gives a readable diff.

No input of a split occurs in an earlier one (train, then dev, then test); within a split an input
may repeat.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.wordings import SUFFIX, original
from sapo_lite.lab.world import examples
from sapo_lite.support.shipped import shipped
from sapo_lite.types import Example

SIZES = {"train": 400, "dev": 50, "test": 200}


def splits(task: str) -> dict[str, list[Example]]:
    """The examples of a task by split; later splits avoid the inputs of earlier ones."""
    taken: set[str] = set()
    drawn = {}
    for split, size in SIZES.items():
        drawn[split] = examples(task, size, seed=split, avoid=taken)
        taken.update(example.input for example in drawn[split])
    return drawn


def files() -> dict[str, str]:
    """Every file of the lab: path relative to its folder -> text."""
    texts = {"instructions.json": _instructions()}
    for task in TASKS:
        for split, rows in splits(task).items():
            lines = [_json({"sentence": row.input, "label": row.answer}) for row in rows]
            texts[f"{task}/{split}.json"] = "[\n" + ",\n".join(lines) + "\n]\n"
    return texts


def write(folder: Path) -> None:
    """Write all files under a folder; existing files are replaced."""
    for relative, text in files().items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, write the files, and print where."""
    parser = argparse.ArgumentParser(
        prog="python -m sapo_lite.lab.build", description="Write the lab's tasks."
    )
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=shipped("data") / "lab")
    folder = parser.parse_args(argv).folder
    write(folder)
    print(f"Wrote {len(TASKS)} tasks to {folder}")


def _instructions() -> str:
    entries = [
        f"{_json(name)}: "
        + _json(
            {
                "instruction": original(name),
                "suffix": SUFFIX,
                "labels": list(task.labels),
                "size": list(SIZES.values()),
            }
        )
        for name, task in TASKS.items()
    ]
    return "{\n" + ",\n".join(entries) + "\n}\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    main()
