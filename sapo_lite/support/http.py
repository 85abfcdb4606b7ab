"""HTTP, as far as all clients share it: addresses on this machine, failures that pass, pauses asked for."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

# Statuses of a server that may answer when it is asked again. 520 to 529 come from proxies in front of one.
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, *range(520, 530)})


def is_here(url: str) -> bool:
    """Whether a server is on this machine: then proxies of the environment are not used."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def retry_after(header: str | None) -> float:
    """Seconds that a server asks to wait, from `Retry-After` (a number or a date); 0 if it asks for none."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
