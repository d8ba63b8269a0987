"""The conformance kit on the embedded memory, for every type of bank, under both of its names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hitchpost.conformance import MemoryConformance


class EmbeddedMemoryConformance(MemoryConformance):
    __test__ = False
    plugin_paths = (Path(__file__).parents[1] / "fakes/word_vectors.py",)
    run_config: ClassVar[Mapping[str, Any]] = {
        "providers": {"inference": [{"provider_id": "words", "provider_type": "inline::word-vectors"}]},
        "models": [
            {
                "model_id": "all-MiniLM-L6-v2",
                "provider_id": "words",
                "metadata": {"model_type": "embedding", "embedding_dimension": 256},
            }
        ],
    }


class TestSqlite(EmbeddedMemoryConformance):
    __test__ = True
    provider_type = "inline::sqlite"


class TestFaiss(EmbeddedMemoryConformance):
    __test__ = True
    provider_type = "inline::faiss"
    config: ClassVar[Mapping[str, Any]] = {
        "kvstore": {"type": "sqlite", "db_path": "~/.llama/runtime/faiss_store.db"},
        "faiss_above_chunks": 0,
    }
