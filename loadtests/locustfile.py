"""The file that Locust is pointed at: `locust -f loadtests/locustfile.py --endpoint-profile my-endpoint.yaml`.

Everything else is in the modules beside it.
"""

from typing import Any

from locust import events

from loadtests.options import add_options
from loadtests.quiet import leave_quietly
from loadtests.session import attach
from loadtests.shapes import ScenarioShape
from loadtests.users import ControllerUser

__all__ = ["ControllerUser", "ScenarioShape"]

hooks: Any = events
hooks.init_command_line_parser.add_listener(add_options)
hooks.init.add_listener(attach)
leave_quietly()
