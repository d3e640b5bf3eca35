"""The command line of scripts that make the whole folder of one target's corpus."""
import pathlib
import sys


def main(target, inputs):
    """[--check] ROOT. `inputs`: (name, bytes) of every file that the folder has. Returns the exit code."""
    folder = pathlib.Path(sys.argv[-1]) / "tests/fuzz/corpus" / target
    made = dict(inputs)
    if sys.argv[1] != "--check":
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in made.items():
            (folder / name).write_bytes(data)
        return 0
    there = {path.name: path.read_bytes() for path in folder.iterdir()}
    wrong = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
    print("\n".join(str(folder / name) + " differs" for name in wrong) or f"{len(made)} files are as they should be")
    return 1 if wrong else 0
