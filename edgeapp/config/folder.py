"""The configuration files of a folder, as editors and package managers leave it."""

from pathlib import Path

from edgeapp.errors import Complaint, ConfigError, Place

MOST_FILES = 100
"""In one folder: who has more has mistaken the folder."""
_SUFFIXES = (".yaml", ".yml")


def yaml_files(folder: Path) -> tuple[Path, ...]:
    """The `*.yaml` and `*.yml` of a folder, sorted by name; none where the folder is not there.

    Hidden files are left out, as is what editors and package managers leave beside a file
    (`porch.yaml~`, `.porch.yaml.swp`, `porch.yaml.dpkg-old`). Whether a file can be read is found
    out when it is read.

    Raises:
        ConfigError: it is no folder, may not be looked into, or holds too much, or one file twice.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        if folder.is_symlink():
            raise _wrong(folder, f"this is a link to '{folder.readlink()}': no folder") from None
        return ()
    except NotADirectoryError:
        raise _wrong(folder, "this is a file, not a folder") from None
    except OSError as error:
        raise _wrong(folder, f"it cannot be looked into: {error.strerror}") from None
    chosen = [name for name in names if not name.startswith(".") and name.endswith(_SUFFIXES)]
    if len(chosen) > MOST_FILES:
        raise _wrong(folder, f"it holds {len(chosen)} files; at most {MOST_FILES} are read")
    found: list[Complaint] = []
    stems: dict[str, str] = {}
    for name in chosen:
        stem = name.rpartition(".")[0]
        if stem in stems:
            problem = f"this stands beside '{stems[stem]}': both would be read"
            found.append(Complaint(Place(str(folder / name)), problem, "remove or rename one"))
        stems[stem] = name
    if found:
        raise ConfigError(found)
    return tuple(folder / name for name in chosen)


def _wrong(folder: Path, problem: str) -> ConfigError:
    return ConfigError([Complaint(Place(str(folder)), problem)])
