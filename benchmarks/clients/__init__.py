"""The Python clients that ours are compared with, each a process of its own. They share nothing with `loadtests`."""
