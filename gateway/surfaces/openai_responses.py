"""POST /v1/responses: OpenAI's newer form to a Call, and an answer back to it.

A conversation goes on by `previous_response_id`: what was said is kept by `gateway.memory`, sealed, and stands before
the new input. `instructions` are of one turn alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from gateway.data import Call, Tokens
from gateway.errors import InvalidRequest
from gateway.providers.base import INTERNAL
from gateway.providers.tokens import reported

from . import openai_chat
from .reading import is_whole, read_object, refuse
from .responses_events import ResponsesForm, ended_as, usage_of
from .responses_items import call_item, messages_of, reasoning_item, said_by, text_item
from .search import retrieval

#: Fields that have another form in a Call, or that are the gateway's own.
_TRANSLATED: Final = frozenset(
    {
        *("input", "instructions", "tools", "tool_choice", "text", "reasoning", "max_output_tokens", "metadata"),
        *("store", "previous_response_id", "retrieval", "include", "truncation", "background", "stream_options"),
    }
)
#: What this gateway does not do: said, and not passed over.
_UNSUPPORTED: Final = frozenset({"conversation", "prompt", "max_tool_calls", "context_management"})
_LOGPROBS: Final = "message.output_text.logprobs"
ID: Final = "resp_"


def parse(raw: bytes, request_id: UUID, *, client_ip: str = "", traceparent: str = "") -> Call:
    """The call in a request body. Raises InvalidRequest, which names the field."""
    body = read_object(raw)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise refuse("model", "the name of a model")
    _refuse_unsupported(body)
    made = {name: value for name, value in body.items() if name not in _TRANSLATED}
    made["messages"] = [*_instructions(body.get("instructions")), *messages_of(body.get("input"))]
    made |= _settings(body)
    openai_chat.check_fields(made)
    asked = body.get("retrieval")
    return Call(
        id=request_id,
        kind="chat",
        dialect="responses",
        model=model,
        body=made,
        stream=bool(made.get("stream")),
        retrieval=None if asked is None else retrieval(asked, "retrieval."),
        client_ip=client_ip,
        traceparent=traceparent,
        asked=body,
        previous=_previous(body),
    )


def continued(call: Call, conversation: list[dict[str, Any]]) -> Call:
    """The call with what was said before in front of its input."""
    messages = call.body["messages"]
    head = 1 if call.asked.get("instructions") else 0
    return replace(call, body={**call.body, "messages": [*messages[:head], *conversation, *messages[head:]]})


def plain(
    call: Call,
    body: Mapping[str, Any],
    citations: Sequence[Mapping[str, Any]] | None = None,
    tokens: Tokens | None = None,
) -> dict[str, Any]:
    """A whole answer as the client sees it; citations stand beside its output."""
    choices = body.get("choices") or [{}]
    status, why = ended_as(choices[0].get("finish_reason") or "")
    answer = skeleton(call)
    answer |= {"status": status, "incomplete_details": why}
    answer["output"] = _output(call, choices[0], status)
    answer["usage"] = usage_of(tokens or reported(body.get("usage")) or Tokens())
    if isinstance(body.get("service_tier"), str):
        answer["service_tier"] = body["service_tier"]
    if citations is not None:
        answer["citations"] = list(citations)
    return answer


def form(call: Call) -> ResponsesForm:
    """How this call's stream is written."""
    return ResponsesForm(skeleton(call), reasoning=thinks(call))


def remembered(call: Call, answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is to be kept of an answer: itself, and the conversation with it. None where the client does not want it."""
    if call.asked.get("store") is False:
        return None
    said = said_by(answer["output"])
    before = call.body["messages"][1 if call.asked.get("instructions") else 0 :]
    return {"response": dict(answer), "messages": [*before, *([said] if said else [])]}


def thinks(call: Call) -> bool:
    """Whether the client asked for reasoning: only then it is shown."""
    return isinstance(call.asked.get("reasoning"), dict)


def skeleton(call: Call) -> dict[str, Any]:
    """A response before anything was said."""
    asked = call.asked
    return {
        "id": answer_id(call.id),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "model": call.model,
        "output": [],
        "parallel_tool_calls": asked.get("parallel_tool_calls") is not False,
        "previous_response_id": asked.get("previous_response_id"),
        "reasoning": asked.get("reasoning") or {"effort": None, "summary": None},
        "store": asked.get("store") is not False,
        "temperature": asked.get("temperature"),
        "text": asked.get("text") or {"format": {"type": "text"}},
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": asked.get("tools") or [],
        "top_p": asked.get("top_p"),
        "truncation": "disabled",
        "usage": None,
        "user": asked.get("user"),
        "metadata": asked.get("metadata") or {},
    }


def answer_id(request_id: UUID) -> str:
    """The id of an answer, the same in every event of a stream."""
    return f"{ID}{request_id.hex}"


def request_id_of(name: str) -> UUID | None:
    """The request behind an answer's id; None for what is none."""
    try:
        return UUID(hex=name.removeprefix(ID)) if name.startswith(ID) else None
    except ValueError:
        return None


def deleted(name: str) -> dict[str, Any]:
    """What is said of an answer that is kept no longer."""
    return {"id": name, "object": "response", "deleted": True}


# -- in ---------------------------------------------------------------------------------------------------------------


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    for name in (INTERNAL | {"n", "messages"}) & body.keys():
        raise InvalidRequest(f"{name} is not a field of this form.", param=name)
    for name in _UNSUPPORTED & body.keys():
        if body[name] is not None:
            raise InvalidRequest(f"{name} is not supported.", param=name)
    if body.get("background"):
        raise InvalidRequest("background: answers in the background are not supported.", param="background")
    if body.get("truncation") not in (None, "disabled"):
        raise InvalidRequest("truncation: nothing is left out here; shorten the input.", param="truncation")
    for name in ("store", "stream"):
        if not isinstance(body.get(name), bool | None):
            raise refuse(name, "true or false")
    if not isinstance(body.get("metadata"), dict | None):
        raise refuse("metadata", "an object")


def _previous(body: Mapping[str, Any]) -> UUID | None:
    name = body.get("previous_response_id")
    if name is None:
        return None
    found = request_id_of(name) if isinstance(name, str) else None
    if found is None:
        raise InvalidRequest("The previous response was not found.", param="previous_response_id")
    return found


def _instructions(value: Any) -> list[dict[str, Any]]:
    if value is None or value == "":
        return []
    if not isinstance(value, str):
        raise refuse("instructions", "a string")
    return [{"role": "system", "content": value}]


def _settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are named otherwise in the chat form."""
    made: dict[str, Any] = {}
    if body.get("tools") not in (None, []):
        made["tools"] = _tools(body["tools"])
    if body.get("tool_choice") is not None:
        made["tool_choice"] = _tool_choice(body["tool_choice"])
    made |= _text(body.get("text"))
    reasoning = body.get("reasoning")
    if reasoning is not None and not isinstance(reasoning, dict):
        raise refuse("reasoning", "an object")
    if reasoning and reasoning.get("effort") is not None:
        made["reasoning_effort"] = reasoning["effort"]
    most = body.get("max_output_tokens")
    if most is not None:
        if not is_whole(most) or most < 1:
            raise refuse("max_output_tokens", "a whole number of at least 1")
        # models that reason do not know the older name
        made["max_completion_tokens" if "reasoning_effort" in made else "max_tokens"] = most
    include = body.get("include")
    if not isinstance(include, list | None):
        raise refuse("include", "a list")
    if body.get("top_logprobs") or _LOGPROBS in (include or ()):
        made["logprobs"] = True
    return made


def _tools(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise refuse("tools", "a list of tools")
    return [_tool(f"tools[{number}]", tool) for number, tool in enumerate(value)]


def _tool(place: str, tool: Any) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise refuse(place, "a tool of type function")
    if not isinstance(tool.get("name"), str):
        raise refuse(f"{place}.name", "a string")
    function = {name: value for name, value in tool.items() if name != "type" and value is not None}
    return {"type": "function", "function": function}


def _tool_choice(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value.get("type") == "function" and isinstance(value.get("name"), str):
        return {"type": "function", "function": {"name": value["name"]}}
    raise refuse("tool_choice", "auto, none, required, or a function by its name")


def _text(value: Any) -> dict[str, Any]:
    """What is asked of the answer's form."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse("text", "an object")
    made: dict[str, Any] = {}
    wanted: Any = value.get("format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_schema":
        if not isinstance(wanted.get("schema"), dict):
            raise refuse("text.format.schema", "an object")
        schema = {name: item for name, item in wanted.items() if name != "type" and item is not None}
        made["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", **schema}}
    elif kind == "json_object":
        made["response_format"] = {"type": "json_object"}
    elif wanted is not None and kind != "text":
        raise refuse("text.format", "an object whose type is text, json_schema or json_object")
    if value.get("verbosity") is not None:
        made["verbosity"] = value["verbosity"]
    return made


# -- out --------------------------------------------------------------------------------------------------------------


def _output(call: Call, choice: Mapping[str, Any], status: str) -> list[dict[str, Any]]:
    message = choice.get("message") or {}
    said = "completed" if status == "completed" else "incomplete"
    items: list[dict[str, Any]] = []

    def id(kind: str) -> str:
        return f"{kind}_{call.id.hex}_{len(items)}"

    thought = message.get("reasoning_content") or message.get("reasoning")
    if thinks(call) and isinstance(thought, str) and thought:
        items.append(reasoning_item(id("rs"), thought, "completed"))
    logprobs = (choice.get("logprobs") or {}).get("content") or ()
    for name, kind in (("content", "output_text"), ("refusal", "refusal")):
        if isinstance(message.get(name), str) and message[name]:
            items.append(text_item(id("msg"), message[name], said, kind=kind, logprobs=logprobs))
    for number, made in enumerate(message.get("tool_calls") or ()):
        function = made.get("function") or {}
        name, arguments = function.get("name") or "", function.get("arguments") or ""
        items.append(call_item(id("fc"), made.get("id") or f"call_{number}", name, arguments, said))
    return items
