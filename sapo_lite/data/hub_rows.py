"""Rows of data sets on the Hugging Face hub, through the library `datasets`."""

from typing import Any

from sapo_lite.data.readers import Row
from sapo_lite.errors import DataError
from sapo_lite.support.messages import one_of, quoted
from sapo_lite.support.offline import ASKED, is_offline, keep_hub_offline

PREFIX = "hf:"


def hub_rows(reference: str, split: str) -> list[Row]:
    """All rows of `hf:NAME`, `hf:NAME:CONFIG` or `hf:NAME:CONFIG#SPLIT`; numbered labels get their names.

    split: the split to read if the reference names none, and the data set has it or only one

    Raises:
        DataError: the data set cannot be loaded, or has no such split.
    """
    name, _, wanted = reference.removeprefix(PREFIX).partition("#")
    name, _, config = name.partition(":")
    splits = _load(reference, name, config or None)
    chosen = wanted or (split if split in splits or len(splits) != 1 else next(iter(splits)))
    if chosen not in splits:
        raise DataError(
            f"{reference}: expected a split {quoted(chosen)}, found {one_of(map(quoted, splits))}. "
            f"Name the one you mean: {reference.partition('#')[0]}#{next(iter(splits))}"
        )
    data = splits[chosen]
    if not len(data):
        raise DataError(f"{reference}, {chosen}: expected at least one example, found none")
    named = {column: kind for column, kind in data.features.items() if hasattr(kind, "int2str")}
    return [
        (
            f"{reference}, {chosen}, row {number}",
            {column: _value(value, named.get(column)) for column, value in row.items()},
        )
        for number, row in enumerate(data, start=1)
    ]


def _value(value: object, names: Any) -> object:
    """The name of a label that is stored as a number; -1 means that the row has none."""
    if names is None or not isinstance(value, int):
        return value
    return names.int2str(value) if value >= 0 else None


def _load(reference: str, name: str, config: str | None) -> Any:
    """The splits of a data set by name."""
    keep_hub_offline()
    try:
        import datasets
    except ImportError:
        raise DataError(f"{reference}: needs the library datasets: pip install datasets") from None
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(name, config)
    except Exception as error:  # of the network, of the hub, of pyarrow
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if is_offline():
            raise DataError(
                f"{reference}: the data set is not in the cache ({reason}), and {ASKED} forbids to fetch it. "
                "Load it once without, or download its files and name one of them instead."
            ) from None
        raise DataError(
            f"{reference}: the data set could not be loaded ({reason}). Check its name, and go online once: "
            "it is read from the cache then. Or download its files and name one of them instead."
        ) from None
