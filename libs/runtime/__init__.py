"""What every service process needs around its one job: settings, logs, health, metrics, a database."""

from runtime.database import Database, is_content_fault, is_passing_fault
from runtime.health import Health
from runtime.http import probe_routes, serve_app, serve_http
from runtime.process import EXIT_FATAL, on_stop, run
from runtime.settings import (
    DatabaseUrl,
    SaslMechanism,
    SecurityProtocol,
    Settings,
    WrongSettings,
    read_settings,
)
from runtime.tenants import UNNAMED_TENANT, TenantSettings

__all__ = [
    "EXIT_FATAL",
    "UNNAMED_TENANT",
    "Database",
    "DatabaseUrl",
    "Health",
    "SaslMechanism",
    "SecurityProtocol",
    "Settings",
    "TenantSettings",
    "WrongSettings",
    "is_content_fault",
    "is_passing_fault",
    "on_stop",
    "probe_routes",
    "read_settings",
    "run",
    "serve_app",
    "serve_http",
]
