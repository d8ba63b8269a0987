"""`hitchpost.errors`, whose table of statuses `tests/house` compares with the documentation."""

import pytest

from hitchpost import errors
from hitchpost.errors import BackendUnavailableError, ConfigError, HitchpostError, PluginError, quoted

CLASSES = [kind for name in errors.__all__ if isinstance(kind := getattr(errors, name), type)]


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not PluginError], ids=lambda kind: kind.__name__)
def test_error_says_its_message_and_is_of_the_tree(kind: type[HitchpostError]) -> None:
    error = kind("what was wrong")

    assert isinstance(error, HitchpostError)
    assert (error.message, str(error)) == ("what was wrong", "what was wrong")
    assert (error.param, error.provider_id, error.retry_after_s) == (None, None, None)


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in CLASSES if kind not in (HitchpostError, errors.ProviderDefectError)]

    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_only_passing_troubles_are_worth_a_retry(kind: type[HitchpostError]) -> None:
    passing = (errors.RateLimitedError, errors.OverloadedError, BackendUnavailableError)

    assert kind.is_retryable is (kind in passing)


def test_config_error_lists_its_problems() -> None:
    error = ConfigError("run.yaml has 2 problems", problems=("a: x", "b: y"))

    assert str(error) == "run.yaml has 2 problems\n  - a: x\n  - b: y"


def test_plugin_error_knows_whose_it_is_and_how_far_it_got() -> None:
    error = PluginError("no", distribution="acme", stage="import")

    assert (error.distribution, error.stage, error.message) == ("acme", "import", "no")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("tiny", "'tiny'"),
        ("x" * 80, f"'{'x' * 80}'"),
        ("x" * 81, f"'{'x' * 80}…'"),
        ("a\nb\x1b[2J\u202e", r"'a\nb\x1b[2J\u202e'"),
        ("\ud800", r"'\ud800'"),
        (["a"] * 100, "'" + str(["a"] * 100)[:80] + "…'"),
    ],
)
def test_what_is_quoted_is_short_and_has_no_control_characters(value: object, shown: str) -> None:
    assert quoted(value).replace("\\'", "'") == shown
