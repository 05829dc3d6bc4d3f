#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Each metric that the dashboard shows is one of vas metrics, and each of those is shown.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need python3

create "$mine" --memory 1M
expect 0 metrics --track --delay 0.1 "$mine"
python3 - "$(dirname "$0")/../../packaging/grafana-dashboard.json" "$tmp/out" <<-'END' || die "not as it must be"
	import json, re, sys
	dashboard = json.load(open(sys.argv[1]))
	there = set(re.findall(r"^# TYPE (\S+) ", open(sys.argv[2]).read(), re.M))
	panels = dashboard["panels"]
	shown = {name for panel in panels for target in panel["targets"]
	         for name in re.findall(r"\bvas_\w+", target["expr"])}
	assert len(there) > 15 and shown == there, shown ^ there
	lists = [item["query"] for item in dashboard["templating"]["list"]]
	assert any("label_values(vas_size_bytes, name)" in str(query) for query in lists), lists
	ids = [panel["id"] for panel in panels]
	assert len(ids) == len(set(ids)) and all(panel["description"] for panel in panels)
	# Side by side, and none over another.
	places = set()
	for panel in panels:
	    at = panel["gridPos"]
	    cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
	    assert at["x"] + at["w"] <= 24 and not cells & places, panel["title"]
	    places |= cells
END
