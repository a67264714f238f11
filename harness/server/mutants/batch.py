"""Mutants of the chapter BATCH: batch submissions."""

# ruff: noqa: D101, D102  (the summary given to `mutant` is what is to be said of each)

from __future__ import annotations

from dataclasses import replace

from harness.ids import IdempotencyKey
from harness.server import admission
from harness.server.engine import Engine, Groups, Member
from harness.server.mutants.registry import mutant
from harness.server.refusal import Code, Refusal
from harness.server.state import KeyId, KeyRecord, Scope
from harness.server.values import BatchRequest, Caller, SubmitRequest


@mutant("batch-members-reversed", "BATCH-01", "answers the members in reverse order")
class MembersReversed(Engine):
    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> Groups:
        return super().submit_batch(caller, batch, now)[::-1]


@mutant("batch-last-member-missing-from-8", "BATCH-01", "leaves the last member out of the response from 8 members on")
class LastMemberMissing(Engine):
    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> Groups:
        groups = super().submit_batch(caller, batch, now)
        return groups[:-1] if len(groups) >= 8 else groups


def _key_is_bad(key: IdempotencyKey | None) -> bool:
    return key is not None and not key.is_valid


@mutant("batch-partial-on-failure", "BATCH-02", "keeps the members before the first bad one, and answers with an error")
class PartialOnFailure(Engine):
    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> Groups:
        try:
            return super().submit_batch(caller, batch, now)
        except Refusal:
            if not _key_is_bad(batch.key):
                self._queue_until_refused(caller, batch)
            raise

    def _queue_until_refused(self, caller: Caller, batch: BatchRequest) -> None:
        for request in batch.requests:
            try:
                member = self._admit(caller, request, "")
                self._check_room([member])
            except Refusal:
                return
            self._accept(None, [member])


@mutant("batch-bad-member-left-empty", "BATCH-03", "answers OK with an empty response for a member that is refused")
class BadMemberLeftEmpty(Engine):
    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> Groups:
        try:
            return super().submit_batch(caller, batch, now)
        except Refusal as refusal:
            members = [self._admitted(caller, request) for request in batch.requests]
            good = [member for member in members if member is not None]
            if refusal.code is Code.RESOURCE_EXHAUSTED or _key_is_bad(batch.key) or not good:
                raise
            self._check_room(good)
            groups = iter(self._accept(self._key_id(self._batch_scope(caller), batch.key), good))
            return tuple(() if member is None else next(groups) for member in members)

    def _admitted(self, caller: Caller, request: SubmitRequest) -> Member | None:
        try:
            return self._admit(caller, request, "")
        except Refusal:
            return None


@mutant("batch-member-key-replays", "BATCH-04", "replays a member whose key a single submission has used before")
class MemberKeyReplays(Engine):
    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> Groups:
        records = [self._find(self._key_id(self._single_scope(caller, one.target), one.key)) for one in batch.requests]
        if not any(records):
            return super().submit_batch(caller, batch, now)
        fresh = tuple(request for request, record in zip(batch.requests, records, strict=True) if record is None)
        groups = iter(super().submit_batch(caller, replace(batch, requests=fresh), now) if fresh else ())
        return tuple(next(groups) if record is None else record.groups[0] for record in records)


@mutant("batch-member-key-shared", "BATCH-04", "makes one set of jobs of the members that share a key")
class MemberKeyShared(Engine):
    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> Groups:
        marks = [request.key or index for index, request in enumerate(batch.requests)]
        distinct = list(dict.fromkeys(marks))
        fresh = tuple(batch.requests[marks.index(mark)] for mark in distinct)
        groups = super().submit_batch(caller, replace(batch, requests=fresh), now)
        return tuple(groups[distinct.index(mark)] for mark in marks)


@mutant("batch-member-key-checked", "BATCH-04", "refuses a batch for an invalid key inside a member")
class MemberKeyChecked(Engine):
    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> Groups:
        for request in batch.requests:
            admission.check_key(request.key)
        return super().submit_batch(caller, batch, now)


@mutant("batch-replay-first-member-only", "BATCH-05", "replays the first member only")
class ReplayFirstMemberOnly(Engine):
    def _replay(self, record: KeyRecord, now: int) -> Groups:
        return super()._replay(record, now)[:1]


@mutant("batch-replay-reordered", "BATCH-05", "replays the members in reverse order")
class ReplayReordered(Engine):
    def _replay(self, record: KeyRecord, now: int) -> Groups:
        return super()._replay(record, now)[::-1]


@mutant("batch-key-ignored", "BATCH-05", "never replays a batch")
class KeyIgnored(Engine):
    def _key_id(self, scope: Scope, key: IdempotencyKey | None) -> KeyId | None:
        found = super()._key_id(scope, key)
        return None if found is not None and found.scope.rpc == "batch" else found


@mutant("batch-options-of-first", "BATCH-06", "runs every member with the options of the first")
class OptionsOfFirst(Engine):
    def submit_batch(self, caller: Caller, batch: BatchRequest, now: int) -> Groups:
        first = batch.requests[:1]
        requests = tuple(replace(one, timeout=head.timeout, bypass=head.bypass) for head in first for one in batch.requests)
        return super().submit_batch(caller, replace(batch, requests=requests), now)
