"""The list of processes of one stack: ports, addresses, command lines, order and readiness, decided before any starts.

`local.stack` runs what is planned here; a further host is planned on demand with the same settings.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local import readiness, servicebus, storage
from local.cloud_queue import CLOUD_QUEUE
from local.forking import ForkServer
from local.ports import LOOPBACK, free_ports, require_free
from local.processes import ProcessSpec
from local.settings import Addresses, clean_environment, host_settings

REPOSITORY = Path(__file__).resolve().parent.parent
SERVICE_BUS, ENTRA, PARTNER_CENTER, AUTOTASK, TELEMETRY, STORAGE, HOST = (
    "servicebus",
    "entra",
    "partner-center",
    "autotask",
    "telemetry",
    "azurite",
    "host",
)


@dataclass(frozen=True)
class StackOptions:
    """How a stack differs from the usual one.

    Attributes:
        port: of the first host; 0 takes a free one.
        hosts: functions hosts on one queue and one ledger; the first has the port, the others free ones. With 0 the
            vendors and the storage run alone (then without `first_sync`).
        seed_customers: generated customers, besides the hand-made ones; 0 leaves the simulators' own seed alone.
        subscriptions_per_customer: of each generated customer.
        storage_in_memory: Azurite keeps nothing on disk (faster; killing it loses everything).
        settings: of the hosts, instead of the stack's own values.
        app: directory of `function_app.py` and `host.json`.
        first_sync: run the scheduled sync once after start and, for small seeds, wait for the customers.
        start_seconds: until everything has to be ready.
        forks: starts the processes of this repository's own modules without importing them anew; None starts each by
            itself. Not for another `app`.
    """

    port: int = 0
    hosts: int = 1
    seed_customers: int = 0
    subscriptions_per_customer: int = 1
    storage_in_memory: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    app: Path = REPOSITORY
    first_sync: bool = True
    start_seconds: float = 60.0
    forks: ForkServer | None = None


class Plan:
    """Ports and process specifications of one stack; the run directory must exist.

    Attributes:
        hosts: port of each functions host planned so far, by its name.
    """

    def __init__(self, options: StackOptions, data: Path, logs: Path) -> None:
        self._options = options
        self._data = data
        self._logs = logs
        self._bus, self._entra, self._partner_center, self._autotask, blob, queue, table, port = free_ports(8)
        self._telemetry, self._certificates = free_ports(2)
        self.hosts = {HOST: require_free(options.port) if options.port else port}
        self._storage = storage.Ports(blob, queue, table)
        self.ca_file = data / "entra" / "ca.pem"
        self.addresses = Addresses(
            partner_center=f"http://{LOOPBACK}:{self._partner_center}",
            autotask=f"http://{LOOPBACK}:{self._autotask}",
            entra=f"https://localhost:{self._entra}",
            ca_file=self.ca_file,
            refresh_token_file=data / "entra" / "refresh-token.json",
            webhook_host=f"localhost:{self._certificates}",
            service_bus=servicebus.connection_string(self._bus),
            storage=storage.connection_string(self._storage),
            telemetry=f"http://{LOOPBACK}:{self._telemetry}",
        )
        self.settings = host_settings(self.addresses, options.settings)

    def specs(self) -> list[ProcessSpec]:
        """Everything that a stack starts, hosts last."""
        names = [HOST, *(f"{HOST}-{number}" for number in range(2, self._options.hosts + 1))]
        hosts = [self.host(name) for name in names[: self._options.hosts]]
        return [self._storage_spec(), *self._simulators(), *hosts]

    def host(self, name: str, settings: Mapping[str, str] | None = None) -> ProcessSpec:
        """A functions host of this stack, on its port or a free one; settings given here are for this one alone."""
        port = self.hosts.setdefault(name, 0) or free_ports(1)[0]
        self.hosts[name] = port
        command = (
            *(sys.executable, "-m", "local.functions_host"),
            *("--app", str(self._options.app), "--port", str(port)),
        )
        return ProcessSpec(
            name=name,
            command=command,
            environment={**clean_environment(), **self.settings, **(settings or {})},
            directory=REPOSITORY,
            log=self._logs / f"{name}.log",
            is_ready=readiness.answers(port, "/admin/host/status"),
            # Its triggers connect at once, and a connection refused at start looks like an incident in the log
            after=frozenset({SERVICE_BUS, ENTRA, STORAGE, TELEMETRY}),
        )

    def _simulators(self) -> list[ProcessSpec]:
        seed: tuple[str, ...] = ()
        if self._options.seed_customers:
            customers, each = self._options.seed_customers, self._options.subscriptions_per_customer
            seed = ("--seed-customers", str(customers), "--subscriptions-per-customer", str(each))
        entra_directory = self.ca_file.parent
        trust = ("--entra", self.addresses.entra, "--ca-file", str(self.ca_file))
        certificates = ("--certificate-port", str(self._certificates))
        health = "/_control/health"
        return [
            self._simulator(
                ENTRA,
                ("--port", str(self._entra), "--directory", str(entra_directory)),
                readiness.answers_over_tls(self._entra, health, self.ca_file),
            ),
            self._simulator(
                SERVICE_BUS,
                ("--port", str(self._bus), *CLOUD_QUEUE.arguments),
                readiness.accepts(self._bus),
            ),
            self._simulator(TELEMETRY, ("--port", str(self._telemetry)), readiness.answers(self._telemetry, health)),
            self._simulator(
                AUTOTASK, ("--port", str(self._autotask), *seed), readiness.answers(self._autotask, health)
            ),
            self._simulator(
                PARTNER_CENTER,
                ("--port", str(self._partner_center), *trust, *certificates, *seed),
                readiness.answers(self._partner_center, health),
                # It reads the CA file, which the Entra simulator makes when it starts
                after=frozenset({ENTRA}),
            ),
        ]

    def _simulator(
        self, name: str, arguments: tuple[str, ...], check: readiness.Check, after: frozenset[str] = frozenset()
    ) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            command=(sys.executable, "-m", f"local.{name.replace('-', '_')}", *arguments),
            environment=clean_environment(),
            directory=REPOSITORY,
            log=self._logs / f"{name}.log",
            is_ready=check,
            after=after,
        )

    def _storage_spec(self) -> ProcessSpec:
        in_memory = self._options.storage_in_memory
        location = self._data / "azurite"
        location.mkdir(parents=True, exist_ok=True)
        return ProcessSpec(
            name=STORAGE,
            command=storage.command(self._storage, location, in_memory=in_memory),
            environment=clean_environment(),
            directory=location,
            log=self._logs / f"{STORAGE}.log",
            is_ready=readiness.accepts(self._storage.blob, self._storage.queue, self._storage.table),
            # SIGTERM lets it save what it holds; it writes to disk only every five seconds
            orphan_signal=signal.SIGKILL if in_memory else signal.SIGTERM,
        )
