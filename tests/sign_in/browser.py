"""The browser of a person who signs in: opens an address, sends the form that it finds there, keeps the last page.

python browser.py CA_FILE PAGE ADDRESS
"""

from __future__ import annotations

import ssl
import sys
from html.parser import HTMLParser
from pathlib import Path

import httpx


class Form(HTMLParser):
    """The one form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = values["action"]
        if tag == "input":
            self.fields[values["name"]] = values["value"]


def main() -> None:
    ca_file, page, address = sys.argv[1:]
    trust = ssl.create_default_context(cafile=ca_file)
    with httpx.Client(verify=trust, trust_env=False, timeout=10) as browser:
        form = Form(browser.get(address).raise_for_status().text)
        answer = browser.post(form.action, data=form.fields).raise_for_status()
    Path(page).write_text(answer.text, encoding="utf-8")


if __name__ == "__main__":
    main()
