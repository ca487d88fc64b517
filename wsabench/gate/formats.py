"""What the gate decided, for machines and pull requests: JUnit XML and Markdown."""

from __future__ import annotations

from xml.etree import ElementTree

from wsabench.gate.outcome import CheckedCell, CheckResult
from wsabench.words import decimal

_MARKS = {
    "regressed": "**regressed**",
    "within margin": "within margin",
    "undecided": "undecided",
    "untested": "untested",
}
_CANNOT_TELL = 2
_OUTCOMES = {0: "passed", 1: "failed", _CANNOT_TELL: "cannot tell"}


def junit_xml(result: CheckResult) -> str:
    """Return the check as JUnit XML, with one test case for each cell and each average.

    A test case fails where the check does: on a regression, and if the check is strict also where the test is
    undecided. Where the check cannot tell, a test case whose episodes are too few has an error. A test case in which
    there is nothing to lose is skipped. The numbers stand in `system-out`. There are no times: nothing is played here.
    """
    rows = result.rows
    failures = sum(result.fails(row) for row in rows)
    too_few = result.too_few if result.exit_code == _CANNOT_TELL else ()
    counts = {"tests": str(len(rows)), "failures": str(failures), "errors": str(len(too_few))}
    skipped = str(len(rows) - len(result.tested))
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": "wsabench check", **counts, "skipped": skipped})
    for row in rows:
        names = {"classname": f"{row.agent}.{row.game}", "name": row.perturbation}
        case = ElementTree.SubElement(suite, "testcase", names)
        if result.fails(row):
            failure = ElementTree.SubElement(
                case, "failure", {"message": f"{row.verdict}: {row.change}", "type": row.verdict}
            )
            failure.text = f"{row.where}: {row.verdict} ({row.change})"
        elif row in too_few:
            ElementTree.SubElement(case, "error", {"message": result.conclusion, "type": "too few episodes"})
        elif row.verdict == "untested":
            ElementTree.SubElement(case, "skipped", {"message": "The reference is not above random play."})
        ElementTree.SubElement(case, "system-out").text = f"{row.verdict}: {row.change}"
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def markdown_summary(result: CheckResult) -> str:
    """Return the check as Markdown: conclusion, table, notes; fit for a pull request or a job's summary."""
    lines = [
        f"## Robustness gate: {_OUTCOMES[result.exit_code]}",
        "",
        result.conclusion,
        "",
        f"Run `{result.run}` against reference `{result.reference}`; margin {result.margin:.0%} of the reference's "
        f"normalised score, alpha {result.alpha:g} for the whole check. {result.meaning}",
        "",
        "| agent | game | cell | reference | run | drop | margin | adjusted p | verdict |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
        *(_markdown_row(row) for row in result.rows),
    ]
    if result.notes:
        lines += ["", *(f"- {note}" for note in result.notes)]
    return "\n".join(lines) + "\n"


def _markdown_row(row: CheckedCell) -> str:
    """Return one row of the table."""
    numbers = [
        decimal(row.reference, 3),
        decimal(row.run, 3),
        decimal(row.drop, 3, has_plus=True),
        decimal(row.margin, 3),
        f"{row.p_adjusted:.2g}",
    ]
    if row.verdict == "untested":
        numbers[2:] = ["-"] * 3
    words = [row.agent_shown, row.game, row.perturbation, *numbers, _MARKS[row.verdict]]
    return f"| {' | '.join(word.replace('|', chr(92) + '|') for word in words)} |"
