"""The ladder of a model stage: its files, the decoder options of each, and whether they fit."""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.config.pipeline import (
    VARIANT_KEYS,
    ModelSettings,
    StageSpec,
    VariantSettings,
    keys_of,
)
from edgeapp.config.validate import Subject, validate
from edgeapp.core.clock import FakeClock
from edgeapp.core.context import Context
from edgeapp.core.plugin import Plugin, Surroundings
from edgeapp.document.tree import Entry, Listing, Node, Scalar, Table, kind_of, shortened
from edgeapp.errors import Complaint, ConfigError, Place
from edgeapp.plan.graph import VariantPlan

if TYPE_CHECKING:
    from edgeapp.core.stage import TensorSpecs
    from edgeapp.models.carry import Misfit


@dataclass(frozen=True, slots=True)
class _Variant:
    """One entry of `variants`, as the file has it."""

    name: str
    file: str
    place: Place
    """Of the file's name."""
    options: Table
    """Those of the decoder that are for this variant alone."""
    settings: VariantSettings


def plan_variants(
    spec: StageSpec,
    plugin: Plugin,
    around: Surroundings,
    models: "Models | None",
    found: list[Complaint],
) -> tuple[VariantPlan, ...]:
    """The variants of a model stage, best first; mistakes go to `found`.

    `models` looks into the files; None: they are not opened.
    """
    owner = f"model '{plugin.name}'"
    plans = []
    for variant in _variants(spec, found):
        subject = Subject(spec.label, owner, spec.place, keys_of("model"))
        table = spec.options.merged(variant.options.entries)
        options = validate(plugin.options, table, subject, found=found, context=around)
        file = _file(variant, around, found)
        if options is None or file is None:
            continue
        plan = VariantPlan(variant.name, file, options, variant.settings.accuracy)
        if models is None or models.fits(spec, plugin, plan, variant.place, found):
            plans.append(plan)
    return tuple(plans)


def _variants(spec: StageSpec, found: list[Complaint]) -> Iterator[_Variant]:
    bundle = spec.table.get("bundle")
    if bundle:
        problem = "bundles cannot be read by this version"
        found.append(Complaint(bundle.place, problem, "list the model's files under 'variants'"))
        return
    entry = spec.table.get("variants")
    if entry is None:
        remedy = "add 'variants:' with a list of model files, best first"
        found.append(Complaint(spec.place, f"{spec.label} names no model file", remedy))
        return
    listed = entry.value
    if not isinstance(listed, Listing) or not listed.items:
        problem = (
            f"'variants' must be a list of model files, best first, but it is {kind_of(listed)}"
        )
        found.append(Complaint(listed.place, problem, "write '- file: model.onnx' below it"))
        return
    names: set[str] = set()
    for item in listed.items:
        variant = _variant(spec, item, found)
        if variant and variant.name in names:
            problem = f"there are two variants called '{shortened(variant.name)}'"
            found.append(Complaint(variant.place, problem, "give one of them another 'name'"))
        elif variant:
            names.add(variant.name)
            yield variant


def _variant(spec: StageSpec, item: Node, found: list[Complaint]) -> _Variant | None:
    if isinstance(item, Scalar):
        item = Table((Entry("file", item.place, item),), item.place)
    if not isinstance(item, Table):
        problem = "a variant must be a file name, or keys with 'file' among them"
        found.append(Complaint(item.place, problem))
        return None
    file, name = item.get("file"), item.get("name")
    if file is None:
        found.append(Complaint(item.place, "this variant has no 'file'", "add 'file: model.onnx'"))
        return None
    for entry in (file, name):
        if entry and not (isinstance(entry.value, Scalar) and entry.value.text):
            problem = f"'{entry.key}' of a variant must be text, but it is {kind_of(entry.value)}"
            found.append(Complaint(entry.value.place, problem))
            return None
    assert isinstance(file.value, Scalar)
    path = file.value.text
    named = name.value.text if name and isinstance(name.value, Scalar) else Path(path).stem
    subject = Subject(spec.label, "a variant", item.place)
    keys = frozenset(VariantSettings.model_fields)
    settings = validate(VariantSettings, item.only(keys), subject, found=found)
    if settings is None:
        return None
    return _Variant(named, path, file.value.place, item.without(VARIANT_KEYS), settings)


_COPY_IT = "copy it there; a relative path begins in the folder of the pipeline file"


def _file(variant: _Variant, around: Surroundings, found: list[Complaint]) -> Path | None:
    try:
        path = (around.folder / Path(variant.file).expanduser()).resolve()
        if path.is_file():
            return path
        found.append(Complaint(variant.place, f"there is no model file '{path}'", _COPY_IT))
        return None
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: of expanduser, `~nobody`
        problem = f"the model file cannot be looked at: {error}"
    found.append(Complaint(variant.place, problem))
    return None


_Identity = tuple[Path, int, int, int]
_MOST_KNOWN = 256


class Models:
    """Looks into model files, each once, and again where a file was replaced. For one thread.

    Kept over reloads, it spares them what takes longest: to load each model, only to look at it.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._seen: dict[_Identity, tuple[TensorSpecs, TensorSpecs] | str] = {}

    def fits(
        self,
        spec: StageSpec,
        plugin: Plugin,
        plan: VariantPlan,
        place: Place,
        found: list[Complaint],
    ) -> bool:
        """Whether the decoder can use the file; if not, says so to `found`."""
        tensors = self._look(plan.file)
        if isinstance(tensors, str):
            found.append(Complaint(place, tensors))
            return False
        from edgeapp.models.carry import first_tensors, misfits

        carried = settings.carry if isinstance(settings := spec.settings, ModelSettings) else {}
        wrong = list(misfits(carried, *tensors))
        if wrong:
            found.extend(_misplaced(spec, plan.file.name, one) for one in wrong)
            return False
        try:
            decoder = plugin.factory(plan.options, self._context(spec))
            first_tensors(decoder, carried, *tensors)
        except ValueError as error:
            problem = f"model '{plugin.name}' cannot use '{plan.file.name}': {error}"
            found.append(Complaint(place, problem))
            return False
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            problem = (
                f"model '{plugin.name}' ({plugin.where}) failed while looking at "
                f"'{plan.file.name}': {type(error).__name__}: {error}"
            )
            remedy = "its author must make it raise ValueError for models it cannot use"
            found.append(Complaint(place, problem, remedy))
            return False
        return True

    def _look(self, file: Path) -> "tuple[TensorSpecs, TensorSpecs] | str":
        identity = _identity(file)
        known = self._seen.pop(identity, None)  # what is looked at is put behind the others
        self._seen[identity] = self._looked_into(file) if known is None else known
        while len(self._seen) > _MOST_KNOWN:
            del self._seen[next(iter(self._seen))]
        return self._seen[identity]

    @staticmethod
    def _looked_into(file: Path) -> "tuple[TensorSpecs, TensorSpecs] | str":
        try:
            from edgeapp.models.session import inspect

            return inspect(file)
        except ValueError as error:
            return str(error)
        except ConfigError as error:
            return "; ".join(c.problem for c in error.complaints)
        except ImportError as error:
            return f"onnxruntime cannot be loaded: {error}"

    def _context(self, spec: StageSpec) -> Context:
        """Surroundings for a decoder that is only asked whether it accepts a model."""
        return Context(
            "check",
            spec.id,
            _Silent(),
            FakeClock(),
            random.Random(0),  # noqa: S311 - not for secrets
            self._data,
            threading.Event(),
        )


def _identity(file: Path) -> _Identity:
    """What differs once the file is another one."""
    try:
        state = file.stat()
    except OSError as error:
        return file, error.errno or 0, 0, 0
    return file, state.st_size, state.st_mtime_ns, state.st_ino


def _misplaced(spec: StageSpec, file: str, wrong: "Misfit") -> Complaint:
    """What is wrong with a pair of `carry`, at its place."""
    place = spec.place_of("carry")
    carry = spec.table.get("carry")
    if carry and isinstance(carry.value, Table) and (pair := carry.value.get(wrong.output)):
        place = pair.value.place if wrong.of_input else pair.place
    return Complaint(place, f"'{file}' {wrong.problem}", wrong.remedy)


class _Silent:
    """A log that says nothing."""

    def bind(self, **_facts: object) -> "_Silent":
        """Itself."""
        return self

    def debug(self, event: str, **facts: object) -> None:
        """Drop it."""

    info = warning = error = debug
