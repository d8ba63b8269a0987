"""Other people's code: telling its failures from the end of the task or the process that called it."""


def is_failure(error: BaseException) -> bool:
    """Whether an exception that came out of a plugin's or provider's code is that code's own failure.

    `SystemExit` is one, since no provider may end the host, and so is a cancellation that nobody asked of the running task: the provider
    waited for something of its own that was cancelled. What is left is the end of the caller, which must go on upwards.
    """
    # Only coroutines ask, where it is loaded already; discovery need not pay for it.
    import asyncio

    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() == 0
    return not isinstance(error, (KeyboardInterrupt, GeneratorExit))


def describe(error: BaseException) -> str:
    """`KeyError: 'name'` on one line, also of an exception that fails to print itself."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception as unprintable:  # noqa: BLE001 - recorded in what is returned
        return f"{name}, which can't be printed: {type(unprintable).__name__}"
    return f"{name}: {text[:500]}" if text else name


__all__ = ["describe", "is_failure"]
