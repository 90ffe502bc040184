"""The screen of `edgeapp top`. Nothing else imports textual, which is an extra."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.events import Resize
from textual.widgets import DataTable, Footer, Static

from edgeapp.cli import exits, top_words
from edgeapp.cli.words import printable
from edgeapp.errors import Unavailable

Ask = Callable[[str, Mapping[str, object]], dict[str, Any]]
"""Asks what runs; blocks. Raises Unavailable or Quit for what cannot be had."""

LOOK_S = 1.0
_WINDOW_S = 0.5
_SEEN = 300
_COLORS = {
    "running": "green",
    "waiting": "yellow",
    "starting": "cyan",
    "failed": "red",
    "stuck": "red",
}


class TopApp(App[None]):
    """A table of all stages, the heat above it, and keys that steer what is selected."""

    CSS = """
    #head { height: auto; padding: 0 1; }
    #heat { height: 1; padding: 0 1; color: $text-muted; }
    #said { height: 1; padding: 0 1; color: $warning; }
    DataTable { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("p", "pause", "Pause/resume"),
        Binding("+", "pin(1)", "Lighter model", key_display="+"),
        Binding("-", "pin(-1)", "Better model", key_display="-"),
        Binding("a", "auto", "Automatic"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, ask: Ask) -> None:
        """Prepare."""
        super().__init__()
        self._ask = ask
        self._facts: dict[str, Any] | None = None
        self._seen_c: deque[float] = deque(maxlen=_SEEN)
        self._shown: tuple[int, tuple[str, ...]] = (0, ())
        """How many columns, and the keys of the rows."""
        self._looking = False

    def compose(self) -> ComposeResult:
        """The parts of the screen, from its top."""
        yield Static(id="head", markup=False)
        yield Static(id="heat", markup=False)
        yield DataTable(cursor_type="row", zebra_stripes=False)
        yield Static(id="said", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Look now, and about once a second."""
        self.look()
        self.set_interval(LOOK_S, self.look)

    def on_resize(self, _event: Resize) -> None:
        """Another number of columns may fit."""
        if self._facts is not None:
            self._show(self._facts)

    def look(self) -> None:
        """Ask for the status, unless that is under way: a busy device takes its time."""
        if not self._looking:
            self._looking = True
            self._ask_for_status()

    @work(thread=True, group="look")
    def _ask_for_status(self) -> None:
        """Beside the screen: it takes as long as rates are measured over."""
        try:
            facts = self._ask("status", {"window_s": _WINDOW_S})
        except (Unavailable, exits.Quit) as error:
            self._tell(f"nothing to be seen: {error}")
        else:
            self.call_from_thread(self._look_at, facts)
        finally:
            self._looking = False

    @work(thread=True, group="steer")
    def steer(self, verb: str, arguments: dict[str, object], done: str) -> None:
        """Ask for something to be done, and say what became of it."""
        try:
            self._ask(verb, arguments)
        except (Unavailable, exits.Quit) as error:
            self._tell(str(error))
        else:
            self._tell(done)

    def _tell(self, sentence: str) -> None:
        self.call_from_thread(self.query_one("#said", Static).update, printable(sentence))

    def _look_at(self, facts: dict[str, Any]) -> None:
        if self._facts is None:
            self.query_one("#said", Static).update("")
        self._facts = facts
        governor = facts.get("governor")
        if governor is not None and governor["die_celsius"] is not None:
            self._seen_c.append(governor["die_celsius"])
        self._show(facts)

    def _show(self, facts: Mapping[str, Any]) -> None:
        try:
            table = self.query_one(DataTable)
        except NoMatches:  # the screen is being taken down
            return
        width = self.size.width
        self.query_one("#head", Static).update("\n".join(top_words.head(facts)))
        heat = top_words.heat(facts.get("governor"), self._seen_c, width - 2)
        self.query_one("#heat", Static).update(heat)
        count = top_words.columns_for(width)
        rows = list(top_words.rows(facts, count))
        shown = (count, tuple(row.key for row in rows))
        if shown != self._shown:
            self._build(table, rows, count)
            self._shown = shown
        for row in rows:
            for column, cell in zip(top_words.COLUMNS[:count], row.cells, strict=True):
                table.update_cell(row.key, column, self._colored(row, cell), update_width=False)

    def _build(self, table: "DataTable[Any]", rows: list[top_words.Row], count: int) -> None:
        """Make the table anew, with the cursor where it was."""
        at = table.cursor_row
        table.clear(columns=True)
        widths = top_words.widths(count, self.size.width)
        for name, width in zip(top_words.COLUMNS, widths, strict=False):
            table.add_column(name, key=name, width=width)
        for row in rows:
            table.add_row(*row.cells, key=row.key)
        table.move_cursor(row=min(at, max(0, len(rows) - 1)))

    @staticmethod
    def _colored(row: top_words.Row, cell: str) -> Any:
        from rich.text import Text

        return Text(cell, style=f"bold {_COLORS.get(row.state, '')}".strip() if row.state else "")

    # -- what is selected, and the keys ------------------------------------------------------

    def _selected(self) -> tuple[Mapping[str, Any], Mapping[str, Any] | None] | None:
        """The pipeline of the cursor's row, and its stage where it is one's."""
        table = self.query_one(DataTable)
        if self._facts is None or not self._shown[1]:
            return None
        name, _, stage_id = self._shown[1][table.cursor_row].partition("/")
        for pipeline in self._facts["pipelines"]:
            if pipeline["name"] == name:
                stages = (one for one in pipeline["stages"] if one["id"] == stage_id)
                return pipeline, next(stages, None)
        return None

    def _model(self) -> tuple[str, Mapping[str, Any]] | None:
        """The model stage that is selected: its own row, or the only one of its pipeline."""
        selected = self._selected()
        if selected is None:
            return None
        pipeline, stage = selected
        models = [one for one in pipeline["stages"] if one.get("variant")]
        if stage is not None:
            models = [one for one in models if one["id"] == stage["id"]]
        if len(models) != 1:
            self.query_one("#said", Static).update("put the cursor on a stage with a model")
            return None
        return f"{pipeline['name']}/{models[0]['id']}", models[0]

    def action_pause(self) -> None:
        """Pause the pipeline of the cursor's row, or let it go on."""
        selected = self._selected()
        if selected is not None:
            pipeline = selected[0]
            verb = "resume" if pipeline["state"] == "paused" else "pause"
            self.steer(verb, {"pipeline": pipeline["name"]}, f"{pipeline['name']}: {verb}d")

    def action_pin(self, step: int) -> None:
        """Hold the model stage on the next variant down or up its ladder."""
        found = self._model()
        if found is None:
            return
        name, stage = found
        rung = stage["rung"] + step
        if rung < 0:
            self.query_one("#said", Static).update(f"{name} is at its best model already")
            return
        self.steer("pin", {"stage": name, "variant": str(rung)}, f"{name}: pinned, a sets it free")

    def action_auto(self) -> None:
        """Let the watchdog choose again."""
        found = self._model()
        if found is not None:
            self.steer("auto", {"stage": found[0]}, f"{found[0]}: automatic again")
