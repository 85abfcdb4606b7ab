"""What is wrong with the files of a stage: damaged, edited, exchanged or missing ones."""

from sapo_lite.run import paths
from sapo_lite.run.folder import USAGE
from sapo_lite.run.stage_folder import Stage
from sapo_lite.support.checked_json import is_whole
from sapo_lite.support.checksums import NAME as SUMS
from sapo_lite.support.checksums import changed_file
from sapo_lite.support.files import sha256

OTHER, MISSING = "is not as the run wrote it", "is missing"


def faults(stage: Stage) -> dict[str, str]:
    """What is wrong with the files of a stage, by path in its folder."""
    found = {
        file.relative_to(stage.path).as_posix(): OTHER
        for file in stage.cached_files()
        if not is_whole(file, stage.place_of(file.relative_to(stage.path).with_suffix("").as_posix()))
    }
    if stage.has(USAGE) and not is_whole(stage.file(USAGE), stage.place_of(USAGE)):
        found[paths.USAGE] = OTHER
    if stage.adapter.exists() and (file := changed_file(stage.adapter, stage.place)):
        found[paths.ADAPTER] = f"{OTHER} ({file})"
    if not stage.done:
        return found
    if not is_whole(stage.path / paths.STAGE, stage.place_of(paths.STAGE)):
        return found | {paths.STAGE: OTHER}
    for name, digest in stage.record.files.items():
        path = stage.path / name
        if not path.exists() or sha256(path) != digest:
            found.setdefault(name.removesuffix(f"/{SUMS}"), OTHER if path.exists() else MISSING)
    return found
