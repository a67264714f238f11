"""Command line: the one place that ties all packages together; imported by nobody."""
