// SPDX-License-Identifier: Apache-2.0
// The verbs of `pelton`. Each is one file of this folder; verbs.cc is the table.
//
// Every run_X gets the arguments from the verb on (argv[0] is "pelton X") and returns the process's
// exit code: 0 done, 1 failed (the message on stderr says what to do next), 2 wrong usage.
// With kCompleting in argv[0] (cli/options.h) it prints what may stand next, and does nothing else.
#pragma once

namespace pelton::cli {

int run(int argc, char** argv);  ///< dispatches; `pelton` alone and `pelton help` list the verbs

int run_up(int argc, char** argv);
int run_down(int argc, char** argv);
int run_status(int argc, char** argv);
int run_top(int argc, char** argv);
int run_kubeconfig(int argc, char** argv);
int run_explain(int argc, char** argv);
int run_goodput(int argc, char** argv);
int run_sim(int argc, char** argv);
int run_controllers(int argc, char** argv);
int run_completion(int argc, char** argv);
int run_python_path(int argc, char** argv);

// Hidden: parts of an embedded cluster, started by `pelton up`.
int run_server(int argc, char** argv);
int run_agent(int argc, char** argv);

}  // namespace pelton::cli
