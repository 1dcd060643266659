"""The commands of `varde`, each a thin layer over the room that does the work. No rule or query lives here."""

from __future__ import annotations

import asyncio

import typer

from varde import db
from varde.embedded import EmbeddedPostgres
from varde.settings import Settings, settings

main = typer.Typer(name="varde", no_args_is_help=True, add_completion=False)


@main.callback()
def varde() -> None:
    """Digital patient services for a health region."""


@main.command()
def migrate() -> None:
    """Bring the database up to this version's schema; names the migrations applied."""
    applied = asyncio.run(_migrate(settings()))
    typer.echo("\n".join(applied) if applied else "The schema is up to date.")


async def _migrate(chosen: Settings) -> list[str]:
    if chosen.database_url:
        return await db.migrate(chosen.database_url)
    server = EmbeddedPostgres(chosen.data)
    server.start()
    await db.ensure_database(server.url("postgres"), "varde")
    return await db.migrate(server.url())
