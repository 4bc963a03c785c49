"""The mean of several legs, steadier than each of them: `python -m foal.average A B --output C`."""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="folders of legs of one training")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    weights = [load_file(folder / "model.safetensors") for folder in options.models]
    mean = {
        name: torch.stack([one[name].float() for one in weights]).mean(0).to(tensor.dtype)
        for name, tensor in weights[-1].items()
    }
    shutil.copytree(options.models[-1], options.output, dirs_exist_ok=True)
    save_file(mean, options.output / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
