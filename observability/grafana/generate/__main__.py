"""Writes the dashboards: `make dashboards`, or with another folder to write to, as the check for drift does."""

import json
import sys
from pathlib import Path

import application
import business
import database
import function
import infrastructure

COMMITTED = Path(__file__).parent.parent / "dashboards"


def main(folder):
    for module in (infrastructure, application, business, database, function):
        made = module.PAGE
        text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{made['uid']}.json").write_text(text, encoding="utf-8")


main(Path(sys.argv[1]) if len(sys.argv) > 1 else COMMITTED)
