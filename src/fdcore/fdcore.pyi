from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

_Array = NDArray[np.float64]
_Args = tuple[()] | tuple[tuple[Any, ...], Mapping[str, Any]]

KINDS: tuple[str, ...]

def model_addresses(name: str) -> tuple[int, int]: ...
def build_config() -> dict[str, Any]: ...
def capsule_info(capsule: object) -> tuple[int, str | None, int]: ...
def cpu_count() -> int: ...
def plain_gradient(f: Callable[..., Any], x: object, out: _Array | None) -> _Array | None: ...
def status_text(status: int) -> str: ...

ORDERS: tuple[str, ...]
_Indices = NDArray[np.int32]

def pattern_check(start: _Indices, index: _Indices, width: int) -> None: ...
def pattern_transpose(start: _Indices, index: _Indices, width: int) -> tuple[_Indices, _Indices]: ...
def pattern_color(start: _Indices, index: _Indices, width: int, order: int) -> tuple[_Indices, int, str]: ...
def pattern_color_star(start: _Indices, index: _Indices, order: int) -> tuple[_Indices, int, NDArray[np.uint8]]: ...
def pattern_color_acyclic(start: _Indices, index: _Indices, order: int) -> tuple[_Indices, int, _Indices, int]: ...
def pattern_substitute(
    start: _Indices, index: _Indices, color: _Indices, steps: _Indices, products: _Array, scale: _Array
) -> _Array: ...

@final
class Groups:
    def __init__(
        self,
        m: int,
        rows: tuple[_Indices, _Indices] | None,
        columns: tuple[_Indices, _Indices],
        color: _Indices,
        colors: int,
        wrap: Callable[[_Array], Any],
        unwrap: Callable[[Any], _Array],
        reverse: Callable[..., Any] | None = None,
    ) -> None: ...
    def entries(self) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def others(self, j: int) -> int: ...
    @property
    def color(self) -> _Indices: ...
    @property
    def colors(self) -> int: ...
    @property
    def m(self) -> int: ...
    @property
    def n(self) -> int: ...
    @property
    def nnz(self) -> int: ...
    @property
    def wrap(self) -> Callable[[_Array], Any]: ...
    @property
    def unwrap(self) -> Callable[[Any], _Array]: ...
    @property
    def reverse(self) -> Any: ...

@final
class Native:
    probed: bool
    def __init__(
        self,
        address: int,
        kind: str,
        *,
        user_data: int = 0,
        owner: object = None,
        n: int = -1,
        m: int = -1,
        reentrant: bool = True,
        batched: bool | str = False,
        update: int = 0,
    ) -> None: ...
    def __call__(self, x: Any) -> Any: ...
    @property
    def address(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def owner(self) -> Any: ...
    @property
    def n(self) -> int: ...
    @property
    def m(self) -> int: ...

@final
class Caller: ...

@disjoint_base
class Engine:
    def use_groups(self, groups: Groups) -> None: ...
    def detect_with(self, detect: Callable[[_Array, Any], tuple[Groups, int]]) -> None: ...
    @property
    def groups(self) -> Groups | None: ...
    @property
    def given(self) -> dict[str, Any] | None: ...
    def __call__(self, x: Any, *args: Any, out: _Array | None = None, f0: Any = None) -> _Array: ...
    def evaluate(
        self,
        x: Any,
        *,
        args: _Args = (),
        out: _Array | None = None,
        f0: Any = None,
        scale: float = 1.0,
        step: _Array | None = None,
        component: NDArray[np.uint8] | None = None,
        error: _Array | None = None,
        found: NDArray[np.uint8] | None = None,
    ) -> tuple[_Array, int]: ...
    def pointwise(
        self,
        points: _Array,
        *,
        args: _Args = (),
        out: _Array,
        scale: float = 1.0,
        step: _Array | None = None,
        component: NDArray[np.uint8] | None = None,
        error: _Array | None = None,
        found: NDArray[np.uint8] | None = None,
    ) -> int: ...
    def second(
        self,
        x: Any,
        *,
        args: _Args = (),
        f: Callable[[_Array], Any] | None = None,
        scale: float = 1.0,
        step: _Array | None = None,
        bars: bool = False,
    ) -> tuple[_Array, _Array | None, int]: ...
    def base(self, x: _Array, args: _Args = ()) -> _Array: ...
    def _configure(
        self,
        f: Any,
        name: str,
        method: int,
        accuracy: int,
        jac: bool,
        mode: str,
        map: Callable[..., Any] | None,
        workers: int,
        precision: float,
        is_complex: bool,
        settings: Mapping[str, Any] | None,
        bounded: bool,
        probe: Callable[[Native, _Array], Any],
    ) -> None: ...
    def _use_adaptive(self, noise: float, budget: int) -> None: ...
    def _use_stencils(self, stencils: list[tuple[tuple[float, ...], tuple[float, ...], int, int, float]]) -> None: ...
    @property
    def f(self) -> Any: ...
    @property
    def native(self) -> Native | None: ...
    @property
    def m(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def accuracy(self) -> int: ...
    @property
    def bounded(self) -> bool: ...
    @property
    def vectorized(self) -> bool: ...
    @property
    def is_jacobian(self) -> bool: ...
    @property
    def precision(self) -> float: ...
