"""Conformance suites: one file per chapter of the catalogue, and the pytest plugin that runs them against a profile."""
