"""The report of a check as a person reads it: what there is, where the bytes are, what was found, and the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from isotherm.cli.showing import size
from isotherm.movers.fsck.findings import Finding, Kind, Level, Report, level_of

_FINDINGS_OF_A_KIND = 5
_MARKS = {Level.ERROR: ("✗", "red"), Level.WASTE: ("○", "yellow"), Level.NOTE: ("·", "dim")}
_BAR = 28


def print_summary(report: Report, *, verdict: bool = True) -> None:
    """Print to standard output."""
    console = Console(highlight=False)
    how = "as of" if report.hot else "at"
    console.print(f"[bold]Store[/] {report.store}  [dim]{how} commit {report.commit} of epoch {report.epoch}[/]\n")
    console.print(_objects(report))
    console.print(_space(report))
    for level in Level:
        _print_findings(console, report, level)
    if verdict:
        console.print(_verdict(report), soft_wrap=True)


def _objects(report: Report) -> Table:
    found = report.objects
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    rows = (
        (found.buckets, "buckets"),
        (found.live, f"objects, {size(found.logical_bytes)} with all their versions"),
        (found.older, f"older versions, of them {found.markers:,} delete markers"),
        (found.uploads, "multipart uploads under way"),
        (found.tags, "tags"),
        (found.feed_records, "records in the change feed"),
        (found.audit_records, "records in the audit log"),
        (found.credentials, "access keys"),
        (found.garbage, "pieces of work left for the mover"),
    )
    for count, what in rows:
        if count or what.startswith(("buckets", "objects")):
            table.add_row(f"{count:,}", what)
    return table


def _space(report: Report) -> Table:
    space = report.space
    table = Table(box=None, show_header=False, pad_edge=False, title_justify="left")
    for justify in ("right", "left", "left", "left"):
        table.add_column(justify=justify)
    parts = (
        (
            space.live_bytes,
            "live",
            "green",
            "referred to" + (", every block verified" if report.payload_verified else ""),
        ),
        (space.dead_bytes, "dead", "yellow", f"{space.dead_extents:,} extents until compaction"),
        (space.header_bytes, "headers", "blue", "names and checksums"),
        (space.tail_bytes, "tails", "cyan", "being written, or left by a crash"),
        (space.gap_bytes, "gaps", "red", "damaged or unknown"),
    )
    table.add_row(size(space.files_bytes), "files", "", f"[dim]{space.segments:,} segments[/]", style="bold")
    for count, name, colour, what in parts:
        filled = -(-count * _BAR // space.files_bytes) if space.files_bytes else 0
        table.add_row(size(count), name, Text("█" * filled, style=colour), f"[dim]{what}[/]")
    return table


def _print_findings(console: Console, report: Report, level: Level) -> None:
    mark, style = _MARKS[level]
    for kind, count in sorted(report.counts.items()):
        if level_of(kind) is level:
            console.print(f"\n[{style}]{mark} {level.value}: {count:,} × {kind.value}[/]")
            kept = [finding for finding in report.findings if finding.kind is kind][:_FINDINGS_OF_A_KIND]
            for finding in kept:
                console.print(f"    {_line(finding)}", markup=False, soft_wrap=True)
            if count > len(kept):
                console.print(f"    … and {count - len(kept):,} more", style="dim")


def _line(finding: Finding) -> str:
    return f"{finding.text}  [mended by --repair]" if finding.repairable else finding.text


def _verdict(report: Report) -> Text:
    errors, waste = report.number(Level.ERROR), report.number(Level.WASTE)
    took = f"  ({report.elapsed_s:.1f} s)"
    if errors:
        return Text(f"\nDamage: {_counted(errors, 'error')}; {_lost(report)}.", style="bold red").append(took, "dim")
    untried = "" if report.keys_verified else f" {_untried(report)}"
    if waste:
        said = f"\nNothing is lost; space is wasted in {_counted(waste, 'place')}.{untried}"
        return Text(said, style="bold yellow").append(took, "dim")
    if untried:
        said = f"\nNo byte is missing, and every one is accounted for.{untried}"
        return Text(said, style="bold yellow").append(took, "dim")
    proof = "every object is readable" if report.payload_verified else "every object is where it should be"
    return Text(f"\nClean: {proof} and every byte accounted for.", style="bold green").append(took, "dim")


def _lost(report: Report) -> str:
    """What is lost by errors."""
    damaged = report.counts.get(Kind.OBJECT_DAMAGED, 0)
    said = [f"{_counted(damaged, 'version')} cannot be read whole"] if damaged else []
    if any(report.counts.get(kind, 0) for kind in (Kind.TENANT_KEY_MISSING, Kind.TENANT_KEY_WRONG)):
        said.append("what tenants have sealed cannot be read, all or some of it, until their keys are put right")
    return "; ".join(said) or "no object is lost so far"


def _untried(report: Report) -> str:
    tenants = _counted(report.sealing_tenants, "tenant")
    return f"Whether what {tenants} sealed can be read was not tried: their keys are not here."


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
