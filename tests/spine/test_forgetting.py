"""The command that deletes a customer's data, as an engineer runs it, on the real stack."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest
from azure.data.tables import TableServiceClient

from local.forking import ForkServer
from tests.spine.world import Subject, World

CALLER = "ca000000-0000-4000-8000-0000000000f0"
FAST = ("--quiet-hours", "0", "--although-listed")


Command = Callable[..., CompletedProcess[str]]


@pytest.fixture
def command(world: World, forks: ForkServer) -> Command:
    """The command as an engineer runs it, with the tables of the stack."""
    environment = {"PATH": os.environ["PATH"], "TABLES_CONNECTION_STRING": world.stack.ready["tables"]}
    return lambda *arguments: forks.run("infra.forget_customer", arguments, environment)


def mentions(world: World, customer: str) -> list[str]:
    """Every row of every table that the text of the id is found in."""
    found: list[str] = []
    with TableServiceClient.from_connection_string(world.stack.ready["tables"]) as tables:
        for table in tables.list_tables():
            rows = (dict(row) for row in tables.get_table_client(table.name).list_entities())
            found += [f"{table.name} {row['RowKey']}" for row in rows if customer in str(row).lower()]
    return found


@pytest.fixture
def customer(world: World) -> Subject:
    """A customer with a mapping, a billed change, a grant that names it, and its read models."""
    subject = world.inside_window()
    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 1))
    world.clients["operator"].post(f"{subject.path}/sync").raise_for_status()
    grant = {"customers": [subject.customer]}
    world.clients["access"].put(f"/access/{CALLER}", json=grant).raise_for_status()
    return subject


def test_it_shows_what_would_go_then_removes_it_and_leaves_the_bill_as_it_is(
    world: World, command: Command, customer: Subject
) -> None:
    bill, other = world.bill(customer), world.inside_window()

    shown = command(customer.customer, *FAST)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert re.search(r"\d+  operations", shown.stdout)
    assert f"line {customer.line}: {customer.quantity + 1} units" in shown.stdout
    assert mentions(world, customer.customer)

    done = command(customer.customer, "--apply", "--reference", "DSR-1", *FAST)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert mentions(world, customer.customer) == []
    assert world.bill(customer) == bill
    assert world.subscription(other)["badge"] == "synced"

    again = command(customer.customer, "--apply", "--reference", "DSR-1", *FAST)
    assert again.returncode == 0


def test_it_says_what_stands_against_it(world: World, command: Command, customer: Subject) -> None:
    before = mentions(world, customer.customer)
    refused = command(customer.customer, "--apply", "--reference", "DSR-2")
    assert refused.returncode == 3
    assert "less than 2 hours ago" in refused.stderr
    assert mentions(world, customer.customer) == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("northwind",), "a GUID"),
        (("0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101", "--apply"), "--apply needs --reference"),
        (("0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101", "--apply", "--reference", "Mr Smith"), "no name"),
    ],
)
def test_a_wrong_call_is_explained(command: Command, arguments: tuple[str, ...], text: str) -> None:
    refused = command(*arguments)
    assert refused.returncode == 2
    assert text in refused.stderr
