"""A CUDA device without a GPU: real tensors on the CPU that say they lie on `cuda:N`, and an error where one
meets a tensor of another device.

The law: the device is a property of the storage, so views, parameters and in-place results keep it, and
autograd runs. What torch makes in a call lies where the call's tensors lie, or where it was told to; `to`,
`cpu` and `copy_` alone cross devices. Whether a mixture of devices is allowed is torch's own word: the
operation is traced on fake tensors of the same shapes (`FakeTensorMode`), which takes the CUDA build; on the
CPU build a plain rule stands for it. docs/decisions/0031 has the reasons.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from activations import devices

CPU = torch.device("cpu")
ANY = torch.device("meta")
"""Of what autograd makes by itself in a backward pass: it lies wherever the tensors lie that it meets."""
REAL = torch.Tensor.device
HAS_CUDA = torch.version.cuda is not None
"""Whether this is the CUDA build, which alone can make fake CUDA tensors."""
INDEXED = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put.default, torch.ops.aten.index_put_.default}
"""These take indices on the CPU beside a tensor on any device."""
BACKWARD = {torch.Tensor.backward, torch.autograd.grad}
CROSSING = {torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default}


class DeviceError(RuntimeError):
    """Tensors of two devices met."""


class Places:
    """Which storage lies where; the CPU where nothing is said.

    A weak reference keeps a storage's address from being used again, so that no tag is ever another's.
    """

    def __init__(self) -> None:
        self._of: dict[int, tuple[StorageWeakRef, torch.device]] = {}
        self.seen: Counter[str] = Counter()  # operations on each device
        self._sweep = 10_000

    def of(self, tensor: torch.Tensor) -> torch.device:
        if tensor.layout is not torch.strided:
            return CPU
        found = self._of.get(tensor.untyped_storage()._cdata)
        return CPU if found is None else found[1]

    def put(self, tensor: torch.Tensor, device: torch.device) -> None:
        storage = tensor.untyped_storage()
        if device == CPU:
            self._of.pop(storage._cdata, None)
            return
        self._of[storage._cdata] = (StorageWeakRef(storage), device)
        if len(self._of) > self._sweep:
            self._of = {key: kept for key, kept in self._of.items() if not kept[0].expired()}
            self._sweep = 2 * len(self._of) + 10_000


def device_of(value: Any) -> torch.device:
    """A device as torch means it: `cuda` is `cuda:0`."""
    device = torch.device("cuda", value) if isinstance(value, int) else torch.device(value)
    return torch.device("cuda", 0) if device.type == "cuda" and device.index is None else device


class Checked(TorchDispatchMode):
    """Every operation: refuses what mixes devices, and says where the result lies."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places
        self.within: torch.device | None = None  # where the tensors of the call lie that torch works on

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        where = {self.places.of(one) for one in given}
        where = where - {ANY} or where
        if len(where) > 1:
            place = judge(func, args, kwargs, self.places)
        else:
            place = where.pop() if where else self.within or CPU
        self.places.seen[str(place)] += 1
        before = {one.untyped_storage()._cdata for one in given if one.layout is torch.strided}
        out = func(*args, **kwargs)
        for one in tree_leaves(out):
            strided = isinstance(one, torch.Tensor) and one.layout is torch.strided
            if strided and one.untyped_storage()._cdata not in before:
                self.places.put(one, place)
        return out


def judge(func: Any, args: Any, kwargs: Any, places: Places) -> torch.device:
    """Where the result of an operation on tensors of several devices lies; an error where torch has none."""
    if func in CROSSING:
        return places.of(args[0])
    if func in INDEXED:
        place = places.of(args[0])
        indices = {places.of(one) for one in args[1] if one is not None and one.dim()} - {CPU, place}
        values = {places.of(one) for one in args[2:3] if one.dim()} - {place}
        if (
            indices
            or values
            or (place == CPU and any(one is not None and places.of(one) != CPU for one in args[1]))
        ):
            raise DeviceError(f"{func}: a tensor on {place} is indexed or filled by one on another device")
        return place
    return by_torch(func, args, kwargs, places) if HAS_CUDA else by_rule(func, args, kwargs, places)


def by_rule(func: Any, args: Any, kwargs: Any, places: Places) -> torch.device:
    """The plain rule: one device, besides numbers (tensors without a dimension) on the CPU."""
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    where = {places.of(one) for one in given if one.dim() or places.of(one) != CPU}
    if len(where) != 1:
        raise DeviceError(f"{func}: tensors on {', '.join(sorted(map(str, where)))} meet")
    return where.pop()


def by_torch(func: Any, args: Any, kwargs: Any, places: Places) -> torch.device:
    """What torch says of fake tensors that lie where these do."""
    from torch._subclasses.fake_tensor import (
        DataDependentOutputException,
        DynamicOutputShapeException,
        FakeTensorDeviceMismatchError,
        FakeTensorMode,
    )

    def fake(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        return torch.empty_strided(leaf.size(), leaf.stride(), dtype=leaf.dtype, device=places.of(leaf))

    with FakeTensorMode(), mock.patch.object(torch.Tensor, "device", REAL):
        given, named = tree_map(fake, (args, kwargs))
        try:
            out = func(*given, **named)
        except FakeTensorDeviceMismatchError as error:
            raise DeviceError(f"{func}: {error}") from None
        except (DataDependentOutputException, DynamicOutputShapeException):
            return by_rule(func, args, kwargs, places)
        made = [one.device for one in tree_leaves(out) if isinstance(one, torch.Tensor)]
    return made[0] if made else by_rule(func, args, kwargs, places)


class Copied(torch.autograd.Function):
    """A copy on another device; its gradient comes back to where the original lies."""

    @staticmethod
    def forward(ctx: Any, value: Any, places: Places, here: torch.device, there: torch.device) -> Any:
        ctx.places, ctx.here = places, here
        out = value.clone()
        places.put(out, there)
        return out

    @staticmethod
    def backward(ctx: Any, given: Any) -> Any:
        back = given.clone()
        ctx.places.put(back, ctx.here)
        return back, None, None, None


class Told(TorchFunctionMode):
    """What names a device: makers of tensors, `to`, `cpu`, `cuda`, `numpy`."""

    def __init__(self, checked: Checked) -> None:
        super().__init__()
        self.checked, self.places = checked, checked.places

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in ("numpy", "__array__") and self.places.of(args[0]) != CPU:
            raise DeviceError(
                f"{self.places.of(args[0])}: a tensor there is no numpy array; copy it to the CPU first"
            )
        if name in ("to", "cpu", "cuda", "type_as"):
            return self.moved(name, args, kwargs)
        kwargs.pop("pin_memory", None)  # needs a driver, and changes no value
        told = kwargs.pop("device", None)
        place = None if told is None else device_of(told)
        if place is not None and place.type == "meta":
            return func(*args, **kwargs, device=told)
        if place is not None:
            self.check_generator(kwargs.get("generator"), place)
            kwargs["device"] = CPU
        given = {self.places.of(one) for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)}
        given.discard(CPU)
        outer = self.checked.within
        alone = given.pop() if len(given) == 1 else None
        self.checked.within = place or (ANY if func in BACKWARD and alone else alone)
        try:
            if func is torch.Tensor.backward:
                kwargs["grad_tensors"] = kwargs.pop("gradient", None)
                with self:  # the backward passes of functions of our own run in it
                    return torch.autograd.backward(args[0], **kwargs)
            out = func(*args, **kwargs)
        finally:
            self.checked.within = outer
        if place is None and name.startswith("new_"):
            place = self.places.of(args[0])
        if place is not None:
            for one in tree_leaves(out):
                if isinstance(one, torch.Tensor):
                    self.places.put(one, place)
        return out

    def moved(self, name: str, args: Any, kwargs: Any) -> Any:
        """`to`, `cpu`, `cuda` and `type_as`: another type, and a copy where the device is another."""
        tensor, here = args[0], self.places.of(args[0])
        place, dtype = {"cpu": CPU, "cuda": device_of("cuda")}.get(name, here), None
        for one in (*args[1:], *(kwargs.get(key) for key in ("device", "dtype", "other"))):
            if isinstance(one, torch.Tensor):
                place, dtype = self.places.of(one), one.dtype
            elif isinstance(one, torch.dtype):
                dtype = one
            elif one is not None and not isinstance(one, bool):
                place = device_of(one)
        if place.type == "meta":
            return tensor.to(place, dtype)
        within, self.checked.within = self.checked.within, here
        try:
            out = tensor if dtype is None else tensor.to(dtype)
            if place != here:
                return Copied.apply(out, self.places, here, place)
            return out.clone() if out is tensor and kwargs.get("copy") else out
        finally:
            self.checked.within = within

    @staticmethod
    def check_generator(generator: Any, place: torch.device) -> None:
        if generator is not None and getattr(generator, "_place", CPU) != place:
            raise DeviceError(f"a generator of the {getattr(generator, '_place', CPU)} draws for {place}")


@contextmanager
def cuda() -> Iterator[Places]:
    """Inside, `cuda` and `cuda:N` are devices; gives out what lies where."""
    places = Places()
    checked = Checked(places)

    class Event:
        """Nothing is asynchronous here."""

        def record(self) -> None: ...

        def synchronize(self) -> None: ...

    class Generator(torch.Generator):
        def __new__(cls, device: Any = "cpu") -> Any:
            made = super().__new__(cls, "cpu")
            made._place = device_of(device)
            return made

        device = property(lambda self: self._place)

    with ExitStack() as stack:
        put = lambda *what, **how: stack.enter_context(mock.patch.object(*what, **how))  # noqa: E731
        put(
            torch.Tensor,
            "device",
            property(
                lambda self: places.of(self) if REAL.__get__(self).type == "cpu" else REAL.__get__(self)
            ),
        )
        put(torch.Tensor, "is_cuda", property(lambda self: places.of(self).type == "cuda"))
        put(torch.Tensor, "get_device", lambda self: -1 if places.of(self) == CPU else places.of(self).index)
        put(torch.cuda, "Event", Event)
        put(torch, "Generator", Generator)
        put(devices, "default", lambda: torch.device("cuda"))
        put(torch.cuda, "get_rng_state", lambda device=0: None)
        put(torch.cuda, "set_rng_state", lambda state, device=0: None)
        stack.enter_context(Told(checked))
        stack.enter_context(checked)
        yield places
