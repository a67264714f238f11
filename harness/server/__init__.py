"""The reference Controller: a faithful server to test the harness against, and a stand-in where no endpoint is at hand.

Pure: values, jobtext, state, fifo, estimates, admission, engine. Edges: store, service, observer, run, and the two that
carry calls: edge_grpcio, and edge_wire (wire_*).
Nothing here may import the judge (harness.model, harness.history, harness.checker).
"""
