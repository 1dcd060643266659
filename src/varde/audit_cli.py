"""`varde audit …`: commands for those who guard the access log. What a seal is and means is in `trust/seal.py`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import asyncpg
import typer

from varde.clock import SystemClock
from varde.embedded import database_url
from varde.settings import Settings, settings
from varde.trust.seal import Seal, Verdict, seal, verify

audit = typer.Typer(name="audit", no_args_is_help=True, help="The access log: seal it, and prove that it is whole.")


@audit.command("verify")
def verify_log(
    kept: Annotated[
        list[str] | None,
        typer.Option("--kept", help="A seal's name written down before, as 17:9f86d081…; may be repeated"),
    ] = None,
) -> None:
    """Prove that no row of the access log was altered, taken out or put in since it was sealed.

    Ends with 1 when one was, and with 2 when a seal kept elsewhere is not in the chain.
    """
    verdict = asyncio.run(_verify(settings(), kept or []))
    typer.echo(f"{verdict.rows} rows under {verdict.seals} seals hold; {verdict.unsealed} rows are not sealed yet.")
    if verdict.forgotten:
        typer.echo(f"The rows under the first {verdict.forgotten} seals were forgotten when their time was over.")
    if verdict.wrong is not None:
        typer.echo(f"Seal {verdict.wrong} does not fit: rows under it were changed after they were sealed.", err=True)
        raise typer.Exit(1)
    if verdict.missing:
        typer.echo(f"Not in the chain, which was made anew: {', '.join(verdict.missing)}", err=True)
        raise typer.Exit(2)


@audit.command("seal")
def seal_log() -> None:
    """Seal what is not sealed yet, and print the seal's name, to be kept outside the database."""
    made = asyncio.run(_seal(settings()))
    typer.echo(made.name if made else "Everything is sealed.")


async def _verify(chosen: Settings, kept: list[str]) -> Verdict:
    connection = await asyncpg.connect(database_url(chosen))
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await verify(connection, kept)
    finally:
        await connection.close()


async def _seal(chosen: Settings) -> Seal | None:
    connection = await asyncpg.connect(database_url(chosen))
    try:
        async with connection.transaction():
            return await seal(connection, SystemClock().now())
    finally:
        await connection.close()
