"""Hands the plugin's hooks and fixtures to pytest, so that plain `pytest conformance --profile P` works."""

from conformance.plugin import (
    case,
    pytest_collection_finish,
    pytest_collectreport,
    pytest_configure,
    pytest_internalerror,
    pytest_pyfunc_call,
    pytest_report_collectionfinish,
    pytest_runtest_logreport,
    pytest_sessionfinish,
)
from conformance.selection import pytest_addoption, pytest_collection_modifyitems, pytest_sessionstart

__all__ = [
    "case",
    "pytest_addoption",
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_collectreport",
    "pytest_configure",
    "pytest_internalerror",
    "pytest_pyfunc_call",
    "pytest_report_collectionfinish",
    "pytest_runtest_logreport",
    "pytest_sessionfinish",
    "pytest_sessionstart",
]
