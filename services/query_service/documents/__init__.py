"""What programs need to know of the messages, made from the code: JSON Schemas, an AsyncAPI document."""

from query_service.documents.asyncapi import asyncapi_document
from query_service.documents.command_body import command_body, command_components
from query_service.documents.messages_page import messages_page
from query_service.documents.schemas import command_schema, event_schema, schema_addresses, standalone
from query_service.documents.static_files import (
    CONTENT_SECURITY_POLICY,
    PLAIN_POLICY,
    page_files,
    swagger_page,
)

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "PLAIN_POLICY",
    "asyncapi_document",
    "command_body",
    "command_components",
    "command_schema",
    "event_schema",
    "messages_page",
    "page_files",
    "schema_addresses",
    "standalone",
    "swagger_page",
]
