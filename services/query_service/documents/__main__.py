"""`python -m query_service.documents FOLDER` writes all documents into a folder, as they are served."""

import sys
from pathlib import Path

from pydantic_core import to_json

from query_service.app import bare_app
from query_service.documents import (
    asyncapi_document,
    messages_page,
    page_files,
    schema_addresses,
    swagger_page,
)


def written() -> dict[str, bytes]:
    """Return the documents by their paths in the folder."""
    documents = {
        "openapi.json": bare_app().openapi(),
        "asyncapi.json": asyncapi_document(),
        **{address.removeprefix("/"): schema for address, schema in schema_addresses().items()},
    }
    return {
        **{path: to_json(document, indent=2) + b"\n" for path, document in documents.items()},
        "docs/index.html": swagger_page(base="files/", messages="messages.html").encode(),
        "docs/messages.html": messages_page(
            asyncapi_document(), base="files/", http_api="index.html"
        ).encode(),
        **{f"docs/files/{name}": file.content for name, file in page_files().items()},
    }


def main(folder: Path) -> None:
    """Write them, over what is there."""
    for path, content in written().items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
