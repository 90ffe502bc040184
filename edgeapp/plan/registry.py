"""From a marked class to a registered plugin, or to an error that its author can act on."""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from edgeapp.config.pipeline import VARIANT_KEYS, reserved
from edgeapp.core.message import Message, Priority
from edgeapp.core.packet import Packet
from edgeapp.core.plugin import MARK, Kind, Mark, Options, Plugin, live_options
from edgeapp.errors import PluginError
from edgeapp.plan.payloads import alternatives, given, name_of, taken

_METHODS: dict[Kind, tuple[str, ...]] = {
    "source": ("run",),
    "transform": ("process",),
    "model": ("accept", "feed", "decode"),
    "action": ("act",),
    "output": ("encode",),
}
_MAY_BE_ASYNC = frozenset({"process", "act", "encode"})
_PLAIN = (bool, int, float, str, type(None))
_NOT_LIVE = frozenset({"variant", "snapshot"})
"""Words that stand in commands where the name of a live option would."""


def mark_of(cls: object) -> Mark | None:
    """The mark of a class; None for one that is unmarked, or only inherits a mark."""
    mark = vars(cls).get(MARK) if isinstance(cls, type) else None
    return mark if isinstance(mark, Mark) else None


def register(cls: type[Any]) -> Plugin:
    """Verify a marked class and record what it promises.

    Raises:
        PluginError: it breaks the contract; names plugin, file, line and argument.
    """
    return _Registration(cls).plugin()


class _Registration:
    """Reads one class."""

    def __init__(self, cls: type[Any]) -> None:
        mark = mark_of(cls)
        if mark is None:
            raise PluginError(f"{cls.__qualname__} is not marked: put @transform('name') above it")
        self.cls = cls
        self.mark = mark
        self.file = getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__

    def plugin(self) -> Plugin:
        """The verified plugin."""
        mark = self.mark
        for name in _METHODS[mark.kind]:
            self._check_method(name)
        options = self._options()
        takes, gives = {
            "source": self._of_source,
            "transform": self._of_transform,
            "model": self._of_model,
            "action": lambda: (self._taken("act"), None),
            "output": self._of_output,
        }[mark.kind]()
        main = getattr(self.cls, _METHODS[mark.kind][0])
        is_async = inspect.iscoroutinefunction(main) or inspect.isasyncgenfunction(main)
        return Plugin(
            mark.kind,
            mark.name,
            self.cls,
            options,
            takes,
            gives,
            mark.live,
            mark.stateless,
            is_async,
            self.file,
        )

    def _fault(self, problem: str, method: Callable[..., Any] | None = None) -> PluginError:
        line = _line_of(method) if method else ""
        return PluginError(f"{self.mark.kind} '{self.mark.name}' ({self.file}{line}): {problem}")

    def _method(self, name: str) -> Any:
        return getattr(self.cls, name)

    def _check_method(self, name: str) -> None:
        method = getattr(self.cls, name, None)
        if not inspect.isfunction(method):
            why = " for its live options" if name == "tune" else ""
            raise self._fault(f"a {self.mark.kind} needs a method {name}(){why}")
        asynchronous = inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
        if asynchronous and name not in _MAY_BE_ASYNC:
            raise self._fault(f"{name}() cannot be async: write 'def {name}'", method)

    def _hints(self, name: str) -> dict[str, Any]:
        """The annotations of a method, read; every argument but `self` must be there."""
        method = self._method(name)
        try:
            return get_type_hints(method)
        except Exception as error:  # noqa: BLE001 - evaluating annotations may raise anything
            problem = (
                f"the annotations of {name}() cannot be read: {error}; import what they name at "
                "the top of the file, not under TYPE_CHECKING"
            )
            raise self._fault(problem, method) from None

    def _argument(self, name: str, position: int, example: str) -> tuple[str, Any]:
        """Name and annotation of an argument of a method, `self` not counted."""
        method = self._method(name)
        hints = self._hints(name)
        arguments = [
            parameter
            for parameter in list(inspect.signature(method).parameters.values())[1:]
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        if len(arguments) <= position:
            raise self._fault(f"{name}() needs an argument annotated {example}", method)
        argument = arguments[position].name
        if argument not in hints:
            problem = f"{name}(): the argument '{argument}' must be annotated, as {example}"
            raise self._fault(problem, method)
        return argument, hints[argument]

    def _options(self) -> type[Options]:
        if not inspect.isfunction(self.cls.__init__):
            raise self._fault("it needs __init__(self, options: ...Options, context: Context)")
        argument, options = self._argument("__init__", 0, "a subclass of Options")
        method = self._method("__init__")
        if not (isinstance(options, type) and issubclass(options, Options)):
            problem = f"__init__(): '{argument}' must be annotated with a subclass of Options"
            raise self._fault(problem, method)
        self._argument("__init__", 1, "Context")
        taken_words = reserved(self.mark.kind) | {"remarks", "longest_wait_s"}
        if self.mark.kind == "model":
            taken_words |= VARIANT_KEYS
        for name, field in options.model_fields.items():
            for word in {name, field.alias or name} & taken_words:
                problem = f"the option '{word}' must be renamed: the word is the framework's own"
                raise self._fault(problem, method)
        self._check_live(options)
        return options

    def _check_live(self, options: type[Options]) -> None:
        """See that what is marked as live can be changed, and told of."""
        live = live_options(options)
        if not live:
            return
        key, method = next(iter(live)), self._method("__init__")
        if self.mark.kind == "source":
            problem = f"the option '{key}' cannot be live: a source is in one call all the time"
            raise self._fault(problem, method)
        for key, name in live.items():
            if key in _NOT_LIVE:
                problem = f"the option '{key}' cannot be live under this name: rename it"
                raise self._fault(problem, method)
            if not _is_plain(options.model_fields[name].annotation):
                problem = f"the option '{key}' cannot be live: it is no number, switch or text"
                raise self._fault(problem, method)
        self._check_method("tune")
        self._argument("tune", 0, options.__name__)

    def _taken(self, name: str, wrapper: Any = Packet, position: int = 0) -> Any:
        """The payload type of an argument annotated `Packet[...]` (or another wrapper)."""
        label = getattr(wrapper, "__name__", str(wrapper))
        argument, annotation = self._argument(
            name, position, f"{label}[...], such as {label}[Image]"
        )
        wanted = f"{name}(): '{argument}' must be annotated {label}[...], such as {label}[Image]"
        if get_origin(annotation) is not wrapper:
            raise self._fault(f"{wanted}, not {name_of(annotation)}", self._method(name))
        try:
            return taken(get_args(annotation)[0])
        except ValueError as error:
            raise self._fault(f"{wanted}: {error}", self._method(name)) from None

    def _given(self, name: str) -> Any:
        """The payload type of what a method returns."""
        method = self._method(name)
        hints = self._hints(name)
        if "return" not in hints:
            raise self._fault(f"{name}() must say what it returns, such as -> Image | None", method)
        try:
            return given(hints["return"])
        except ValueError as error:
            problem = f"{name}(): what it returns must be payloads, such as Image | None: {error}"
            raise self._fault(problem, method) from None

    def _of_source(self) -> tuple[Any, Any]:
        from edgeapp.core.stage import Emit

        return None, self._taken("run", Emit)

    def _of_transform(self) -> tuple[Any, Any]:
        takes, gives = self._taken("process"), self._given("process")
        self._check_variables("process", takes, gives)
        if hasattr(self.cls, "process_many"):
            self._check_many(takes, gives)
        return takes, gives

    def _check_many(self, takes: Any, gives: Any) -> None:
        method = self._method("process_many")
        if not self.mark.stateless:
            problem = "process_many() is for stages without memory: mark it stateless=True"
            raise self._fault(problem, method)
        argument, annotation = self._argument("process_many", 0, "Sequence[Packet[...]]")
        packets = get_args(annotation)
        if not packets or get_args(packets[0])[:1] != (takes,):
            problem = f"process_many(): '{argument}' must be Sequence[Packet[{name_of(takes)}]]"
            raise self._fault(problem, method)
        if set(alternatives(self._given("process_many"))) != set(alternatives(gives)):
            problem = f"process_many() must return what process() returns: {name_of(gives)}"
            raise self._fault(problem, method)

    def _of_model(self) -> tuple[Any, Any]:
        _, annotation = self._argument("feed", 0, "a payload, such as Image")
        try:
            takes = taken(annotation)
        except ValueError as error:
            raise self._fault(f"feed(): {error}", self._method("feed")) from None
        gives = self._given("decode")
        self._check_variables("decode", takes, gives)
        return takes, gives

    def _of_output(self) -> tuple[Any, Any]:
        takes = self._taken("encode")
        returned = self._hints("encode").get("return")
        if Message not in alternatives(returned):
            problem = "encode() must be annotated -> Message, or -> Message | None"
            raise self._fault(problem, self._method("encode"))
        if getattr(self.cls, "priority", "normal") not in get_args(Priority):
            raise self._fault(f"priority must be one of {', '.join(get_args(Priority))}")
        return takes, None

    def _check_variables(self, name: str, takes: Any, gives: Any) -> None:
        free = _variables(alternatives(gives)) - _variables(alternatives(takes))
        if free:
            variable = min(str(one) for one in free)
            problem = f"{name}() returns {variable}, which none of its arguments has"
            raise self._fault(problem, self._method(name))


def _is_plain(annotation: Any) -> bool:
    """Whether all that it allows is a number, true or false, a text, or nothing."""
    if get_origin(annotation) is Literal:
        return all(isinstance(one, _PLAIN) for one in get_args(annotation))
    if isinstance(annotation, type):
        return annotation in _PLAIN
    among = get_args(annotation)
    return bool(among) and all(_is_plain(one) for one in among)


def _variables(types: Sequence[Any]) -> set[Any]:
    return {one for one in types if isinstance(one, TypeVar)}


def _line_of(method: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(method), "__code__", None)
    return f":{code.co_firstlineno}" if code else ""
