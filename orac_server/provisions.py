"""Provisioning over the wire: the body of ``POST /v1/models/provision``, and what was done."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from attrs import frozen
from msgspec import Meta

from orac_core import ModelManager
from orac_core.provision import Provisioned, Step, told

from .requests import Name
from .wire import Json

Names = Annotated[tuple[Name, ...], Meta(max_length=256)]


@frozen(kw_only=True)
class ProvisionBody:
    """The body of ``POST /v1/models/provision``.

    Attributes:
        roles: Roles whose models are to be there; null for all of the profile, or for none where
            there are `models`.
        models: Models by their names, which are fetched from where the manifest or an engine's own
            registry has them.
        force: Look at models that are there, too: whether they are whole and still the same.
        stream: Whether to stream.
    """

    roles: Names | None = None
    models: Names | None = None
    force: bool = False
    stream: bool = False


def step(each: Step) -> Json:
    """Return an event ``progress``."""
    return {
        "role": each.role,
        "model": each.model,
        "message": each.message,
        "completed": each.completed,
        "total": each.total,
    }


def known(manager: ModelManager) -> list[Json]:
    """Return what was last done for each role."""
    return [told(each) for each in manager.provisioning.reports.values()]


async def events(
    manager: ModelManager, body: ProvisionBody
) -> AsyncGenerator[tuple[str, Json], None]:
    """Make models be there: ``progress`` events, then ``done`` with what was done for each."""
    rows: list[Json] = []
    async with aclosing(_steps(manager, body)) as steps:
        async for each in steps:
            if isinstance(each, Provisioned):
                rows.append(told(each))
            else:
                yield "progress", step(each)
    yield "done", {"profile": manager.provisioning.profile, "roles": rows}


async def _steps(
    manager: ModelManager, body: ProvisionBody
) -> AsyncGenerator[Step | Provisioned, None]:
    works = []
    if body.roles is not None or body.models is None:
        works.append(manager.provisioning.provision(body.roles, force=body.force))
    if body.models is not None:
        works.append(manager.provisioning.pull(body.models, force=body.force))
    for work in works:
        async with aclosing(work) as steps:
            async for each in steps:
                yield each
