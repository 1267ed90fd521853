# SPDX-License-Identifier: Apache-2.0
"""Records what kube-apiserver answers to requests/ in recorded/, or checks with --check that what
stands there is what it answers today. Status 77 where there is no kube-apiserver."""
import argparse
import sys
import time

import yaml

import exchange
from differences import diff
from servers import ROOT, RealServer, oracle_missing


# Beside the checkout: too large for the tree. Only recording needs them.
CRDS = ROOT.parent / "shared" / "crds"
ESTABLISHED_SECONDS = 60


def install(server, name):
    """Makes a kind known, and waits until it is served. False where its file is not there."""
    if not (CRDS / name).exists():
        return False
    crd = yaml.load((CRDS / name).read_text(), Loader=yaml.CSafeLoader)
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    # Its schema is compared, not its webhooks and conversions.
    crd["spec"].pop("conversion", None)
    status, answer = server.json("POST", path, crd)
    if status != 201:
        raise AssertionError(f"{name}: {answer}")
    group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
    end = time.monotonic() + ESTABLISHED_SECONDS
    for version in crd["spec"]["versions"]:
        served = f"/apis/{group}/{version['name']}/{plural}"
        while version["served"] and server.request("GET", served)[0] != 200:
            if time.monotonic() > end:
                raise AssertionError(f"{served} is not served: {server.json('GET', path)}")
            time.sleep(0.1)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("only", nargs="*", help="names of files of requests/")
    options = parser.parse_args()
    missing = oracle_missing()
    if missing:
        print(f"SKIPPED: {missing}")
        return 77
    files = exchange.load_requests()
    recorded = exchange.read_recorded()
    wrong = 0
    with RealServer() as server:
        run = exchange.Run(server)
        for name in options.only or files:
            crd = files[name].get("crd")
            if crd and not install(server, crd):
                print(f"{name}: left out, there is no {CRDS / crd}")
                continue
            records = run.run_file(name, files[name])
            if not options.check:
                exchange.write_recorded(name, records)
                continue
            for found in diff(recorded.get(name), records):
                wrong += 1
                print(f"{name}/{found[0]}: recorded {found[1]!r}, answered {found[2]!r}")
    if options.check and wrong:
        print(f"{wrong} differences: record anew with tests/oracle/record.py, and read what changed")
        return 1
    print(f"{sum(len(f['requests']) for f in files.values())} requests in {len(files)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
