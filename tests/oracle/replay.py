# SPDX-License-Identifier: Apache-2.0
"""Sends requests/ to our API server and compares with recorded/: what kube-apiserver answered.

A difference that is meant stands in differences.yaml; any other fails."""
import argparse
import json
import sys

import exchange
from differences import Meant, diff
from servers import OurServer


def short(value):
    text = json.dumps(value, sort_keys=True) if not isinstance(value, str) else value
    return text if len(text) < 300 else text[:297] + "..."


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="show differences that are meant, too")
    parser.add_argument("only", nargs="*", help="names of files of requests/")
    options = parser.parse_args()
    files = exchange.load_requests()
    recorded = exchange.read_recorded()
    meant = Meant()
    failed, same = [], 0
    with OurServer() as server:
        run = exchange.Run(server)
        for name in options.only or files:
            records = run.run_file(name, files[name])
            for request, record in records.items():
                expected = recorded.get(name, {}).get(request)
                found = [("", "a record: run record.py", ABSENT)] if expected is None else diff(
                    expected, record)
                left = [f for f in found
                        if options.all or not meant.covers(f"{name}/{request}", f[0])]
                same += not found
                if left:
                    failed.append(f"{name}/{request}")
                for path, want, have in left:
                    print(f"{name}/{request}: {path}: upstream {short(want)}, ours {short(have)}")
    for entry in ([] if options.only else meant.unused()):
        print(f"differences.yaml: nothing differs any more: {entry['requests']} {entry.get('path', '')}")
    total = sum(len(files[name]["requests"]) for name in options.only or files)
    print(f"{total} requests: {same} answered as recorded, {total - same - len(failed)} differ as "
          f"meant, {len(failed)} differ")
    return 1 if failed else 0


ABSENT = "(absent)"

if __name__ == "__main__":
    sys.exit(main())
