"""No name in a suite leaves the suite's folder, by a path or by a link, and no name runs code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sapo_lite.data.tasks import load_dev, load_sequence
from sapo_lite.errors import DataError
from sapo_lite.recipe import SequenceConfig
from sapo_lite.run.data_check import suite_of
from sapo_lite.types import Task

ROWS = [{"sentence": f"a {n}", "label": "yes" if n % 2 else "no"} for n in range(8)]
ENTRY = {"instruction": "Say yes or no.", "suffix": "", "labels": ["yes", "no"]}


def put_task(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (folder / f"{split}.json").write_text(json.dumps(ROWS), encoding="utf-8")
    return folder


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    """A folder with the suite `mine`, of the task `good`, beside data that are none of its business."""
    put_task(tmp_path / "suites" / "mine" / "good")
    put_task(tmp_path / "suites" / "other")
    put_task(tmp_path / "outside")
    return tmp_path / "suites"


def load(suites: Path, task: str, **entry: Any) -> Task:
    index = json.dumps({task: {**ENTRY, **entry}})
    (suites / "mine" / "instructions.json").write_text(index, encoding="utf-8")
    sequence = SequenceConfig(suite="mine", tasks=(task,), train_examples=8, test_examples=8)
    (loaded,) = load_sequence(sequence, suites)
    load_dev(sequence, loaded, suites)
    return loaded


def refused(suites: Path, task: str, **entry: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(suites, task, **entry)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["../other", "good/../../other", "good/../good", ".", "..", "good/", "n" * 300]
)
def test_the_name_of_a_task_is_that_of_a_folder_in_the_suite(suites: Path, name: str) -> None:
    said = refused(suites, name)
    assert ": expected the name of a folder of at most 255 bytes in the suite. Rename the task." in said
    assert said.startswith(f"{suites / 'mine' / 'instructions.json'}, task ")


def test_an_absolute_path_is_no_name(suites: Path) -> None:
    assert "Rename the task." in refused(suites, str(suites.parent / "outside"))


@pytest.mark.parametrize("name", ["../mine", "a/b", "/etc", ".."])
def test_the_name_of_a_suite_is_that_of_a_folder(suites: Path, name: str) -> None:
    with pytest.raises(
        DataError, match=r"^sequence\.suite: expected the name of a folder of at most 255 bytes, found "
    ):
        load_sequence(SequenceConfig(suite=name, tasks=("good",)), suites)


@pytest.mark.parametrize("linked", ["good", "good/train.json", "good/dev.json", "good/test.json"])
def test_a_link_out_of_the_suite_is_refused_with_its_target(suites: Path, linked: str) -> None:
    path, outside = suites / "mine" / linked, suites.parent / "outside"
    target = outside if linked == "good" else outside / path.name
    path.rename(suites / "before")
    path.symlink_to(target)
    said = re.escape(f"{path}: expected data in the suite's folder, found a link to {target}. Copy the data")
    assert re.search(said, refused(suites, "good"))


def test_an_index_that_is_a_link_out_of_the_suite_is_refused(suites: Path) -> None:
    load(suites, "good")
    (suites / "mine" / "instructions.json").rename(suites.parent / "index.json")
    (suites / "mine" / "instructions.json").symlink_to(suites.parent / "index.json")
    with pytest.raises(DataError, match="found a link to"):
        load_sequence(SequenceConfig(suite="mine", tasks=("good",)), suites)


def test_a_task_may_lie_in_a_folder_of_the_suite(suites: Path) -> None:
    put_task(suites / "mine" / "en" / "mood")
    assert load(suites, "en/mood").id == "en/mood"


def test_links_within_a_suite_and_to_a_whole_suite_are_followed(suites: Path) -> None:
    (suites / "mine" / "again").symlink_to("good")
    assert len(load(suites, "again").train) == 8
    (suites.parent / "elsewhere").mkdir()
    (suites.parent / "elsewhere" / "mine").symlink_to(suites / "mine")
    assert len(load(suites.parent / "elsewhere", "good").train) == 8


def test_a_check_of_a_folder_counts_a_task_of_another_path_as_missing(suites: Path) -> None:
    entries = dict.fromkeys(["good", "../other", "n" * 300], ENTRY)
    (suites / "mine" / "instructions.json").write_text(json.dumps(entries), encoding="utf-8")
    sequence, _, missing = suite_of(suites / "mine")
    assert (sequence.tasks, missing) == (("good",), ["../other", "n" * 300])


@pytest.mark.parametrize("metric", ["timeit:timeit", "mine:score", "/tmp/evil:score"])
def test_data_cannot_name_code(suites: Path, metric: str) -> None:
    said = refused(suites, "good", metric=metric)
    assert f'expected the name of a metric as "metric", found "{metric}". Data cannot name code' in said


@pytest.mark.parametrize("name", ["a\x1bb", "a\u202eb", "a\x9bb", "a\u200bb", "half \ud83d"])
def test_a_name_that_acts_or_hides_is_not_used_for_files(suites: Path, name: str) -> None:
    from sapo_lite.data.task_keys import task_keys

    (key,) = task_keys([name])
    assert re.fullmatch(r"[A-Za-z0-9-]+", key)
