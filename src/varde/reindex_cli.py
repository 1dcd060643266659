"""`varde reindex`: search values made anew after a change of their definitions. See fhir/reindex.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from varde.settings import Settings, settings

if TYPE_CHECKING:
    from varde.fhir.reindex import Progress


def reindex(
    types: Annotated[list[str] | None, typer.Argument(help="Resource types; all that are stale when not said.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say which types are stale; ends with 1 if any is.")
    ] = False,
) -> None:
    """Make the search values anew of what was indexed by other definitions than those in use. The store is in use
    meanwhile; a run that was stopped goes on where it stopped."""
    from varde.fhir.definitions import is_type

    wrong = [name for name in types or () if not is_type(name)]
    if wrong:
        typer.echo(f"No resource type of R4: {', '.join(wrong)}", err=True)
        raise typer.Exit(2)
    if check:
        found = asyncio.run(_stale(settings()))
        typer.echo("\n".join(found) if found else "All search values are by the definitions in use.")
        raise typer.Exit(1 if found else 0)
    done = asyncio.run(_reindex(settings(), types or None))
    for one in done:
        typer.echo(f"{one.type}: {one.examined} resources looked at, {one.rewritten} made anew")
    if not done:
        typer.echo("All search values are by the definitions in use.")


async def _stale(chosen: Settings) -> list[str]:
    from varde.app import build
    from varde.indexing import stale_types

    house = build(chosen, process="reindex", connections=2)
    try:
        return await stale_types(house.platform.store)
    finally:
        await house.close()


async def _reindex(chosen: Settings, types: list[str] | None) -> list[Progress]:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TextColumn, TimeElapsedColumn

    from varde.app import build
    from varde.fhir import reindex as reindexing

    house = build(chosen, process="reindex", connections=2)
    store = house.platform.store
    try:
        with Bar(
            TextColumn("{task.description}"), TimeElapsedColumn(), console=Console(stderr=True), transient=True
        ) as bar:
            task = bar.add_task("")

            def told(one: Progress) -> None:
                bar.update(task, description=f"{one.type}: {one.examined} looked at, {one.rewritten} made anew")

            done = await reindexing.reindex(store.database, store.clock, store.custom, types, told=told)
        await reindexing.recheck(store.database, store.custom)
        return done
    finally:
        await house.close()
