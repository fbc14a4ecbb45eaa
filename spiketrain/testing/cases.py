"""A check of the suite, and what came of many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Never, final
from unittest import SkipTest

from root.errors import UnsupportedError

__all__ = ["Case", "ConformanceError", "Finding", "Report", "examine", "require", "skip"]


@final
@dataclass(frozen=True)
class Case:
    """One check: calling it passes, raises AssertionError with what is wrong, or `unittest.SkipTest`.

    pytest knows all three, so a list of cases is a parametrised test.

    Args:
        name: what must hold, in words.
        check: does it.
    """

    name: str
    check: Callable[[], None]

    def __call__(self) -> None:
        """Check it; what a part refuses with a reason is skipped with that reason."""
        try:
            self.check()
        except UnsupportedError as error:
            raise SkipTest(str(error)) from None

    def __str__(self) -> str:
        return self.name


@final
@dataclass(frozen=True)
class Finding:
    """What came of a case.

    Args:
        name: of the case.
        wrong: what is wrong, in words; empty where nothing is.
        skipped: why there was nothing to check; empty where there was.
    """

    name: str
    wrong: str = ""
    skipped: str = ""

    def __str__(self) -> str:
        if self.wrong:
            return f"WRONG    {self.name}: {self.wrong}"
        return f"skipped  {self.name}: {self.skipped}" if self.skipped else f"holds    {self.name}"


@final
@dataclass(frozen=True)
class Report:
    """What came of all cases; printed, it is a line for each.

    Args:
        what: was examined.
        findings: one per case.
    """

    what: str
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """The cases that do not hold."""
        return tuple(finding for finding in self.findings if finding.wrong)

    @property
    def held(self) -> tuple[Finding, ...]:
        """The cases that were checked and hold."""
        return tuple(finding for finding in self.findings if not finding.wrong and not finding.skipped)

    def __str__(self) -> str:
        return "\n".join((self.what, *(f"  {finding}" for finding in self.findings)))


class ConformanceError(AssertionError):
    """A part does not do what parts of its kind promise; the message says which cases fail, and how.

    Args:
        report: of all cases.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__(str(report))


def examine(what: str, cases: Iterable[Case]) -> Report:
    """Check all cases, also behind one that fails.

    Args:
        what: is examined, for the report.
        cases: to check.

    Raises:
        ConformanceError: a case fails, or not one could be checked.
    """
    found = []
    for case in cases:
        try:
            case()
        except SkipTest as error:
            found.append(Finding(case.name, skipped=str(error) or "no reason given"))
        except Exception as error:  # whatever somebody's part raises is what is wrong with it
            said = str(error).strip() or "no message"
            found.append(
                Finding(case.name, said if isinstance(error, AssertionError) else f"{_named(error)}: {said}")
            )
        else:
            found.append(Finding(case.name))
    report = Report(what, tuple(found))
    if report.wrong or not report.held:
        raise ConformanceError(report)
    return report


def require(holds: bool, wrong: str) -> None:
    """Raise AssertionError with what is wrong, unless it holds; also where Python drops assertions."""
    if not holds:
        raise AssertionError(wrong)


def skip(reason: str) -> Never:
    """Leave a case out, with the reason."""
    raise SkipTest(reason)


def _named(error: Exception) -> str:
    return type(error).__name__
