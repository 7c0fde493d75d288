"""`catnap host doctor`: what this machine can do; needs no agent."""

import asyncio
import sys

import click

from hostagent.api.wire import finding_to_wire
from hostagent.commands.terminal import as_json, print_json, print_table
from hostagent.doctor.examination import examine


@click.command()
@as_json
def doctor(json_output: bool) -> None:
    """Try everything the agent needs of this machine, and say what is missing and what to do.

    Exit status 1: something is missing that the agent cannot do without.
    """
    findings = asyncio.run(examine())
    if json_output:
        print_json([finding_to_wire(one) for one in findings])
    else:
        rows = [
            (
                "ok" if one.ok else "missing" if one.need == "needed" else "without",
                one.name,
                one.found + (f"\n→ {one.advice}" if one.advice and not one.ok else ""),
            )
            for one in findings
        ]
        print_table(("", "PART", "WHAT WAS FOUND"), rows, "nothing to examine")
    if any(not one.ok and one.need == "needed" for one in findings):
        sys.exit(1)
