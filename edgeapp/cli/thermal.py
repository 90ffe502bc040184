"""`edgeapp thermal`: heat recorded, simulated and fitted, without a device that must suffer for it."""

from cyclopts import App

from edgeapp.cli.program import program

app = App(
    name="thermal",
    help="Record the heat and load of this device, and try the watchdog on it.",
    help_epilogue=f"Example:\n  {program()} thermal simulate burst_storm",
)
app.command(
    "edgeapp.cli.thermal_record:record",
    name="record",
    help="Keep what this device says of its heat, load and power, second for second.\n\n"
    "Ctrl-C ends it, and keeps what there is. Exit code 69 if the file cannot be written.",
    usage="Usage: edgeapp thermal record [OPTIONS]",
    help_epilogue=f"Example:\n  {program()} thermal record --for 10m --out porch.json",
)
app.command(
    "edgeapp.cli.thermal_simulate:simulate",
    name="simulate",
    help="Run the watchdog on simulated or recorded devices, and say how well it did.\n\n"
    "A trace with a plant answers what is done in it, and so do the built-in ones, which --list "
    "shows; of a recording it is said what would have been done. Exit code 1 if what a trace expects "
    "is missed, 65 if a trace is wrong.",
    usage="Usage: edgeapp thermal simulate [OPTIONS] TRACE...",
    help_epilogue=f"Example:\n  {program()} thermal simulate burst_storm",
)
app.command(
    "edgeapp.cli.thermal_fit:fit",
    name="fit",
    help="Make a device that can be simulated out of a recording.\n\n"
    "The more the load changes in it, the better. Exit code 65 if nothing can be learned from it.",
    usage="Usage: edgeapp thermal fit [OPTIONS] TRACE",
    help_epilogue=f"Example:\n  {program()} thermal fit porch.json --out porch_plant.json",
)
