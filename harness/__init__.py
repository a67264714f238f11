"""The core library of the Controller test harness, and its command line."""

__version__ = "0.1.0"
