"""IDEM: a key makes a retry safe, for as long as any of its jobs is known."""

from __future__ import annotations

from typing import cast

import pytest
from google.protobuf.message import Message

from conformance.kit import Case, DisturbedError, UnobservableError, covers
from conformance.kit.answers import brief_members, describe, ids_of, members_of
from conformance.kit.clock import Stopwatch
from conformance.kit.hold import held
from conformance.kit.oracles import counted_role, counting, expect_jobs, fill
from conformance.kit.reads import still_known
from conformance.kit.restarts import restart
from conformance.kit.strikes import EVERY_STRIKE, STRIKES, client_through
from harness.call import Call
from harness.client import ControllerClient
from harness.faultproxy import FaultProxy, proxied
from harness.ids import FREE_BITS, IdempotencyKey
from harness.model import Status
from harness.stubs import service_pb2 as pb

RPCS = pytest.mark.parametrize("rpc", ["single", "batch"])


def submission(case: Case, rpc: str, key: IdempotencyKey | None, count: int = 1, role: str = "quick") -> Message:
    """Return a submission of `count` jobs, single or as a batch of two members (the second with two jobs more)."""
    if rpc == "single":
        return case.requests.execute(role, count=count, key=key)
    return case.requests.batch([case.requests.execute(role, count=size) for size in (count, count + 2)], key=key)


def expect_replay(case: Case, requirement: str, first: Call, again: Call, when: str) -> bool:
    """Expect that `again` brought what `first` brought, member by member, in order."""
    same = again.error is None and members_of(again) == members_of(first)
    return case.expect(requirement, same, f"{when}: the original {brief_members(first)}", brief_members(again), first, again)


@covers("IDEM-01")
@RPCS
@pytest.mark.parametrize("count", [1, 7, 8, 20])
def test_a_retry_returns_the_original_ids(case: Case, rpc: str, count: int) -> None:
    """The same key and request again returns the original ids in the same order, time after time."""
    fitting = case.most(count if rpc == "single" else 2 * count + 2)
    request = submission(case, rpc, case.key(), fitting if rpc == "single" else (fitting - 2) // 2)
    first = case.accept("IDEM-01", request, "a keyed submission")
    for number in range(1, 6):
        expect_replay(case, "IDEM-01", first, case.attempt(request), f"replay {number}")


@covers("IDEM-02", exclusive=True)
@RPCS
def test_a_replay_adds_no_job(case: Case, rpc: str) -> None:
    """Replays queue nothing, however many there are."""
    request = submission(case, rpc, case.key(), 3, counted_role(case))
    with counting(case) as count:
        first = case.accept("IDEM-02", request, "a keyed submission")
        for _ in range(5):
            case.attempt(request)
    if first.error is None:
        expect_jobs(case, "IDEM-02", count, 3 if rpc == "single" else 8, "a submission and five replays")


@covers("IDEM-02", exclusive=True, tier="light")
def test_a_replay_of_a_finished_job_adds_no_job(case: Case) -> None:
    """A replay after the jobs have finished and were fetched queues nothing either."""
    role = counted_role(case)
    request = case.requests.execute(role, count=2, key=case.key())
    first = case.accept("IDEM-02", request, "a keyed submission")
    case.finish(ids_of(first), within=2 * case.profile.jobs[role].total)
    for job_id in ids_of(first):
        case.result_call(job_id)
    with counting(case) as count:
        again = case.attempt(request)
    if still_known(case, ids_of(first)):
        expect_replay(case, "IDEM-02", first, again, "after the jobs finished")
        expect_jobs(case, "IDEM-02", count, 0, "a replay of finished jobs")


@covers("IDEM-03")
@RPCS
def test_a_refused_request_does_not_hold_its_key(case: Case, rpc: str) -> None:
    """A submission that failed for its content leaves its key free: the mended request with the same key succeeds in full."""
    for _ in range(3):
        key = case.key()
        broken = submission(case, rpc, key, 2)
        part = broken if rpc == "single" else cast("pb.BatchExecuteControllerJobsRequest", broken).requests[1]
        del cast("pb.ExecuteControllerJobRequest", part).execution_configurations[:]
        case.attempt(broken)
        request = submission(case, rpc, key, 2)
        first = case.accept("IDEM-03", request, "the mended submission with the same key")
        wanted = 2 if rpc == "single" else 6
        case.expect("IDEM-03", len(ids_of(first)) == wanted, f"{wanted} jobs", f"{len(ids_of(first))} jobs", first)
        expect_replay(case, "IDEM-03", first, case.attempt(request), "its replay")


@covers("IDEM-03", exclusive=True)
@RPCS
def test_a_submission_that_found_no_room_can_be_retried(case: Case, rpc: str) -> None:
    """A keyed submission that found no room succeeds in full, with the same key, once there is room; as one set of jobs."""
    capacity = case.facts.queue_capacity
    if capacity is None:
        raise UnobservableError("facts.queue_capacity is not set: the queue cannot be filled")
    request = submission(case, rpc, case.key(), 2, counted_role(case))
    with held(case):
        fill(case, capacity)
        refused = case.attempt(request)
    if refused.error is None:
        raise UnobservableError("the full queue took the submission: the failure could not be brought about")
    case.clean_up()
    with counting(case) as count:
        first = case.accept("IDEM-03", request, "the same submission once there is room")
        again = case.attempt(request)
    wanted = 2 if rpc == "single" else 6
    case.expect("IDEM-03", len(ids_of(first)) == wanted, f"{wanted} jobs", describe(first), refused, first)
    expect_replay(case, "IDEM-03", first, again, "its replay")
    expect_jobs(case, "IDEM-03", count, wanted, "the retried submission and its replay")


@covers("IDEM-03", exclusive=True)
def test_a_replay_needs_no_room(case: Case) -> None:
    """A replay is answered although the queue is full: it queues nothing."""
    capacity = case.facts.queue_capacity
    if capacity is None:
        raise UnobservableError("facts.queue_capacity is not set: the queue cannot be filled")
    request = case.requests.execute(count=3, key=case.key())
    with held(case):
        first = case.accept("IDEM-01", request, "a keyed submission")
        fillers = fill(case, capacity)
        again = case.attempt(request)
        expect_replay(case, "IDEM-01", first, again, "while the queue is full")
    case.cancel([*fillers, *ids_of(first)])


@covers("IDEM-04", exclusive=True)
@RPCS
def test_a_lost_response_is_retried_safely(case: Case, rpc: str) -> None:
    """Whether or not a submission got through before its caller hung up, the retry gives one set of jobs, never two."""
    wanted = 2 if rpc == "single" else 6
    probes = [case.accept("IDEM-04", submission(case, rpc, None, 2), "a submission") for _ in range(5)]
    typical = sorted(call.ended_ns - call.started_ns for call in probes)[2] / 1e9
    trials = []
    role = counted_role(case)
    with counting(case) as count:
        for fraction in (0.9, 0.7, 0.5, 0.3, 0.1, 0.0) * 5:
            trials.append(_retried(case, submission(case, rpc, case.key(), 2, role), typical * fraction))
            if len(trials) >= 6 and sum(lost.error is not None for lost, _, _ in trials) >= 3:
                break
    for lost, retry, again in trials:
        if lost.error is None:
            expect_replay(case, "IDEM-04", lost, retry, "the retry of an answered submission")
        expect_replay(case, "IDEM-04", retry, again, "a second retry")
        case.expect("IDEM-04", len(ids_of(retry)) == wanted, f"{wanted} jobs", describe(retry), lost, retry)
    expect_jobs(case, "IDEM-04", count, wanted * len(trials), f"{len(trials)} submissions, each retried twice")
    unknown = sum(lost.error is not None for lost, _, _ in trials)
    case.observe("IDEM-04", f"{unknown} of {len(trials)} first attempts ended without an answer")
    if not unknown:
        raise DisturbedError("every submission was answered before its caller hung up: no response was lost")


@covers("IDEM-04", exclusive=True)
@RPCS
@EVERY_STRIKE
def test_a_submission_struck_on_the_wire_is_retried_safely(case: Case, rpc: str, name: str) -> None:
    """A connection cut, a response held back, a stream reset: the retry gives one set of jobs, never two."""
    wanted = 2 if rpc == "single" else 6
    request = submission(case, rpc, case.key(), 2, counted_role(case))
    with FaultProxy(case.endpoint) as proxy:
        client = client_through(case, proxy)
        with counting(case) as count:
            lost = STRIKES[name](case, proxy, client, request)
            retry = case.accept("IDEM-04", request, "the retry")
            case.expect("IDEM-04", len(ids_of(retry)) == wanted, f"{wanted} jobs after {name}", describe(retry), lost, retry)
            expect_replay(case, "IDEM-04", retry, case.attempt(request), "a second retry")
            proxy.release()
    expect_jobs(case, "IDEM-04", count, wanted, f"a submission, {name}, retried twice")


def _retried(case: Case, request: Message, after: float) -> tuple[Call, Call, Call]:
    lost = case.abandon(request, after)
    return lost, case.accept("IDEM-04", request, "the retry"), case.accept("IDEM-04", request, "the second retry")


def _replay_throughout(case: Case, request: Message, first: Call, status: Status, length: float) -> None:
    """Replay over the first half of a phase that lasts `length` seconds, for as long as its first job is in it."""
    watch = Stopwatch()
    for part in range(6):
        watch.wait_until(length / 2 * part / 5)
        again = case.attempt(request)
        expect_replay(case, "IDEM-05", first, again, f"{watch.seconds():.2f} s after its job was seen {status}")
        if case.discrepancies or not ids_of(first) or case.status(ids_of(first)[0]) is not status:
            return


@covers("IDEM-05")
@RPCS
def test_the_key_holds_while_queued(case: Case, rpc: str) -> None:
    """The key replays while its jobs are queued."""
    request = submission(case, rpc, case.key(), 2)
    with held(case):
        first = case.accept("IDEM-05", request, "a keyed submission")
        _replay_throughout(case, request, first, Status.QUEUED, case.profile.jobs["slow"].duration)


@covers("IDEM-05")
@RPCS
def test_the_key_holds_while_running(case: Case, rpc: str) -> None:
    """The key replays while its job runs."""
    request = submission(case, rpc, case.key(), 1, case.needs("slow"))
    first = case.accept("IDEM-05", request, "a keyed submission")
    case.reach(ids_of(first)[0], Status.RUNNING)
    _replay_throughout(case, request, first, Status.RUNNING, case.profile.jobs["slow"].duration)


@covers("IDEM-05")
@RPCS
def test_the_key_holds_while_post_processing(case: Case, rpc: str) -> None:
    """The key replays while its job is post-processed."""
    request = submission(case, rpc, case.key(), 1, case.needs("post_processed"))
    first = case.accept("IDEM-05", request, "a keyed submission")
    (job_id, *_) = ids_of(first) or [""]
    if case.wait_for(job_id, Status.POST_PROCESSING) is not Status.POST_PROCESSING:
        raise UnobservableError("no job was ever seen in POST_PROCESSING")
    _replay_throughout(case, request, first, Status.POST_PROCESSING, case.profile.jobs["post_processed"].post_processing)


@covers("IDEM-05", tier="light")
@RPCS
def test_the_key_holds_until_results_are_fetched(case: Case, rpc: str) -> None:
    """The key replays when its jobs have finished and their results wait to be fetched."""
    request = submission(case, rpc, case.key(), 2)
    first = case.accept("IDEM-05", request, "a keyed submission")
    case.finish(ids_of(first))
    expect_replay(case, "IDEM-05", first, case.attempt(request), "finished, results not fetched")


@covers("IDEM-06")
@RPCS
@pytest.mark.parametrize("fate", ["finished", "fetched", "cancelled"])
def test_the_key_holds_as_long_as_one_job_is_known(case: Case, rpc: str, fate: str) -> None:
    """Some jobs finished, fetched or cancelled, others not: the key still replays all of them."""
    request = submission(case, rpc, case.key(), 3)
    if fate == "cancelled":
        with held(case):
            first = case.accept("IDEM-06", request, "a keyed submission")
            case.cancelled(ids_of(first)[:1])
            expect_replay(case, "IDEM-06", first, case.attempt(request), "one job cancelled, the others queued")
        return
    first = case.accept("IDEM-06", request, "a keyed submission")
    case.finish(ids_of(first)[:1])
    if fate == "fetched":
        case.result_call(ids_of(first)[0])
    expect_replay(case, "IDEM-06", first, case.attempt(request), f"one job {fate}")
    case.finish(ids_of(first))
    for job_id in ids_of(first)[:-1] if fate == "fetched" else []:
        case.result_call(job_id)
    expect_replay(case, "IDEM-06", first, case.attempt(request), f"all finished, some {fate}")


@covers("IDEM-07", exclusive=True)
@RPCS
@pytest.mark.parametrize("clients", [2, 8])
def test_concurrent_submissions_with_one_key_agree(case: Case, rpc: str, clients: int) -> None:
    """Several submissions with one key at the same time: every OK answer carries the same ids, and one set of jobs exists."""
    connections = [case.connect(f"c{number}") for number in range(clients)]
    for client in connections:
        client.wait_ready(case.deadlines.call)
    rounds = 6
    role = counted_role(case)
    with counting(case) as count:
        for _ in range(rounds):
            if not case.holding:
                case.make_room(2 if rpc == "single" else 6)
            _race(case, submission(case, rpc, case.key(), 2, role), connections)
    expect_jobs(
        case, "IDEM-07", count, rounds * (2 if rpc == "single" else 6), f"{rounds} rounds of {clients} racing submissions"
    )


def _race(case: Case, request: Message, connections: list[ControllerClient]) -> None:
    calls = case.together(lambda client: case.attempt(request, client=client), connections)
    answered = [call for call in calls if call.error is None]
    if not answered and all(map(case.lacks_room, calls)):
        raise DisturbedError(f"no room for the racing submissions: {describe(calls[0])}")
    case.expect("IDEM-07", bool(answered), "at least one OK answer", [describe(call) for call in calls], *calls)
    different = [call for call in answered if members_of(call) != members_of(answered[0])]
    got = " / ".join(brief_members(call) for call in answered)
    case.expect("IDEM-07", not different, "the same ids in every OK answer", got, *answered)


@covers("IDEM-08")
def test_keys_that_differ_in_one_bit_are_different(case: Case) -> None:
    """Flipping any one of the 122 free bits gives another key, and so another job."""
    key = case.key()
    original = ids_of(case.accept("IDEM-08", case.requests.execute(key=key), "a keyed submission"))
    seen = dict.fromkeys(original, "the original")
    for bit in FREE_BITS:
        call = case.accept("IDEM-08", case.requests.execute(key=key.flipped(bit)), f"the key with bit {bit} flipped")
        for job_id in ids_of(call):
            case.expect("IDEM-08", job_id not in seen, "a new job", f"bit {bit} flipped: the job of {seen.get(job_id)}", call)
            seen[job_id] = f"bit {bit}"


@covers("IDEM-09", exclusive=True, tier="light")
@RPCS
def test_without_a_key_nothing_replays(case: Case, rpc: str) -> None:
    """The same request twice without a key is two sets of jobs."""
    request = submission(case, rpc, None, 2, counted_role(case))
    with counting(case) as count:
        first, second = (case.accept("IDEM-09", request, "a submission without a key") for _ in range(2))
    shared = set(ids_of(first)) & set(ids_of(second))
    case.expect("IDEM-09", not shared, "no id in common", sorted(shared), first, second)
    expect_jobs(case, "IDEM-09", count, 4 if rpc == "single" else 12, "two submissions without a key")


@covers("IDEM-10")
@RPCS
def test_a_replay_may_come_another_way(case: Case, rpc: str) -> None:
    """Over another connection, after a reconnect, with other metadata or another deadline, a replay is a replay."""
    request = submission(case, rpc, case.key(), 3)
    first = case.accept("IDEM-10", request, "a keyed submission")
    for name in ("second connection", "third connection"):
        expect_replay(case, "IDEM-10", first, case.attempt(request, client=case.connect(name)), f"over a {name}")
    expect_replay(case, "IDEM-10", first, case.attempt(request, timeout=case.deadlines.submit * 2), "with another deadline")
    with FaultProxy(case.endpoint) as proxy:
        client = case.connect("reconnecting", endpoint=proxied(case.endpoint, proxy))
        client.wait_ready(case.deadlines.call)
        proxy.drop_idle()
        client.wait_ready(case.deadlines.call)
        again = case.attempt(request, client=client)
        for _ in range(4):
            if again.code != "UNAVAILABLE":
                break
            # A call may find the dropped connection before gRPC has noticed.
            client.wait_ready(case.deadlines.call)
            again = case.attempt(request, client=client)
        if again.code == "UNAVAILABLE":
            raise DisturbedError("the connection that was dropped did not come back")
        expect_replay(case, "IDEM-10", first, again, "after a reconnect")
    other = case.client.call(first.rpc, request, metadata=[("x-conformance", "other-metadata"), ("x-attempt", "2")])
    expect_replay(case, "IDEM-10", first, other, "with other metadata")


@covers("IDEM-11")
@RPCS
def test_a_cancelled_jobs_key_replays(case: Case, rpc: str) -> None:
    """The key of cancelled jobs replays while their ids are known."""
    request = submission(case, rpc, case.key(), 2)
    with held(case):
        first = case.accept("IDEM-11", request, "a keyed submission")
        gone = len(case.cancelled(ids_of(first))) == len(ids_of(first))
    again = case.attempt(request)
    if still_known(case, ids_of(first)):
        expect_replay(case, "IDEM-11", first, again, f"after {'all' if gone else 'some'} of its jobs were cancelled")


@covers("IDEM-12", exclusive=True, alone=True)
@RPCS
def test_keys_and_ids_agree_after_a_restart(case: Case, rpc: str) -> None:
    """After a restart, a key of which any job is still known replays: jobs finished, fetched, cancelled, queued and running."""
    requests = {name: submission(case, rpc, case.key(), 2) for name in ("finished", "fetched", "cancelled", "queued")}
    first = {name: case.accept("IDEM-12", requests[name], "a keyed submission") for name in ("finished", "fetched")}
    for call in first.values():
        case.finish(ids_of(call))
    case.result_call(ids_of(first["fetched"])[0])
    requests["running"] = submission(case, rpc, case.key(), 1, case.needs("slow"))
    first["running"] = case.accept("IDEM-12", requests["running"], "a keyed submission")
    for name in ("queued", "cancelled"):
        first[name] = case.accept("IDEM-12", requests[name], "a keyed submission")
    case.cancel(ids_of(first["cancelled"]))
    restart(case)
    case.client = case.connect("after the restart")
    known = {name: still_known(case, ids_of(call)) for name, call in first.items()}
    for name, call in first.items():
        if known[name]:
            expect_replay(case, "IDEM-12", call, case.attempt(requests[name]), f"after a restart, {name} before it")
    case.observe(
        "IDEM-12", f"after a restart, the endpoint knows jobs that were {', '.join(n for n in known if known[n]) or 'nothing'}"
    )


@covers("IDEM-13", tier="light")
def test_observe_a_key_with_another_request(case: Case) -> None:
    """What the same key gets with a different request, and on the other submission call."""
    key = case.key()
    first = case.accept("IDEM-13", case.requests.execute(count=1, key=key), "a keyed submission")
    other = case.attempt(case.requests.execute(count=2, key=key))
    kind = "the original ids" if ids_of(other) == ids_of(first) else "new jobs"
    case.observe("IDEM-13", f"the same key with a different request gets {kind if other.error is None else describe(other)}")
    across = case.attempt(case.requests.batch([case.requests.execute()], key=key))
    kind = "the original ids" if ids_of(across) == ids_of(first) else "new jobs"
    case.observe("IDEM-13", f"the same key on the batch call gets {kind if across.error is None else describe(across)}")
