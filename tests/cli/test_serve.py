"""`serve`: announces where it listens, says what keeps it from doing so, and drains when it is told to stop."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from typing import Any

import grpc
import pytest

from harness.client import ControllerClient
from harness.endpoint import read_profile, resolve
from harness.requests import Requests
from harness.server.mutants import LOAD_MUTANTS, MUTANTS
from harness.stubs import job_pb2, service_pb2
from harness.stubs.service_pb2_grpc import ControllerStub
from tests.cli.commands import COMMAND, PATIENCE, Cli

SLOW = service_pb2.ExecuteControllerJobRequest(
    execution_configurations=[job_pb2.JobExecutionConfiguration()],
    encrypted=job_pb2.EncryptedControllerJob(job=b"controller-job duration=500ms"),
    quantum_processor_id="qpu-1",
)
FREE = ("--port", "0", "--observer-port", "0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_announces_itself_and_drains(cli: Cli, number: signal.Signals) -> None:
    with cli.started("serve", "--json", *FREE) as started:
        bound = json.loads(started.line("{"))
        assert bound["pid"] == started.process.pid
        with grpc.insecure_channel(f"127.0.0.1:{bound['port']}") as channel:
            stub: Any = ControllerStub(channel)
            (job_id,) = stub.ExecuteControllerJob(SLOW, timeout=PATIENCE).job_execution_ids
            target = {"quantum_processor_id": "qpu-1"}
            waiting = stub.GetControllerJobResults.future(
                service_pb2.GetControllerJobResultsRequest(job_execution_id=job_id, **target), timeout=PATIENCE
            )
            # Comes after the call above on the same connection, so that one has arrived as well.
            stub.GetControllerJobStatus(service_pb2.GetControllerJobStatusRequest(job_id=job_id, **target), timeout=PATIENCE)
            started.send(number)
            assert waiting.result().result.status == job_pb2.ControllerJobExecutionResult.SUCCESS
            done = started.end()
    assert (done.code, done.err) == (0, "")


def test_it_announces_itself_for_people(cli: Cli) -> None:
    with cli.started("serve", *FREE) as started:
        assert f"(pid {started.process.pid})" in started.line("Controller on 127.0.0.1:")
        assert "/metrics" in started.line("metrics on http://127.0.0.1:")
    with cli.started("serve", "--port", "0", "--no-observer") as started:
        started.line("Controller on 127.0.0.1:")
        started.send(signal.SIGTERM)
        assert started.end().out == ""


@pytest.mark.parametrize("flag", ["--port", "--observer-port"])
def test_a_port_in_use(cli: Cli, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = cli("serve", *FREE, flag, port).complaint(2)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said


def test_the_mutants(cli: Cli) -> None:
    done = cli("serve", "--list-mutants")
    assert (done.code, done.err) == (0, "")
    listed = (*MUTANTS.values(), *LOAD_MUTANTS.values())
    assert [line.split()[:2] for line in done.out.splitlines()] == [[item.name, item.requirement] for item in listed]
    assert done.out.count("(shows under load only)") == len(LOAD_MUTANTS)


def test_tokens_and_processors(cli: Cli) -> None:
    cli.write("tokens.yaml", "- {token: tok-1, subject: main}\n")
    with cli.started("serve", "--json", *FREE, "--tokens", "tokens.yaml", "--processor", "alpha") as started:
        address = f"127.0.0.1:{json.loads(started.line('{'))['port']}"
        more = "identities: {main: {token: tok-1}}"
        text = cli.profile(address, more).read_text(encoding="utf-8").replace("qpu-1", "alpha")
        where = resolve(*read_profile(str(cli.write("alpha.yaml", text))))
        with ControllerClient(where) as client:
            assert client.execute(Requests(where).execute()).job_execution_ids
        with ControllerClient(where, identity=None) as client, pytest.raises(Exception, match="UNAUTHENTICATED"):
            client.execute(Requests(where).execute())


def test_it_stops_with_standard_input_if_asked_to(cli: Cli) -> None:
    with subprocess.Popen(
        [*COMMAND, "serve", *FREE, "--stop-with-stdin"],
        cwd=cli.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[2]
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(PATIENCE)
        _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
