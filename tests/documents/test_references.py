"""What the code cites is there: facts about the vendors, decisions, files, and anchors within documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents.generated import DOCS

ROOT = DOCS.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(DOCS.rglob("*.md"))
CODE = [
    path
    for folder in ("functions", "shared", "local", "infra", "bench", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "node_modules" not in path.parts
]
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CITED = re.compile(r"([Aa]utotask )?[Rr]eference ((?:\d+(?:\.\d+)*(?:, | and )?)+)")
_DECISION = re.compile(r"\bADR (\d{4})(?:,? (?:and )?(\d{4}))?|docs/adr/(\d{4})")
_DOCUMENT = re.compile(r"docs/[a-z_./0-9-]+\.(?:md|json)")


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    found: dict[str, int] = {}
    names: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        names.add(f"{slug}-{count}" if count else slug)
    return names


def dead_links(document: Path, text: str) -> list[str]:
    dead = []
    for link in _LINK.findall(_FENCE.sub("", text)):
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        if not target.exists():
            dead.append(f"{document.name}: {link} leads nowhere")
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(f"{document.name}: {link} has no such heading")
    return dead


def facts() -> dict[str, set[str]]:
    """The numbers of the facts about each vendor."""
    text = (DOCS / "vendors.md").read_text(encoding="utf-8")
    partner_center, autotask = text.split("## Autotask")
    return {
        vendor: set(re.findall(r"^\| ([\d.]+) \|", part, re.MULTILINE))
        for vendor, part in (("Partner Center", partner_center), ("Autotask", autotask))
    }


def cited(path: str, text: str) -> list[tuple[str, str]]:
    """Vendor and number of each fact that a file cites; a file of an adapter's folder speaks of its vendor."""
    found = []
    for autotask, numbers in _CITED.findall(text):
        vendor = "Autotask" if autotask or path.startswith("shared/autotask/") else "Partner Center"
        found += [(vendor, number) for number in re.findall(r"\d+(?:\.\d+)*", numbers)]
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    assert not dead_links(document, document.read_text(encoding="utf-8"))


def test_a_dead_link_is_found() -> None:
    text = "# One [two](three.md) `four`\n[a](nowhere.md) [b](#one-two-four) [c](#five) [d](vendors.md#autotask)\n"
    document = DOCS / "rules.md"
    assert dead_links(document, text) == [
        "rules.md: three.md leads nowhere",
        "rules.md: nowhere.md leads nowhere",
        "rules.md: #one-two-four has no such heading",
        "rules.md: #five has no such heading",
    ]
    assert anchors(text) == {"one-two-four"}


def test_every_fact_that_a_comment_cites_is_in_the_list() -> None:
    known = facts()
    missing = [
        f"{path.relative_to(ROOT)}: {vendor} {number}"
        for path in CODE
        for vendor, number in cited(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        if number not in known[vendor]
    ]
    assert not missing
    assert cited("x", "(autotask reference 8.2 and 8.5) (reference 4.7, 6.3)") == [
        ("Autotask", "8.2"),
        ("Autotask", "8.5"),
        ("Partner Center", "4.7"),
        ("Partner Center", "6.3"),
    ]


def test_every_decision_and_document_that_is_cited_is_there() -> None:
    decisions = {path.name[:4] for path in (DOCS / "adr").glob("[0-9]*.md")}
    missing = []
    for path in [*CODE, *DOCUMENTS]:
        text = path.read_text(encoding="utf-8")
        missing += [
            f"{path.relative_to(ROOT)}: ADR {number}"
            for numbers in _DECISION.findall(text)
            for number in numbers
            if number and number not in decisions
        ]
        missing += [
            f"{path.relative_to(ROOT)}: {name}"
            for name in _DOCUMENT.findall(text)
            if path.suffix == ".py" and "tests/" not in str(path) and not (ROOT / name).exists()
        ]
    assert not missing


def test_every_decision_is_in_the_index_with_a_name_of_its_own() -> None:
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    files = sorted(path.name for path in (DOCS / "adr").glob("[0-9]*.md"))
    assert [name for name in files if f"({name})" not in index] == []
    assert len({name[:4] for name in files}) == len(files)


def test_every_document_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in sorted(DOCS.glob("*.md")) if f"({path.name})" not in index] == ["README.md"]


def test_every_test_that_a_document_names_is_there() -> None:
    named = [
        (document.name, name)
        for document in DOCUMENTS
        for name in re.findall(r"`(tests/[\w/.]+)`", document.read_text(encoding="utf-8"))
    ]
    assert [found for found in named if not (ROOT / found[1]).exists()] == []
    assert named
