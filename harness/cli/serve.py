"""`controller-harness serve`: the reference Controller on its own."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from pathlib import Path

import click

from harness.cli.output import say
from harness.cli.signals import end_with_the_terminal
from harness.endpoint import read_text
from harness.server.mutants import LOAD_MUTANTS, MUTANTS
from harness.server.run import Bound, run
from harness.server.settings import EDGES, ServerSettings
from harness.server.tokens import load_tokens
from harness.server.variants import VARIANTS

REACHED = "CONTROLLER_HARNESS_REACHED"
"""Environment variable for `--reached`; servers that a run starts by itself get it from there."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=50051, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option(
    "--observer-port",
    default=9464,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port of the metrics page; 0 takes a free one.",
)
@click.option("--no-observer", is_flag=True, help="Serve no metrics page.")
@click.option(
    "--edge",
    default="grpcio",
    show_default=True,
    type=click.Choice(EDGES),
    help="What carries the calls; wire serves many times more of them in a second.",
)
@click.option("--processor", "processors", multiple=True, help="Processor to serve (repeatable) [default: qpu-1, qpu-2].")
@click.option("--executors", default=1, show_default=True, type=click.IntRange(1), help="Jobs that a processor runs at a time.")
@click.option("--queue-capacity", default=2000, show_default=True, type=click.IntRange(1), help="Jobs that wait on a processor.")
@click.option("--store", type=click.Path(path_type=Path), help="SQLite file that survives a crash [default: memory].")
@click.option("--tokens", type=click.Path(path_type=Path), help="YAML file of bearer tokens [default: no credentials needed].")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="PEM file with the server's certificate chain.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="PEM file with the server's private key.")
@click.option("--client-ca", type=click.Path(path_type=Path), help="PEM file; clients need a certificate signed by it (mTLS).")
@click.option("--no-gateway", is_flag=True, help="Do not require a target in requests.")
@click.option("--mutant", help="Switch on a named fault.")
@click.option(
    "--reached",
    type=click.Path(path_type=Path),
    envvar=REACHED,
    help=f"File to which each change of the mutant is added when it first runs [or ${REACHED}].",
)
@click.option("--list-mutants", is_flag=True, help="List the named faults and exit.")
@click.option("--variant", help="Be odd in a way that the spec allows.")
@click.option("--list-variants", is_flag=True, help="List the legal oddities and exit.")
@click.option("--json", "as_json", is_flag=True, help="Announce the address as one line of JSON.")
@click.option("--stop-with-stdin", is_flag=True, help="Stop as well when standard input ends, as it does with a parent.")
def serve(  # noqa: PLR0917 - click passes options by name
    host: str,
    port: int,
    observer_port: int,
    no_observer: bool,
    edge: str,
    processors: tuple[str, ...],
    executors: int,
    queue_capacity: int,
    store: Path | None,
    tokens: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    no_gateway: bool,
    mutant: str | None,
    reached: Path | None,
    list_mutants: bool,
    variant: str | None,
    list_variants: bool,
    as_json: bool,
    stop_with_stdin: bool,
) -> None:
    """Serve a reference Controller until SIGTERM or Ctrl-C, which let running calls finish.

    Job payloads are opaque, except for a small text form such as
    `controller-job duration=20ms post=5ms outcome=success readout=tag`.
    """
    if list_mutants:
        for item in (*MUTANTS.values(), *LOAD_MUTANTS.values()):
            under_load = " (shows under load only)" if item.name in LOAD_MUTANTS else ""
            say(f"{item.name:<44} {item.requirement:<9} {item.summary}{under_load}")
        return
    if list_variants:
        for name, odd in VARIANTS.items():
            say(f"{name:<32} {odd.summary}")
        return
    settings = ServerSettings(
        host=host,
        port=port,
        observer_port=None if no_observer else observer_port,
        edge=edge,
        executors=executors,
        queue_capacity=queue_capacity,
        store=_text(store),
        tokens=load_tokens(read_text(tokens), str(tokens)) if tokens is not None else (),
        tls_cert=_text(tls_cert),
        tls_key=_text(tls_key),
        client_ca=_text(client_ca),
        require_target=not no_gateway,
        mutant=mutant,
        reached=_text(reached),
        variant=variant,
    )
    if processors:
        settings = dataclasses.replace(settings, processors=processors, endpoint_ids={})
    end_with_the_terminal()
    if stop_with_stdin:
        threading.Thread(target=_stop_at_the_end_of_input, daemon=True).start()
    run(settings, _announce_json if as_json else _announce)


def _stop_at_the_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _announce(bound: Bound) -> None:
    say(f"Controller on {bound.address} (pid {bound.pid})")
    if bound.observer_port is not None:
        say(f"metrics on {bound.metrics_url}")


def _announce_json(bound: Bound) -> None:
    say(json.dumps(dataclasses.asdict(bound)))
