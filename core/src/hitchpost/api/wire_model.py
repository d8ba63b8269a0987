"""The base class of everything that is parsed from a request or a file."""

from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    """Unknown keys are ignored, since clients of all ages call; fields may be filled by name or by alias."""

    model_config = ConfigDict(
        extra="ignore", populate_by_name=True, protected_namespaces=(), use_attribute_docstrings=True
    )


__all__ = ["WireModel"]
