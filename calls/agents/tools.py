"""Functions as tools."""

import copy
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, get_type_hints, overload

from typing_extensions import override

from calls.agents.calling import call as call_function
from calls.agents.live import LiveCall
from calls.agents.schema import Kind, UnfitError, kind_of
from calls.ports.tools import CallInfo, Tool, ToolError, ToolSpec

TIMEOUT_MS = 10_000

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a function looks like to the model, and what its parameters take.

    `calls` are the parameters that take the call; `method` tells that the first one is the agent.
    """

    spec: ToolSpec
    kinds: Mapping[str, Kind]
    calls: Mapping[str, type]
    method: bool

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function wants them.

        Raises:
            ToolError: they do not fit.
        """
        required = self.spec.parameters["required"]
        faults = [f"{name} is missing" for name in required if name not in arguments]
        values = {}
        for name, value in arguments.items():
            try:
                values[name] = self.kinds[name].read(value)
            except KeyError:
                faults.append(f"there is no {name}")
            except UnfitError as fault:
                faults.append(f"{name} {fault}")
        if faults:
            raise ToolError(f"The arguments do not fit: {'; '.join(faults)}.")
        return values


class FunctionTool(Tool):
    """A function that the model may call. Made by `tool`; calling it calls the function.

    As a method of an agent it belongs to the agent's call. Elsewhere it is a tool for any agent,
    in code or not; then it cannot take a `LiveCall`.
    """

    def __init__(self, function: Function, *, name: str, timeout_ms: int) -> None:
        self._shape = _shape_of(function, name or function.__name__)
        self._function = function
        self._live: LiveCall | None = None
        self.spec = self._shape.spec
        self.timeout_ms = timeout_ms
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self._function(*args, **kwargs)

    def __get__(self, instance: object, owner: type) -> Self:
        """As a method: the same tool, with its agent as first argument."""
        if instance is None:
            return self
        bound = self.bound(getattr(instance, "call", None))
        if self._shape.method:
            bound._function = partial(self._function, instance)
        return bound

    def bound(self, live: LiveCall | None) -> Self:
        """The same tool for this call."""
        tool = copy.copy(self)
        tool._live = live
        return tool

    @override
    async def run(self, call: CallInfo, arguments: Mapping[str, Any]) -> str:
        """Check the arguments and call the function.

        Returns:
            What the function returned if that is text, else as JSON; "Done." for None.

        Raises:
            ToolError: the arguments do not fit; or the function's own.
        """
        values = self._shape.read(arguments)
        for name, wanted in self._shape.calls.items():
            values[name] = call if wanted is CallInfo else self._live_call()
        return _as_text(await call_function(self._function, **values))

    def _live_call(self) -> LiveCall:
        if self._live is None:
            raise TypeError("a tool with a LiveCall has to be a tool of an agent in code")
        return self._live


@overload
def tool(function: Function, /) -> FunctionTool: ...
@overload
def tool(*, name: str = "", timeout_ms: int = TIMEOUT_MS) -> Callable[[Function], FunctionTool]: ...
def tool(
    function: Function | None = None, /, *, name: str = "", timeout_ms: int = TIMEOUT_MS
) -> FunctionTool | Callable[[Function], FunctionTool]:
    """Make a function, sync or async, a tool.

    Its docstring tells the model what it does, its annotations what it takes: str, int, float,
    bool, list, dict, Literal and Optional; an `Annotated` text describes a parameter. A parameter
    annotated with `CallInfo` or `LiveCall` gets the call and is not shown to the model. To tell
    the model why something cannot be done, raise `ToolError`.

    Args:
        name: the model's name for it; else the function's.
        timeout_ms: how long it may take.

    Raises:
        TypeError: the function has no docstring, or a parameter that cannot be described.
    """
    if function is not None:
        return FunctionTool(function, name=name, timeout_ms=timeout_ms)
    return lambda given: FunctionTool(given, name=name, timeout_ms=timeout_ms)


def _shape_of(function: Function, name: str) -> _Shape:
    description = inspect.getdoc(function)
    if not description:
        raise TypeError(f"tool {name}: its docstring must say what it does")
    hints = _hints(function, name)
    hints.pop("return", None)
    calls = {key: hint for key, hint in hints.items() if hint in (CallInfo, LiveCall)}
    shown = [p for p in _parameters(function) if p.name not in calls]
    kinds = {p.name: _kind(p, hints.get(p.name), name) for p in shown}
    schema = {
        "type": "object",
        "properties": {p.name: _property(p, kinds[p.name], name) for p in shown},
        "required": [p.name for p in shown if p.default is p.empty],
        "additionalProperties": False,
    }
    return _Shape(ToolSpec(name, description, schema), kinds, calls, _is_method(function))


def _is_method(function: Function) -> bool:
    return next(iter(inspect.signature(function).parameters), "") == "self"


def _parameters(function: Function) -> list[inspect.Parameter]:
    """All but the agent itself, which a method takes as `self`."""
    return list(inspect.signature(function).parameters.values())[_is_method(function) :]


def _hints(function: Function, name: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"tool {name}: {error}, in an annotation") from error


def _kind(parameter: inspect.Parameter, hint: Any, name: str) -> Kind:
    where = f"tool {name}, parameter {parameter.name}"
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise TypeError(f"{where}: has to be a parameter with a name")
    if hint is None:
        raise TypeError(f"{where}: has no annotation")
    try:
        return kind_of(hint)
    except TypeError as error:
        raise TypeError(f"{where}: {error}") from None


def _property(parameter: inspect.Parameter, kind: Kind, name: str) -> Mapping[str, Any]:
    if parameter.default is parameter.empty:
        return kind.schema
    try:
        json.dumps(parameter.default)
    except TypeError:
        where = f"tool {name}, parameter {parameter.name}"
        raise TypeError(f"{where}: its default does not survive JSON") from None
    return {**kind.schema, "default": parameter.default}


def _as_text(result: Any) -> str:
    if isinstance(result, str):
        return result
    return "Done." if result is None else json.dumps(result, ensure_ascii=False, default=str)
