"""A jinja2 environment for programs that came with a download: they reach nothing, and their work has an end.

jinja2's own sandbox guards attributes, but bounds neither time nor memory. Here

- each round of a loop, each macro, call and filter looks at the clock (of this thread's own computing time);
- each value that a template makes is weighed, before it's made where that is cheap to foresee: how many characters and items it would be, written
  out. A list of twice the same list weighs twice as much, so that no few nested lists become gigabytes when they are printed.
"""

import re
import threading
import time
from collections.abc import Callable, ItemsView, KeysView, Mapping, ValuesView
from functools import wraps
from itertools import chain
from typing import Any

import jinja2
from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

MAX_RENDER_CPU_S = 2.0
MAX_WEIGHT = 16_000_000
"""Characters and items of one value; the largest request body is of this size."""
MAX_ITEMS = 1_000_000
"""Of one list or table."""
MAX_MADE = 256_000_000
"""The same, of all values that one rendering makes."""
MAX_WIDTH = 10_000
MAX_INTEGER_BITS = 4096

_CHECKED = "checked value"
_CONCATENATED = "concatenated values"
_TICK = "tick"
"""Names of filters that no template can spell."""
_SIZED_FILTERS = frozenset({"batch", "center", "indent", "round", "slice", "tojson", "truncate", "wordwrap"})
_PADDING_METHODS = frozenset({"center", "ljust", "rjust", "zfill"})
_UNSAFE_TEXT_METHODS = frozenset({"encode", "expandtabs", "format_map", "maketrans", "translate"})
_WIDE_FORMAT = re.compile(r"%(\([^)]*\))?[-+ #0]*(\*|\d{5}|\d*\.(\*|\d{5}))")
_WIDE_FIELD = re.compile(r"\{[^{}]*:[^{}]*(\d{5}|\{)")
_CONTAINERS = (list, tuple, dict, set, frozenset, KeysView, ValuesView, ItemsView)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Compiles and renders templates; may be used by several threads.

    Args:
        filters, functions: what templates may use beside jinja2's own.
        options: of jinja2's `Environment`.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(
        self, filters: Mapping[str, Callable[..., Any]], functions: Mapping[str, Callable[..., Any]], **options: Any
    ) -> None:
        # Not optimized: that would compute constants while compiling, when no clock runs.
        super().__init__(optimized=False, finalize=_finalize, **options)
        self._renderings = threading.local()
        self.filters = {name: _bounded_filter(name, function) for name, function in {**self.filters, **filters}.items()}
        self.filters |= {_CHECKED: self._checked, _CONCATENATED: self._concatenate, _TICK: self._tick}
        kept = {name: self.globals[name] for name in ("range", "cycler", "joiner")}
        self.globals = {**kept, "dict": lambda *a, **k: dict(*a, **k), "namespace": _Namespace, **functions}

    def template_of(self, tree: nodes.Template) -> jinja2.Template:
        """A template, of what `parse` made; `tree` is changed. Raises jinja2.TemplateError where it makes no sense."""
        code = self.compile(_Bounds().visit(tree))
        return jinja2.Template.from_code(self, code, self.make_globals(None))

    def render(self, template: jinja2.Template, variables: Mapping[str, Any]) -> str:
        """What the template makes of the variables. Raises jinja2's SecurityError where it does what none may, and whatever else it raises."""
        self._renderings.now = _Rendering()
        return "".join(template.generate(variables))

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Every call that a template makes."""
        rendering = self.rendering
        rendering.weigh_together((*args, *kwargs.values()))
        text = getattr(function, "__self__", None)
        if isinstance(text, str):
            args = _foresee(rendering, function.__name__, text, args)
        return rendering.checked(super().call(context, function, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Operators that make large values of small ones."""
        rendering = self.rendering
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * max(right, 0) if operator == "**" else left.bit_length() + right.bit_length()
            rendering.refuse_above(MAX_INTEGER_BITS, bits)
        elif operator == "*":
            times = next((side for side in (left, right) if isinstance(side, int)), 1)
            rendering.refuse_above(MAX_WEIGHT, max(times, 0) * max(rendering.weigh(left), rendering.weigh(right)))
        elif operator == "+":
            rendering.weigh_together((left, right))
        elif operator == "%" and isinstance(left, str):
            _foresee_format(rendering, left, right)
        return rendering.checked(super().call_binop(context, operator, left, right))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Numbers have no attributes here, and texts no methods that multiply them."""
        if isinstance(obj, (int, float, bytes)) or (isinstance(obj, str) and attr in _UNSAFE_TEXT_METHODS):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format`, which takes widths from within its text."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        form = value.__self__

        def bounded_format(*args: Any, **kwargs: Any) -> str:
            if value.__name__ == "format_map" or _WIDE_FIELD.search(form):
                raise SecurityError("a format of this kind")
            fields = form.count("{") + 1
            self.rendering.refuse_above(MAX_WEIGHT, fields * self.rendering.weigh_together((*args, *kwargs.values())))
            return wrapped(*args, **kwargs)

        return bounded_format

    @property
    def rendering(self) -> "_Rendering":
        """The one that this thread is doing."""
        rendering: _Rendering = self._renderings.now
        return rendering

    def _checked(self, value: Any) -> Any:
        return self.rendering.checked(value)

    def _concatenate(self, values: list[Any]) -> str:
        self.rendering.weigh_together(values)
        return str(self.rendering.checked("".join(map(str, values))))

    def _tick(self, _: None) -> None:
        self.rendering.tick()


class _Rendering:
    """What one rendering has used up."""

    def __init__(self) -> None:
        self._end_s = time.thread_time() + MAX_RENDER_CPU_S
        self._made = 0
        # With the values themselves, so that no other value gets the same identity meanwhile.
        self._weights: dict[int, tuple[Any, int]] = {}

    def tick(self) -> None:
        if time.thread_time() > self._end_s:
            raise SecurityError("more work than any conversation takes")

    def weigh(self, value: Any) -> int:
        """Characters and items of a value, counted as often as they'd be written. Containers can't change, so each is weighed once."""
        if isinstance(value, str):
            return len(value) + 1
        if isinstance(value, int):
            return value.bit_length() // 8 + 1
        if not isinstance(value, _CONTAINERS):
            return 1
        known = self._weights.get(id(value))
        if known is None:
            self.refuse_above(MAX_ITEMS, len(value))
            parts = chain(value.keys(), value.values()) if isinstance(value, dict) else value
            known = self._weights[id(value)] = (value, 1 + sum(map(self.weigh, parts)))
        return known[1]

    def weigh_together(self, values: Any) -> int:
        """The weight of all; refused where that is too much."""
        weight = sum(map(self.weigh, values))
        self.refuse_above(MAX_WEIGHT, weight)
        return weight

    def checked(self, value: Any) -> Any:
        """The value, which was just made."""
        self.tick()
        self.refuse_above(MAX_WEIGHT, self.weigh(value))
        self._made += len(value) if isinstance(value, (str, *_CONTAINERS)) else 1
        self.refuse_above(MAX_MADE, self._made)
        return value

    def refuse_above(self, limit: int, size: int) -> None:
        if size > limit:
            raise SecurityError("a value larger than any conversation")


class _Bounds(NodeTransformer):
    """Puts the checks into a parsed template that can't be put into the environment."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """Checks lists and the like where they are written down, and the clock in each round of a loop and each macro."""
        self.generic_visit(node)
        match node:
            case nodes.For() | nodes.Macro() | nodes.CallBlock():
                tick = nodes.ExprStmt(_filter(nodes.Const(None), _TICK, node))
                node.body.insert(0, tick.set_lineno(node.lineno))
            case nodes.List() | nodes.Dict() | nodes.Tuple(ctx="load"):
                return _filter(node, _CHECKED, node)
            case nodes.Concat():
                return _filter(nodes.List(node.nodes), _CONCATENATED, node)
        return node


class _Namespace(Namespace):
    """A namespace whose text tells nothing of what is in it, as that could be anything, itself included."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        for name in dict(*args[1:], **kwargs):
            _refuse_private(name)
        Namespace.__init__(*args, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)

    def __repr__(self) -> str:
        return "<Namespace>"


def _filter(node: nodes.Expr, name: str, near: nodes.Node) -> nodes.Expr:
    made = nodes.Filter(node, name, [], [], None, None)
    made.set_lineno(near.lineno)
    if near.environment is not None:
        made.set_environment(near.environment)
    return made


@pass_context
def _finalize(context: Any, value: Any) -> Any:
    """Sees whatever is written."""
    return context.environment.rendering.checked(value)


def _bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, with its arguments looked at before and its result after."""
    passed = getattr(function, "jinja_pass_arg", None)

    @pass_context
    @wraps(function)
    def bounded(context: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        rendering, arguments = context.environment.rendering, (*args, *kwargs.values())
        rendering.weigh_together((value, *arguments))
        match name:
            case "replace":
                _foresee(rendering, name, str(value), arguments)
            case "join":
                value = list(value)
                _foresee(rendering, name, str(arguments[0]) if arguments else "", (value,))
            case "format":
                _foresee_format(rendering, str(value), arguments)
            case _ if name in _SIZED_FILTERS:
                _foresee_sizes(rendering, name, value, arguments)
        first = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        lead = () if passed is None else (first[passed.name],)
        return rendering.checked(function(*lead, value, *args, **kwargs))

    return bounded


def _foresee(rendering: _Rendering, method: str, text: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuses a method of a text whose result would be too large; returns the arguments, which must not be read twice."""
    if method in _PADDING_METHODS and args and isinstance(args[0], int):
        rendering.refuse_above(MAX_WIDTH, args[0])
    elif method == "replace" and len(args) > 1:
        old, new = str(args[0]), str(args[1])
        rendering.refuse_above(MAX_WEIGHT, text.count(old) * len(new) + len(text))
    elif method == "join" and args:
        parts = list(args[0])
        rendering.refuse_above(MAX_WEIGHT, rendering.weigh(parts) + len(text) * len(parts))
        return (parts,)
    return args


def _foresee_format(rendering: _Rendering, form: str, values: Any) -> None:
    if _WIDE_FORMAT.search(form):
        raise SecurityError("a format of this width")
    rendering.refuse_above(MAX_WEIGHT, (form.count("%") + 1) * rendering.weigh(values))


def _foresee_sizes(rendering: _Rendering, name: str, value: Any, args: tuple[Any, ...]) -> None:
    for size in args:
        if isinstance(size, int):
            rendering.refuse_above(MAX_WIDTH, size)
    if name == "indent" and isinstance(value, str):
        widest = max((len(arg) if isinstance(arg, str) else int(arg) for arg in args), default=4)
        rendering.refuse_above(MAX_WEIGHT, (value.count("\n") + 1) * widest + len(value))


def _refuse_private(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError("a private name in a namespace")


__all__ = ["BoundedEnvironment"]
