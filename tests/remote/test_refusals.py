import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost import errors
from hitchpost.remote import ServerError, find_server_error, server_words
from hitchpost.remote.refusals import error_in_body, refusal, retry_after_s
from hitchpost.remote.retries import LONGEST_DELAY_S, retry_delay_s


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.UnauthenticatedError),
        (402, errors.PermissionDeniedError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (408, errors.DeadlineExceededError),
        (409, errors.ConflictError),
        (413, errors.RequestTooLargeError),
        (418, errors.BadRequestError),
        (422, errors.BadRequestError),
        (429, errors.RateLimitedError),
        (500, errors.BadBackendAnswerError),
        (501, errors.UnsupportedError),
        (502, errors.BackendUnavailableError),
        (503, errors.BackendUnavailableError),
        (504, errors.DeadlineExceededError),
        (529, errors.OverloadedError),
        (599, errors.BackendUnavailableError),
        (302, errors.BadBackendAnswerError),
        (204, errors.BadBackendAnswerError),
    ],
)
def test_status_means_an_error(status: int, kind: type[errors.HitchpostError]) -> None:
    assert type(refusal("Acme", status, ServerError("no"), what="/x")) is kind


@pytest.mark.parametrize(
    "error",
    [
        ServerError("no", code="context_length_exceeded"),
        ServerError("no", code="400", kind="exceed_context_size_error"),
        ServerError(
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens", code="400"
        ),
        ServerError("The decoder prompt (length 5012) is longer than the maximum model length of 2048", code="400"),
        ServerError("The input (5012 tokens) is longer than the model's context length (2048 tokens).", code="400"),
        ServerError("the request exceeds the available context size, try increasing it"),
        ServerError("the input length exceeds the context length"),
        ServerError("prompt is too long: 213462 tokens > 200000 maximum"),
    ],
    ids=lambda error: error.kind or error.code + error.message[:20],
)
def test_prompt_that_is_too_long_is_told_from_other_wrong_requests(error: ServerError) -> None:
    assert type(refusal("Acme", 400, error)) is errors.ContextLengthExceededError
    assert type(refusal("Acme", 429, error)) is errors.RateLimitedError


def test_missing_route_blames_the_url() -> None:
    error = refusal("Acme", 404, None, what="/v1/chat")

    assert type(error) is errors.BadBackendAnswerError
    assert "has no /v1/chat" in error.message


def test_spent_quota_is_not_to_be_tried_again() -> None:
    error = refusal("Acme", 429, ServerError("pay", code="insufficient_quota"))

    assert type(error) is errors.PermissionDeniedError


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"error": {"message": "no", "code": 400, "type": "X", "param": "n"}}, ServerError("no", "400", "n", "X")),
        ({"error": "no", "error_type": "validation"}, ServerError("no", kind="validation")),
        ({"error": {"code": 1}}, ServerError("an error that it says nothing of", "1")),
        ({"error": True}, ServerError("an error that it says nothing of")),
        ({"object": "error", "message": "no", "code": 404}, ServerError("no", "404")),
        ({"detail": "no"}, ServerError("no")),
        ({"detail": [{"loc": ["body", 0], "msg": "no"}]}, ServerError("body.0: no")),
        ({"detail": [{"loc": True, "msg": "no"}]}, ServerError("no")),
        ({"message": "no"}, ServerError("no")),
        ({"message": "no", "choices": []}, None),
        ({"error": None, "choices": []}, None),
        ([], None),
        ("error", None),
    ],
)
def test_error_is_read_in_every_form(answer: object, expected: ServerError | None) -> None:
    assert find_server_error(answer) == expected


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "detail", "message", "code", "msg", "loc"]), inner),
    )
)  # fmt: skip
def test_no_answer_breaks_the_reading_of_errors(answer: object) -> None:
    error = find_server_error(answer)

    assert error is None or refusal("Acme", error.likely_status, error, what="/x").message


@given(st.binary())
def test_no_body_breaks_the_reading_of_errors(body: bytes) -> None:
    error_in_body(body)


@given(st.text())
def test_quoted_words_are_short_and_in_one_line(text: str) -> None:
    words = server_words(text)

    assert len(words) <= 301
    assert words.isprintable()


@pytest.mark.parametrize(
    "secret",
    ["sk-proj-abcdef123456", "hf_abcdefghijk", "sk-ab***********xyz", "Bearer xyzzy", "/usr/lib/python3/site.py"],
)
def test_quoted_words_hold_no_keys_and_no_paths(secret: str) -> None:
    words = server_words(f"Incorrect API key provided: {secret}. See the docs")

    assert secret.split()[-1] not in words
    assert words.startswith("Incorrect API key provided: …")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"Retry-After": "Sat, 01 Jan 2028 00:00:30 GMT"}, 30.0),
        ({"Retry-After": "Sat, 01 Jan 2020 00:00:00 GMT"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "99999999"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_wish_to_be_asked_again(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers, dt.datetime(2028, 1, 1, tzinfo=dt.UTC)) == expected


@given(st.integers(1, 10), st.floats(0, 1))
def test_delay_grows_with_jitter_and_is_bounded(attempt: int, chance: float) -> None:
    delay = retry_delay_s(attempt, None, None, chance)

    if 0.2 * 2 ** (attempt - 1) <= LONGEST_DELAY_S:
        assert delay is not None
        assert 0.1 * 2 ** (attempt - 1) <= delay <= 0.2 * 2 ** (attempt - 1)


@given(st.floats(0, 100), st.floats(0, 1))
def test_server_is_never_asked_before_the_moment_that_it_names(wanted: float, chance: float) -> None:
    delay = retry_delay_s(1, wanted, None, chance)

    assert delay is None if wanted > LONGEST_DELAY_S else delay is None or delay >= wanted


def test_no_retry_would_end_after_the_deadline() -> None:
    assert retry_delay_s(1, 2.0, 1.0, 0.0) is None
