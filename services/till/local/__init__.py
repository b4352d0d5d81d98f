"""Everything on this machine, in .tillstream: servers and services under one supervisor."""

from till.local.callers import caller_settings
from till.local.home import Home
from till.local.installation import bring_up, take_down
from till.local.supervisor import Supervisor

__all__ = ["Home", "Supervisor", "bring_up", "caller_settings", "take_down"]
