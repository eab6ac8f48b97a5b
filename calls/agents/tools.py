"""Functions as tools."""

import copy
import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self, get_type_hints, overload

from typing_extensions import override

from calls.agents.calling import call as call_function
from calls.agents.live import LiveCall
from calls.agents.schema import Kind, UnfitError, kind_of
from calls.ports.tools import CallInfo, Tool, ToolError, ToolSpec

TIMEOUT_MS = 10_000

Function = Callable[..., Any]


class FunctionTool(Tool):
    """A function that the model may call. Made by `tool`; calling it calls the function.

    As a method of an agent it belongs to the agent's call. Elsewhere it is a tool for any agent,
    in code or not; then it cannot take a `LiveCall`.
    """

    def __init__(self, function: Function, *, name: str, timeout_ms: int) -> None:
        self.spec, self._kinds, self._calls = _described(function, name)
        self.timeout_ms = timeout_ms
        self._function = function
        self._live: LiveCall | None = None
        self._method = _is_method(function)
        self.__doc__ = function.__doc__
        self.__name__ = self.spec.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self._function(*args, **kwargs)

    def __get__(self, instance: object, owner: type) -> Self:
        """As a method: the same tool, with its agent as first argument."""
        if instance is None:
            return self
        bound = self.bound(getattr(instance, "call", None))
        if self._method:
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
        values = self._read(arguments)
        for name, wanted in self._calls.items():
            values[name] = call if wanted is CallInfo else self._live_call()
        return _as_text(await call_function(self._function, **values))

    def _live_call(self) -> LiveCall:
        if self._live is None:
            raise TypeError("a tool with a LiveCall has to be a tool of an agent in code")
        return self._live

    def _read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        required = self.spec.parameters["required"]
        faults = [f"{name} is missing" for name in required if name not in arguments]
        values = {}
        for name, value in arguments.items():
            try:
                values[name] = self._kinds[name].read(value)
            except KeyError:
                faults.append(f"there is no {name}")
            except UnfitError as fault:
                faults.append(f"{name} {fault}")
        if faults:
            raise ToolError(f"The arguments do not fit: {'; '.join(faults)}.")
        return values


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


def _described(function: Function, name: str) -> tuple[ToolSpec, dict[str, Kind], dict[str, type]]:
    """What the model is told, what the parameters take, and which of them take the call."""
    name = name or function.__name__
    description = inspect.getdoc(function)
    if not description:
        raise TypeError(f"tool {name}: its docstring must say what it does")
    properties: dict[str, Any] = {}
    kinds: dict[str, Kind] = {}
    calls: dict[str, type] = {}
    required = []
    hints = _hints(function, name)
    for parameter in _parameters(function):
        hint = hints.get(parameter.name)
        if hint in (CallInfo, LiveCall):
            calls[parameter.name] = hint
            continue
        kind = kinds[parameter.name] = _kind(parameter, hint, name)
        properties[parameter.name] = dict(kind.schema)
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        else:
            properties[parameter.name]["default"] = _default(parameter, name)
    schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return ToolSpec(name, description, schema), kinds, calls


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


def _default(parameter: inspect.Parameter, name: str) -> Any:
    try:
        json.dumps(parameter.default)
    except TypeError:
        where = f"tool {name}, parameter {parameter.name}"
        raise TypeError(f"{where}: its default does not survive JSON") from None
    return parameter.default


def _as_text(result: Any) -> str:
    if isinstance(result, str):
        return result
    return "Done." if result is None else json.dumps(result, ensure_ascii=False, default=str)
