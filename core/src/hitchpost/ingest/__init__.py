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
            read = await self._ingestor.read(document, chunk_size=bank.chunk_size_in_tokens, overlap=64)
            embedder = BankEmbedder(self.deps.inference, self.deps.models, bank.embedding_model)
            return read.chunks, await embedder.embed([chunk.text for chunk in read.chunks], context)

The libraries that parse come with the extra `ingest` and are loaded in the parsing process only. `docs/ingest.md` says what is read how.
"""

from hitchpost.ingest.config import IngestConfig
from hitchpost.ingest.documents import IngestedDocument, TextChunk
from hitchpost.ingest.embedder import BankEmbedder
from hitchpost.ingest.ingestor import Ingestor
from hitchpost.ingest.tokens import count_tokens

__all__ = ["BankEmbedder", "IngestConfig", "IngestedDocument", "Ingestor", "TextChunk", "count_tokens"]
