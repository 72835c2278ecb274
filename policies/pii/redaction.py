"""The engine as a service: one object that holds detectors and cache, for the gateway, `redact` and `restore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from policies.pii.cache import Findings
from policies.pii.data import Direction, PiiRules, Source
from policies.pii.engine import Detector, Engine
from policies.pii.errors import TextTooLarge
from policies.pii.masking import Replacement, replaced
from policies.pii.ner.detector import names
from policies.pii.restore import restore_text, restore_value
from policies.pii.vault import Vault
from policies.pii.walk import Masked, mask_request, mask_request_async, redact

REDACT_CHARACTERS: Final = 1_000_000
"""What `redact` takes at once."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text with its personal data replaced, where that stood (code points of the original), and the way back."""

    text: str
    entities: tuple[Replacement, ...]
    vault: Vault = field(repr=False)


class Pii:
    """Finds, replaces and restores personal data. One for each process; safe to use from several threads."""

    def __init__(
        self,
        secret: bytes | str | None = None,
        *,
        detectors: Sequence[Detector] | None = None,
        executor: Executor | None = None,
        hash_key: bytes | None = None,
    ) -> None:
        """`secret` keys the cache of findings; a random one does, as the cache lives no longer than the process.

        Beside the patterns runs the model of names that ships with the product, unless `detectors` says otherwise.
        Raises DetectorFailed when it cannot be loaded.
        """
        self.engine = Engine((names(),) if detectors is None else detectors)
        self.cache = Findings(secret=secret.encode() if isinstance(secret, str) else secret)
        self._executor = executor or ThreadPoolExecutor(4, thread_name_prefix="pii")
        self._hash_key = hash_key

    async def mask(
        self,
        body: dict[str, Any],
        rules: PiiRules,
        *,
        vault: Vault | None = None,
        sources: Mapping[int | str, Source] | None = None,
    ) -> Masked:
        """A request's body that may leave.

        Raises PiiRefused (Blocked, MediaRefused, TextTooLarge, TooDeep) or DetectorFailed.
        """
        vault = self.vault() if vault is None else vault
        return await mask_request_async(
            body, rules, self.engine, vault, self.cache, sources=sources, executor=self._executor
        )

    def mask_now(
        self,
        body: dict[str, Any],
        rules: PiiRules,
        *,
        vault: Vault | None = None,
        sources: Mapping[int | str, Source] | None = None,
    ) -> Masked:
        """As `mask`, at once, for whoever has no event loop."""
        return mask_request(
            body, rules, self.engine, self.vault() if vault is None else vault, self.cache, sources=sources
        )

    def redact_text(
        self, text: str, rules: PiiRules, *, vault: Vault | None = None, source: Source = Source.USER
    ) -> Redacted:
        """One text, redacted as it stands. Raises TextTooLarge above a million characters, and what `mask` raises."""
        if len(text) > REDACT_CHARACTERS:
            raise TextTooLarge(len(text), REDACT_CHARACTERS)
        vault = self.vault() if vault is None else vault
        entities = redact(text, rules, self.engine, vault, self.cache, source=source, direction=Direction.REQUEST)
        return Redacted(replaced(text, entities), tuple(entities), vault)

    def close(self) -> None:
        """Ends the threads; what they are at is finished by nobody."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def vault(self) -> Vault:
        """An empty vault of a scope of its own."""
        return Vault(hash_key=self._hash_key)

    @staticmethod
    def restore_text(text: str, vault: Vault) -> str:
        """A text with its originals."""
        return restore_text(text, vault)

    @staticmethod
    def restore_value(value: Any, vault: Vault) -> Any:
        """A JSON value with its originals."""
        return restore_value(value, vault)
