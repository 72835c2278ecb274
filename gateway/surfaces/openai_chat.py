"""POST /v1/chat/completions: OpenAI's form to a Call, and an answer back to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from gateway.data import Call, Tokens
from gateway.errors import InvalidRequest
from gateway.providers.base import INTERNAL
from gateway.streaming import ChatForm

from .reading import is_number, is_whole, read_object, refuse
from .search import retrieval

ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
MOST_CHOICES: Final = 16

#: Kinds of media by the type of a content part.
MEDIA: Final = {
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "input_audio": "audio",
    "audio": "audio",
    "audio_url": "audio",
    "video_url": "video",
    "input_video": "video",
    "video": "video",
    "file": "file",
    "input_file": "file",
    "document": "file",
}


def parse(raw: bytes, request_id: UUID, *, client_ip: str = "", traceparent: str = "") -> Call:
    """The call in a request body. Raises InvalidRequest, which names the field.

    What the gateway relies on is checked strictly; what it does not know is kept, scanned and passed on.
    """
    body = read_object(raw)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise refuse("model", "the name of a model")
    for name in INTERNAL & body.keys():
        raise InvalidRequest(f"{name} is a field of the gateway's own.", param=name)
    _check_messages(body.get("messages"))
    check_fields(body)
    asked = body.pop("retrieval", None)
    stream = bool(body.get("stream"))
    return Call(
        id=request_id,
        kind="chat",
        model=model,
        body=body,
        stream=stream,
        include_usage=stream and _usage_asked(body.get("stream_options")),
        retrieval=None if asked is None else retrieval(asked, "retrieval."),
        client_ip=client_ip,
        traceparent=traceparent,
    )


def check_fields(body: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for a field that the gateway relies on and that is not what it must be."""
    for name in _CHECKS.keys() & body.keys():
        value = body[name]
        if value is not None and not _CHECKS[name][0](value):
            raise refuse(name, _CHECKS[name][1])


def form(call: Call) -> ChatForm:
    """How this call's stream is written."""
    return ChatForm(call.include_usage)


def answer_id(request_id: UUID) -> str:
    """The id of an answer, the same in every event of a stream."""
    return f"chatcmpl-{request_id.hex}"


def plain(
    call: Call,
    body: Mapping[str, Any],
    citations: Sequence[Mapping[str, Any]] | None = None,
    tokens: Tokens | None = None,
) -> dict[str, Any]:
    """A whole answer as the client sees it: the name that it asked, our id, citations beside the choices."""
    answer = {
        "id": answer_id(call.id),
        "object": "chat.completion",
        "created": body.get("created") if is_whole(body.get("created")) else int(time.time()),
        "model": call.model,
        **{name: value for name, value in body.items() if name not in _OURS},
    }
    if citations is not None:
        answer["citations"] = list(citations)
    return answer


def answer_text(body: Mapping[str, Any]) -> str:
    """The text of an answer's first choice; "" where it has none (a tool call)."""
    choices = body.get("choices")
    message = choices[0].get("message") if isinstance(choices, list) and choices else None
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""


def json_mode(body: Mapping[str, Any]) -> bool:
    """Whether the answer's content is asked to be JSON."""
    wanted = body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema")


def schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The JSON schema that the answer is asked to have; None where there is none."""
    wanted = body.get("response_format")
    named = wanted.get("json_schema") if isinstance(wanted, dict) else None
    found = named.get("schema") if isinstance(named, dict) else None
    return found if isinstance(found, dict) else None


def media_types(body: Mapping[str, Any]) -> set[str]:
    """The kinds of media in a request: image, audio, video, file."""
    found = set()
    for message in body.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            kind = _medium(part) if isinstance(part, dict) else None
            if kind:
                found.add(kind)
    return found


_OURS: Final = frozenset({"id", "object", "created", "model", "citations"})


# -- checks -------------------------------------------------------------------------------------------------------


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise refuse("messages", "a list of at least one message")
    for number, message in enumerate(messages):
        _check_message(f"messages[{number}]", message)


def _check_message(place: str, message: Any) -> None:
    if not isinstance(message, dict):
        raise refuse(place, "an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise refuse(f"{place}.role", "one of " + ", ".join(sorted(ROLES)))
    _check_content(f"{place}.content", message.get("content"), role)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise refuse(f"{place}.tool_call_id", "the id of the call that this answers")
    calls = message.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(map(_is_tool_call, calls))):
        raise refuse(f"{place}.tool_calls", "a list of calls, each with a function's name and arguments as a string")
    if not isinstance(message.get("name", ""), str):
        raise refuse(f"{place}.name", "a string")


def _check_content(place: str, content: Any, role: str) -> None:
    if isinstance(content, str):
        return
    if isinstance(content, list):
        for number, part in enumerate(content):
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                raise refuse(f"{place}[{number}]", "an object with a type")
            if part["type"] in ("text", "input_text") and not isinstance(part.get("text"), str):
                raise refuse(f"{place}[{number}].text", "a string")
        return
    if content is None and role in ("assistant", "function"):
        return
    raise refuse(place, "a string or a list of parts")


def _is_tool_call(call: Any) -> bool:
    if not isinstance(call, dict):
        return False
    if call.get("type", "function") != "function":
        return True
    function = call.get("function")
    return (
        isinstance(function, dict)
        and isinstance(function.get("name"), str)
        and isinstance(function.get("arguments", ""), str)
    )


def _is_stop(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _are_tools(value: Any) -> bool:
    return isinstance(value, list) and all(_is_tool(tool) for tool in value)


def _is_tool(tool: Any) -> bool:
    if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
        return False
    function = tool.get("function")
    return tool["type"] != "function" or (isinstance(function, dict) and isinstance(function.get("name"), str))


def _is_typed(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def _is_count(value: Any) -> bool:
    return is_whole(value) and value >= 1


_BOOLEAN = (lambda value: isinstance(value, bool), "true or false")
_NUMBER = (is_number, "a number")
_STRING = (lambda value: isinstance(value, str), "a string")
_OBJECT = (lambda value: isinstance(value, dict), "an object")
_COUNT = (_is_count, "a whole number of at least 1")

#: field -> (whether a value will do, what it must be). null always stands for "not set".
_CHECKS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "stream": _BOOLEAN,
    "n": (
        lambda value: is_whole(value) and 1 <= value <= MOST_CHOICES,
        f"a whole number from 1 to {MOST_CHOICES}",
    ),
    "max_tokens": _COUNT,
    "max_completion_tokens": _COUNT,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "seed": (is_whole, "a whole number"),
    "stop": (_is_stop, "a string or a list of strings"),
    "user": _STRING,
    "metadata": _OBJECT,
    "logit_bias": _OBJECT,
    "logprobs": _BOOLEAN,
    "top_logprobs": (lambda value: is_whole(value) and 0 <= value <= 20, "a whole number from 0 to 20"),
    "reasoning_effort": _STRING,
    "verbosity": _STRING,
    "service_tier": _STRING,
    "store": _BOOLEAN,
    "prediction": _OBJECT,
    "parallel_tool_calls": _BOOLEAN,
    "tools": (_are_tools, "a list of tools, each with a type and, for a function, its name"),
    "tool_choice": (lambda value: isinstance(value, str) or _is_typed(value), "a string or an object with a type"),
    "response_format": (_is_typed, "an object with a type"),
    "stream_options": _OBJECT,
}


def _usage_asked(options: Any) -> bool:
    return isinstance(options, dict) and options.get("include_usage") is True


def _medium(part: dict[str, Any]) -> str | None:
    kind = MEDIA.get(part.get("type", ""))
    if kind is None and not isinstance(part.get("text"), str):
        return next((MEDIA[name] for name in MEDIA if isinstance(part.get(name), dict | str)), None)
    return kind
