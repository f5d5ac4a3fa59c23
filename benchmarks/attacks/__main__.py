"""Attacks on the installed napari-fractoseg: how often each is tried, and how often it fails.

    python benchmarks/attacks                      # all, about 20 minutes on one core
    python benchmarks/attacks --tries 0.1          # all, quickly
    python benchmarks/attacks --only 9 --only zip --verbose
    PYTHONPATH=../older/src python benchmarks/attacks --out before.md

Everything is made up in a temporary folder: small random images, and a tiny model with random
weights. Rows are numbered as the list of what this program promises. A failure is: code of others
that ran, a file outside of its place, a number that changed without a word, a half-written file
under its final name, a run that cannot be resumed, a hang, a kill by memory, a traceback, and an
exception that is none of ours.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"  # a forked process has only the thread that forked
os.environ["MPLBACKEND"] = "agg"

import bombs  # noqa: F401
import contained  # noqa: F401
import foreign  # noqa: F401
import mutants  # noqa: F401
import resuming  # noqa: F401
import silent  # noqa: F401
from harness import ATTACKS, Attack, Lab


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="number of an attack, or a part of its name; repeatable")  # fmt: skip
    parser.add_argument("--tries", type=float, default=1.0, help="factor on the number of tries")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file to write the table to")
    parser.add_argument("--verbose", action="store_true", help="print each failure at once")
    parser.add_argument("--list", action="store_true", help="list the attacks")
    return parser.parse_args()


def _is_wanted(attack: Attack, wanted: list[str]) -> bool:
    return not wanted or any(w == str(attack.number) or w in attack.name for w in wanted)


def _warm_up() -> None:
    """Import what children use, so that each of them has it."""
    import imageio.v3  # noqa: F401
    import tifffile  # noqa: F401
    import timm  # noqa: F401
    import zarr  # noqa: F401

    import napari_fractoseg.batch
    import napari_fractoseg.cli.app
    import napari_fractoseg.models.archive
    import napari_fractoseg.training.fit
    from napari_fractoseg import convert, evaluate, read_via  # noqa: F401

    print(f"attacked: {Path(napari_fractoseg.cli.app.__file__).parents[1]}")


def main() -> None:
    """Try the attacks, and print the table."""
    options = _arguments()
    chosen = sorted(
        (a for a in ATTACKS if _is_wanted(a, options.only)), key=lambda a: (a.number, a.name)
    )
    if options.list:
        print("\n".join(f"{a.number:2d} {a.name}" for a in chosen))
        return
    with tempfile.TemporaryDirectory(prefix="attacks-", ignore_cleanup_errors=True) as folder:
        os.environ["FRACTOSEG_MODELS"] = f"{folder}/models"
        os.environ["FRACTOSEG_CACHE"] = f"{folder}/cache"
        os.environ["HOME"] = folder
        _warm_up()
        lab = Lab(Path(folder), options.seed, options.tries, options.verbose)
        for attack in chosen:
            began = time.monotonic()
            attack.function(lab)
            seconds = time.monotonic() - began
            print(f"{attack.number} {attack.name}: {seconds:.0f} s", flush=True)
        table = lab.table()
    print(f"\n{table}")
    if options.out:
        options.out.write_text(f"{table}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
