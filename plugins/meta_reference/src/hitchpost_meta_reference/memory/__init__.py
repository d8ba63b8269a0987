"""The provider of memory behind `inline::sqlite` and `inline::faiss`: a file per bank, searched in this process."""
