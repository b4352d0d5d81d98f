"""Everything on this machine, in .tillstream: servers and services under one supervisor."""

from local.callers import caller_settings
from local.home import Home
from local.installation import bring_up, take_down
from local.supervisor import Supervisor

__all__ = ["Home", "Supervisor", "bring_up", "caller_settings", "take_down"]
