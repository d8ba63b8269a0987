"""The tables of a bank's file, format 1."""

TABLES = (
    # One row. Ids of chunks are never given twice, so that what was found before a deletion can't be taken for something newer.
    """CREATE TABLE bank (
        name TEXT NOT NULL, bank_type TEXT NOT NULL, embedding_model TEXT, dimension INTEGER,
        generation INTEGER NOT NULL DEFAULT 0, next_chunk INTEGER NOT NULL DEFAULT 1, has_traces INTEGER NOT NULL DEFAULT 0,
        document_count INTEGER NOT NULL DEFAULT 0, chunk_count INTEGER NOT NULL DEFAULT 0, token_count INTEGER NOT NULL DEFAULT 0)""",
    "CREATE TABLE registrations (identifier TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE documents (
        key INTEGER PRIMARY KEY, document_id TEXT NOT NULL UNIQUE, mime_type TEXT, metadata TEXT NOT NULL,
        chunk_count INTEGER NOT NULL, token_count INTEGER NOT NULL, inserted_at REAL NOT NULL, expires_at REAL)""",
    "CREATE INDEX documents_expiring ON documents (expires_at) WHERE expires_at IS NOT NULL",
    # The columns stand in the order of the key: in another, SQLite 3.40 takes sound rows for damaged ones when it checks them.
    """CREATE TABLE metadata (
        name TEXT NOT NULL, value TEXT NOT NULL, document INTEGER NOT NULL, PRIMARY KEY (name, value, document)) WITHOUT ROWID""",
    "CREATE INDEX metadata_of_document ON metadata (document)",
    """CREATE TABLE chunks (
        id INTEGER PRIMARY KEY, document INTEGER NOT NULL, position INTEGER NOT NULL, token_count INTEGER NOT NULL,
        text TEXT NOT NULL)""",
    "CREATE INDEX chunks_of_document ON chunks (document, position)",
    # Apart from the texts, since all of them are read at once when the bank is opened.
    "CREATE TABLE vectors (chunk INTEGER PRIMARY KEY, vector BLOB NOT NULL)",
    """CREATE VIRTUAL TABLE words USING fts5 (
        text, content = 'chunks', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2')""",
)

__all__ = ["TABLES"]
