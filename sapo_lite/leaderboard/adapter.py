"""Loading of an adapter that a command line names: its files are checked, then PEFT puts it on a model."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from sapo_lite.errors import BackboneError
from sapo_lite.model.files import reason_of
from sapo_lite.recipe.values import HIGHEST_RANK
from sapo_lite.support.messages import many, quoted
from sapo_lite.support.strict_json import loads

CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_PICKLED = "adapter_model.bin"
_SECONDS = 5
# What PEFT does with patterns; those that are none are PEFT's to refuse.
_TRIAL = "import json, re, sys; p, n = json.load(sys.stdin); [re.fullmatch(a, b) for a in p for b in n]"
_FLOATS = ("F64", "F32", "F16", "BF16")


def with_adapter(model: Any, folder: Path, name: str) -> Any:
    """The model, called `name` in messages, with the adapter of a folder.

    Raises:
        BackboneError: the folder's files are damaged, or of an adapter for another model.
    """
    from peft import PeftModel

    config = adapter_config(folder)
    held = _tensors(folder)
    if config.get("megatron_config"):  # PEFT would import a module that the file names
        raise _refused(folder, name, "expected an adapter of PEFT's own layers, found megatron_config")
    _check_ranks(config, folder, name)
    _check_patterns(config, [layer for layer, _ in model.named_modules()], folder, name)
    try:
        with warnings.catch_warnings():
            # An adapter of another model would be used with weights that it does not have.
            warnings.filterwarnings("error", message=".*missing adapter keys")
            loaded = PeftModel.from_pretrained(model, folder)
        _check_tensors(loaded, held, folder, name)
    except BackboneError:
        raise
    except Exception as error:  # any: it may need a package, or be no file of weights
        raise _refused(folder, name, reason_of(error)) from error
    return loaded


def adapter_config(folder: Path) -> dict[str, Any]:
    """The settings of an adapter. Raises BackboneError if they cannot be read as a table."""
    file = folder / CONFIG
    try:
        found = loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BackboneError(f"--adapter {file}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # also of bytes that are not UTF-8
        raise BackboneError(
            f"--adapter {file}: expected settings in JSON, found other text ({error})"
        ) from None
    if not isinstance(found, dict):
        raise BackboneError(f"--adapter {file}: expected a table of settings, found {quoted(found)}")
    return found


def _refused(folder: Path, name: str, reason: str) -> BackboneError:
    return BackboneError(f"--adapter {folder}: cannot be put on {name}: {reason}")


def _check_ranks(config: dict[str, Any], folder: Path, name: str) -> None:
    """Raises BackboneError for a rank that PEFT would fail on, or allocate memory for without end."""
    patterns = config.get("rank_pattern") or {}
    ranks = [config.get("r", 1), *(patterns.values() if isinstance(patterns, dict) else [patterns])]
    for rank in ranks:
        if type(rank) is not int or not 1 <= rank <= HIGHEST_RANK:
            expected = f"expected a rank from 1 to {HIGHEST_RANK:,} in {CONFIG}"
            raise _refused(folder, name, f"{expected}, found {quoted(rank)}")


def _check_patterns(config: dict[str, Any], layers: list[str], folder: Path, name: str) -> None:
    """Raises BackboneError for names of layers in a regular expression that takes for ever to match.

    They are tried in another process: `re` cannot be interrupted.
    """
    texts = [
        text for key in ("target_modules", "exclude_modules") if isinstance(text := config.get(key), str)
    ]
    tables = [
        table for key in ("rank_pattern", "alpha_pattern") if isinstance(table := config.get(key), dict)
    ]
    if patterns := [*texts, *(rf"(.*\.)?({key})$" for table in tables for key in table)]:
        trial = [sys.executable, "-I", "-c", _TRIAL]
        try:
            given = json.dumps([patterns, layers])
            subprocess.run(
                trial, input=given, text=True, stderr=subprocess.DEVNULL, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            expected = f"expected patterns of layers that match in {_SECONDS} seconds in {CONFIG}"
            raise _refused(folder, name, f"{expected}, found {quoted(patterns)}") from None


def _tensors(folder: Path) -> list[str]:
    """Names of the adapter's tensors; none of a pickled file, which PEFT reads without running it.

    Raises:
        BackboneError: the weights are missing, damaged, or no floating-point numbers.
    """
    from safetensors import SafetensorError, safe_open

    file = folder / _WEIGHTS
    if not file.is_file():
        if (folder / _PICKLED).is_file():
            return []
        raise BackboneError(f"--adapter {folder}: expected {_WEIGHTS} beside {CONFIG}, found none")
    try:
        with safe_open(file, framework="pt") as opened:
            kinds = {name: opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BackboneError(
            f"--adapter {file}: expected an adapter's weights, found a damaged file ({error}). Copy it again."
        ) from None
    if odd := next((name for name, kind in kinds.items() if kind not in _FLOATS), None):
        raise BackboneError(
            f"--adapter {file}: expected numbers of {', '.join(_FLOATS)}, found {kinds[odd]} in {odd}"
        )
    return list(kinds)


def _check_tensors(loaded: Any, held: list[str], folder: Path, name: str) -> None:
    """Raises BackboneError for weights without a place in the model (PEFT leaves them out) or not finite."""
    from peft import get_peft_model_state_dict

    found = get_peft_model_state_dict(loaded, save_embedding_layers=False)
    if left := [tensor for tensor in held if tensor not in {*found, *loaded.state_dict()}]:
        what = f"{many(len(left), 'tensor')} without a place in it, such as {left[0]}"
        raise _refused(folder, name, f"expected an adapter of this model, found {what}")
    if odd := next((tensor for tensor, values in found.items() if not values.isfinite().all()), None):
        raise _refused(folder, name, f"expected finite weights, found NaN or infinity in {odd}")
