"""Stop strings for models that know none: the text is cut where one begins."""

from collections.abc import Sequence


class StopCutter:
    """Lets text through up to the first stop string, and holds back what may still become one.

    Args:
        stops: none of them is empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found: str | None = None
        """The stop string at which the text was cut."""

    def push(self, text: str) -> str:
        """The text that is certain after some more of it; nothing once a stop string was found."""
        if self.found is not None:
            return ""
        text = self._held + text
        places = [(text.find(stop), -len(stop), stop) for stop in self._stops]
        hits = sorted(place for place in places if place[0] >= 0)
        if hits:
            self._held, self.found = "", hits[0][2]
            return text[: hits[0][0]]
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def finish(self) -> str:
        """What was held back, at the end of the text."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text begin the stop string."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)


__all__ = ["StopCutter"]
