"""Let the environment that runs this find the packages of another one, too: python tools/link_environment.py ENVIRONMENT."""

import pathlib
import sys
import sysconfig


def main(other: str) -> None:
    """Write the file that adds the other environment's packages, after this one's, when Python starts."""
    here, base = pathlib.Path(sysconfig.get_path("purelib")), pathlib.Path(sys.prefix)
    there = pathlib.Path(other) / here.relative_to(base)
    if not there.is_dir():
        sys.exit(f"{other} has no packages for this Python ({there})")
    (here / "linked_environment.pth").write_text(f"import site; site.addsitedir({str(there)!r})\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
