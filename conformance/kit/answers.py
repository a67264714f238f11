"""Read what calls brought: ids, statuses, results, and a few words about each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from google.protobuf.message import Message

from harness.call import Call
from harness.history import Rpc
from harness.model import ResultStatus, Status
from harness.stubs import job_pb2
from harness.stubs import service_pb2 as pb


def describe(call: Call) -> str:
    """Say in a few words what a call got."""
    if call.error is not None:
        return f"{call.error.code}: {call.error.message}" if call.error.message else call.error.code
    if call.rpc in {Rpc.EXECUTE, Rpc.BATCH}:
        return f"OK with {len(ids_of(call))} job ids"
    return "OK"


def ids_of(call: Call) -> list[str]:
    """Return the job ids of a submission's answer, members of a batch joined in order; empty after an error."""
    return [job_id for member in members_of(call) for job_id in member]


def members_of(call: Call) -> list[list[str]]:
    """Return the job ids of a submission's answer, one list per member (one for a single submission)."""
    response = call.response
    if isinstance(response, pb.ExecuteControllerJobResponse):
        return [list(response.job_execution_ids)]
    if isinstance(response, pb.BatchExecuteControllerJobsResponse):
        return [list(member.job_execution_ids) for member in response.responses]
    return []


def brief(ids: Iterable[str]) -> str:
    """Return job ids for a message: the first characters of the first few (the calls hold them in full)."""
    listed = list(ids)
    shown = ", ".join(job_id[:8] for job_id in listed[:8])
    return f"{len(listed)} id{'s' * (len(listed) != 1)} [{shown}{', ...' if len(listed) > 8 else ''}]"


def brief_members(call: Call) -> str:
    """Return the ids in a submission's answer for a message, member by member, or the error."""
    return describe(call) if call.error is not None else "; ".join(brief(ids) for ids in members_of(call))


def status_of(call: Call) -> Status:
    """Return the status that a status call answered; numbers that the contract does not know read as UNKNOWN."""
    response = cast("pb.GetControllerJobStatusResponse", call.response)
    numbers = pb.GetControllerJobStatusResponse.Status.DESCRIPTOR.values_by_number
    return Status(numbers[response.status].name) if response.status in numbers else Status.UNKNOWN


def result_of(call: Call) -> job_pb2.ControllerJobExecutionResult:
    """Return the result inside an OK answer."""
    return cast("pb.GetControllerJobResultsResponse", call.response).result


def same(first: Message, second: Message) -> bool:
    """Whether two messages agree in all that the contract knows; fields of a newer one are nobody's business (WIRE-01)."""
    pair = []
    for message in (first, second):
        known = type(message)()
        known.CopyFrom(message)
        known.DiscardUnknownFields()
        pair.append(known)
    return pair[0] == pair[1]


def result_status_of(result: job_pb2.ControllerJobExecutionResult) -> ResultStatus:
    """Return a result's status; numbers that the contract does not know read as UNKNOWN."""
    numbers = job_pb2.ControllerJobExecutionResult.Status.DESCRIPTOR.values_by_number
    return ResultStatus(numbers[result.status].name) if result.status in numbers else ResultStatus.UNKNOWN
