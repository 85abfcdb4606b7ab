"""Folders on disk: links that lead out of a run, and weights that can be read like the files beside them."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sapo_lite.errors import RunFolderError
from sapo_lite.run.paths import pools
from sapo_lite.support.folders import is_inside, share_weights


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_weights_have_the_rights_of_the_json_beside_them(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        save_file({"a": torch.zeros(2)}, tmp_path / "adapter_model.safetensors")
        (tmp_path / "adapter_config.json").write_text("{}")
        share_weights(tmp_path)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o666 & ~mask}


def test_candidates_that_are_a_link_out_of_the_run_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    own = tmp_path / "run" / "candidates"
    own.mkdir(parents=True)
    (own / "mood.json").write_text("{}")
    assert pools(tmp_path / "run") == [own / "mood.json"]
    (own / "stars.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(RunFolderError, match=r"expected a file in the run folder, found a link to .*secret"):
        pools(tmp_path / "run")


def test_a_link_is_inside_if_its_target_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "up").symlink_to("..")
    assert is_inside(tmp_path, tmp_path / "b")
    assert not is_inside(tmp_path, tmp_path / "up" / "x")
