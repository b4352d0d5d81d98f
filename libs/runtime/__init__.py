"""What every service process needs around its one job: settings, logs, health, metrics, a database."""

from runtime.database import BY_KEY, Database, is_content_fault, is_passing_fault
from runtime.health import Health
from runtime.http import probe_routes, serve_app, serve_http
from runtime.process import EXIT_FATAL, on_stop, run, unless_set
from runtime.retry import Unrecoverable
from runtime.servers import ReadOnlyServer, Server, Servers
from runtime.session import SharedSession, look_at_session, set_configs, take_session
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
    "BY_KEY",
    "EXIT_FATAL",
    "UNNAMED_TENANT",
    "Database",
    "DatabaseUrl",
    "Health",
    "ReadOnlyServer",
    "SaslMechanism",
    "SecurityProtocol",
    "Server",
    "Servers",
    "Settings",
    "SharedSession",
    "TenantSettings",
    "Unrecoverable",
    "WrongSettings",
    "is_content_fault",
    "is_passing_fault",
    "look_at_session",
    "on_stop",
    "probe_routes",
    "read_settings",
    "run",
    "serve_app",
    "serve_http",
    "set_configs",
    "take_session",
    "unless_set",
]
