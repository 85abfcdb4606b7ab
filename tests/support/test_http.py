"""What all HTTP clients share."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from sapo_lite.support.http import is_here, retry_after


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:11434", True),
        ("http://localhost:8000/v1", True),
        ("http://LOCALHOST/v1", True),
        ("http://[::1]:11434", True),
        ("http://0.0.0.0:8000/v1", True),
        ("http://127.0.1.1:8000", True),
        ("http://gpu-box:11434", False),
        ("https://api.openai.com/v1", False),
        ("http://10.0.0.1:8000", False),
    ],
)
def test_which_servers_are_on_this_machine(url: str, here: bool) -> None:
    assert is_here(url) is here


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("2", 2.0),
        ("0.5", 0.5),
        ("-1", 0.0),
        ("inf", math.inf),
        ("nan", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
    ],
)
def test_the_pause_that_a_server_asks_for(header: str | None, seconds: float) -> None:
    assert retry_after(header) == seconds


def test_a_pause_may_end_at_a_date() -> None:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    assert 3500 < retry_after(format_datetime(in_an_hour, usegmt=True)) <= 3600
