"""Finds the strings that end an answer, whatever pieces the text comes in.

All strings are searched at once by an Aho-Corasick automaton (Aho and Corasick, "Efficient string matching", CACM 18(6), 1975): its state after a
character is the longest end of the text that begins a stop string, which is just what must be held back. So the outcome can't depend on how
the text was cut, and a character costs the same for one stop string and for thirty.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class _Node:
    depth: int
    children: "dict[str, _Node]" = field(default_factory=dict)
    fallback: "_Node | None" = None
    """The node of the longest proper end of this node's text that begins a stop string too; None at the root."""
    stop: str | None = None
    """The longest stop string that ends here."""


class StopStrings:
    """The automaton of some stop strings; immutable, shared by all choices of a request.

    Args:
        stops: none of them empty.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        self._root = _Node(depth=0)
        for stop in stops:
            node = self._root
            for character in stop:
                node = node.children.setdefault(character, _Node(depth=node.depth + 1))
            node.stop = stop
        self._link()

    def matcher(self) -> "StopMatcher":
        """A search at the beginning of a text."""
        return StopMatcher(self._root)

    def _link(self) -> None:
        # Breadth first: a fallback is always shallower, so it is linked before it is needed.
        waiting = deque([self._root])
        while waiting:
            node = waiting.popleft()
            for character, child in node.children.items():
                child.fallback = self._root if node is self._root else _follow(node.fallback, character, self._root)
                if child.stop is None:
                    child.stop = child.fallback.stop
                waiting.append(child)


class StopMatcher:
    """The search in one choice's text. The match that ends first wins; of several that end there, the longest."""

    def __init__(self, root: _Node) -> None:
        self._root = root
        self._node = root
        self._held = ""
        self.stop_text: str | None = None
        """The stop string that was found; afterwards the text is over."""

    def push(self, text: str) -> str:
        """Takes more text and returns what is certainly not part of a stop string."""
        if self.stop_text is not None:
            return ""
        node = self._node
        for position, character in enumerate(text, start=1):
            node = node.children.get(character) or _follow(node, character, self._root)
            if node.stop is not None:
                self.stop_text = node.stop
                return (self._held + text[:position])[: -len(node.stop)]
        self._node = node
        known = self._held + text
        certain = len(known) - node.depth
        self._held = known[certain:]
        return known[:certain]

    def finish(self) -> str:
        """Ends the text and returns what was held back for a stop string that did not come."""
        held, self._held = self._held, ""
        return "" if self.stop_text is not None else held


def _follow(node: _Node | None, character: str, root: _Node) -> _Node:
    """The state after `character`, in `node` or in the first of its fallbacks that knows it."""
    while node is not None:
        child = node.children.get(character)
        if child is not None:
            return child
        node = node.fallback
    return root


__all__ = ["StopMatcher", "StopStrings"]
