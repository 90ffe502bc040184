"""Metrics: what is documented is what is told, within bounds, in the format of Prometheus."""

import asyncio
import re
import stat
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("prometheus_client", reason="the extra 'metrics' is not installed")

from prometheus_client.parser import text_string_to_metric_families

from edgeapp.config.device import read_device
from edgeapp.config.metrics import MetricsConfig
from edgeapp.core.dial import Setting
from edgeapp.core.meters import Histogram
from edgeapp.errors import ConfigError
from edgeapp.runtime.app import App
from edgeapp.runtime.status import PipelineStatus
from edgeapp.service.governing.state import governor_facts
from edgeapp.service.monitoring import endpoints as module
from edgeapp.service.monitoring.endpoints import Monitoring
from edgeapp.service.monitoring.health import MOST_REASONS, Health
from edgeapp.service.monitoring.http import Answer
from edgeapp.service.monitoring.machine_facts import machine_facts
from edgeapp.service.monitoring.metrics import BOUNDS_S, METRICS, Facts, render
from edgeapp.service.monitoring.silence import Silence
from edgeapp.service.uplink_facts import uplink_facts
from edgeapp.testing import Pause, Script, Scripted
from edgeapp.uplink.outbox import OutboxStatistics
from edgeapp.uplink.sender import UplinkStatistics
from tests.runtime.parts import Tap, numbers
from tests.runtime.rig import Rig, chain
from tests.servers.mosquitto import free_port
from tests.service.monitoring.test_health import stage
from tests.uplink.test_notices import NOTICED

Labels = tuple[tuple[str, str], ...]
UNITS = ("seconds", "bytes", "celsius", "ratio", "packets", "messages", "cores", "fds")
PLAIN = re.compile(
    r"edgeapp_(build_info|health|clock_synchronized|pipeline_state|source_silent|model_\w+"
    r"|uplink_connected|outbox_problem|governor_\w+|process_threads)"
)


def everything(data_dir: Path) -> Facts:
    """Facts in which nothing is missing."""
    ages = Histogram()
    for n in range(1000):
        ages.record(n * 1_000_000)
    detect = stage(
        "detect",
        done=1000,
        dropped={"late": 2},
        age=ages,
        setting=Setting(1),
        variant="small",
        rungs=3,
    )
    pipeline = PipelineStatus(
        "porch", "running", "", (stage("camera", "source", lost=3, live=True), detect)
    )
    outbox = OutboxStatistics(9, 8, {"full": 1}, 0, 0, 0, oldest_s=1.5, bytes_written=4096)
    uplink = UplinkStatistics(outbox, True, 0, "5", "")
    governor: Any = NOTICED["governor"]
    return Facts(
        statuses=(pipeline,),
        health="well",
        up_s=12.5,
        silences={("porch", "camera"): Silence(True, 10.0, 12.0, 10.5, 1)},
        uplink=uplink_facts(uplink, broker="b", store="disk", now_ns=0),
        governor=governor_facts(governor),
        machine=machine_facts(data_dir),
    )


def parsed(text: bytes) -> dict[tuple[str, Labels], float]:
    """Samples by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_each_metric_that_is_documented_is_told_with_its_labels(tmp_path: Path) -> None:
    told: dict[str, set[str]] = {}
    for name, labels in parsed(render(everything(tmp_path))):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        told.setdefault(base, set()).update(key for key, _ in labels if key != "le")
    assert told == {name: set(metric.labels) for name, metric in METRICS.items()}


def test_names_follow_the_conventions() -> None:
    for name, metric in METRICS.items():
        assert name.startswith(("edgeapp_", "process_"))
        assert name.endswith("_total") == (metric.kind == "counter"), name
        assert PLAIN.fullmatch(name) or re.sub("_total$", "", name).split("_")[-1] in {
            *UNITS,
            *("faults", "silences", "reconnects", "retries", "hour"),
        }, name
        assert metric.help.endswith("."), name


def test_the_page_has_every_metric_as_it_is(repo: Path) -> None:
    page = (repo / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| ([^|]*) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [
        (name, metric.kind, ", ".join(f"`{one}`" for one in metric.labels), metric.help)
        for name, metric in METRICS.items()
    ]


def test_ages_are_a_histogram_of_seconds(tmp_path: Path) -> None:
    told = parsed(render(everything(tmp_path)))
    of = (("kind", "model"), ("pipeline", "porch"), ("stage", "detect"))

    def upto(le: str) -> float:
        value: float = told["edgeapp_stage_age_seconds_bucket", tuple(sorted((*of, ("le", le))))]
        return value

    assert upto("0.1") == pytest.approx(100, rel=0.1)
    assert upto("0.5") == pytest.approx(500, rel=0.1)
    assert upto("+Inf") == told["edgeapp_stage_age_seconds_count", of] == 1000
    assert told["edgeapp_stage_age_seconds_sum", of] == pytest.approx(499.5, rel=0.02)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 10**11), max_size=200))
def test_counts_up_to_a_bound_are_those_of_the_durations(durations_ns: list[int]) -> None:
    """Up to the width of a bucket."""
    ages = Histogram()
    for duration_ns in durations_ns:
        ages.record(duration_ns)
    counts, sum_ns = ages.upto([round(bound * 1e9) for bound in BOUNDS_S])
    assert counts == sorted(counts)
    assert sum_ns == pytest.approx(sum(durations_ns), rel=0.07, abs=1)
    for bound_s, count in zip(BOUNDS_S, counts, strict=True):
        least = sum(ns <= bound_s * 1e9 * 0.93 for ns in durations_ns)
        most = sum(ns <= bound_s * 1e9 * 1.07 for ns in durations_ns)
        assert least <= count <= most


def test_labels_are_bounded_whatever_plugins_call_their_reasons(tmp_path: Path) -> None:
    facts = everything(tmp_path)
    bad = {f'"{n}"\n\\{{}} ' + "x" * 500: 1 for n in range(500)}
    pipeline = replace(facts.statuses[0], stages=(stage("detect", dropped=bad),))
    told = parsed(render(replace(facts, statuses=(pipeline,))))
    dropped = [key for key in told if key[0] == "edgeapp_stage_dropped_packets_total"]
    assert len(dropped) <= MOST_REASONS + 1
    assert max(len(dict(labels)["reason"]) for _, labels in dropped) <= 40


def test_what_there_is_not_is_left_out() -> None:
    bare = Facts(statuses=(), health="starting", up_s=0.1, silences={})
    told = {name for name, _ in parsed(render(bare))}
    assert told == {"edgeapp_build_info", "edgeapp_uptime_seconds", "edgeapp_health"}
    unknown = governor_facts(replace_notice(die_c=None, forecast_30s_c=None, headroom=None))
    told = {name for name, _ in parsed(render(replace(bare, governor=unknown)))}
    assert "edgeapp_governor_level" in told
    assert "edgeapp_governor_die_celsius" not in told


def replace_notice(**changes: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(NOTICED["governor"], **changes)


# -- over HTTP -------------------------------------------------------------------------------


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def while_monitored(
    folder: Path,
    script: Callable[[App, int], Awaitable[None]],
    *,
    config: MetricsConfig | None = None,
    safe: str = "",
) -> Rig:
    rig = Rig(folder)
    plan = chain(
        ("source", Scripted, {"script": Script(*numbers(5), Pause(3600)), "live": True}),
        ("tap", Tap, {"into": []}),
    )
    port = free_port()

    def none() -> Mapping[str, Any] | None:
        return None

    async def main() -> None:
        app = App([] if safe else [plan], rig.kit)
        health = Health(app, safe=safe)
        monitoring = Monitoring(app, health, uplink=none, governor=none, data_dir=folder)
        stop = asyncio.Event()
        where = config or MetricsConfig(port, None)
        answering = asyncio.ensure_future(monitoring.run(where))
        running = asyncio.ensure_future(app.run(stop))
        looking = asyncio.ensure_future(health.run())
        try:
            async with asyncio.timeout(30):
                while not (answering.done() or await is_listened_on(where)):
                    await asyncio.sleep(0.01)
                await script(app, port)
        finally:
            stop.set()
            await running
            for task in (answering, looking):
                task.cancel()
            await asyncio.wait((answering, looking))

    asyncio.run(main())
    return rig


async def is_listened_on(where: MetricsConfig) -> bool:
    try:
        if where.socket is not None:
            _, writer = await asyncio.open_unix_connection(str(where.socket))
        else:
            _, writer = await asyncio.open_connection("127.0.0.1", where.port)
    except OSError:
        return False
    writer.close()
    return True


async def asked(port: int, path: str) -> tuple[int, str]:
    return await asyncio.to_thread(get, port, path)


def test_a_running_application_is_scraped(tmp_path: Path) -> None:
    async def script(app: App, port: int) -> None:
        while app.pipelines[0].meters["tap"].done < 5:
            await asyncio.sleep(0.01)
        status, text = await asked(port, "/metrics")
        told = parsed(text.encode())
        of = (("kind", "output"), ("pipeline", "test"), ("stage", "tap"))
        assert status == 200
        assert told["edgeapp_stage_answered_packets_total", of] == 5
        assert told["edgeapp_pipeline_state", (("pipeline", "test"), ("state", "running"))] == 1
        assert told["process_resident_memory_bytes", ()] > 1e6

    while_monitored(tmp_path, script)


def test_health_and_readiness_are_words_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(app: App, port: int) -> None:
        pipeline = app.pipelines[0]
        while pipeline.state != "running":
            await asyncio.sleep(0.01)
        assert await asked(port, "/healthz") == (200, "ok\n")
        assert await asked(port, "/readyz") == (200, "ok\n")
        monkeypatch.setattr(pipeline, "hung", lambda: {"tap": 31.2})
        assert await asked(port, "/healthz") == (503, "test: tap: in one call for 31 s\n")
        monkeypatch.undo()
        monkeypatch.setattr(pipeline, "state", "starting")
        assert await asked(port, "/readyz") == (503, "not open: test\n")
        monkeypatch.undo()

    while_monitored(tmp_path, script)


def test_safe_mode_is_healthy_and_never_ready(tmp_path: Path) -> None:
    app: Any = SimpleNamespace(status=tuple, pipelines=[], kit=Rig(tmp_path).kit)
    health = Health(app, safe="six starts failed")
    answers = Monitoring(app, health, uplink=lambda: None, governor=lambda: None, data_dir=tmp_path)
    assert asyncio.run(answers.healthz()).status == 200
    ready = asyncio.run(answers.readyz())
    assert (ready.status, ready.body) == (503, b"safe mode: there are no pipelines\n")


def test_a_socket_is_for_its_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.sock"

    async def script(_app: App, _port: int) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\nok\n")
        writer.close()

    while_monitored(tmp_path, script, config=MetricsConfig(None, path))
    assert not path.exists()


def test_where_nobody_can_listen_all_else_goes_on(tmp_path: Path) -> None:
    (tmp_path / "metrics.sock").write_text("something else")

    async def script(app: App, _port: int) -> None:
        while app.pipelines[0].meters["tap"].done < 5:
            await asyncio.sleep(0.01)

    rig = while_monitored(tmp_path, script, config=MetricsConfig(None, tmp_path / "metrics.sock"))
    assert rig.log.said("error") == ["no metrics"]
    assert (tmp_path / "metrics.sock").read_text() == "something else"


def test_without_the_package_the_log_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)

    async def script(app: App, _port: int) -> None:
        assert app.pipelines

    rig = while_monitored(tmp_path, script)
    [(_, _, said)] = [event for event in rig.log.events if event[0] == "error"]
    assert "pip install 'edgeapp[metrics]'" in said["problem"]


def test_who_asks_at_the_same_time_gets_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that hangs costs one thread, not one for each scrape; and the loop goes on."""
    import threading

    answers, calls, asking = threading.Event(), [], []
    metrics = Monitoring.metrics

    async def counted(self: Monitoring) -> Answer:
        asking.append(self)
        return await metrics(self)

    monkeypatch.setattr(Monitoring, "metrics", counted)

    def hanging(folder: Path) -> dict[str, float]:
        calls.append(folder)
        answers.wait(60)
        return {}

    monkeypatch.setattr("edgeapp.service.monitoring.machine_facts.machine_facts", hanging)

    async def script(_app: App, port: int) -> None:
        scrapes = [asyncio.ensure_future(asked(port, "/metrics")) for _ in range(4)]
        while len(asking) < len(scrapes):
            await asyncio.sleep(0.01)
        assert await asked(port, "/healthz") == (200, "ok\n")
        answers.set()
        assert {status for status, _ in await asyncio.gather(*scrapes)} == {200}
        assert len(calls) == 1

    while_monitored(tmp_path, script)


# -- the device file -------------------------------------------------------------------------


def test_the_device_file_says_where(tmp_path: Path) -> None:
    file = tmp_path / "edgeapp.yaml"

    def read(text: str) -> MetricsConfig | None:
        file.write_text(text)
        return read_device(file, environment={}).metrics

    assert read("device: a") is None
    assert read("metrics: {port: 9464}") == MetricsConfig(9464, None)
    assert read("metrics: {socket: /run/x.sock}") == MetricsConfig(None, Path("/run/x.sock"))
    assert read("metrics: {socket: x.sock}") == MetricsConfig(None, tmp_path / "x.sock")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("metrics: {}", "metrics does not say where to listen"),
        ("metrics: {port: 9464, socket: /run/x}", "metrics has a port and a socket"),
        ("metrics: {port: 0}", "port"),
        ("metrics: {host: 0.0.0.0, port: 1}", "host"),
    ],
)
def test_mistakes_in_it_are_told(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "edgeapp.yaml").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        read_device(tmp_path / "edgeapp.yaml", environment={})
