"""Open gRPC channels to an endpoint. Knows transport, not the service."""

from __future__ import annotations

import ipaddress
from typing import Any

import grpc
from grpc import aio

from harness.endpoint import Endpoint
from harness.grpcframing import MAX_MESSAGE


def options(endpoint: Endpoint) -> list[tuple[str, Any]]:
    """Return the channel arguments: no hidden retries, large messages, a connection of its own per channel."""
    arguments: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", MAX_MESSAGE),
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 10_000),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.primary_user_agent", "controller-harness"),
    ]
    if _is_loopback(endpoint.address):
        # A proxy of the environment is for the world outside.
        arguments.append(("grpc.enable_http_proxy", 0))
    if endpoint.profile.authority is not None:
        arguments.append(("grpc.default_authority", endpoint.profile.authority))
    tls = endpoint.profile.tls
    if tls is not None and tls.server_name is not None:
        arguments.append(("grpc.ssl_target_name_override", tls.server_name))
    return arguments


def compression(endpoint: Endpoint) -> grpc.Compression:
    """Return how requests are compressed."""
    return grpc.Compression.Gzip if endpoint.profile.compression == "gzip" else grpc.Compression.NoCompression


def open_channel(endpoint: Endpoint) -> grpc.Channel:
    """Open a channel for blocking calls; connects on first use."""
    credentials = _credentials(endpoint)
    if credentials is None:
        return grpc.insecure_channel(endpoint.address, options(endpoint), compression(endpoint))
    return grpc.secure_channel(endpoint.address, credentials, options(endpoint), compression(endpoint))


def open_aio_channel(endpoint: Endpoint) -> aio.Channel:
    """Open a channel for asyncio; connects on first use."""
    credentials = _credentials(endpoint)
    if credentials is None:
        return aio.insecure_channel(endpoint.address, options(endpoint), compression(endpoint))
    return aio.secure_channel(endpoint.address, credentials, options(endpoint), compression(endpoint))


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _credentials(endpoint: Endpoint) -> grpc.ChannelCredentials | None:
    if endpoint.profile.tls is None:
        return None
    return grpc.ssl_channel_credentials(endpoint.roots, endpoint.key, endpoint.certificate)
