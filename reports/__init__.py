"""Reports made from run records, in several forms. Pure functions; the caller reads and writes the files."""

from reports.render import FORMATS, render
from reports.view import build_view

__all__ = ["FORMATS", "build_view", "render"]
