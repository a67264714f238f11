"""Load runs: users, load shapes, transports and scenarios. Imports `harness`, where only the command line looks in here."""
