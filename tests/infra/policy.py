"""What the infrastructure must always be, whatever else changes: one function per rule, each returns what breaks it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from shared.metrics import METRICS
from tests.infra.names import problems
from tests.infra.reader import BicepFile, Expression, Resource, files, read

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"
Rule = Callable[[list[BicepFile]], Iterable[str]]

# What a resource of a type must say, by the path to it
REQUIRED: dict[str, dict[str, object]] = {
    "Microsoft.Storage/storageAccounts": {
        "allowSharedKeyAccess": False,
        "allowBlobPublicAccess": False,
        "allowCrossTenantReplication": False,
        "supportsHttpsTrafficOnly": True,
        "minimumTlsVersion": "TLS1_2",
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers": {"publicAccess": "None"},
    "Microsoft.ServiceBus/namespaces": {"disableLocalAuth": True, "minimumTlsVersion": "1.2"},
    "Microsoft.KeyVault/vaults": {
        "enableRbacAuthorization": True,
        "enableSoftDelete": True,
        "enablePurgeProtection": True,
    },
    "Microsoft.Insights/components": {"DisableLocalAuth": True},
    "Microsoft.OperationalInsights/workspaces": {"features.disableLocalAuth": True},
    "Microsoft.Web/sites": {
        "httpsOnly": True,
        "siteConfig.minTlsVersion": "1.2",
        "siteConfig.scmMinTlsVersion": "1.2",
        "siteConfig.cors.supportCredentials": False,
        "functionAppConfig.runtime.name": "python",
        "functionAppConfig.runtime.version": "3.13",
        "functionAppConfig.deployment.storage.authentication.type": "UserAssignedIdentity",
    },
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"allow": False},
}
# Every right of the app's identity, and who else has one: (on what, which, who)
RIGHTS = {
    ("hostStorage", "storageBlobDataOwner", "principalId"),
    ("hostStorage", "storageQueueDataContributor", "principalId"),
    ("hostStorage", "storageTableDataContributor", "principalId"),
    ("ledgerStorage", "storageTableDataContributor", "principalId"),
    ("bus::queue", "serviceBusDataSender", "principalId"),
    ("bus::queue", "serviceBusDataReceiver", "principalId"),
    ("settingsVault", "keyVaultSecretsUser", "principalId"),
    ("signInVault", "keyVaultSecretsOfficer", "principalId"),
    ("insights", "monitoringMetricsPublisher", "principalId"),
    ("settingsVault", "keyVaultSecretsOfficer", "secretsOfficerId"),
    ("signInVault", "keyVaultSecretsOfficer", "secretsOfficerId"),
}
ROLES = {
    "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "storageQueueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "storageTableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "serviceBusDataSender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
    "serviceBusDataReceiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    "keyVaultSecretsUser": "4633458b-17de-408a-b874-0445c86b69e6",
    "keyVaultSecretsOfficer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
}
PREVIEW_APIS = {"Microsoft.Insights/diagnosticSettings": "there is no other version of it"}
_SECRET = re.compile(r"secret|password|token|key|code|credential", re.IGNORECASE)
_GIVES_SECRETS_AWAY = re.compile(r"\blist[A-Z]\w*\(|\bgetSecret\(|connectionString|primaryKey", re.IGNORECASE)
_ROLE = re.compile(r"roleDefinitions', (\w+)\)")


def check(folder: Path) -> list[str]:
    """Everything that is wrong with the infrastructure in a folder."""
    wrong_names = [problem for path in files(folder) for problem in problems(path)]
    if any("syntax error" in problem for problem in wrong_names):
        return wrong_names
    read_files = [read(path) for path in files(folder)]
    return [*wrong_names, *(problem for rule in RULES for problem in rule(read_files))]


def _resources(found: list[BicepFile]) -> list[Resource]:
    return [resource for file in found for resource in file.resources if not resource.existing]


def says_what_is_required(found: list[BicepFile]) -> Iterable[str]:
    """No shared keys, no local sign-in, TLS 1.2, https, purge protection."""
    for resource in _resources(found):
        for path, wanted in REQUIRED.get(resource.type, {}).items():
            present: object = resource.properties
            for part in path.split("."):
                present = present.get(part) if isinstance(present, dict) else None
            if present != wanted or isinstance(present, Expression):
                yield f"{resource.where}: {resource.type} {path} is {present!r}, not {wanted!r}"
    kinds = {resource.type for resource in _resources(found)}
    yield from (f"there is no {kind}" for kind in REQUIRED if kind not in kinds)


def publishes_without_passwords(found: list[BicepFile]) -> Iterable[str]:
    """Both ways to publish with a user name and password are off."""
    kind = "Microsoft.Web/sites/basicPublishingCredentialsPolicies"
    off = {resource.body.get("name") for resource in _resources(found) if resource.type == kind}
    yield from (f"publishing by {name} with a password is not off" for name in {"scm", "ftp"} - off)


def gives_the_rights_that_are_listed(found: list[BicepFile]) -> Iterable[str]:
    """Role assignments on single resources, exactly those of the list, with the ids that Azure gives the roles."""
    given = set()
    for resource in _resources(found):
        if resource.type != "Microsoft.Authorization/roleAssignments":
            continue
        role = _ROLE.search(str(resource.properties.get("roleDefinitionId")))
        scope, who = resource.body.get("scope", "the whole group"), resource.properties.get("principalId")
        right = (str(scope), role[1] if role else "?", str(who))
        given.add(right)
        if right not in RIGHTS:
            yield f"{resource.where}: {right} is no right of the list"
        kind = resource.properties.get("principalType")
        if kind != ("ServicePrincipal" if who == "principalId" else "secretsOfficerType"):
            yield f"{resource.where}: principalType is {kind!r}"
    yield from (f"the right {right} is not given" for right in RIGHTS - given)
    values = {name: value for file in found for name, value in file.variables.items() if name in ROLES}
    yield from (f"the role {name} has the id {values.get(name)}" for name in ROLES if values.get(name) != ROLES[name])


def hands_out_no_secret(found: list[BicepFile]) -> Iterable[str]:
    """No output or parameter holds a secret, and no key is ever asked for."""
    for file in found:
        for name, output in file.outputs.items():
            if _GIVES_SECRETS_AWAY.search(str(output.value)) or _SECRET.search(name):
                yield f"{file.path.name}: output {name} gives a secret away"
        for name in file.parameters:
            if re.search(r"(secret|password|token|key)$", name, re.IGNORECASE) and name != "token":
                yield f"{file.path.name}: parameter {name} takes a secret, which the vault should hold"
        text = file.path.read_text(encoding="utf-8")
        for call in re.finditer(r"\blist(Keys|Secrets|AccountSas|ServiceSas|Credentials)?\(|\bgetSecret\(", text):
            yield f"{file.path.name}: {call[0]} asks for a secret"
        for literal in re.finditer(r"(AccountKey|SharedAccessKey|Password|Pwd)\s*=", text):
            yield f"{file.path.name}: {literal[1]} stands in the text"


def keeps_secret_settings_in_the_vault(found: list[BicepFile]) -> Iterable[str]:
    """A setting that is named like a secret is a reference to the vault."""
    for file in found:
        if "fromVault" not in file.variables:
            continue
        in_vault = file.variables["fromVault"]
        for name in file.variables["fixed"]:
            if name in in_vault or re.search(r"SECRET|PASSWORD|REFRESH_TOKEN|INTEGRATION_CODE", name):
                yield f"{file.path.name}: the setting {name} is not taken from the vault"


def describes_everything(found: list[BicepFile]) -> Iterable[str]:
    """Every parameter and output says what it is."""
    for file in found:
        for name, one in (file.parameters | file.outputs).items():
            if len(one.description) < 4:
                yield f"{file.path.name}: {name} has no description"


def tags_everything(found: list[BicepFile]) -> Iterable[str]:
    """What has a place has tags."""
    for resource in _resources(found):
        if "location" in resource.body and not str(resource.body.get("tags", "")).endswith(("tags", "Tags")):
            yield f"{resource.where}: {resource.name} has no tags"


def uses_stable_versions(found: list[BicepFile]) -> Iterable[str]:
    """No preview of an API where there is a stable one."""
    for resource in _resources(found):
        if "preview" in resource.version and resource.type not in PREVIEW_APIS:
            yield f"{resource.where}: {resource.type} in the version {resource.version}"


def alerts_lead_to_the_runbook(found: list[BicepFile]) -> Iterable[str]:
    """Each alert's title is a heading of the runbook, and asks for a metric that is told."""
    headings = set(re.findall(r"^#+ (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE))
    known = {metric.name for metric in METRICS}
    rules = [rule for file in found for rule in file.variables.get("rules", [])]
    for rule in rules:
        if rule["title"] not in headings:
            yield f"the alert {rule['title']!r} has no heading in the runbook"
        asked = set(re.findall(r'"(csp\.[^"]+)"', rule["query"]))
        yield from (f"the alert {rule['title']!r} asks for {name}, which nobody tells" for name in asked - known)
        if not asked and "AppRequests" not in rule["query"]:
            yield f"the alert {rule['title']!r} asks for nothing"
        if (rule["measure"] == "Count") == ("Value" in rule["query"]):
            yield f"the alert {rule['title']!r} measures {rule['measure']} of another kind of rows"
    watched = {name for rule in rules for name in re.findall(r'"(csp\.[^"]+)"', rule["query"])}
    yield from (f"no alert watches {name}" for name in WATCHED - watched)


WATCHED = {
    "csp.dead_letters",
    "csp.operations.oldest_open.age",
    "csp.sync.age",
    "csp.ready",
    "csp.autotask.budget.used",
    "csp.requests.refused",
}
RULES: tuple[Rule, ...] = (
    says_what_is_required,
    publishes_without_passwords,
    gives_the_rights_that_are_listed,
    hands_out_no_secret,
    keeps_secret_settings_in_the_vault,
    describes_everything,
    tags_everything,
    uses_stable_versions,
    alerts_lead_to_the_runbook,
)
