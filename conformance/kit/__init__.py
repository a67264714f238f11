"""What the checks are written with: the case in hand, verdicts, oracles and waiting."""

from conformance.kit.case import Case
from conformance.kit.verdicts import DisturbedError, NotApplicableError, UnobservableError, covers

__all__ = ["Case", "DisturbedError", "NotApplicableError", "UnobservableError", "covers"]
