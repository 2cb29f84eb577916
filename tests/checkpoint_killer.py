"""A program that is killed while it saves, again and again; run by test_io_checkpoints.py.

``python checkpoint_killer.py MODE FOLDER`` forks children that save into the folder. In mode ``lines`` child number n is
killed before the n-th line that the code that saves comes to; in mode ``times`` after a random time; in mode ``full`` the disk is full.
After each child, everything in the folder must be whole.
"""

import os
import random
import resource
import shutil
import signal
import sys
import time

import numpy as np

import funcnn as fn
from funcnn.io import _checkpoints, _replace

BEST = 1


def tree(step, size):
    return {"w": fn.full((size,), step), "at": (step, None), "half": fn.full((3,), step % 100, fn.bfloat16)}


def check(folder, size):
    """Everything that is there is whole, and the best and the latest are there."""
    manager = fn.io.CheckpointManager(folder, keep_last=2)
    steps = manager.all_steps()
    assert manager.best() == BEST and manager.latest() == steps[-1], steps
    assert len(steps) >= 3, steps
    for step in steps:
        found = manager.restore(tree(0, size), step)
        assert found.tree["at"] == (step, None) and found.metadata == {"position": [step, 7]}
        assert np.array_equal(np.asarray(found.tree["w"]), np.full(size, step)), step
        assert found.tree["half"].tolist() == [step % 100] * 3
    return steps


def save(manager, step, saved):
    manager.save(step, saved, metadata={"position": [step, 7]}, metric=abs(step - BEST) / 1000)


def kill_before_line(number):
    """Kill this process before the code that saves comes to a line it has not run, for the `number`-th time."""
    watched = {module.__file__ for module in (_checkpoints, _replace)}
    seen = set()

    def trace(frame, event, arg):
        if frame.f_code.co_filename not in watched:
            return None
        if event == "line":
            seen.add((frame.f_code, frame.f_lineno))
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def in_child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    return pid


def ended(pid):
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def main(mode, folder):
    size = {"lines": 16, "times": 100_000, "full": 300_000}[mode]
    manager = fn.io.CheckpointManager(folder, keep_last=2)
    for step in range(1, 4):
        save(manager, step, tree(step, size))
    killed, new = 0, 0
    if mode == "lines":
        saved = tree(4, size)
        fn.eval(saved)
        shutil.copytree(folder, f"{folder}-before")
        for number in range(1, 2000):

            def work(number=number):
                kill_before_line(number)
                save(manager, 4, saved)

            code = ended(in_child(work))
            assert code in (0, -signal.SIGKILL), code
            steps = check(folder, size)
            assert steps in ((1, 2, 3), (1, 2, 3, 4), (1, 3, 4)), steps
            new += steps[-1] == 4
            if code == 0:
                break
            killed += 1
            shutil.rmtree(folder)
            shutil.copytree(f"{folder}-before", folder)
        assert killed > 60 and 3 < new < killed, (killed, new)
    elif mode == "times":
        rng = random.Random(0)
        step = 3
        for _ in range(15):
            trees = [tree(step + i, size) for i in range(1, 40)]
            fn.eval(trees)

            def work(step=step, trees=trees):
                for i, saved in enumerate(trees):
                    save(manager, step + 1 + i, saved)

            pid = in_child(work)
            time.sleep(rng.uniform(0.0, 0.015))
            os.kill(pid, signal.SIGKILL)
            killed += ended(pid) == -signal.SIGKILL
            before, step = step, check(folder, size)[-1]
            new += step - before
        assert killed > 2, killed  # the faster it saves, the fewer
    else:

        def work():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            before = sorted(os.listdir(folder))
            for limit in (0, 100, 4096, 1_000_000):
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                try:
                    save(manager, 4, tree(4, size))
                except OSError as error:
                    assert "step" in str(error) or "File too large" in str(error), error
                else:
                    raise AssertionError(f"saved in {limit} bytes")
                assert sorted(os.listdir(folder)) == before
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            save(manager, 4, tree(4, size))

        assert ended(in_child(work)) == 0
        assert check(folder, size)[-1] == 4
    # What was left by those that were killed is gone with the next save.
    save(manager, 5000, tree(5000, size))
    assert sorted(os.listdir(folder)) == [f"step_{step:08d}.safetensors" for step in check(folder, size)]
    print("whole", killed, new)


if __name__ == "__main__":
    main(*sys.argv[1:])
