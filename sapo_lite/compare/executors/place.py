"""Where the cells of a comparison run, as `--on` names it: on this machine, on Ray, or on Slurm."""

import ast
from dataclasses import dataclass, field
from typing import Any, Literal

from sapo_lite.errors import SapoLiteError
from sapo_lite.support.messages import quoted

EXPECTED = "local, ray, ray://HOST:PORT, slurm, or slurm:KEY=VALUE,... with parameters of submitit"


@dataclass(frozen=True)
class Place:
    """address: of a Ray cluster, "" for that of this machine; parameters and cluster: of submitit."""

    kind: Literal["local", "ray", "slurm"] = "local"
    address: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    cluster: Literal["slurm", "local"] = "slurm"


def read_place(text: str) -> Place:
    """Read the value of `--on`. Raises SapoLiteError if it names no place."""
    kind, _, rest = text.partition(":")
    if text == "local":
        return Place()
    if text == "ray" or (kind == "ray" and rest.startswith("//") and ":" in rest):
        return Place("ray", address=rest.removeprefix("//"))
    if text == "slurm":
        return Place("slurm")
    if kind == "slurm" and rest and all(part.partition("=")[2] for part in rest.split(",")):
        pairs = (part.partition("=") for part in rest.split(","))
        return Place("slurm", parameters={key.strip(): _value(value) for key, _, value in pairs})
    raise SapoLiteError(f"--on: expected {EXPECTED}, found {quoted(text)}")


def _value(text: str) -> Any:
    """A number where it is one, else the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
