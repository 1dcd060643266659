"""`varde client …`: commands for those who let apps in. What a registration must hold: `trust/smart/clients.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from varde.settings import Settings, settings

if TYPE_CHECKING:
    from varde.clock import Clock
    from varde.trust.smart.clients import Clients

client = typer.Typer(name="client", no_args_is_help=True, help="Apps: register them, list them, close them.")
_Result = TypeVar("_Result")


def _clock(chosen: Settings) -> Clock:
    """The demo's clock in a demo's folder, so that what is closed there is closed now."""
    from varde.clock import MovableClock, SystemClock

    file = chosen.data / "clock"
    return MovableClock(file) if file.exists() else SystemClock()


def _with_clients(work: Callable[[Clients], Awaitable[_Result]]) -> _Result:
    """Run `work`; ends the command with 1 and the reason when it is refused."""
    from varde.db import Database
    from varde.embedded import database_url
    from varde.trust.smart.clients import Clients, InvalidClient

    async def run() -> _Result:
        chosen = settings()
        database = Database(database_url(chosen), 1, application="varde client")
        try:
            return await work(Clients(database, _clock(chosen)))
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except (InvalidClient, LookupError) as reason:
        typer.echo(str(reason), err=True)
        raise typer.Exit(1) from None


@client.command("add")
def add(
    client_id: Annotated[str, typer.Argument(help="The app's client_id.")],
    name: Annotated[str, typer.Option(help="What persons know it as.")],
    publisher: Annotated[str, typer.Option(help="Who answers for it.")],
    scopes: Annotated[str, typer.Option(help='The most it may ask for: "patient/Observation.rs offline_access".')],
    side: Annotated[
        list[str] | None, typer.Option(help="Who uses it: patient, staff, system; may be repeated.")
    ] = None,
    redirect: Annotated[
        list[str] | None, typer.Option(help="Redirect address, to the letter; may be repeated.")
    ] = None,
    launch: Annotated[str | None, typer.Option(help="Address where staff's page opens it.")] = None,
    secret: Annotated[bool, typer.Option("--secret", help="It proves itself by a secret, printed once.")] = False,
    jwks: Annotated[Path | None, typer.Option(help="File with its public keys.")] = None,
    jwks_uri: Annotated[str | None, typer.Option(help="Where its public keys are.")] = None,
    ground: Annotated[
        str, typer.Option(help="Legal ground of a system, by its key in docs/access.md.")
    ] = "record-system",
    introspects: Annotated[bool, typer.Option("--introspects", help="It may ask about others' tokens.")] = False,
    bound: Annotated[
        bool, typer.Option("--dpop", help="It gets only tokens bound to a key of its own (DPoP).")
    ] = False,
) -> None:
    """Register an app. Public unless it has a secret or keys."""
    from varde.trust.grounds import GROUNDS
    from varde.trust.smart.clients import Authentication, Client, Side

    if ground not in GROUNDS or not set(side or ()) <= set(Side):
        typer.echo(f"sides are {', '.join(Side)}; grounds are {', '.join(GROUNDS)}", err=True)
        raise typer.Exit(2)
    keyed = jwks is not None or jwks_uri is not None
    if keyed and secret:
        typer.echo("an app has a secret or keys, not both", err=True)
        raise typer.Exit(2)
    proof = Authentication.KEY if keyed else Authentication.SECRET if secret else Authentication.NONE
    sides = frozenset(Side(one) for one in side or ())
    made = Client(
        client_id, name, publisher, proof, sides, scopes, tuple(redirect or ()), launch,
        jwks.read_text(encoding="utf-8") if jwks is not None else None, jwks_uri, ground=GROUNDS[ground],
        introspects=introspects, bound=bound,
    )  # fmt: skip
    given = _with_clients(lambda clients: clients.add(made))
    typer.echo(f"Registered {client_id}.")
    if given is not None:
        typer.echo(f"Its secret, shown this once: {given}")


@client.command("list")
def listed() -> None:
    """All registered apps."""
    for one in _with_clients(lambda clients: clients.every()):
        state = "closed" if one.closed else "open"
        sides = ",".join(sorted(one.sides))
        typer.echo(f"{one.id:<24} {state:<7} {one.authentication.value:<7} {sides:<16} {one.name}  [{one.scopes}]")


@client.command("secret")
def new_secret(client_id: Annotated[str, typer.Argument(help="The app's client_id.")]) -> None:
    """Give an app a new secret; the former one is good no more."""
    typer.echo(_with_clients(lambda clients: clients.new_secret(client_id)))


@client.command("close")
def close(client_id: Annotated[str, typer.Argument(help="The app's client_id.")]) -> None:
    """Let an app do nothing more: its tokens are refused within seconds."""
    _with_clients(lambda clients: clients.close(client_id))
    typer.echo(f"Closed {client_id}.")


@client.command("rotate-keys")
def rotate_keys() -> None:
    """Make a new key for id_tokens. It is published at once and signs after an hour."""
    from varde.smart import signing_keys

    chosen = settings()
    typer.echo(signing_keys(chosen, _clock(chosen)).rotate())
