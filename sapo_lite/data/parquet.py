"""Rows of Parquet files."""

from pathlib import Path

from sapo_lite.data.text_files import Notify
from sapo_lite.errors import DataError
from sapo_lite.support.messages import quoted


def parquet_rows(path: Path, notify: Notify) -> list[tuple[str, object]]:
    """(place, values by column name) of every row.

    Raises:
        DataError: the file cannot be read, or has a column name twice.
    """
    import pyarrow  # half a second, which files of text do not need
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path).read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: expected a Parquet file: {str(error).splitlines()[0]}") from None
    names = table.column_names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{path}: expected different column names, found {quoted(twice)} twice")
    return [(f"{path}, row {number}", row) for number, row in enumerate(table.to_pylist(), start=1)]
