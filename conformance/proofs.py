"""What proves each check: the wrong reference servers that it caught when the suites were last on trial (`proofs.json`).

`python -m conformance.proofs MATRIX...` brings the file up to date from the `matrix.json` of self-tests; a self-test of some
mutants only changes what is said of those.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from harness.recorder import write_atomically

FILE = Path(__file__).with_name("proofs.json")

Proofs = Mapping[str, tuple[str, ...]]
"""Names of mutants by check, parameters and all; checks that caught none are left out."""


@cache
def builtin_proofs() -> Proofs:
    """Return the proofs that the suites come with."""
    return {check: tuple(mutants) for check, mutants in json.loads(FILE.read_text("utf-8")).items()}


def updated(known: Proofs, matrices: Iterable[Mapping[str, Any]]) -> Proofs:
    """Return the proofs with what kill matrices say of their mutants; a check proves itself on mutants of what it covers only."""
    found = {check: dict.fromkeys(mutants) for check, mutants in known.items()}
    for mutant in (mutant for matrix in matrices for mutant in matrix["mutants"]):
        for names in found.values():
            names.pop(mutant["name"], None)
        for kill in mutant["kills"]:
            found.setdefault(kill["check"], {})[mutant["name"]] = None
    return {check: tuple(sorted(names)) for check, names in sorted(found.items()) if names}


def main(paths: Sequence[str]) -> None:
    """Bring `proofs.json` up to date."""
    proofs = updated(builtin_proofs(), [json.loads(Path(path).read_text("utf-8")) for path in paths])
    rows = [f" {json.dumps(check)}: {json.dumps(mutants)}" for check, mutants in proofs.items()]
    write_atomically(FILE, ("{\n" + ",\n".join(rows) + "\n}\n").encode())


if __name__ == "__main__":
    main(sys.argv[1:])
