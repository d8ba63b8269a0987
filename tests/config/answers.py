"""A person whose answers are known beforehand."""

from collections.abc import Sequence


class Answers:
    """Answers in turn; `asked` has the questions and `told` what was said."""

    def __init__(self, answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []
        self.told: list[str] = []

    def ask(self, question: str) -> str:
        if not self._answers:
            raise EOFError(f"no answer to {question!r}")
        self.asked.append(question)
        return self._answers.pop(0)

    def tell(self, text: str) -> None:
        self.told.append(text)

    @property
    def left(self) -> list[str]:
        """What nobody asked for."""
        return self._answers
