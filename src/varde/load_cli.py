"""`varde load`: files into the store, with a progress bar and a report of what was refused. See fhir/load.py."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import orjson
import typer

from varde.settings import Settings, settings

if TYPE_CHECKING:
    from rich.console import Console

    from varde.fhir import load as loading


def load(
    paths: Annotated[
        list[Path],
        typer.Argument(exists=True, help="JSON resources, Bundles, NDJSON, either gzipped, npm packages, folders."),
    ],
    report: Annotated[
        Path, typer.Option(help="Where what is refused is written, one JSON object a line: source, place, reason.")
    ] = Path("varde-load-refused.ndjson"),
    again: Annotated[bool, typer.Option("--again", help="Also the files that were loaded before.")] = False,
) -> None:
    """Load FHIR resources from files. A load that was stopped goes on where it stopped; what is there already with
    the same text is left alone.

    Ends with 1 when something was refused.
    """
    from rich.console import Console

    chosen = settings()
    console = Console(stderr=True)
    with report.open("w", encoding="utf-8") as file:
        result = asyncio.run(_load(chosen, paths, file, console, again=again))
    typer.echo(
        f"{result.written} resources written, {result.unchanged} were there already, {result.refused} refused;"
        f" {result.skipped} files had been loaded before."
    )
    if result.refused:
        typer.echo(f"What was refused, and why: {report}", err=True)
        raise typer.Exit(1)
    report.unlink()


async def _load(
    chosen: Settings, paths: Sequence[Path], report: TextIO, console: Console, *, again: bool
) -> loading.Progress:
    # Only here: the other commands need not wait for all of the house.
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from varde.app import build
    from varde.fhir import load as loading
    from varde.lanes import Lanes, LaneWriter, usual
    from varde.trust import grounds
    from varde.trust.access import Access
    from varde.trust.keeping import kept

    house = build(chosen, process="load", connections=4)
    lanes = Lanes(usual())
    gate = Access(house.platform.store, house.platform.clock, house.log).for_system("load", grounds.RECORD_SYSTEM)

    def refused(one: loading.Refusal) -> None:
        report.write(orjson.dumps(asdict(one)).decode() + "\n")

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn(),
               TimeRemainingColumn())  # fmt: skip
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=None)

            def progress(state: loading.Progress) -> None:
                said = f"{state.written + state.unchanged} resources, {state.refused} refused"
                bar.update(task, total=state.total, completed=state.passed, description=said)

            await lanes.start(kept(gate))
            return await loading.load(
                house.platform.store, gate, paths, progress=progress, refused=refused, again=again,
                writer=LaneWriter(lanes),
            )  # fmt: skip
    finally:
        await lanes.stop()
        await house.close()
