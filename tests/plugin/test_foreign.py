import asyncio

import pytest

from hitchpost.plugin.foreign import describe, is_failure


@pytest.mark.parametrize("error", [ValueError(), SystemExit(), TimeoutError(), type("Panic", (BaseException,), {})()])
def test_whatever_code_raises_is_its_failure(error: BaseException) -> None:
    assert is_failure(error)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()])
def test_end_of_the_caller_is_no_failure(error: BaseException) -> None:
    assert not is_failure(error)


async def test_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    assert is_failure(asyncio.CancelledError())


async def test_cancellation_of_the_task_is_no_failure() -> None:
    seen = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            seen.append(is_failure(error))
            raise

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert seen == [False]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("a"), "KeyError: 'a'"),
        (ValueError(), "ValueError"),
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (ValueError("x" * 1000), "ValueError: " + "x" * 500),
    ],
)
def test_error_is_described_on_one_line(error: BaseException, text: str) -> None:
    assert describe(error) == text


def test_error_that_can_not_be_printed_is_described_all_the_same() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(Odd()) == "Odd, which can't be printed: RuntimeError"
