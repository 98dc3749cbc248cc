"""Whether something at Partner Center and something in Autotask are the same, by name, web address or SKU; pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from shared.domain.contract import Company, Service
from shared.domain.qualifying import Obstacle

_MICROSOFTS = ".onmicrosoft.com"  # every tenant has such a domain, and no company's pages are there


def own_domain(domain: str) -> str:
    """A customer's domain in small letters where it is his own and tells who he is, else ""."""
    word = domain.strip().lower().removeprefix("www.")
    return word if "." in word and len(word) > len("a.b") and not word.endswith(_MICROSOFTS) else ""


def same_company(name: str, domain: str, company: Company) -> tuple[Obstacle, ...]:
    """Why a customer may be a company: nothing else than these reasons is a match."""
    found = []
    if name.strip() and company.name.strip().casefold() == name.strip().casefold():
        found.append(Obstacle("same_name", f"Both are called {company.name}."))
    own, host = own_domain(domain), _host(company.web)
    if own and host and (host == own or host.endswith(f".{own}")):
        found.append(Obstacle("same_domain", f"The company's web address lies in {own}."))
    return tuple(found)


def same_sku(product: str, service: Service) -> bool:
    """Whether a service has a product's SKU, alone or at the end of something longer ("ANN-MO:product:sku")."""
    sku, wanted = service.sku.casefold(), product.casefold()
    return bool(wanted) and (sku == wanted or sku.endswith(f":{wanted}"))


def _host(web: str) -> str:
    text = web.strip().lower()
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname
    except ValueError:
        return ""
    return (host or "").removeprefix("www.")
