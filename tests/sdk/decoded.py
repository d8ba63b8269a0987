"""Whether the SDK understood an answer. It never complains: what fits no type becomes an object of the first type it knows, with loose attributes."""

from typing import Any, TypeVar

from llama_stack_client import BaseModel

ModelT = TypeVar("ModelT", bound=BaseModel)


def whole(answer: Any, kind: type[ModelT]) -> ModelT:
    """The answer, which must be of this type and validate completely against it."""
    assert type(answer) is kind, f"{type(answer).__name__}: {answer!r}"
    kind.model_validate(answer.to_dict())
    return answer


def all_whole(answers: Any, kind: type[ModelT]) -> list[ModelT]:
    """The answers of a list or a stream, each of which must be as `whole` says."""
    return [whole(answer, kind) for answer in answers]
