"""The commands `varde journey run | list | show | watch`, a thin layer over `probing.py` and the evidence."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from varde.app import House
    from varde.settings import Settings
    from varde.work.journey import Run

commands = typer.Typer(name="journey", no_args_is_help=True, help="Prove that the services work, as users do.")
Base = Annotated[str | None, typer.Option(help="Address of the live system; its own when not said.")]
_Result = TypeVar("_Result")


def _settings() -> Settings:
    """The settings of the environment; those of the demo in the data folder when there is one."""
    from varde.demo.running import DemoState
    from varde.settings import settings

    if "VARDE_MODE" not in os.environ:
        with contextlib.suppress(LookupError):
            state = DemoState.read(settings().data)
            os.environ |= {"VARDE_MODE": "demo", "VARDE_PUBLIC_BASE": state.base}
            settings.cache_clear()
    return settings()


def _with_house(work: Callable[[House], Awaitable[_Result]]) -> _Result:
    """Do `work` in a composed house; ends the command when it cannot be done."""
    from varde.app import build
    from varde.probing import CannotProbe

    async def inside() -> _Result:
        house = build(_settings(), process="journey", connections=2)
        try:
            return await work(house)
        finally:
            await house.close()

    try:
        return asyncio.run(inside())
    except (LookupError, CannotProbe) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


@commands.command("run")
def run_command(name: Annotated[str | None, typer.Argument()] = None, base: Base = None) -> None:
    """Run one journey, or all, now; exits with 1 when one fails."""
    from varde.probing import journeys_of, visit_of
    from varde.services.improvement import flow

    async def work(house: House) -> bool:
        well = True
        for journey in journeys_of(house, name):
            report, ended = await flow.run(house.platform, journey, visit_of(house.platform.settings, base))
            _print(report, ended)
            well &= ended.passed
        return well

    if not _with_house(work):
        raise typer.Exit(1)


@commands.command("list")
def list_command() -> None:
    """List the journeys with their last runs."""
    from varde.probing import journeys_of
    from varde.services.improvement import flow

    async def work(house: House) -> None:
        for journey in journeys_of(house):
            last = await flow.last_runs(house.platform, journey.name, most=1)
            told = "never run"
            if last:
                report, ended = last[0]
                told = f"{'green' if ended.passed else 'FAILED'} {ended.at.isoformat(timespec='seconds')} {report}"
            typer.echo(f"{journey.name:<18} {journey.title['nb']:<62} {told}")

    _with_house(work)


@commands.command("show")
def show_command(report: str) -> None:
    """Show one run, step by step, by the id of its report."""
    from varde.fhir.errors import NotFound
    from varde.services.improvement import flow

    async def work(house: House) -> None:
        try:
            _print(report, await flow.one(house.platform, report))
        except NotFound:
            raise LookupError("no such report") from None

    _with_house(work)


@commands.command("watch")
def watch_command() -> None:
    """Run every journey when it is due, until stopped."""
    from varde.probing import CannotProbe, watch

    try:
        asyncio.run(watch(_settings()))
    except CannotProbe as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _print(report: str, ended: Run) -> None:
    typer.echo(f"{ended.journey}: {'green' if ended.passed else 'FAILED'}  TestReport/{report}")
    for step in ended.steps:
        mark = "ok  " if step.passed else "FAIL"
        typer.echo(f"  {mark} {step.took.total_seconds():6.2f} s  {step.text}")
        if not step.passed:
            typer.echo(f"         expected: {step.expected}\n         seen: {step.seen}")
