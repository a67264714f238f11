"""A locustfile that tests gRPC in the way of Locust's documentation.

Google's library is made to work with gevent, an interceptor tells Locust of every call, and a user's task makes one. What to call
comes by the environment, see `benchmarks.contestants`.
"""

from __future__ import annotations

import os
import time
from typing import Any

import grpc
from grpc.experimental import gevent as grpc_gevent
from locust import User, constant, task

from benchmarks import messages
from harness.stubs import service_pb2_grpc

grpc_gevent.init_gevent()


class Telling(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc,type-arg,unused-ignore]
    """Fires Locust's `request` event for each call."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Make the call and measure it."""
        failure, length = None, 0
        begun = time.perf_counter()
        answer = continuation(client_call_details, request)
        try:
            length = answer.result().ByteSize()
        except grpc.RpcError as error:
            failure = error
        self._environment.events.request.fire(
            request_type="grpc",
            name=client_call_details.method,
            response_time=1000 * (time.perf_counter() - begun),
            response_length=length,
            exception=failure,
            context=None,
        )
        return answer


class Caller(User):  # type: ignore[misc,unused-ignore]
    """Makes one call after the other."""

    host = os.environ["BENCHMARK_TARGET"]
    wait_time = constant(0)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        channel = grpc.intercept_channel(grpc.insecure_channel(self.host), Telling(environment))
        what = os.environ["BENCHMARK_CALL"]
        self._call = getattr(service_pb2_grpc.ControllerStub(channel), messages.METHODS[what])
        self._request = messages.message(what)

    @task
    def call(self) -> None:
        """Make a call."""
        self._call(self._request, timeout=30)
