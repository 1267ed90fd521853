// SPDX-License-Identifier: Apache-2.0
// A goodput report as text for people and as a page for a browser. Pure.
#pragma once
#include <string>

#include "base/time.h"
#include "decide/goodput/report.h"

namespace pelton::cli {

/// What the report is about.
struct GoodputSubject {
  std::string namespace_name;  ///< empty: of a log
  std::string name;            ///< of the JobSet, or of the log's file
};

/// "340 ms", "12.3 s", "4m07s", "3h20m", "2d05h".
std::string short_time(base::Duration time);

/// The whole report, `columns` wide at most (at least 60). ASCII only.
std::string goodput_text(const GoodputSubject& subject, const decide::goodput::Report& report,
                         size_t columns);

/// One self-contained HTML page: nothing is fetched, light and dark.
std::string goodput_html(const GoodputSubject& subject, const decide::goodput::Report& report);

}  // namespace pelton::cli
