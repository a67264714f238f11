"""How calls reach the endpoint: `calls.Transport`, which users see, over one of two channels.

`wire` speaks gRPC by `ngh2` on gevent and is the fast one; `grpcio` is the cross-check. Both give the same outcomes, but:

- `wire` makes calls again that the endpoint has certainly not processed (refused streams, GOAWAY), a few times at most; the
  harness forbids grpcio to, and the caller sees UNAVAILABLE.
- When a peer breaks HTTP/2, `wire` ends the connection and its calls as UNAVAILABLE at once; grpcio may blame one call with
  INTERNAL or UNKNOWN, or wait for the deadline. It also takes some legal answers (interim responses, padded heads) for wrong.
- `wire` gives a connection 20 s to come about, grpcio 10 s.

The tests hold the whole list, by name, in `oddities.GRPCIO_SAYS`.
"""
