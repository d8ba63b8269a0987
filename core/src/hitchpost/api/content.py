"""Text and images, mixed: what a message or a document holds."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from hitchpost.api.wire_model import Items, WireModel

# --- values ---


def _uri_object(value: Any) -> Any:
    """A bare string stands for `{"uri": string}`; both spellings are in use."""
    return {"uri": value} if isinstance(value, str) else value


class URL(WireModel):
    """`{"uri": ...}`; the scheme is http, https, file or data."""

    uri: Annotated[str, Field(pattern=r"^(?i:https?://|file://|data:)")]


class ImageMedia(WireModel):
    """An image, by URL; `data:` URLs carry it inline."""

    image: Annotated[URL, BeforeValidator(_uri_object)]


ContentItem = str | ImageMedia
InterleavedContent = str | ImageMedia | Items[ContentItem]


# --- functions ---


def content_items(content: InterleavedContent) -> list[ContentItem]:
    """The parts of a content, in order; a single one counts as a list of one."""
    return content if isinstance(content, list) else [content]


def content_text(content: InterleavedContent, separator: str = " ") -> str:
    """The text of a content; an image becomes the literal `<media>`, as llama-stack 0.0.53 wrote it."""
    if isinstance(content, str):
        return content
    return separator.join(item if isinstance(item, str) else "<media>" for item in content_items(content))


def has_images(contents: Iterable[InterleavedContent]) -> bool:
    """Whether any of the contents holds an image."""
    return any(isinstance(item, ImageMedia) for content in contents for item in content_items(content))


__all__ = ["URL", "ContentItem", "ImageMedia", "InterleavedContent", "content_items", "content_text", "has_images"]
