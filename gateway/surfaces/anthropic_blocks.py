"""The conversation of Anthropic's form, read into messages of OpenAI's form, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from gateway.errors import InvalidRequest

from .reading import refuse

_DOCUMENTS: Final = frozenset({"document", "search_result"})


class Conversation:
    """Messages as they are read. `documents`: which of them quote documents, by index."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.documents: set[int] = set()

    def add(self, message: dict[str, Any], *, document: bool = False) -> None:
        """One message in OpenAI's form."""
        if document:
            self.documents.add(len(self.messages))
        self.messages.append(message)

    def read(self, messages: Any) -> None:
        """All messages of a request. Raises InvalidRequest."""
        if not isinstance(messages, list) or not messages:
            raise refuse("messages", "a list of at least one message")
        for number, message in enumerate(messages):
            place = f"messages[{number}]"
            if not isinstance(message, dict):
                raise refuse(place, "an object")
            role, content = message.get("role"), message.get("content")
            if not isinstance(role, str) or role not in ("user", "assistant"):
                raise refuse(f"{place}.role", "user or assistant")
            if isinstance(content, str):
                self.add({"role": role, "content": content})
                continue
            blocks = list(_blocks(f"{place}.content", content))
            if role == "user":
                self._user(blocks)
            else:
                self._assistant(blocks)

    def _user(self, blocks: list[tuple[str, dict[str, Any]]]) -> None:
        """Results of tools first, as the vendors want them; documents by themselves, as they are another's words."""
        parts: list[dict[str, Any]] = []
        for place, block in blocks:
            if block["type"] == "tool_result":
                parts += self._tool_result(place, block)
            elif block["type"] in _DOCUMENTS and (text := _document_text(place, block)) is not None:
                self.add({"role": "user", "content": text}, document=True)
            else:
                parts.append(_part(place, block))
        if parts:
            self.add({"role": "user", "content": _joined(parts)})

    def _assistant(self, blocks: list[tuple[str, dict[str, Any]]]) -> None:
        parts, calls, thoughts = [], [], []
        for place, block in blocks:
            if block["type"] == "tool_use":
                calls.append(_tool_call(place, block))
            elif block["type"] in ("thinking", "redacted_thinking"):
                if block.get("signature") or block.get("data"):  # one without was never Anthropic's
                    thoughts.append(block)
            else:
                parts.append(_part(place, block))
        message: dict[str, Any] = {"role": "assistant", "content": _joined(parts) if parts else None}
        if calls:
            message["tool_calls"] = calls
        if thoughts:
            message["thinking_blocks"] = thoughts
        self.add(message)

    def _tool_result(self, place: str, block: dict[str, Any]) -> list[dict[str, Any]]:
        """Adds the result as a message of its own; returns the pictures in it, which such a message cannot hold."""
        name = block.get("tool_use_id")
        if not isinstance(name, str):
            raise refuse(f"{place}.tool_use_id", "the id of the call that this answers")
        texts, media = [], []
        content = block.get("content")
        for inner_place, inner in [] if content is None else _blocks(f"{place}.content", content):
            text = _document_text(inner_place, inner) if inner["type"] in _DOCUMENTS else None
            part = {"type": "text", "text": text} if text is not None else _part(inner_place, inner)
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                media.append(part)
        said = "\n".join(texts)
        if block.get("is_error") is True:
            said = f"Error: {said}"
        self.add({"role": "tool", "tool_call_id": name, "content": said})
        return media


def read_system(system: Any) -> Iterator[dict[str, Any]]:
    """The message that the `system` of a request becomes; none without one. Raises InvalidRequest."""
    if system is None or system == "" or system == []:
        return
    parts = [_part(place, block) for place, block in _blocks("system", system)]
    if any(part["type"] != "text" for part in parts):
        raise refuse("system", "a string or a list of text blocks")
    yield {"role": "system", "content": _joined(parts)}


def _blocks(place: str, content: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each block of a content with its place; a string is one block."""
    if isinstance(content, str):
        yield place, {"type": "text", "text": content}
        return
    if not isinstance(content, list):
        raise refuse(place, "a string or a list of blocks")
    for number, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise refuse(f"{place}[{number}]", "an object with a type")
        yield f"{place}[{number}]", block


def _part(place: str, block: dict[str, Any]) -> dict[str, Any]:
    """A block as a content part; one of an unknown type stays as it is."""
    kind = block["type"]
    if kind == "text":
        if not isinstance(block.get("text"), str):
            raise refuse(f"{place}.text", "a string")
        return {name: value for name, value in block.items() if name != "citations"}
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _url(place, block)}}
    if kind == "document":
        named = {"filename": block["title"]} if isinstance(block.get("title"), str) else {}
        return {"type": "file", "file": {**named, "file_data": _url(place, block)}}
    return block


def _url(place: str, block: Mapping[str, Any]) -> str:
    """Where a picture or file is: an address, or the thing itself."""
    source = block.get("source")
    if not isinstance(source, dict):
        raise refuse(f"{place}.source", "an object")
    if source.get("type") == "base64" and all(isinstance(source.get(name), str) for name in ("media_type", "data")):
        return f"data:{source['media_type']};base64,{source['data']}"
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        return str(source["url"])
    raise refuse(f"{place}.source", "of type base64 (media_type and data) or url (url)")


def _document_text(place: str, block: Mapping[str, Any]) -> str | None:
    """A document's text under its title; None for one that is no text."""
    source = block.get("source")
    if block["type"] == "search_result":
        found = "\n".join(_texts(f"{place}.content", block.get("content")))
    elif isinstance(source, dict) and source.get("type") == "text" and isinstance(source.get("data"), str):
        found = source["data"]
    elif isinstance(source, dict) and source.get("type") == "content":
        found = "\n".join(_texts(f"{place}.source.content", source.get("content")))
    else:
        return None
    head = [block[name] for name in ("title", "context") if isinstance(block.get(name), str)]
    head += [source] if isinstance(source, str) else []
    return "\n".join([*head, found])


def _texts(place: str, content: Any) -> Iterator[str]:
    for inner_place, block in _blocks(place, content):
        if block["type"] != "text" or not isinstance(block.get("text"), str):
            raise refuse(inner_place, "a text block")
        yield block["text"]


def _tool_call(place: str, block: Mapping[str, Any]) -> dict[str, Any]:
    name, number = block.get("name"), block.get("id")
    if not isinstance(name, str) or not isinstance(number, str):
        raise InvalidRequest(f"{place} must have an id and a name.", param=place)
    arguments = orjson.dumps(block.get("input") or {}).decode()
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


def _joined(parts: list[dict[str, Any]]) -> Any:
    """A lone text as a string, which every vendor knows; else the parts."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return parts[0]["text"]
    return parts
