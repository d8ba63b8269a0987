import time

import pytest
from pydantic import BaseModel

from hitchpost.api import RequestContext


class Keys(BaseModel):
    api_key: str


@pytest.mark.parametrize(("in_s", "low", "high"), [(5.0, 4.0, 5.0), (-5.0, 0.0, 0.0)])
def test_remaining_time_is_never_negative(in_s: float, low: float, high: float) -> None:
    remaining = RequestContext(request_id="r", deadline=time.monotonic() + in_s).remaining_s()

    assert remaining is not None
    assert low <= remaining <= high


def test_without_a_deadline_there_is_no_remaining_time() -> None:
    assert RequestContext(request_id="r").remaining_s() is None


def test_printed_context_shows_no_keys() -> None:
    context = RequestContext(
        request_id="r", provider_data=Keys(api_key="sk-secret"), raw_provider_data={"api_key": "sk-secret"}
    )

    assert "sk-secret" not in repr(context)
