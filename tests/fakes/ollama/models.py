"""The models that a fake Ollama has, under the names that Ollama would find them by."""

import hashlib
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class FakeModel:
    """A model; `name` is what `ollama list` would show."""

    name: str
    capabilities: tuple[str, ...] = ("completion", "tools")
    context_length: int = 131_072
    embedding_length: int = 16
    stops: tuple[str, ...] = ()
    calls_in_last_line: bool = False
    calls_have_ids: bool = True
    digest: str = ""

    def __post_init__(self) -> None:
        self.digest = self.digest or hashlib.sha256(self.name.encode()).hexdigest()

    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "1.2B",
            "quantization_level": "Q4_K_M",
        }

    def tag(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": self.name,
            "modified_at": "2026-10-02T08:11:42.1234567Z",
            "size": 1_321_098_329,
            "digest": self.digest,
            "details": self.details(),
        }

    def shown(self) -> dict[str, Any]:
        """As a server shows it; the Modelfile's stop strings are a line each, in quotes."""
        shown = {
            "modelfile": f"FROM {self.name}",
            "details": self.details(),
            "model_info": {
                "general.architecture": "llama",
                "llama.context_length": self.context_length,
                "llama.embedding_length": self.embedding_length,
            },
            "capabilities": list(self.capabilities),
            "modified_at": "2026-10-02T08:11:42.1234567Z",
        }
        if self.stops:
            shown["parameters"] = "\n".join(f'{"stop":30} "{stop}"' for stop in self.stops)
        return shown


@dataclass(slots=True)
class Models:
    """What the server has, what it has in memory, and what it could pull."""

    there: list[FakeModel]
    in_memory: set[str] = field(default_factory=set)
    to_pull: dict[str, FakeModel] = field(default_factory=dict)

    def find(self, name: str) -> FakeModel | None:
        wanted = self.whole_name(name)
        return next((model for model in self.there if self.whole_name(model.name) == wanted), None)

    @staticmethod
    def whole_name(name: str) -> str:
        parts = name.casefold().split("/")
        if ":" not in parts[-1]:
            parts[-1] += ":latest"
        return "/".join(["registry.ollama.ai", "library", parts[-1]] if len(parts) == 1 else parts)
