"""The commands of `varde`, each a thin layer over the room that does the work. No rule or query lives here."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from varde import db
from varde.audit_cli import audit
from varde.client_cli import client
from varde.embedded import EmbeddedPostgres
from varde.journey_cli import commands as journey
from varde.load_cli import load
from varde.reindex_cli import reindex
from varde.settings import Settings, settings

main = typer.Typer(name="varde", no_args_is_help=True, add_completion=False)
main.add_typer(audit)
main.add_typer(client)
main.add_typer(journey)
main.command()(load)
main.command()(reindex)

DataFolder = Annotated[Path | None, typer.Option("--data", help="Folder of the demo (VARDE_DATA).")]
DEMO_PATIENTS = 2000


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


@main.command()
def serve() -> None:
    """Run the web server."""
    from varde.serving import serve as run

    try:
        run(settings())
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@main.command()
def worker() -> None:
    """Run one worker: what happens later, and what leaves the house."""
    from varde.working import work

    asyncio.run(work(settings()))


@main.command()
def demo(
    port: Annotated[int | None, typer.Option(help="Port of the web server (VARDE_PORT).")] = None,
    data: DataFolder = None,
    patients: Annotated[int, typer.Option(min=60, help="Patients of a new region.")] = DEMO_PATIENTS,
    seed: Annotated[int, typer.Option(help="The same seed gives the same region.")] = 1,
) -> None:
    """Run everything, with a synthetic region, on this machine."""
    _demo(port, data, patients, seed)


@main.command()
def run() -> None:
    """Run everything as `varde demo` does, with its defaults and the settings VARDE_*."""
    _demo(None, None, DEMO_PATIENTS, 1)


def _demo(port: int | None, data: Path | None, patients: int, seed: int) -> None:
    from rich.console import Console

    from varde.demo import running

    chosen = _demo_settings(port=port, data=data)
    try:
        asyncio.run(running.run(chosen, seed=seed, size=patients, console=Console(soft_wrap=True)))
    except running.CannotStart as reason:
        typer.echo(str(reason), err=True)
        raise typer.Exit(1) from None


def _demo_settings(**given: Any) -> Settings:
    """The settings of the environment with what the command line says, in demo mode, here and in children."""
    os.environ["VARDE_MODE"] = "demo"
    for name, value in given.items():
        if value is not None:
            os.environ[f"VARDE_{name.upper()}"] = str(value)
    settings.cache_clear()
    return settings()


@main.command()
def token(
    person: Annotated[str | None, typer.Option(help="National identity number of who asks.")] = None,
    acting_for: Annotated[str | None, typer.Option("--for", help="Whom they act for.")] = None,
    staff: Annotated[str | None, typer.Option(help="HPR number of a health worker.")] = None,
    org: Annotated[str | None, typer.Option(help="Organisation number of their unit or its trust.")] = None,
    purpose: Annotated[str | None, typer.Option(help="Code of v3-PurposeOfUse; TREAT when not said.")] = None,
    system: Annotated[str | None, typer.Option(help="Name of a system.")] = None,
    scopes: Annotated[str, typer.Option(help='SMART scopes of the system, as "system/*.read".')] = "",
    data: DataFolder = None,
) -> None:
    """Print a bearer token for the running demo's /fhir. Refuses outside demo mode."""
    from varde.demo import tokens

    if [bool(person), bool(staff), bool(system)].count(True) != 1:
        typer.echo("Say one of --person, --staff and --system.", err=True)
        raise typer.Exit(2)
    state, chosen = _running_demo(data)
    try:
        if person:
            made = tokens.for_person(chosen, person, acting_for)
        elif staff:
            made = tokens.for_staff(state.region.world, chosen, staff, org, purpose)
        else:
            made = tokens.for_system(chosen, str(system), scopes)
    except LookupError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(made)


@main.command()
def people(
    as_json: Annotated[bool, typer.Option("--json", help="Everybody, for scripts.")] = False,
    data: DataFolder = None,
) -> None:
    """List the demo's persons."""
    from varde.demo.persons import patients, staff

    world = _running_demo(data)[0].region.world
    if as_json:
        everybody = [*patients(world), *staff(world)]
        typer.echo(orjson.dumps(everybody, option=orjson.OPT_INDENT_2).decode())
        return
    for person in patients(world):
        if person["part"] is None:
            break
        typer.echo(f"{person['fnr']}  {person['name']:<18} {person['age']:>3}  {person['part']}")
    for person in staff(world):
        if person["role"] == "operator" or person["unit"]["id"] == world.fixed.ward.id:
            typer.echo(f"{person['hpr']:<11}  {person['name']:<18}      {person['title']}, {person['unit']['name']}")


def _running_demo(data: Path | None) -> tuple[Any, Settings]:
    """The demo of the data folder, with the settings that reach it; ends the command when there is none."""
    from varde.demo.running import DemoState

    refused = "This is for the demo only; start one with 'varde demo'."
    if os.environ.get("VARDE_MODE", "demo") != "demo":
        typer.echo(refused, err=True)
        raise typer.Exit(1)
    chosen = _demo_settings(data=data)
    try:
        return DemoState.read(chosen.data), chosen
    except LookupError as error:
        typer.echo(f"{error}. {refused}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    main()
