"""Say what this interpreter lacks for building funcnn; silent where nothing is."""

import importlib.util
import os
import sys
import sysconfig


def main():
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 10):
        sys.exit(
            "funcnn needs CPython >= 3.10, but this is %s (%s); try make PYTHON=python3.12" % (version, sys.executable)
        )
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        sys.exit(
            "Python %s (%s) has no venv; on Debian and Ubuntu: apt install python3-venv" % (version, sys.executable)
        )
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        sys.exit(
            "Python %s (%s) has no headers; on Debian and Ubuntu: apt install python3-dev" % (version, sys.executable)
        )


if __name__ == "__main__":
    main()
