"""Documents into text and chunks, for every memory provider: safe fetching, parsing in a process of its own, chunking, vectors.

    class AcmeConfig(BaseModel):
        ingest: IngestConfig = IngestConfig()

    class AcmeMemory(MemoryProvider[AcmeConfig]):
        def __init__(self, config, deps):
            super().__init__(config, deps)
            self._ingestor = Ingestor(config.ingest, deps.log)

        async def start(self):
            await self._ingestor.start()

        async def stop(self):
            await self._ingestor.stop()

        async def _read(self, document, bank, context):
            cut = cut_of(bank)
            read = await self._ingestor.read(document, chunk_size=cut.chunk_size, overlap=cut.overlap)
            embedder = BankEmbedder(self.deps.inference, self.deps.models, bank.embedding_model)
            return read.chunks, await embedder.embed([chunk.text for chunk in read.chunks], context)

The libraries that parse come with the extra `ingest` and are loaded in the parsing process only. `docs/ingest.md` says what is read how.
"""

from hitchpost.ingest.config import IngestConfig
from hitchpost.ingest.cuts import Cut, cut_of
from hitchpost.ingest.documents import IngestedDocument, TextChunk
from hitchpost.ingest.embedder import BankEmbedder
from hitchpost.ingest.ingestor import Ingestor
from hitchpost.ingest.tokens import count_tokens

__all__ = [
    "BankEmbedder",
    "Cut",
    "IngestConfig",
    "IngestedDocument",
    "Ingestor",
    "TextChunk",
    "count_tokens",
    "cut_of",
]
