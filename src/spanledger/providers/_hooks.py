"""Replacing functions of an SDK, and putting them back; waiting for an SDK that is not imported yet."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import wrapt

from spanledger import _faults

MARK: Final = "__spanledger_wrapped__"


@dataclass
class Patch:
    """Replacements that can be undone. What others have wrapped since is left alone and passes calls through."""

    done: list[tuple[Any, str, Any, Any]] = field(default_factory=list)

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replaces `owner.name` by `make(original)`; a function that is ours already stays as it is.

        A wrapper of wrapt's, which another instrumentation has put there, stays outside: its span is then the one that
        is current, and is annotated.
        """
        original = owner.__dict__[name]
        while isinstance(original, wrapt.FunctionWrapper):
            owner, name, original = original, "__wrapped__", original.__wrapped__
        if getattr(original, MARK, False):
            return
        replacement = functools.wraps(original)(make(original))
        setattr(replacement, MARK, True)
        setattr(owner, name, replacement)
        self.done.append((owner, name, original, replacement))

    def undo(self) -> None:
        """Puts every original back."""
        while self.done:
            owner, name, original, replacement = self.done.pop()
            found = owner.__wrapped__ if name == "__wrapped__" else owner.__dict__.get(name)
            if found is replacement:
                setattr(owner, name, original)


@dataclass
class Hook:
    """How one SDK is metered: `install` gets its module and a `Patch`; `remove` undoes what a patch cannot.

    `state` is what `doctor` shows: `waiting` for the import, `hooked`, `off`, or why it could not be hooked; it stands
    under `name`, which is the package where no other is given.
    """

    module: str
    install: Callable[[Any, Patch], None]
    remove: Callable[[], None] = lambda: None
    name: str = ""
    state: str = "off"
    patch: Patch = field(default_factory=Patch)
    _waiting: bool = False

    def __post_init__(self) -> None:
        self.name = self.name or self.module.partition(".")[0]

    def enable(self) -> None:
        """Hooks the SDK now if it is imported, else as soon as it is."""
        if self.state == "hooked":
            return
        self.state = "waiting"
        if self.module in sys.modules:
            self._loaded(_whole(sys.modules[self.module]))
        elif not self._waiting:
            self._waiting = True
            wrapt.register_post_import_hook(self._loaded, self.module)

    def _loaded(self, module: Any) -> None:
        if self.state != "waiting":
            return
        try:
            self.install(module, self.patch)
            self.state = "hooked"
        except Exception as error:  # noqa: BLE001 -- an SDK that we do not know stays as it is
            self.patch.undo()
            self.state = f"not hooked: {error}"
            _faults.record(f"hook {self.module}", error)

    def disable(self) -> None:
        """Puts every function back."""
        self.patch.undo()
        if self.state == "hooked":
            self.remove()
        self.state = "off"


def _whole(module: Any) -> Any:
    """The module, once another thread that is importing it has done so: until then it lacks what is to be hooked."""
    if not getattr(module.__spec__, "_initializing", False):
        return module
    with suppress(ImportError):  # of which the other thread tells the application
        return import_module(module.__name__)
    return module
