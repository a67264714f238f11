"""EXEC: one submission, one or more configurations, all or nothing."""

from __future__ import annotations

import uuid

import pytest

from conformance.kit import Case, NotApplicableError, UnobservableError, covers
from conformance.kit.answers import brief, describe, ids_of
from conformance.kit.hold import held
from conformance.kit.oracles import countable, counted_role, counting, expect_jobs, fill, refuse_late_cancels
from conformance.kit.strikes import EVERY_STRIKE, expect_atomic
from harness.model import TERMINAL, Status
from harness.profile import Target
from harness.requests import duration
from harness.stubs import job_pb2

LIGHT_COUNTS = tuple(pytest.param(count, marks=pytest.mark.covers(tier="light")) for count in (1, 2, 3, 7, 8, 9, 10))


@covers("EXEC-01", "EXEC-03", "EXEC-05")
@pytest.mark.parametrize("count", [*LIGHT_COUNTS, 33, 100, 1000])
def test_one_id_per_configuration(case: Case, count: int) -> None:
    """Exactly one id comes back per configuration; all are distinct, known at once, and end."""
    if count > case.most(count):
        raise NotApplicableError(f"the endpoint takes no more than {case.most(count)} jobs at once")
    call = case.accept("EXEC-01", case.requests.execute("quick", count=count), f"a request with {count} configurations")
    ids = ids_of(call)
    if call.error is None:
        case.expect("EXEC-01", len(ids) == count, f"{count} ids", f"{len(ids)} ids", call)
    case.expect("EXEC-03", all(ids), "no empty id", f"{ids.count('')} empty ids", call)
    case.expect("EXEC-03", len(set(ids)) == len(ids), f"{len(ids)} distinct ids", f"{len(set(ids))} distinct ids", call)
    _known_at_once(case, ids)
    ended = case.finish(ids)
    open_jobs = [job_id for job_id, status in ended.items() if status not in TERMINAL]
    case.expect("EXEC-05", not open_jobs, "every job reaches a terminal state", f"{len(open_jobs)} did not: {open_jobs[:3]}")


def _known_at_once(case: Case, ids: list[str]) -> None:
    for job_id in [*ids[:5], *ids[-5:]]:
        call = case.attempt(case.requests.status(job_id))
        case.expect("EXEC-03", call.error is None, f"job {job_id} is known at once", describe(call), call)
        if call.error is None:
            status = case.status(job_id)
            case.expect("EXEC-03", status is not Status.UNKNOWN, f"job {job_id} is known at once", status)


@covers("EXEC-03")
def test_ids_are_distinct_across_requests(case: Case) -> None:
    """No two submissions share an id, not even over several connections at once."""
    clients = [case.connect(f"c{number}") for number in range(4)]
    calls = case.together(lambda client: [case.attempt(case.requests.execute(count=5), client=client) for _ in range(6)], clients)
    ids = [job_id for made in calls for call in made for job_id in ids_of(call)]
    case.expect("EXEC-03", len(ids) == len(set(ids)), f"{len(ids)} distinct ids", f"{len(set(ids))} distinct ids")


@covers("EXEC-02", tier="light")
@pytest.mark.parametrize("count", [2, 9, 24])
def test_ids_belong_to_their_configurations(case: Case, count: int) -> None:
    """Id i belongs to configuration i: its result shows configuration i."""
    count = case.most(count)
    tags = case.rng.sample(range(1, 1_000_000), count)
    case.needs("correlated")
    request = case.requests.execute("correlated", configurations=[case.requests.tagged(tag) for tag in tags])
    call = case.accept("EXEC-02", request, f"a request with {count} configurations")
    shown = [case.tag_of(case.result(job_id)) for job_id in ids_of(call)]
    if None in shown:
        raise UnobservableError("a result shows no configuration, although the profile's correlation says that it does")
    case.expect("EXEC-02", shown == tags, f"results in the order {tags}", f"results in the order {shown}", call)


@covers("EXEC-02", alone=True)
def test_ids_belong_in_every_submission(case: Case) -> None:
    """Not now and then, but in each of 30 submissions of two or three configurations, id i belongs to configuration i."""
    case.needs("correlated")
    submitted = []
    for number in range(30):
        tags = [10 * number + place for place in range(1, 3 + number % 2)]
        request = case.requests.execute("correlated", configurations=[case.requests.tagged(tag) for tag in tags])
        submitted.append((tags, case.accept("EXEC-02", request, f"submission {number}")))
    for tags, call in submitted:
        shown = [case.tag_of(case.result(job_id)) for job_id in ids_of(call)]
        case.expect("EXEC-02", shown == tags, f"results in the order {tags}", f"results in the order {shown}", call)


@covers("EXEC-07", tier="light")
def test_identical_configurations_are_separate_jobs(case: Case) -> None:
    """Two identical configurations in one request are two jobs, each with a life of its own."""
    case.needs("correlated")
    request = case.requests.execute("correlated", configurations=[case.requests.tagged(7)] * 3)
    call = case.accept("EXEC-07", request, "a request with three identical configurations")
    ids = ids_of(call)
    case.expect("EXEC-07", len(set(ids)) == 3, "three distinct jobs", brief(ids), call)
    ended = case.finish(ids)
    case.expect("EXEC-07", len(ended) == len(ids) and set(ended.values()) <= {Status.SUCCEEDED}, "all succeed", dict(ended))


@covers("EXEC-07", exclusive=True, tier="light")
def test_identical_configurations_are_counted_separately(case: Case) -> None:
    """Three identical configurations queue three jobs."""
    request = case.requests.execute(counted_role(case), count=3)
    with counting(case) as count:
        call = case.accept("EXEC-07", request, "a request with three identical configurations")
    if call.error is None:
        expect_jobs(case, "EXEC-07", count, 3, "three identical configurations")


@covers("EXEC-06", tier="light")
def test_no_configuration_is_an_error(case: Case) -> None:
    """A request without any configuration is an error, with a key and without."""
    case.refuse("EXEC-06", case.requests.execute("quick", configurations=[]), "a request without configurations")
    case.refuse(
        "EXEC-06", case.requests.execute("quick", configurations=[], key=case.key()), "a keyed request without configurations"
    )


@covers("EXEC-04", exclusive=True, tier="light")
@pytest.mark.parametrize("cause", ["no-configuration", "invalid-key", "no-job", "negative-timeout", "protected"])
def test_an_error_queues_nothing(case: Case, cause: str) -> None:
    """A submission that is answered with an error has queued nothing, whatever the cause."""
    request = case.requests.execute(counted_role(case), count=3, key=case.key())
    if cause == "no-configuration":
        del request.execution_configurations[:]
    elif cause == "invalid-key":
        request.idempotency_key.high = 0
    elif cause == "no-job":
        request.ClearField("encrypted")
    elif cause == "negative-timeout":
        request.options.timeout.CopyFrom(duration(-1.0))
    else:
        request = case.requests.execute(countable(case, "protected"), count=3)
    with counting(case) as count:
        call = case.attempt(request)
    if call.error is None:
        raise NotApplicableError(f"the endpoint accepts a submission with {cause}")
    expect_jobs(case, "EXEC-04", count, 0, f"a submission that failed with {call.code}")


@covers("EXEC-04", exclusive=True)
@pytest.mark.parametrize("room", [0, 1, 5])
def test_a_full_queue_takes_all_or_nothing(case: Case, room: int) -> None:
    """A request for which there is not enough room is refused whole: the room that was left is still there."""
    capacity = case.facts.queue_capacity
    if capacity is None:
        raise UnobservableError("facts.queue_capacity is not set: the queue cannot be filled")
    with held(case):
        fillers = fill(case, capacity)
        freed = case.cancelled(fillers[-room:]) if room else []
        call = case.attempt(case.requests.execute("quick", count=len(freed) + 3))
        still = fill(case, len(freed) + 3) if call.error is not None else []
        refuse_late_cancels(case, set(fillers[-room:] if room else ()) - set(freed))
        case.expect(
            "EXEC-04", call.error is not None, f"refusal: {len(freed) + 3} jobs, room for {len(freed)}", describe(call), call
        )
        if call.error is not None:
            case.expect(
                "EXEC-04", len(still) == len(freed), f"room for {len(freed)} jobs as before", f"room for {len(still)}", call
            )
    case.cancel([*fillers, *still, *ids_of(call)])


@covers("EXEC-04", exclusive=True)
@EVERY_STRIKE
def test_a_submission_struck_on_the_wire_is_all_or_nothing(case: Case, name: str) -> None:
    """Cut off before or after the request, reset, answered too late: all eight jobs are queued, or none."""
    expect_atomic(case, "EXEC-04", name, case.requests.execute(counted_role(case), count=8), 8)


@covers("EXEC-10", exclusive=True)
def test_lack_of_room_is_resource_exhausted_and_passes(case: Case) -> None:
    """Refusal for lack of room is RESOURCE_EXHAUSTED, and the same request succeeds once there is room."""
    capacity = case.facts.queue_capacity
    if capacity is None:
        raise UnobservableError("facts.queue_capacity is not set: the queue cannot be filled")
    request = case.requests.execute("quick", count=2)
    with held(case):
        fill(case, capacity)
        call = case.attempt(request)
        case.expect("EXEC-10", call.code == "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", describe(call), call)
    case.clean_up()
    again = case.attempt(request)
    case.expect("EXEC-10", again.error is None, "the same request succeeds once there is room", describe(again), again)


@covers("EXEC-05", tier="light")
def test_acknowledged_jobs_are_real(case: Case) -> None:
    """Every acknowledged job runs and has a result: submitted alone, by twos and by tens, in a burst."""
    ids = [job_id for size in (1, 2, 10, 1, 10) for job_id in case.submit("quick", count=case.most(size))]
    ended = case.finish(ids)
    wrong = {job_id: status for job_id, status in ended.items() if status is not Status.SUCCEEDED}
    case.expect(
        "EXEC-05", not wrong, "every job succeeds", f"{len(wrong)} of {len(ids)} did not: {dict(list(wrong.items())[:3])}"
    )


@covers("EXEC-08", tier="light")
def test_a_request_without_a_job_is_an_error(case: Case) -> None:
    """A request whose `job` is not set is an error."""
    request = case.requests.execute("quick")
    request.ClearField("encrypted")
    case.refuse("EXEC-08", request, "a request without a job")


@covers("EXEC-09", alone=True, tier="light")
@pytest.mark.parametrize(
    "target", [None, Target(quantum_processor_id=""), Target(quantum_processor_id=f"no-such-{uuid.UUID(int=0)}")]
)
def test_a_gateway_needs_a_known_target(case: Case, target: Target | None) -> None:
    """Behind a gateway, a submission without a target, or with one that it does not know, is an error."""
    if case.facts.gateway is not True:
        raise NotApplicableError("the profile does not say that the endpoint is a gateway (facts.gateway)")
    case.refuse("EXEC-09", case.requests.execute("quick", target=target), f"the target {target}")


@covers("EXEC-01")
def test_configurations_may_be_large(case: Case) -> None:
    """A request of 64 configurations with 1,000 reals each, spread over regions, is accepted like any other."""
    configurations = []
    wanted = case.most(64)
    for number in range(wanted):
        configuration = job_pb2.JobExecutionConfiguration()
        configuration.CopyFrom(case.requests.configuration())
        configuration.memory_values[f"angles{number % 3}"].real.data.extend([0.25 * number] * 1000)
        configurations.append(configuration)
    request = case.requests.execute("quick", configurations=configurations)
    if request.ByteSize() > case.facts.max_message:
        raise NotApplicableError(f"the request has {request.ByteSize()} octets, facts.max_message is {case.facts.max_message}")
    call = case.accept("EXEC-01", request, f"a request of {wanted} large configurations")
    found = len(ids_of(call))
    case.expect("EXEC-01", call.error is not None or found == wanted, f"{wanted} ids", f"{found} ids", call)
