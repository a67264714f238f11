"""The file that Locust is pointed at: `locust -f loadtests/locustfile.py --endpoint-profile my-endpoint.yaml`.

Everything else is in the modules beside it.
"""

from typing import Any

from locust import events

from loadtests.attach import attach
from loadtests.options import add_options
from loadtests.orphan import end_with_parent
from loadtests.quiet import leave_quietly
from loadtests.shapes import ScenarioShape
from loadtests.users import ControllerUser

__all__ = ["ControllerUser", "ScenarioShape"]

hooks: Any = events
hooks.init_command_line_parser.add_listener(add_options)
hooks.init.add_listener(attach)
leave_quietly()
end_with_parent()
