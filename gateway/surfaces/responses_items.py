"""The items of OpenAI's responses: input items read into messages, messages written as output items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import InvalidRequest

from .reading import refuse

_ROLES: Final = frozenset({"user", "assistant", "system", "developer"})
_TEXTS: Final = frozenset({"input_text", "output_text", "text"})


def messages_of(value: Any) -> list[dict[str, Any]]:
    """The `input` of a request as messages in OpenAI's chat form. Raises InvalidRequest."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise refuse("input", "a string or a list of items, not empty")
    messages: list[dict[str, Any]] = []
    for number, item in enumerate(value):
        _add(messages, f"input[{number}]", item)
    if not messages:
        raise refuse("input", "a list with something to answer")
    return messages


def _add(messages: list[dict[str, Any]], place: str, item: Any) -> None:
    """One item; a function call belongs to the assistant's message before it."""
    if not isinstance(item, dict):
        raise refuse(place, "an object")
    kind = item.get("type", "message")
    if kind == "message":
        messages.append(_message(place, item))
    elif kind == "function_call":
        call = _call(place, item)
        if messages and messages[-1]["role"] == "assistant":
            messages[-1].setdefault("tool_calls", []).append(call)
        else:
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    elif kind == "function_call_output":
        messages.append(_output(place, item))
    elif kind != "reasoning":  # what a model thought before is not sent to another
        raise InvalidRequest(f"{place}.type: items of type {str(kind)[:60]} are not supported.", param=f"{place}.type")


def _message(place: str, item: Mapping[str, Any]) -> dict[str, Any]:
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise refuse(f"{place}.role", "one of " + ", ".join(sorted(_ROLES)))
    content = item.get("content")
    if isinstance(content, str):
        return {"role": role, "content": content}
    parts = [_part(where, part) for where, part in _parts(f"{place}.content", content)]
    if all(part["type"] == "text" for part in parts) and (len(parts) == 1 or role == "assistant"):
        return {"role": role, "content": "".join(part["text"] for part in parts)}
    return {"role": role, "content": parts}


def _parts(place: str, content: Any) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(content, list) or not content:
        raise refuse(place, "a string or a list of parts, not empty")
    for number, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise refuse(f"{place}[{number}]", "an object with a type")
    return [(f"{place}[{number}]", part) for number, part in enumerate(content)]


def _part(place: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """A part in the chat form; one of an unknown type stays as it is."""
    kind = part["type"]
    if kind in _TEXTS:
        if not isinstance(part.get("text"), str):
            raise refuse(f"{place}.text", "a string")
        return {"type": "text", "text": part["text"]}
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return {"type": "text", "text": part["refusal"]}
    if kind == "input_image":
        if not isinstance(part.get("image_url"), str):
            raise refuse(f"{place}.image_url", "an address or a data URL; files are not kept here")
        detail = {"detail": part["detail"]} if isinstance(part.get("detail"), str) else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    if kind == "input_file":
        if not isinstance(part.get("file_data"), str):
            raise refuse(f"{place}.file_data", "the file itself; files are not kept here")
        return {"type": "file", "file": {name: part[name] for name in ("filename", "file_data") if name in part}}
    return dict(part)


def _call(place: str, item: Mapping[str, Any]) -> dict[str, Any]:
    if not all(isinstance(item.get(name), str) for name in ("call_id", "name", "arguments")):
        raise InvalidRequest(f"{place} must have a call_id, a name and arguments as a string.", param=place)
    function = {"name": item["name"], "arguments": item["arguments"]}
    return {"id": item["call_id"], "type": "function", "function": function}


def _output(place: str, item: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(item.get("call_id"), str):
        raise refuse(f"{place}.call_id", "the id of the call that this answers")
    said = item.get("output")
    if not isinstance(said, str):
        parts = [_part(where, part) for where, part in _parts(f"{place}.output", said)]
        if any(part["type"] != "text" for part in parts):
            raise refuse(f"{place}.output", "a string or a list of texts")
        said = "\n".join(part["text"] for part in parts)
    return {"role": "tool", "tool_call_id": item["call_id"], "content": said}


# -- out --------------------------------------------------------------------------------------------------------------


def text_item(id: str, text: str, status: str, *, kind: str = "output_text", logprobs: Any = ()) -> dict[str, Any]:
    """A message of the assistant's."""
    content = [text_part(text, kind, logprobs)] if text else []
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": content}


def text_part(text: str, kind: str = "output_text", logprobs: Any = ()) -> dict[str, Any]:
    """A part of a message: a text, or a refusal."""
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def call_item(id: str, call_id: str, name: str, arguments: str, status: str) -> dict[str, Any]:
    """A call of a function."""
    found = {"id": id, "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
    return {**found, "status": status}


def reasoning_item(id: str, text: str, status: str) -> dict[str, Any]:
    """What the model thought."""
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"id": id, "type": "reasoning", "summary": [], "content": content, "status": status}


def said_by(output: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The assistant's message that an output is, for the next turn; None when nothing was said."""
    texts, calls = [], []
    for item in output:
        if item["type"] == "message":
            texts += [part.get("text") or part.get("refusal") or "" for part in item["content"]]
        elif item["type"] == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            calls.append({"id": item["call_id"], "type": "function", "function": function})
    if not texts and not calls:
        return None
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) or None}
    return {**message, "tool_calls": calls} if calls else message
