"""A small trained Llama checkpoint, contributed as a preset."""

__version__ = "0.1.0"

__all__ = ["__version__"]
