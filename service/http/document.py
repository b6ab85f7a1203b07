"""What all documents of the API have in common."""

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """Refuses fields that it does not know, and can be read from the domain's data."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, from_attributes=True)
