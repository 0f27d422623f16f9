"""How a run of the foreign suite is held against what was expected."""

import pytest

from tests.compat.outcomes import FAILED, PASSED, SKIPPED, Outcome, judge, read_expected, read_junit
from tests.compat.run_s3_tests import EXPECTED

REPORT = """<testsuites><testsuite>
<testcase name="good"/>
<testcase name="bad"><failure message="AssertionError: 1&#10;more">trace</failure></testcase>
<testcase name="broken"><error message="fixture"/></testcase>
<testcase name="torn"><error message="teardown"/></testcase><testcase name="torn"/>
<testcase name="left"><skipped message="why"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def outcomes(tmp_path):
    (tmp_path / "report.xml").write_text(REPORT)
    return read_junit(tmp_path / "report.xml")


def test_a_report_is_read(outcomes):
    assert outcomes == {
        "good": Outcome(PASSED),
        "bad": Outcome(FAILED, "AssertionError: 1"),
        "broken": Outcome(FAILED, "fixture"),
        "torn": Outcome(FAILED, "teardown"),
        "left": Outcome(SKIPPED, "why"),
    }


def test_only_what_was_expected_is_good(outcomes):
    reasons = {"bad": "r1", "broken": "r1", "torn": "r2"}
    verdict = judge(outcomes, reasons, whole=True)
    assert verdict.good
    assert (verdict.passed, verdict.skipped, verdict.expected) == (1, 1, {"r1": 2, "r2": 1})


def test_what_was_not_expected_is_told(outcomes):
    verdict = judge(outcomes, {"bad": "r1", "good": "r1", "gone": "r2"}, whole=True)
    assert not verdict.good
    assert set(verdict.failures) == {"broken", "torn"}
    assert (verdict.passes, verdict.missing) == (("good",), ("gone",))
    assert not judge(outcomes, {"bad": "r", "broken": "r", "torn": "r", "gone": "r"}, whole=True).good
    assert judge(outcomes, {"bad": "r", "broken": "r", "torn": "r", "gone": "r"}, whole=False).good


def test_the_checked_in_list_gives_every_test_one_reason(tmp_path):
    assert all(reason.strip() for reason in read_expected(EXPECTED).values())
    (tmp_path / "twice.toml").write_text(
        '[[group]]\nreason = "a"\ntests = ["x"]\n[[group]]\nreason = "b"\ntests = ["x"]\n'
    )
    with pytest.raises(ValueError, match="two reasons"):
        read_expected(tmp_path / "twice.toml")
