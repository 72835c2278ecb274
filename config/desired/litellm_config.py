"""A LiteLLM `config.yaml` as a desired state: providers, deployments, models and prices of one tenant or the platform.

What has no counterpart here is told in sentences and never dropped in silence. The file's own names are kept: an alias
is a model, each of its entries a deployment, and each account (vendor, address, credential) a provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from gateway.providers.facts import ABILITIES, PRICES, ModelFacts, model_facts, model_prices, vendors

from . import secrets
from .errors import Path, Problem, Refused, spelled
from .litellm_words import (
    AT_AN_ADDRESS,
    CREDENTIAL,
    INFO_USED,
    INSTEAD,
    MODES,
    NO_COUNTERPART,
    OPENAI_FORM,
    PARAMS_USED,
    ROUTER_USED,
    SAME,
    STRATEGIES,
)
from .reading import Document


@dataclass
class Imported:
    """The desired state, and what could not be carried over, in sentences."""

    document: Document
    notes: list[str]


def translate(document: Document, tenant: str) -> Imported:
    """What a LiteLLM file means for a tenant (by its slug; '' for the platform). Raises Refused for another file."""
    data = document.data
    entries = data.get("model_list") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise Refused(Problem((), "This is no LiteLLM config.yaml: it has no model_list.", 1))
    work = _Translation(document, tenant)
    work.run(data, entries)
    return Imported(work.made(), work.notes)


@dataclass
class _Group:
    """An alias: its routes, and whether its entries say an order."""

    routes: list[dict[str, Any]] = field(default_factory=list)
    ordered: bool = False


class _Skipped(Exception):
    """An entry that cannot be carried over; the message says why."""


class _Translation:
    """One file on its way."""

    def __init__(self, document: Document, tenant: str) -> None:
        self._file, self._tenant = document, tenant
        self.notes: list[str] = []
        self._providers: dict[str, dict[str, Any]] = {}
        self._deployments: dict[str, dict[str, Any]] = {}
        self._prices: dict[tuple[str, str], dict[str, Any]] = {}
        self._groups: dict[str, _Group] = {}
        self._lines: dict[tuple[str, str], int] = {}
        self._environment: Mapping[str, Any] = {}
        self._credentials: dict[str, Mapping[str, Any]] = {}
        self._router: Mapping[str, Any] = {}
        self._litellm: Mapping[str, Any] = {}

    def run(self, data: Mapping[str, Any], entries: list[Any]) -> None:
        self._router, self._litellm = _object(data, "router_settings"), _object(data, "litellm_settings")
        self._environment = _object(data, "environment_variables")
        for named in data.get("credential_list") or ():
            self._credentials[str(named.get("credential_name"))] = _object(named, "credential_values")
        for number, entry in enumerate(entries):
            try:
                self._entry(entry, ("model_list", number))
            except _Skipped as why:
                self._note(("model_list", number), f"it is left out: {why}")
        self._aliases()
        self._fallbacks()
        self._rest(data)

    def made(self) -> Document:
        """The desired state, with the file's own lines."""
        part: dict[str, Any] = {
            "providers": list(self._providers.values()),
            "deployments": list(self._deployments.values()),
            "models": [{"name": name, **self._model(group)} for name, group in self._groups.items()],
            "prices": list(self._prices.values()),
        }
        root: Path = ("tenants", 0) if self._tenant else ("platform",)
        data = {"tenants": [{"slug": self._tenant, **part}]} if self._tenant else {"platform": part}
        lines = {
            (*root, section, number): self._lines[section, one["name"]]
            for section in ("providers", "deployments", "models")
            for number, one in enumerate(part[section])
        }
        return Document(data, lines, self._file.name, self._file.digest)

    def _note(self, place: Path, sentence: str) -> None:
        line = self._file.line(place)
        self.notes.append(f"{self._file.name}:{line}: {spelled(place)}: {sentence}")

    # -- one entry of model_list --------------------------------------------------------------------------------------

    def _entry(self, entry: Any, place: Path) -> None:
        alias = entry.get("model_name") if isinstance(entry, dict) else None
        if not isinstance(alias, str) or not isinstance(entry.get("litellm_params"), dict):
            raise _Skipped("it has no model_name, or no litellm_params.")
        params, info = self._params(entry["litellm_params"]), _object(entry, "model_info")
        if "*" in alias or "*" in str(params.get("model")):
            raise _Skipped("names with * stand for models that nobody has named: name those that are to be called.")
        vendor, upstream = self._vendor(params)
        mode = str(info.get("mode") or "")
        if mode not in MODES:
            raise _Skipped(f"models of the mode {mode} are not served here.")
        facts = model_facts(str(info.get("base_model") or params["model"])) or model_facts(upstream)
        provider = self._provider(vendor, params, place)
        deployment = self._deployment(provider, upstream, mode, params, info, facts, place)
        self._price(
            provider, deployment, str(info.get("base_model") or params["model"]), mode, {**info, **params}, place
        )
        self._route(alias, deployment, params, place)
        self._unused(entry, place)

    def _params(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Of an entry, over those of the credential that it names."""
        named = given.get("litellm_credential_name")
        if named is not None and str(named) not in self._credentials:
            raise _Skipped(f"there is no credential {named!r} in credential_list.")
        params = {**self._credentials.get(str(named), {}), **given}
        if not isinstance(params.get("model"), str):
            raise _Skipped("its litellm_params have no model.")
        return {name: value for name, value in params.items() if value is not None}

    def _vendor(self, params: Mapping[str, Any]) -> tuple[str, str]:
        """LiteLLM's word for the vendor, and the model's name there."""
        model = self._plain(params["model"])
        prefix, slash, rest = model.partition("/")
        if "custom_llm_provider" in params:
            vendor = str(params["custom_llm_provider"])
            return vendor, rest if prefix == vendor else model
        if slash and prefix in {*OPENAI_FORM, *AT_AN_ADDRESS, *vendors()}:
            return prefix, rest
        facts = model_facts(model)
        if facts is not None and facts.vendor:
            return SAME.get(facts.vendor, facts.vendor.removesuffix("-language-models")), model
        if "api_base" in params or "base_url" in params:
            return "custom_openai", model
        raise _Skipped(f"whose model {model!r} is cannot be told: write vendor/{model}.")

    # -- accounts -----------------------------------------------------------------------------------------------------

    def _provider(self, vendor: str, params: Mapping[str, Any], place: Path) -> dict[str, Any]:
        given = self._plain(params.get("api_base") or params.get("base_url") or "").rstrip("/")
        ours = vendor in OPENAI_FORM or vendor in AT_AN_ADDRESS
        address = given or OPENAI_FORM.get(vendor, "")
        if vendor.startswith("ollama"):
            vendor, address = "ollama", address.removesuffix("/v1") + "/v1"
        if ours and not address:
            raise _Skipped(f"{vendor} is reached at an address, and it has no api_base.")
        if vendor == "azure" and params.get("api_version"):
            address += f"?api-version={self._plain(params['api_version'])}"
        elif "api_version" in params and vendor != "azure":
            self._note((*place, "litellm_params", "api_version"), NO_COUNTERPART)
        inside = bool(address) and _inside(urlsplit(address).hostname or "")
        account: dict[str, Any] = {
            "kind": "openai_compatible" if ours else "litellm",
            "base_url": address,
            "vendor": vendor,
            "region": "self" if inside else str(params.get("region_name", "")),
            "self_hosted": inside,
        }
        credential = self._credential(params, place, fields=not ours)
        if credential is not None:
            account["api_key"] = credential
        if not ours and address and self._tenant:
            said = "a tenant's own provider of this vendor may go to the vendor's address only: calls will be refused."
            self._note((*place, "litellm_params", "api_base"), said)
        return self._named(account, _account_name(vendor, given), place)

    def _named(self, account: dict[str, Any], wanted: str, place: Path) -> dict[str, Any]:
        """The same account, if it is known already; else one of the next free name."""
        for known in self._providers.values():
            if {**known, "name": ""} == {**account, "name": ""}:
                return known
        name, number = wanted, 1
        while name in self._providers:
            number += 1
            name = f"{wanted}-{number}"
        self._providers[name] = {"name": name, **account}
        self._lines["providers", name] = self._file.line(place)
        return self._providers[name]

    def _credential(self, params: Mapping[str, Any], place: Path, *, fields: bool) -> Any:
        """A reference to it, None where there is none."""
        key = self._secret(params["api_key"], (*place, "litellm_params", "api_key")) if params.get("api_key") else None
        more = {name: params[name] for name in CREDENTIAL if params.get(name)}
        if not more or not fields:
            return key
        found = {} if key is None else {"api_key": key}
        return {"fields": found | {name: self._part(name, value, place) for name, value in more.items()}}

    def _part(self, name: str, value: Any, place: Path) -> Any:
        if name == "vertex_credentials" and isinstance(value, str) and not value.startswith(("{", "os.environ/")):
            return {"file": value}
        if name in ("aws_region_name", "vertex_project", "vertex_location", "watsonx_project_id"):
            return self._plain(value)
        return self._secret(value, (*place, "litellm_params", name))

    def _secret(self, value: Any, place: Path) -> Any:
        """`os.environ/NAME` as a reference; a secret that stands in the file is sealed, and told."""
        text = str(value)
        if text.startswith("os.environ/"):
            name = text.removeprefix("os.environ/")
            known = self._environment.get(name)
            return {"env": name} if known is None else secrets.Known(str(known))
        self._note(place, "this secret stands in the file in the clear; it is sealed here. Take it out of the file.")
        return secrets.Known(text)

    def _plain(self, value: Any) -> str:
        """A word, which may stand in the environment as well."""
        text = str(value)
        if not text.startswith("os.environ/"):
            return text
        name = text.removeprefix("os.environ/")
        if name in self._environment:
            return str(self._environment[name])
        try:
            return secrets.looked_up({"env": name})
        except (secrets.Unreadable, secrets.Misplaced) as error:
            raise _Skipped(str(error)) from None

    # -- deployments, prices, routes ----------------------------------------------------------------------------------

    def _deployment(
        self,
        provider: Mapping[str, Any],
        upstream: str,
        mode: str,
        params: Mapping[str, Any],
        info: Mapping[str, Any],
        facts: ModelFacts | None,
        place: Path,
    ) -> str:
        """Its name: that of an equal one, or a new one's."""
        vendor = provider["vendor"]
        able = set(facts.capabilities) if facts is not None else set()
        able |= {word for field_, word in ABILITIES.items() if _true(info.get(field_))}
        able -= {word for field_, word in ABILITIES.items() if info.get(field_) is False}
        able -= {"chat", "embeddings", "rerank"} if mode else set()
        serves = MODES[mode] if mode or not able & {"chat", "embeddings"} else ""
        said: dict[str, Any] = {
            "provider": provider["name"],
            "upstream_model": f"{vendor}/{upstream}" if provider["kind"] == "litellm" else upstream,
            "capabilities": sorted(able | {serves} - {""}),
            "max_concurrency": _whole(params.get("max_parallel_requests")),
            "timeout_s": self._seconds("timeout", params.get("timeout", params.get("request_timeout")), place),
            "first_token_timeout_s": self._seconds("stream_timeout", params.get("stream_timeout"), place),
            "max_input_tokens": _whole(info.get("max_input_tokens")) or (facts and facts.max_input_tokens),
            "max_output_tokens": _whole(info.get("max_output_tokens", info.get("max_tokens")))
            or (facts and facts.max_output_tokens),
        }
        said = {name: value for name, value in said.items() if value not in (None, "")}
        for name, known in self._deployments.items():
            if {**known, "name": ""} == {**said, "name": ""}:
                return name
        wanted, number = f"{provider['name']}/{upstream}"[:190], 1
        name = wanted
        while name in self._deployments:
            number += 1
            name = f"{wanted}-{number}"
        self._deployments[name] = {"name": name, **said}
        self._lines["deployments", name] = self._file.line(place)
        return name

    def _seconds(self, name: str, own: Any, place: Path) -> float | None:
        """A timeout: the entry's own, the router's, or that of all calls."""
        everybody = self._litellm.get("request_timeout") if name == "timeout" else None
        value = own if own is not None else self._router.get(name, everybody)
        try:
            return None if value is None else min(float(value), 3600.0)
        except (TypeError, ValueError):
            self._note((*place, "litellm_params", name), f"{value!r} is no number of seconds.")
            return None

    def _price(
        self,
        provider: Mapping[str, Any],
        deployment: str,
        known_as: str,
        mode: str,
        said: Mapping[str, Any],
        place: Path,
    ) -> None:
        """What the file says, else what litellm's table knows."""
        prices: dict[str, Decimal] = {}
        for name in PRICES.keys() & said.keys():
            try:
                prices[PRICES[name]] = Decimal(str(said[name])).scaleb(6)
            except InvalidOperation:
                self._note((*place, "litellm_params", name), f"{said[name]!r} is no price.")
        if mode == "embedding" and "input" in prices:
            prices = {"embedding": prices["input"]}
        prices = prices or dict(model_prices(known_as))
        if not prices and not provider["self_hosted"]:
            self._note(place, f"nobody knows what {deployment} costs: calls are refused until it has prices.")
        for kind, amount in sorted(prices.items()):
            exact = amount.quantize(Decimal("0.000001"))
            if exact != amount:
                self._note(place, f"the price for {kind} is rounded to {exact} US dollars a million tokens.")
            row = {"deployment": deployment, "kind": kind, "per_million": f"{exact.normalize():f}"}
            self._prices.setdefault((deployment, kind), row)

    def _route(self, alias: str, deployment: str, params: Mapping[str, Any], place: Path) -> None:
        """A place in the alias's order. Where no weight is said, LiteLLM weighs by rpm, then by tpm."""
        weight = params.get("weight", params.get("rpm", params.get("tpm")))
        group = self._groups.setdefault(alias, _Group())
        self._lines.setdefault(("models", alias), self._file.line(place))
        group.ordered = group.ordered or "order" in params
        for name in ("rpm", "tpm"):
            if name in params:
                used = "it is used as the weight; " if "weight" not in params and params[name] == weight else ""
                self._note(
                    (*place, "litellm_params", name),
                    f"{used}deployments have no limits a minute; keys and tenants have.",
                )
        if any(route["deployment"] == deployment for route in group.routes):
            self._note(place, f"it says {deployment} for {alias} once more: once is enough.")
            return
        route = {"deployment": deployment, "weight": _whole(weight) or 1, "priority": _whole(params.get("order")) or 1}
        group.routes.append(route)

    # -- the router ---------------------------------------------------------------------------------------------------

    def _model(self, group: _Group) -> dict[str, Any]:
        return {"strategy": self._strategy(group), "deployments": group.routes}

    def _strategy(self, group: _Group) -> str:
        said = str(self._router.get("routing_strategy", "simple-shuffle"))
        return "priority" if group.ordered else STRATEGIES.get(said, "weighted")

    def _aliases(self) -> None:
        """Further names for a group."""
        for alias, named in _object(self._router, "model_group_alias").items():
            place: Path = ("router_settings", "model_group_alias", alias)
            model = named.get("model") if isinstance(named, dict) else named
            if alias in self._groups or model not in self._groups:
                self._note(place, "it is left out: the name is taken, or the model is not there.")
                continue
            group = self._groups[model]
            self._groups[alias] = _Group([dict(route) for route in group.routes], group.ordered)
            self._lines["models", alias] = self._file.line(place)

    def _fallbacks(self) -> None:
        """A fallback's deployments come after the model's own: last in the order, or with no weight."""
        before = {name: [route["deployment"] for route in group.routes] for name, group in self._groups.items()}
        for place, model, others in self._said_fallbacks():
            group = self._groups.get(model)
            if group is None or not isinstance(others, list):
                self._note(place, f"it is left out: there is no model {model!r}.")
                continue
            if self._strategy(group) not in ("priority", "weighted"):
                said = f"it is left out: with the strategy {self._strategy(group)} no deployment comes last."
                self._note(place, said)
                continue
            for other in others:
                if not isinstance(other, str) or other not in before:
                    self._note(place, f"the fallback {other!r} is left out: it is no model of this file.")
                    continue
                self._append(group, before[other])

    def _append(self, group: _Group, deployments: list[str]) -> None:
        last = max(route["priority"] for route in group.routes) + 1
        own = {route["deployment"] for route in group.routes}
        weight = 1 if self._strategy(group) == "priority" else 0
        group.routes += [
            {"deployment": name, "weight": weight, "priority": last} for name in deployments if name not in own
        ]

    def _said_fallbacks(self) -> Iterator[tuple[Path, str, Any]]:
        """Of the router and of the settings, then those of every model."""
        for section, settings in (("router_settings", self._router), ("litellm_settings", self._litellm)):
            for number, one in enumerate(_list(settings.get("fallbacks"))):
                for model, others in one.items() if isinstance(one, dict) else ():
                    yield (section, "fallbacks", number, model), model, others
        for section, settings in (("router_settings", self._router), ("litellm_settings", self._litellm)):
            others = settings.get("default_fallbacks")
            for model in list(self._groups) if others else ():
                yield (section, "default_fallbacks"), model, [other for other in _list(others) if other != model]

    # -- what is left -------------------------------------------------------------------------------------------------

    def _unused(self, entry: Mapping[str, Any], place: Path) -> None:
        for part, used in (("litellm_params", PARAMS_USED), ("model_info", INFO_USED)):
            self._tell((*place, part), part, (name for name in _object(entry, part) if name not in used))
        self._tell(place, "", (name for name in entry if name not in ("model_name", "litellm_params", "model_info")))

    def _rest(self, data: Mapping[str, Any]) -> None:
        said = str(self._router.get("routing_strategy", "simple-shuffle"))
        if said not in STRATEGIES or said.startswith("usage-based"):
            used = STRATEGIES.get(said, "weighted")
            self._note(
                ("router_settings", "routing_strategy"), f"{said} is not known here; {used} comes nearest and is used."
            )
        fallbacks = ("fallbacks", "default_fallbacks")
        self._tell(("router_settings",), "router_settings", (name for name in self._router if name not in ROUTER_USED))
        unused = (name for name in self._litellm if name not in (*fallbacks, "request_timeout"))
        self._tell(("litellm_settings",), "litellm_settings", unused)
        self._tell(("general_settings",), "general_settings", _object(data, "general_settings"))
        known = (
            "model_list",
            "router_settings",
            "litellm_settings",
            "general_settings",
            "environment_variables",
            "credential_list",
        )
        self._tell((), "", (name for name in data if name not in known))
        asked = {one["env"] for one in _references(list(self._providers.values()))}
        for name in self._environment:
            if name not in asked:
                self._note(("environment_variables", name), "it is used where the file refers to it, and not set.")

    def _tell(self, place: Path, part: str, names: Iterable[str]) -> None:
        for name in names:
            self._note((*place, name), INSTEAD.get(f"{part}.{name}" if part else name, NO_COUNTERPART))


def _account_name(vendor: str, address: str) -> str:
    """`openai`, or what its address begins with."""
    host = urlsplit(address).hostname or "" if address else ""
    if vendor == "azure":
        return f"azure-{host.partition('.')[0]}"
    return vendor if not host or vendor not in ("custom_openai", "openai", *AT_AN_ADDRESS) else host


def _inside(host: str) -> bool:
    """Whether a host is on a network of one's own, by its name or number alone."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan", ".svc", ".localhost"))


def _references(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if set(value) == {"env"}:
            yield value
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _object(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _true(value: Any) -> bool:
    """YAML 1.1 has more words for it."""
    return value is True or str(value).lower() in ("yes", "on")


def _whole(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None
