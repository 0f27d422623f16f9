"""What a run of the foreign suite gave, held against what was expected of it. Pure."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Outcome:
    """Of one test; `why` is the last line of what it said."""

    result: str
    why: str = ""


@dataclass(frozen=True)
class Verdict:
    """`expected` counts expected failures by reason; the rest are names of tests, with what they said."""

    passed: int
    skipped: int
    expected: Mapping[str, int]
    failures: Mapping[str, str]
    passes: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not (self.failures or self.passes or self.missing)


def read_expected(path: Path) -> dict[str, str]:
    """Test → reason why it fails. Raises ValueError for a test that stands there twice."""
    reasons: dict[str, str] = {}
    for group in tomllib.loads(path.read_text())["group"]:
        for test in group["tests"]:
            if test in reasons:
                raise ValueError(f"{test} stands under two reasons")
            reasons[test] = group["reason"]
    return reasons


def read_junit(path: Path) -> dict[str, Outcome]:
    """Test → outcome, from a JUnit report. An error in setting up or tearing down is a failure."""
    outcomes: dict[str, Outcome] = {}
    for case in ElementTree.parse(path).iter("testcase"):
        name = case.get("name", "")
        if name not in outcomes or outcomes[name].result != FAILED:
            outcomes[name] = _outcome(case)
    return outcomes


def _outcome(case: ElementTree.Element) -> Outcome:
    for tag, result in (("failure", FAILED), ("error", FAILED), ("skipped", SKIPPED)):
        found = case.find(tag)
        if found is not None:
            return Outcome(result, (found.get("message") or "").strip().partition("\n")[0])
    return Outcome(PASSED)


def judge(outcomes: Mapping[str, Outcome], reasons: Mapping[str, str], *, whole: bool) -> Verdict:
    """`whole`: every test of the suite ran, so that an expected failure that did not run is out of date."""
    expected: dict[str, int] = {}
    failures: dict[str, str] = {}
    passes = []
    for test, outcome in outcomes.items():
        if outcome.result == FAILED and test in reasons:
            expected[reasons[test]] = expected.get(reasons[test], 0) + 1
        elif outcome.result == FAILED:
            failures[test] = outcome.why
        elif outcome.result == PASSED and test in reasons:
            passes.append(test)
    results = [outcome.result for outcome in outcomes.values()]
    missing = tuple(test for test in reasons if test not in outcomes) if whole else ()
    return Verdict(results.count(PASSED), results.count(SKIPPED), expected, failures, tuple(passes), missing)
