"""`edgeapp pin`, `auto`, `tune`, `ack`, `pause`, `resume` and `reload`: steering what runs."""

from typing import Annotated

from cyclopts import Parameter

from edgeapp.cli import exits
from edgeapp.cli.arguments import Device, Duration, Flag, seconds
from edgeapp.cli.asking import answer

Stage = Annotated[str, Parameter(metavar="STAGE")]
PipelineName = Annotated[str | None, Parameter(metavar="PIPELINE")]


def pin(
    stage: Stage,
    variant: Annotated[str, Parameter(metavar="VARIANT")],
    /,
    *,
    for_: Duration = None,
    divisor: Annotated[int, Parameter(metavar="N")] = 1,
    force: Flag = False,
    device: Device = None,
) -> int:
    """Pin a variant.

    Args:
        stage: A model stage; pipeline/stage where several pipelines have one of that name.
        variant: Name of the variant, or its position on the ladder: 0 is the best.
        for_: Only for this time: 30s, 5m, 2h. If not given: until `auto`.
        divisor: Answer one packet in so many.
        force: Hold it also when the device is about to be too hot, or its supply gives way.
        device: The device file that the running process was given.
    """
    for_s = None if for_ is None else seconds(for_)
    facts = answer(
        device, "pin", stage=stage, variant=variant, for_s=for_s, divisor=divisor, force=force
    ).facts
    from edgeapp.cli.words import span

    until = "until 'edgeapp auto'" if facts["for_s"] is None else f"for {span(facts['for_s'])}"
    print(f"{facts['stage']} is held on {facts['variant']} (rung {facts['rung']}) {until}")
    if force:
        print("whatever the heat: the hardware may slow down, or switch off")
    if facts["struck"]:
        print("but that variant could not be loaded: the nearest one that can be used answers")
    return exits.OK


def auto(stage: Stage, /, *, device: Device = None) -> int:
    """Unpin a variant.

    Args:
        stage: A model stage; pipeline/stage where several pipelines have one of that name.
        device: The device file that the running process was given.
    """
    facts = answer(device, "auto", stage=stage).facts
    print(f"{facts['stage']} follows heat and load")
    return exits.OK


def tune(
    stage: Stage,
    option: Annotated[str, Parameter(metavar="OPTION")],
    value: Annotated[str, Parameter(metavar="VALUE", allow_leading_hyphen=True)],
    /,
    *,
    device: Device = None,
) -> int:
    """Change an option.

    Args:
        stage: Id of the stage; pipeline/stage where several pipelines have one of that name.
        option: One of its options that `edgeapp plugins info` calls live.
        value: The value, as it would stand in the pipeline file.
        device: The device file that the running process was given.
    """
    facts = answer(device, "tune", stage=stage, option=option, value=value).facts
    from json import dumps

    value, before = dumps(facts["value"]), dumps(facts["before"])
    print(f"{facts['option']} of {facts['stage']} is {value}, it was {before}")
    return exits.OK


def reload(*, device: Device = None) -> int:
    """Reload the pipelines.

    Args:
        device: The device file that the running process was given.
    """
    try:
        print(answer(device, "reload").facts["said"])
    except exits.Quit as refused:
        # The command line is right; what it asks to read is not.
        code = exits.CONFIG if refused.code == exits.USAGE else refused.code
        raise exits.Quit(code, str(refused)) from None
    return exits.OK


def ack(stage: Stage, /, *, device: Device = None) -> int:
    """Acknowledge an alarm.

    Args:
        stage: The stage that raised it; pipeline/stage where several have one of that name.
        device: The device file that the running process was given.
    """
    print(answer(device, "ack", stage=stage).facts["said"])
    return exits.OK


def pause(pipeline: PipelineName = None, /, *, device: Device = None) -> int:
    """Pause a pipeline.

    Args:
        pipeline: Its name; not needed where only one runs.
        device: The device file that the running process was given.
    """
    facts = answer(device, "pause", pipeline=pipeline).facts
    print(f"{facts['pipeline']} is paused, until 'edgeapp resume {facts['pipeline']}'")
    return exits.OK


def resume(pipeline: PipelineName = None, /, *, device: Device = None) -> int:
    """Resume a pipeline.

    Args:
        pipeline: Its name; not needed where only one runs.
        device: The device file that the running process was given.
    """
    facts = answer(device, "resume", pipeline=pipeline).facts
    print(f"{facts['pipeline']} is resumed")
    return exits.OK
