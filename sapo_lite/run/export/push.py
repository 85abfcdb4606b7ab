"""Upload of an export to the Hugging Face hub. Nothing else in sapo-lite uploads anything."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from sapo_lite.errors import SapoLiteError
from sapo_lite.model.files import reason_of
from sapo_lite.support.offline import ASKED, is_offline


def require_push(name: str) -> None:
    """Check what an upload needs, before any work is done. Nothing connects.

    Raises:
        SapoLiteError: work is offline, there is no token, or the name is none of a repository.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise SapoLiteError(f"--push {name}: expected OWNER/NAME, the name of a repository of the hub")
    if is_offline():
        raise SapoLiteError(f"--push {name} uploads, and {ASKED} forbids that. Leave one of them out.")
    from huggingface_hub import get_token

    if get_token() is None:
        raise SapoLiteError(
            f"--push {name}: expected a token of the Hugging Face hub, found none. Run `hf auth login`, or "
            "set HF_TOKEN."
        )


def push(folder: Path, name: str) -> str:
    """Upload a folder to a repository of the hub, which is made if it is not there, as a private one.

    Returns its address.

    Raises:
        SapoLiteError: the hub refuses it or is not reached.
    """
    from huggingface_hub import HfApi

    with _online():
        try:
            api = HfApi()
            address = api.create_repo(name, private=True, exist_ok=True)
            api.upload_folder(repo_id=name, folder_path=folder, commit_message="Export of sapo-lite")
        except Exception as error:  # of the network, or of the hub
            raise SapoLiteError(
                f"--push {name}: {reason_of(error)}. The export is in {folder}: "
                f"`hf upload {name} {folder}` uploads it, too."
            ) from error
    return str(address)


@contextlib.contextmanager
def _online() -> Iterator[None]:
    """Context in which the client of the hub connects; loading a model has switched it off."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
