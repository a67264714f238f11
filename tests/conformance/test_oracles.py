"""The oracles: what an observer is read from, what a delay proves, and that servers of any order are judged right."""

from __future__ import annotations

import contextlib
import http.server
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conformance.kit import Case, DisturbedError, UnobservableError, oracles
from conformance.kit.case import ATTEMPTS
from conformance.kit.delay import MANY, Taken
from conformance.kit.observers import read_observer
from conformance.kit.oracles import counted_role, counting, expect_all_or_none, expect_jobs
from harness.budget import Spending
from harness.endpoint import resolve
from harness.errors import ConfigError
from harness.facts import Observer
from harness.observing import json_number, metric_sum
from harness.profile import load_profile
from harness.server.embedded_thread import background_server
from harness.server.engine import Engine
from harness.server.mutants import MUTANTS, Mutant
from harness.server.mutants.execute import FailureEnqueuesFirst
from harness.server.settings import ServerSettings
from harness.server.state import Event, Processor

FACTS = "  executors: 1\n"
PROFILE = """
name: test
address: {address}
target: {{quantum_processor_id: qpu-1}}
deadlines: {{state: 5s}}
jobs:
  quick: {{text: controller-job duration=2ms, duration: 2ms}}
  slow: {{text: controller-job duration={slow}, duration: 600ms}}
  protected: {{text: controller-job duration={slow} touches-settings=yes, duration: 600ms}}
facts:
{facts}
"""


# Observers


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ("{}", "give exactly one of url and command"),
        ("{url: 'http://h/', command: [true]}", "give exactly one of url and command"),
        ("{url: 'http://h/', json: /a, metric: b}", "give json or metric, not both"),
        ("{url: 'file:///etc/passwd'}", "does not begin with http"),
        ("{command: []}", "needs at least one word"),
        ("{url: 'http://h/', json: a/b}", "is no JSON Pointer"),
        ("{url: 'http://h/', json: /a~2}", "is no JSON Pointer"),
    ],
)
def test_an_observer_of_no_sense_is_refused_at_load(facts: str, text: str) -> None:
    facts = facts.replace("[true]", "['true']")
    with pytest.raises(ConfigError, match=text):
        load_profile(PROFILE.format(address="h:1", slow="600ms", facts=f"  observer: {facts}"), "test")


_KEYS = st.one_of(st.text(max_size=6), st.sampled_from(["", "0", "01", "~", "/", "~1", "a/b", "m~n", "-"]))
_DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text(max_size=5), st.integers(-(10**20), 10**20), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=20,
)


@given(document=_DOCUMENTS, data=st.data())
def test_a_pointer_leads_to_what_it_was_made_for(document: object, data: st.DataObject) -> None:
    place, pointer = document, ""
    while isinstance(place, list | dict) and place:
        if isinstance(place, list):
            index = data.draw(st.integers(0, len(place) - 1))
            place, pointer = place[index], f"{pointer}/{index}"
        else:
            key = data.draw(st.sampled_from(sorted(place)))
            place, pointer = place[key], pointer + "/" + key.replace("~", "~0").replace("/", "~1")
    Observer(url="http://h/", json=pointer)
    if isinstance(place, int | float) and not isinstance(place, bool):
        assert json_number(json.dumps(document), pointer) == place
    else:
        with pytest.raises(ValueError, match="not to a number"):
            json_number(json.dumps(document), pointer)
    with pytest.raises(ValueError, match="leads nowhere"):
        json_number(json.dumps(document), pointer + "/no such key")


@pytest.mark.parametrize("pointer", ["/a/-1", "/a/01", "/a/2", "/a/-", "/a/\u0661", "/a/" + "9" * 30])
def test_only_true_indices_lead_into_lists(pointer: str) -> None:
    with pytest.raises(ValueError, match="leads nowhere"):
        json_number('{"a": [1, 2]}', pointer)


@given(values=st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 10**6)), min_size=1, max_size=8))
def test_samples_with_the_labels_are_added_up(values: list[tuple[str, int]]) -> None:
    text = "".join(f'jobs{{p="{label}",n="{number}"}} {value}\n' for number, (label, value) in enumerate(values))
    assert metric_sum(text, "jobs", {}) == sum(value for _, value in values)
    wanted = [value for label, value in values if label == "a"]
    if wanted:
        assert metric_sum(text, "jobs", {"p": "a"}) == sum(wanted)
    else:
        with pytest.raises(ValueError, match="no metric"):
            metric_sum(text, "jobs", {"p": "a"})


def _prints(text: str) -> Observer:
    return Observer(command=(sys.executable, "-c", f"print({text!r}, end='')"))


@pytest.mark.parametrize("text", ["7", " 7\n", "7.0", "7e0"])
def test_a_command_prints_a_number(text: str) -> None:
    assert read_observer(_prints(text)) == 7


@pytest.mark.parametrize(
    ("observer", "complaint"),
    [
        (_prints("many"), "'many', which is not one number"),
        (_prints(""), "'', which is not one number"),
        (_prints("nan"), "is no count of jobs"),
        (_prints("inf"), "is no count of jobs"),
        (_prints("1e300"), "is no count of jobs"),
        (Observer(command=("no-such-command-anywhere",)), "No such file"),
        (Observer(command=(sys.executable, "-c", "import sys; sys.exit('on strike')")), "ended with code 1: on strike"),
        (Observer(command=(sys.executable, "-c", "print('{')"), json="/a"), "Expecting"),
        (Observer(url="http://127.0.0.1:1/metrics"), "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(observer: Observer, complaint: str) -> None:
    with pytest.raises(UnobservableError, match=complaint) as caught:
        read_observer(observer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("program", ["while True: pass", "while True: print('x' * 4096)"])
def test_a_command_is_bounded(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.observing.SECONDS", 0.5)
    with pytest.raises(UnobservableError, match="takes longer than"):
        read_observer(Observer(command=(sys.executable, "-c", program)))


@contextlib.contextmanager
def _page(text: Callable[[], str]) -> Iterator[str]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text().encode())

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_a_page_holds_a_number_in_json() -> None:
    with _page(lambda: '{"queues": {"qpu-1": {"accepted": 12}}}') as url:
        assert read_observer(Observer(url=url, json="/queues/qpu-1/accepted")) == 12
        with pytest.raises(UnobservableError, match="not to a number"):
            read_observer(Observer(url=url, json="/queues"))


def test_a_page_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.observing.MOST", 100)
    with _page(lambda: " " * 101) as url, pytest.raises(UnobservableError, match="longer than 100 octets"):
        read_observer(Observer(url=url, json=""))


# Delay: the arithmetic


@given(
    jobs=st.integers(0, MANY - 1),
    job=st.floats(0.4, 10),
    missed=st.floats(0, 0.29),
    late=st.floats(0, 0.29),
)
def test_jobs_that_were_seen_are_counted(jobs: int, job: float, missed: float, late: float) -> None:
    least, most = max(0.0, jobs - missed) * job, (jobs + late) * job
    assert Taken(least, most, job).jobs() == jobs


@given(stall=st.floats(0, 20), seen=st.floats(0, 0.49), job=st.floats(0.4, 10))
def test_a_stall_is_never_a_job(stall: float, seen: float, job: float) -> None:
    taken = Taken(min(stall, seen * job), stall, job)
    assert taken.jobs() in {0, None}


@given(least=st.floats(0, 20), more=st.floats(0, 20), job=st.floats(0.4, 5))
def test_what_may_be_two_numbers_is_none(least: float, more: float, job: float) -> None:
    assume(more > 1.4 * job)
    assert Taken(least, least + more, job).jobs() is None


# Delay: real servers


class LastFirst(Engine):
    """Takes the job that came last."""

    def pick(self, waiting: int) -> int:
        return waiting - 1

    def _dispatch(self, processor: Processor, at: int) -> None:
        while len(processor.running) < processor.executors and processor.queue:
            waiting = list(processor.queue)
            job = waiting[self.pick(len(waiting))]
            processor.queue.remove(job)
            self._move(job, Event.START)
            self._run(job, at)


class AnyOrder(LastFirst):
    """Takes any job."""

    def pick(self, waiting: int) -> int:
        return self._random_bits(16) % waiting


class LastFirstGhost(LastFirst, FailureEnqueuesFirst):
    """Takes the job that came last, and queues the first job of what it refuses."""


class AnyOrderGhost(AnyOrder, FailureEnqueuesFirst):
    """Takes any job, and queues the first job of what it refuses."""


@contextlib.contextmanager
def _case(
    monkeypatch: pytest.MonkeyPatch, engine: type[Engine] = Engine, facts: str = FACTS, slow: str = "600ms"
) -> Iterator[Case]:
    monkeypatch.setitem(MUTANTS, "of-this-test", Mutant("of-this-test", "EXEC-04", "a server of this test", engine=engine))
    with background_server(ServerSettings(mutant="of-this-test")) as bound:
        text = PROFILE.format(address=bound.address, facts=facts.format(metrics=bound.metrics_url), slow=slow)
        endpoint = resolve(load_profile(text, "test"), Path())
        case = Case(endpoint, spending=Spending(endpoint.profile.budget), seed="1", origin_ns=0)
        try:
            yield case
        finally:
            case.close()


def _refused(case: Case) -> None:
    case.attempt(case.requests.execute("protected", count=3))


@pytest.mark.parametrize("engine", [Engine, LastFirst, AnyOrder])
def test_delay_counts_what_was_acknowledged_and_no_more(engine: type[Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    with _case(monkeypatch, engine) as case:
        with counting(case) as count:
            _refused(case)
            case.submit(counted_role(case), count=5)
        assert (count.oracle, count.jobs) == ("delay", 5)
        assert expect_jobs(case, "EXEC-04", count, 5, "a refused submission and one that is not")


@pytest.mark.parametrize("engine", [FailureEnqueuesFirst, LastFirstGhost, AnyOrderGhost])
def test_delay_tells_a_ghost_whatever_the_order(engine: type[Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    with _case(monkeypatch, engine) as case, contextlib.ExitStack() as stack:
        with counting(case) as count:
            for _ in range(2):
                _refused(case)
            case.submit(counted_role(case), count=3)
        assert (count.oracle, count.jobs) == ("delay", 5)
        stack.enter_context(pytest.raises(DisturbedError, match="seen 1 times, is not confirmed"))
        expect_jobs(case, "EXEC-04", count, 3, "refused submissions")


def test_delay_does_not_take_a_wrong_length_for_ghosts(monkeypatch: pytest.MonkeyPatch) -> None:
    with _case(monkeypatch, slow="900ms") as case:
        with counting(case) as count:
            case.submit(counted_role(case), count=2)
        assert count.jobs == 2


def test_a_wrong_count_by_delay_needs_every_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    assert oracles.CONFIRMATIONS <= ATTEMPTS, "a check must have the attempts that confirming takes"
    with _case(monkeypatch) as case:
        for _ in range(oracles.CONFIRMATIONS - 1):
            with pytest.raises(DisturbedError):
                expect_jobs(case, "EXEC-04", oracles.Count("delay", 1), 0, "first attempts")
            case.forget()
        with pytest.raises(DisturbedError):
            expect_jobs(case, "EXEC-04", oracles.Count("delay", 0), 0, "attempts that disagree")
        case.forget()
        assert not expect_jobs(case, "EXEC-04", oracles.Count("delay", 1), 0, "the last attempt")
        assert [item.requirement for item in case.discrepancies] == ["EXEC-04"]


@pytest.mark.parametrize("jobs", [0, 8])
def test_all_or_none_is_either(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with _case(monkeypatch) as case:
        assert expect_all_or_none(case, "EXEC-04", oracles.Count("observer", jobs), 8, "a struck submission")
        assert not expect_all_or_none(case, "EXEC-04", oracles.Count("observer", 4), 8, "a struck submission")


def test_the_strongest_oracle_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    capacity = FACTS + "  queue_capacity: 2000\n"
    observer = capacity + "  observer: {{url: '{metrics}', labels: {{processor: qpu-1}}}}\n"
    for facts, oracle, role in ((FACTS, "delay", "slow"), (capacity, "capacity", "quick"), (observer, "observer", "quick")):
        with _case(monkeypatch, facts=facts) as case:
            assert counted_role(case) == role
            with counting(case) as count:
                case.submit(role, count=2)
            assert (count.oracle, count.jobs, case.oracles) == (oracle, 2, [oracle])


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ("  executors: 2\n", "no serial executor"),
        ("  gateway: true\n", "no serial executor"),
        (FACTS + "  exclusive: false\n", "others use the target"),
    ],
)
def test_without_an_oracle_nothing_is_counted(facts: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with _case(monkeypatch, facts=facts) as case, pytest.raises(UnobservableError, match=text):
        counted_role(case)


@pytest.mark.parametrize("values", [(5, 4), (5, 5.5)])
def test_an_observer_that_counts_no_jobs_is_not_believed(values: tuple[float, float], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [values[0]]
    with _page(lambda: str(shown[0])) as url:
        facts = FACTS + f"  observer: {{{{url: '{url}', json: ''}}}}\n"
        with (
            _case(monkeypatch, facts=facts) as case,
            pytest.raises(DisturbedError, match="no count of accepted jobs"),
            counting(case),
        ):
            shown[0] = values[1]
