"""`catnap host down`: the machine as it was before."""

import time
from pathlib import Path

import click

from hostagent.commands.background import is_free
from hostagent.commands.terminal import agent

DEADLINE = 120.0
_POLL = 0.1


@click.command()
@click.option("--rm", "remove", is_flag=True, help="Remove the instances, too, with their directories.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def down(run_dir: Path, remove: bool, yes: bool) -> None:
    """Stop every instance, remove all rules, links, mounts and cgroups made here, and end the agent.

    Instances are kept: the next agent has them again. With --rm they are removed.
    """
    with agent(run_dir) as client:
        names = [str(one["name"]) for one in client.instances()]
        if names and not yes:
            what = "removed" if remove else "stopped"
            click.confirm(f"{', '.join(names)} will be {what}. Go on?", abort=True)
        client.call("POST", "/agent/down", {"remove": remove})
    _wait_until_gone(run_dir)
    click.echo("The agent has ended, and nothing of it is left on this machine but the journal.")


def _wait_until_gone(run_dir: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if is_free(run_dir):
            return
        time.sleep(_POLL)
    raise click.ClickException(f"the agent has not ended within {DEADLINE:g} s; see its log")
